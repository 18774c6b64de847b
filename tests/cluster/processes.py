"""Starting, finding and stopping processes of a test cluster. Linux: it reads /proc.

Two ways to find a process again, and both are safe when its number has been given to another one since:

* a :class:`Process` is a number with the moment it started, as recorded in the state folder;
* a *mark* is an environment variable with a random value. Everything a cluster starts carries the cluster's mark, and
  so do its children, so stopping by mark finds also what was started but never recorded.
"""

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STEP_SECONDS = 0.02
_LOWEST_PORT = 12000


@dataclass(frozen=True)
class Process:
    """A process and the moment it started (boot id and clock ticks), which no later process of its number shares."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs; one that ended and waits for its parent does not."""
        _reap(self.pid)
        return _started(self.pid) == self.started


def start(argv: list[str], *, executable: Path, env: Mapping[str, str], log: Path, stdin: int | None = None) -> Process:
    """Start a program in a session of its own, output appended to ``log``.

    Args:
        argv: its arguments; the first is the name it is called by.
        executable: the file to run.
        env: its whole environment.
        log: file for its standard output and error.
        stdin: descriptor it reads from; nothing when None.
    """
    source = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
        pid = os.posix_spawn(executable, argv, env, file_actions=actions, setsid=True)
    finally:
        os.close(source)
        os.close(output)
    return Process(pid, _started(pid) or "ended at once")


def stop(process: Process, *, seconds: float = 10) -> None:
    """Ask it to end, and kill it when it has not within ``seconds``."""
    _stop(lambda: [process.pid] if process.alive() else [], lambda _: process.alive(), seconds)


def stop_marked(name: str, value: str, *, seconds: float = 1) -> None:
    """Stop every process that carries the mark ``name=value``, children of children included."""
    _stop(lambda: marked(name, value), lambda pid: _carries(pid, name, value), seconds)


def marked(name: str, value: str) -> list[int]:
    """Numbers of the living processes that carry the mark ``name=value``, this one left out."""
    numbers = [int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()]
    return [pid for pid in numbers if pid != os.getpid() and _carries(pid, name, value)]


def listens(process: Process, port: int, network_of: int | None = None) -> bool:
    """Whether the process itself (not another one that was quicker) serves the port.

    Args:
        process: which.
        port: TCP port.
        network_of: a process in whose network namespace the port is; its own when None.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening(network_of or process.pid, port)}
    with contextlib.suppress(OSError):
        for descriptor in (_PROC / str(process.pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) in sockets:
                    return process.alive()
    return False


def free_port() -> int:
    """A loopback TCP port that nobody uses now; another process may still take it first.

    It lies below the range of which the kernel gives ports to outgoing connections. A client that keeps connecting to a
    stopped server could otherwise be given that very port, and the server could not start again.
    """
    lowest_outgoing = int((_PROC / "sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(min(_LOWEST_PORT, lowest_outgoing - 1), lowest_outgoing)
    while True:
        port = random.choice(candidates)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(done: Callable[[], bool], *, seconds: float) -> bool:
    """Poll until ``done`` says so; False when it has not within ``seconds``."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(_STEP_SECONDS)
    return True


def _stop(living: Callable[[], list[int]], right: Callable[[int], bool], seconds: float) -> None:
    signalled: set[int] = set()

    def ended(number: signal.Signals) -> bool:
        # Asked again each time: what is to be stopped may have started another process meanwhile.
        remaining = living()
        for pid in remaining:
            if number == signal.SIGKILL or pid not in signalled:
                _signal(pid, right, number)
                signalled.add(pid)
        return not remaining

    if not wait_until(lambda: ended(signal.SIGTERM), seconds=seconds):
        wait_until(lambda: ended(signal.SIGKILL), seconds=10)
    for pid in signalled:
        _reap(pid)


def _signal(pid: int, right: Callable[[int], bool], number: signal.Signals) -> None:
    # The descriptor holds on to the process: if it is still the right one now, the signal cannot reach another.
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if right(pid):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _carries(pid: int, name: str, value: str) -> bool:
    """Whether the environment that the process was started with holds ``name=value``; never for an ended one."""
    try:
        return f"{name}={value}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended while we looked, or is another user's
        return False


def _started(pid: int) -> str | None:
    """Boot id and start in clock ticks; None when there is no such process, or only its exit code is left."""
    try:
        # The name in parentheses may hold spaces. After it: state, and 19 fields later the start time.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"


@cache
def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _reap(pid: int) -> None:
    """Collect the exit code when it is an ended child of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _listening(pid: int, port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on the port, IPv4 or IPv6, where the process has its network."""
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
