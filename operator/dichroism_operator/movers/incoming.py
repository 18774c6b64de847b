"""Copies on the way: files under random names in ``.dichroism/incoming``, and what killed processes left of them.

A copy is written, flushed and proven there before it gets its final name. Its process holds a lock (flock) on it as
long as it lives, so a leftover can be told from a copy that another operator is working on.
"""

import errno
import fcntl
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.mount import INCOMING, Mount, readable
from dichroism_operator.movers.noreplace import rename_noreplace

_OURS = re.compile(r"[A-Za-z0-9-]{1,64}\.[0-9a-f]{16}\.part\Z")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
_LOCKLESS_AGE = timedelta(days=7)
"""Where the file system has no locks, only age tells; no copy takes that long."""

logger = logging.getLogger(__name__)


class IncomingFile:
    """One copy on the way, locked. ``fd`` reads and writes it."""

    def __init__(self, folder: int, name: str, fd: int) -> None:
        self._folder = folder
        self.name = name
        self.fd = fd

    @contextmanager
    def reread(self) -> Iterator[int]:
        """Another descriptor, to read back what the storage has."""
        fd = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            yield fd
        finally:
            os.close(fd)

    def rename_to(self, folder: int, name: str) -> None:
        """Give it its final name, which must be free.

        Raises:
            FileExistsError: it is not.
        """
        rename_noreplace(self._folder, self.name, folder, name, private_old=True)


class Incoming(Closing):
    """The incoming folder of one endpoint, for one task. A context manager.

    The names begin with the task's submission id, so that a person sees whose they are.
    """

    def __init__(self, mount: Mount, submission_id: str) -> None:
        """Open the folder, made where it is missing.

        Raises:
            MoverUnavailable: it can't be made.
        """
        self._mount = mount
        self._submission_id = submission_id
        try:
            with mount.folder(INCOMING, create=True) as folder:
                self._fd = readable(folder)
        except OSError as error:
            raise mount.outage(error) from error

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    @contextmanager
    def file(self) -> Iterator[IncomingFile]:
        """A new, empty file. What still has its incoming name at the end is removed.

        Raises:
            MoverUnavailable: an OSError inside; every error here is the endpoint's.
        """
        try:
            fresh = self._create()
        except OSError as error:
            raise self._mount.outage(error) from error
        try:
            yield fresh
        except OSError as error:
            raise self._mount.outage(error) from error
        finally:
            with suppress(OSError):
                os.unlink(fresh.name, dir_fd=self._fd)
            os.close(fresh.fd)

    def _create(self) -> IncomingFile:
        while True:
            name = f"{self._submission_id}.{secrets.token_hex(8)}.part"
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=self._fd)
            if _locked(fd) is not False and self._still_named(name, fd):
                return IncomingFile(self._fd, name, fd)
            # Somebody who clears leftovers took it in the moment before the lock: take another name.
            os.close(fd)

    def _still_named(self, name: str, fd: int) -> bool:
        try:
            named = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))

    def sweep(self, older_than: timedelta) -> None:
        """Remove what killed processes left, of any task: not locked by anybody, unchanged for ``older_than``.

        Trouble with one of them is logged; it never stops the task.
        """
        try:
            with os.scandir(self._fd) as entries:
                names = [entry.name for entry in entries if _OURS.match(entry.name)]
            for name in names:
                self._remove_leftover(name, older_than)
        except OSError as error:
            logger.warning(
                "leftovers in %s can't be cleared: %s", INCOMING, error, extra={"endpoint": self._mount.name}
            )

    def _remove_leftover(self, name: str, older_than: timedelta) -> None:
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            # ctime, because mtime is the scan's.
            age = timedelta(microseconds=(time.time_ns() - found.st_ctime_ns) // 1000)
            if not stat.S_ISREG(found.st_mode) or age < older_than:
                return
            fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fd)
            try:
                locked = _locked(fd)
                abandoned = locked or (locked is None and age > _LOCKLESS_AGE)
                if abandoned and self._still_named(name, fd):
                    os.unlink(name, dir_fd=self._fd)
                    logger.info("removed the leftover %s/%s", INCOMING, name, extra={"endpoint": self._mount.name})
            finally:
                os.close(fd)


def _locked(fd: int) -> bool | None:
    """Lock the file: False when another process has it, None where the file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
