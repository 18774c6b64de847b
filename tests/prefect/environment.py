"""The environment of the Prefect server: installed once from the hash-checked lock, kept under the lock's hash."""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements" / "prefect-server.lock"


class PrefectError(RuntimeError):
    """The Prefect server could not be installed or started; the text ends with its own words."""


def prefect_python() -> Path:
    """The interpreter of the environment, which is made first when this machine has none for this lock.

    Raises:
        PrefectError: the installation failed.
    """
    key = hashlib.sha256(f"{platform.platform()} {sys.version}".encode() + LOCK.read_bytes()).hexdigest()[:20]
    folder = _cache() / key
    if not (folder / "ready").exists():
        with _locked(_cache() / f"{key}.lock"):
            if not (folder / "ready").exists():
                _install(folder)
    return folder / "bin" / "python"


def database_template() -> Path:
    """Where the empty database of a first start is kept: later servers start from a copy in a third of the time."""
    return prefect_python().parents[1] / "empty.db"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "dichroism" / "prefect-server"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(folder: Path) -> None:
    print("test Prefect server: installing it, once; about a minute", file=sys.stderr, flush=True)
    # An environment cannot be moved, so it is made in place; without the file `ready` it is made anew.
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)])
    (folder / "ready").touch()


def _run(command: list[str]) -> None:
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode != 0:
            log.seek(0)
            words = log.read()[-3000:].decode(errors="replace")
            raise PrefectError(f"the Prefect server could not be installed ({' '.join(command[1:4])} ...):\n{words}")
