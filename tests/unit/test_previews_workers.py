"""A worker that crashes, hangs or wants too much costs one job and nothing else."""

import contextlib
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_operator.previews.jobs import Job, Place
from dichroism_operator.previews.workers import WorkerFailedError, Workers, worker_environment
from tests import samples

CONTENT = samples.xmcd_pair_631(points=60).encode()
JOB = Job(CONTENT, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "BL631", "TrajScan1.txt")


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(1, grace_s=20, busy_s=0.2)
    yield pool
    pool.close()


def pid_of(workers: Workers) -> int:
    """The one worker process."""
    process = workers._all[0]._process
    assert process is not None
    return process.pid


def huge(folder: Path, seconds: float) -> Job:
    """A job that takes its whole time."""
    with open(folder / "huge", "wb") as file:
        file.truncate(2**40)
    return Job(Place(str(folder), "huge"), 2**40, None, "BL631", "huge", seconds=seconds)


def wait_until_busy(workers: Workers) -> int:
    """Wait until the worker works; its process id."""
    while True:
        process = workers._all[0]._process
        if process is not None and Path(f"/proc/{process.pid}/fd").exists():
            # Another file may be closed, or the process may end, while we look.
            with contextlib.suppress(OSError):
                links = [os.readlink(one) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
                if any(link.endswith("huge") for link in links):
                    return process.pid
        time.sleep(0.01)


def test_one_process_does_many_jobs(workers: Workers) -> None:
    first = workers.run(JOB)
    known = pid_of(workers)
    assert workers.run(JOB) == first
    assert first.description is not None
    assert pid_of(workers) == known


def test_a_crash_is_told_and_the_next_job_is_done(workers: Workers, tmp_path: Path) -> None:
    told: list[str] = []

    def run() -> None:
        try:
            workers.run(huge(tmp_path, 60))
        except WorkerFailedError as error:
            told.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    os.kill(wait_until_busy(workers), signal.SIGSEGV)
    thread.join()
    assert told == ["the worker process ended in the middle of it (signal SIGSEGV)"]
    assert workers.run(JOB).description is not None


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    workers = Workers(1, grace_s=0.2)
    try:
        while True:  # on a loaded machine the first start may take longer than its grace
            try:
                workers.run(JOB)
                break
            except WorkerFailedError:
                continue
        hanging = pid_of(workers)
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(WorkerFailedError, match="too slow"):
            workers.run(Job(b"", 0, None, "BL631", "a", seconds=0.1))
        assert not Path(f"/proc/{hanging}").exists()
    finally:
        workers.close()


def test_too_much_memory_costs_the_job_alone(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(70 * 2**20)
    workers = Workers(1, megabytes=250)
    try:
        assert workers.run(JOB).description is not None
        answer = workers.run(Job(Place(str(tmp_path), "large"), 70 * 2**20, None, "BL631", "large"))
        assert (answer.description, (answer.unread or "")[:11]) == (None, "MemoryError")
        assert workers.run(JOB).description is not None
    finally:
        workers.close()


def test_no_job_waits_for_ever_for_a_worker(workers: Workers, tmp_path: Path) -> None:
    thread = threading.Thread(target=lambda: workers.run(huge(tmp_path, 3)))
    thread.start()
    wait_until_busy(workers)
    with pytest.raises(WorkerFailedError, match="no worker process was free"):
        workers.run(JOB)
    thread.join()


def test_a_worker_that_ended_by_itself_is_started_again(workers: Workers) -> None:
    workers.run(JOB)
    os.kill(pid_of(workers), signal.SIGKILL)
    while _state(pid_of(workers)) != "Z":
        time.sleep(0.01)
    assert workers.run(JOB).description is not None


def test_a_worker_ends_when_the_operator_does() -> None:
    script = (
        "import os; from dichroism_operator.previews.workers import Workers; from tests.unit.test_previews_workers "
        "import JOB; w = Workers(1); w.run(JOB); print(w._all[0]._process.pid, flush=True); os._exit(9)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 9, ran.stderr
    deadline = time.monotonic() + 30
    while Path(f"/proc/{int(ran.stdout)}").exists() and "Z" not in _state(int(ran.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_worker_knows_no_secret_and_has_a_folder_for_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    passed = worker_environment({"PATH": "/bin", "SCICAT_PASSWORD": "hunter2", "GLOBUS_CLIENT_SECRET": "x"})
    assert "hunter2" not in passed.values()
    assert set(passed) == {"PATH", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MPLBACKEND", "MPLCONFIGDIR"}
    folder = Path(passed["MPLCONFIGDIR"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()
    folder.symlink_to("/etc")
    assert "MPLCONFIGDIR" not in worker_environment({})


def test_the_operator_itself_loads_neither_numpy_nor_matplotlib() -> None:
    script = "import sys, dichroism_operator.runtime; print([m for m in ('numpy', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
