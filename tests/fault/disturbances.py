"""What is done to a watcher's host: mounts go away, disks are full, journals damaged, clocks wrong, notices too many.

Each is a context manager: in force inside, undone afterwards. What this machine does not permit raises
:class:`NotPermittedError` with the reason, before anything is changed.
"""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
SOURCE = Path(__file__).with_name("clock_jump.c")


class NotPermittedError(Exception):
    """This machine does not let us do that; the text says why."""


def _run(*command: object) -> None:
    program = shutil.which(str(command[0]))
    if program is None:
        raise NotPermittedError(f"there is no program {command[0]}")
    done = subprocess.run([program, *map(str, command[1:])], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotPermittedError(f"{command[0]}: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own, of that size, at the folder."""
    if os.geteuid() != 0:
        raise NotPermittedError("only root may mount")
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield
    finally:
        _run("umount", "-l", folder)


@contextmanager
def seen_at(folder: Path, place: Path) -> Iterator[None]:
    """The folder is seen at another place too, as a mounted share is."""
    if os.geteuid() != 0:
        raise NotPermittedError("only root may mount")
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", folder, place)
    try:
        yield
    finally:
        _run("umount", "-l", place)


@contextmanager
def unmounted(folder: Path, place: Path) -> Iterator[None]:
    """What :func:`seen_at` mounted is away; in the empty mount point stands a file that nobody measured."""
    _run("umount", "-l", place)
    trap = place / "trap.txt"
    trap.write_text("not a scan: the disk is not mounted")
    try:
        yield
    finally:
        trap.unlink()
        _run("mount", "--bind", folder, place)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is left on a small disk."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


def lose_journal(state: Path, rng: random.Random) -> str:
    """Delete, cut or overwrite the journal of a watcher that does not run; returns what was done."""
    files = sorted(one for one in state.iterdir() if one.is_file() and one.name.startswith("journal.sqlite"))
    files = [one for one in files if not one.name.endswith(".lock")]
    if not files:
        return "journal not there yet"
    match rng.choice(("deleted", "cut", "overwritten", "zeroed")):
        case "deleted":
            for file in files:
                file.unlink()
            return "journal deleted"
        case "cut":
            os.truncate(files[0], max(files[0].stat().st_size // 2, 100))
            return "journal cut"
        case "overwritten":
            with files[0].open("r+b") as main:
                main.seek(rng.choice((0, min(4096, files[0].stat().st_size // 2))))
                main.write(rng.randbytes(8192))
            return "journal overwritten"
    for file in files:
        file.write_bytes(bytes(file.stat().st_size))
    return "journal zeroed"


class WallClock:
    """The wall clock of one program, which can be set; every other clock goes on as it does."""

    def __init__(self, folder: Path) -> None:
        """Build what has to be preloaded.

        Raises:
            NotPermittedError: there is no C compiler.
        """
        library, self._jump = folder / "clock_jump.so", folder / "clock_jump"
        self.set(0)
        _run("cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl")
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_JUMP_FILE": str(self._jump)}

    def set(self, seconds: int) -> None:
        """Let it go wrong by so much, at once."""
        with open(self._jump, "r+b" if self._jump.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@contextmanager
def short_queue(length: int) -> Iterator[None]:
    """The kernel keeps so few notices for a reader that is made now. It is a setting of the whole machine."""
    before = QUEUE_LIMIT.read_text()
    try:
        QUEUE_LIMIT.write_text(str(length))
    except OSError as error:
        raise NotPermittedError(f"{QUEUE_LIMIT}: {error.strerror}") from error
    try:
        yield
    finally:
        QUEUE_LIMIT.write_text(before)


def flood(folder: Path) -> None:
    """More notices from one folder than the kernel keeps for a reader that sleeps."""
    names = [folder / f"flood{number}.tmp" for number in range(2)]
    names[0].touch()
    for number in range(int(QUEUE_LIMIT.read_text()) * 2):
        names[number % 2].rename(names[1 - number % 2])
    for name in names:
        name.unlink(missing_ok=True)
