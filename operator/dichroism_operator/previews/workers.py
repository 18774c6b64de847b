"""Worker processes with bounds: on their number, on the time and memory of a job, and on their life.

A worker that crashes, hangs or wants too much memory costs its one job and is replaced. Nothing of a worker's end
reaches the caller but :class:`WorkerFailedError`. Workers start when they are needed and end when they are idle.
"""

import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from dichroism_operator.previews.jobs import Answer, Job

MEGABYTES = 512
"""Address space of a worker. The largest scan that is read, drawn, took 292 MB of it, and 184 MB of memory."""
JOBS = 1000
"""Jobs of one process before it is replaced: no leak of a library grows without bound."""
BUSY_S = 60.0
"""How long a job waits for a free worker."""
_GRACE_S = 15.0
"""On top of a job's own time: starting takes 1 s, several times that on a loaded machine."""
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "MPLCONFIGDIR", "LD_LIBRARY_PATH")


class WorkerFailedError(Exception):
    """The job was not done; the text says what became of the worker."""


class _IdleEndError(Exception):
    """The worker became idle and ended at the moment at which it was given a job."""


class Workers:
    """A fixed number of workers, shared by threads."""

    def __init__(
        self,
        count: int,
        *,
        nice: int = 0,
        megabytes: int = MEGABYTES,
        busy_s: float = BUSY_S,
        grace_s: float = _GRACE_S,
    ) -> None:
        """``nice`` is added to the priority's number of each worker: the operator itself goes first."""
        # The one that worked last is taken first, so that the others become idle and end.
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._all = [_Worker(nice, megabytes, grace_s) for _ in range(count)]
        for worker in self._all:
            self._free.put(worker)
        self._busy_s = busy_s

    def run(self, job: Job) -> Answer:
        """Have a job done; blocks for at most the wait for a worker, its time and a grace.

        Raises:
            WorkerFailedError: no worker was free, or it crashed or was too slow.
        """
        try:
            worker = self._free.get(timeout=self._busy_s)
        except queue.Empty:
            raise WorkerFailedError(f"no worker process was free for {self._busy_s:.0f} s") from None
        try:
            return worker.run(job)
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End all workers, whatever they do."""
        for worker in self._all:
            worker.stop()


class _Worker:
    """One process at a time, started when a job comes."""

    def __init__(self, nice: int, megabytes: int, grace_s: float) -> None:
        self._arguments = (str(nice), str(megabytes))
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._jobs = 0

    def run(self, job: Job) -> Answer:
        if self._jobs >= JOBS or self._process is None or self._process.poll() is not None:
            self.stop()
        try:
            return self._ask(job)
        except _IdleEndError:
            return self._ask(job)

    def _ask(self, job: Job) -> Answer:
        try:
            connection = self._connection or self._start()
            connection.send(job)
            self._jobs += 1
            if not connection.poll(job.seconds + self._grace_s):
                self.stop()
                raise WorkerFailedError(f"the worker process was too slow: more than {job.seconds:.0f} s for one file")
            answer: Answer = connection.recv()
        except (EOFError, OSError) as error:
            code = self._end()
            if code == 0 and self._jobs > 1:
                raise _IdleEndError from error
            raise WorkerFailedError(f"the worker process ended in the middle of it ({_words(code)})") from error
        return answer

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "dichroism_operator.previews.worker", str(theirs.fileno()), *self._arguments],
                env=worker_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())
        self._jobs = 0
        return self._connection

    def _end(self) -> int | None:
        """Clean up after a worker that broke off; its exit code, negative for a signal, None when it only hung up."""
        code: int | None = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(1)
        self.stop()
        return code

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None


def _words(code: int | None) -> str:
    if code is None:
        return "it closed its connection"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker may know of the environment: no secret, and one folder where matplotlib keeps its fonts."""
    passed = {name: environment[name] for name in _PASSED_ON if name in environment}
    # One thread for linear algebra: files are small, and each thread reserves address space.
    passed |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    if "MPLCONFIGDIR" not in passed and (folder := _font_folder()) is not None:
        passed["MPLCONFIGDIR"] = folder
    return passed


def _font_folder() -> str | None:
    """A folder of our own below the temporary one, kept between runs; None where a stranger holds its name.

    Without one matplotlib would write below the home directory, which a container does not have.
    """
    folder = Path(tempfile.gettempdir()) / f"dichroism-matplotlib-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return str(folder) if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None
