"""A round trip on a mounted endpoint: everything that a mover does to a file, tried on files of our own.

It all happens in ``.dichroism/doctor/<random>``, which is taken away again. What a killed run left there is taken away
by a later one. No other file is opened for writing, renamed or deleted.
"""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from dichroism_crds.names import PRIVATE_DIR
from dichroism_operator.movers.mount import Mount, readable
from dichroism_operator.movers.noreplace import rename_in_one_step, rename_noreplace

DOCTOR = f"{PRIVATE_DIR}/doctor"
CONTENT = secrets.token_bytes(4096)
MTIME_NS = 1_700_000_000_123_456_789
"""A time with a digit in every place, to see how many of them are kept."""
_OLD = timedelta(hours=1)
_TRIES = 100
_OURS = re.compile(r"[0-9a-f]{16}\Z")
_WRITTEN, _RENAMED, _MOVED, _TAKEN = "written", "renamed", "moved", "taken"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What was seen on the way.

    Attributes:
        one_step: renames that replace nothing are one step of the file system, not two.
        replaced: a rename onto a name that was taken replaced what stood there.
        intact: the bytes came back as they were written.
        kept_mtime_ns: what the file system made of :data:`MTIME_NS`.
        ahead_ns: how far its clock is ahead of ours; negative when it is behind, 0 within the time the look took.
    """

    one_step: bool
    replaced: bool
    intact: bool
    kept_mtime_ns: int
    ahead_ns: int


class RoundTripError(Exception):
    """The file system refused something; ``step`` says what was tried."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(f"{step}: {error.strerror or error}")
        self.step = step
        self.errno = error.errno


def make_round_trip(mount: Mount) -> RoundTrip:
    """Write, read back, set the time, rename, delete.

    Raises:
        RoundTripError: one of these can't be done.
    """
    with _tried("make a folder"), _own_folder(mount) as folder:
        return _try_all(folder)


@contextmanager
def _own_folder(mount: Mount) -> Iterator[int]:
    """A folder of this run alone. The one above it goes too, because a later run may be another user's."""
    name = secrets.token_hex(8)
    _make(mount, name)
    try:
        with mount.folder(f"{DOCTOR}/{name}") as folder:
            yield folder
    finally:
        with suppress(OSError):
            with mount.folder(DOCTOR) as above:
                _remove(above, name)
            with mount.folder(PRIVATE_DIR) as private:
                os.rmdir(DOCTOR.rpartition("/")[2], dir_fd=private)


def _make(mount: Mount, name: str) -> None:
    """Make our folder; until it is there, another run that ends may take away the one above it."""
    for left in reversed(range(_TRIES)):
        try:
            with mount.folder(DOCTOR, create=True) as above:
                _remove_old(above)
                os.mkdir(name, dir_fd=above)
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def _try_all(folder: int) -> RoundTrip:
    with _tried("write a file"):
        before = time.time_ns()
        intact, stamped = _write(folder, _WRITTEN)
        after = time.time_ns()
    with _tried("set the time of a file"):
        os.utime(_WRITTEN, ns=(MTIME_NS, MTIME_NS), dir_fd=folder, follow_symlinks=False)
        kept = os.stat(_WRITTEN, dir_fd=folder, follow_symlinks=False).st_mtime_ns
    with _tried("rename a file"):
        rename_noreplace(folder, _WRITTEN, folder, _RENAMED, private_old=True)
        one_step = rename_in_one_step(folder, _RENAMED, _MOVED)
        if not one_step:
            rename_noreplace(folder, _RENAMED, folder, _MOVED, private_old=False)
    with _tried("write a second file"):
        _write(folder, _TAKEN)
        standing = os.stat(_TAKEN, dir_fd=folder, follow_symlinks=False).st_ino
    with _tried("rename onto a name that is taken"):
        with suppress(FileExistsError):
            rename_noreplace(folder, _MOVED, folder, _TAKEN, private_old=True)
        replaced = os.stat(_TAKEN, dir_fd=folder, follow_symlinks=False).st_ino != standing
    with _tried("delete a file"):
        for name in (_MOVED, _TAKEN):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    ahead = stamped - after if stamped > after else min(stamped - before, 0)
    return RoundTrip(one_step, replaced, intact, kept, ahead)


def _write(folder: int, name: str) -> tuple[bool, int]:
    """Write, flush and read back; whether the bytes are the same, and the time that the file got, in nanoseconds."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        os.write(fd, CONTENT)
        os.fsync(fd)
        return os.pread(fd, len(CONTENT) + 1, 0) == CONTENT, os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)


def _remove_old(doctor: int) -> None:
    """Take away what killed runs left; trouble with it is nobody's business now."""
    listable = readable(doctor)
    try:
        with os.scandir(listable) as entries:
            names = [entry.name for entry in entries if _OURS.match(entry.name)]
        for name in names:
            with suppress(OSError):
                found = os.stat(name, dir_fd=doctor, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and time.time() - found.st_mtime > _OLD.total_seconds():
                    _remove(doctor, name)
    finally:
        os.close(listable)


def _remove(doctor: int, name: str) -> None:
    """Take away one folder of ours with the files that a round trip makes, and nothing else."""
    with suppress(OSError):
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=doctor)
        try:
            for file in (_WRITTEN, _RENAMED, _MOVED, _TAKEN):
                with suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=doctor)


@contextmanager
def _tried(step: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RoundTripError(step, error) from error
