"""The folder into which files are restored. Nothing in it is ever replaced, and no link in it is followed.

A file is written under a name of its own, flushed, and given its name only when it was proven to be the right one.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from dichroism_crds.paths import check_relative_path
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers.bundle import open_folder, open_regular
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.hashing import no_checkpoint, sha256_from_disk
from dichroism_operator.movers.mount import sync_folder
from dichroism_operator.movers.noreplace import rename_noreplace


class TargetError(Exception):
    """A file can't be written below the target; the cause is the OSError that said so."""


class Target(Closing):
    """A folder for restored files, open; made where it is missing."""

    def __init__(self, folder: Path) -> None:
        """Make and open it.

        Raises:
            OSError: it can't be.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def holds(self, path: str, size: int, sha256: str) -> bool | None:
        """Whether this very content stands at the path; None when nothing does.

        Raises:
            OSError: it can't be looked at.
        """
        try:
            descriptor = open_regular(self._fd, check_relative_path(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
                return False
            raise
        try:
            return sha256_from_disk(descriptor, no_checkpoint) == (size, sha256)
        finally:
            os.close(descriptor)

    @contextmanager
    def file(self, path: str, modified_at: datetime) -> Iterator[BinaryIO]:
        """A file to write to, which gets its name and time at the end. Whatever is raised inside throws it away.

        Raises:
            FileExistsError: something stands at the path by then.
            TargetError: it can't be written.
        """
        try:
            with self._written(path, modified_at) as out:
                yield out
        except FileExistsError:
            raise
        except OSError as error:
            raise TargetError(f"{path}: {error.strerror or error}") from error

    @contextmanager
    def _written(self, path: str, modified_at: datetime) -> Iterator[BinaryIO]:
        above, _, name = check_relative_path(path).rpartition("/")
        folder = self._folder(above)
        part = f".dichroism-{secrets.token_hex(8)}.part"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(part, flags, 0o644, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "r+b") as out:
                    yield out
                    out.flush()
                    moment = to_ns(modified_at)
                    os.utime(out.fileno(), ns=(moment, moment))
                    os.fsync(out.fileno())
                rename_noreplace(folder, part, folder, name, private_old=True)
                sync_folder(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)
        finally:
            os.close(folder)

    def _folder(self, path: str) -> int:
        """Descriptor of a folder below; missing ones are made."""
        made = ""
        for part in path.split("/") if path else ():
            above = open_folder(self._fd, made)
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=above)
            finally:
                os.close(above)
            made = f"{made}/{part}" if made else part
        return open_folder(self._fd, made)
