"""Finding and stopping processes: the right ones, all of them, and no other."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import processes
from tests.cluster.processes import Process

MARK = "DICHROISM_TEST_MARK"
IGNORES_POLITENESS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""


def start(tmp_path: Path, mark: str, *command: str) -> Process:
    return processes.start(
        list(command), executable=Path(command[0]), env={**os.environ, MARK: mark}, log=tmp_path / "log"
    )


@pytest.fixture
def mark() -> Iterator[str]:
    value = secrets.token_hex(8)
    yield value
    for pid in processes.marked(MARK, value):
        os.kill(pid, signal.SIGKILL)


def test_a_process_that_got_a_recorded_number_later_is_not_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        recorded = Process(other.pid, "an earlier start")
        assert not recorded.alive()
        processes.stop(recorded, seconds=0)
        assert other.poll() is None
        other.communicate(b"\n")
    assert other.returncode == 0


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path, mark: str) -> None:
    process = start(tmp_path, mark, sys.executable, "-c", IGNORES_POLITENESS)
    assert processes.wait_until(lambda: (tmp_path / "log").read_text() == "\n", seconds=30)
    processes.stop(process, seconds=0.2)
    assert not process.alive()


def test_stopping_by_mark_finds_children_in_sessions_of_their_own(tmp_path: Path, mark: str) -> None:
    child = "import subprocess as s; s.Popen(['sleep', '600'], start_new_session=True); print(flush=True); input()"
    start(tmp_path, mark, sys.executable, "-c", child)
    start(tmp_path, "another", sys.executable, "-c", "input()")
    assert processes.wait_until(lambda: len(processes.marked(MARK, mark)) == 1, seconds=30)
    processes.stop_marked(MARK, mark)
    assert processes.marked(MARK, mark) == []


def test_a_port_that_another_process_serves_does_not_count_as_ours(tmp_path: Path, mark: str) -> None:
    process = start(tmp_path, mark, "/bin/sleep", "600")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not processes.listens(process, port)
        assert processes.listens(Process(os.getpid(), processes._started(os.getpid()) or ""), port)
    processes.stop(process)
