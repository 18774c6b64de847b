"""Listing the folders of users, which only looking needs: everything else of an endpoint is asked by path.

Entries come one by one, so that a folder with a million files needs no memory. Names are as the storage has them.
"""

import os
import stat
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from dichroism_crds.config import Endpoint
from dichroism_operator.movers.mount import Mount, readable


class What(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"
    """A link, a socket, a device: never a scan, never entered."""
    UNREADABLE = "unreadable"
    """It is there, but what it is can't be told."""


class Listed(NamedTuple):
    """One entry. Size in bytes, times in microseconds since the epoch, as far as the storage tells them.

    ``changed_us`` is the time of the inode: the copy is not older than that, while its modification time is the scan's.
    """

    name: str
    what: What
    size: int = 0
    modified_us: int = 0
    changed_us: int | None = None
    trouble: str = ""


@runtime_checkable
class ListsFolders(Protocol):
    """A mover that can list what lies on an endpoint which is not mounted here."""

    def list_folder(self, endpoint: Endpoint, folder: str) -> Iterator[Listed]:
        """Entries of a folder; "" is the root. None where no folder is.

        Raises:
            PermissionError: the storage lets us in, but not there.
            MoverUnavailable: it can't be told now.
        """


def list_mounted(mount: Mount, folder: str) -> Iterator[Listed]:
    """Entries of a folder of a mounted endpoint; no link is followed and no file opened.

    Raises:
        OSError: the folder is gone, is none, or can't be listed.
    """
    with mount.folder(folder) as entered:
        listable = readable(entered)
        try:
            with os.scandir(listable) as entries:
                for entry in entries:
                    if listed := _listed(entry):
                        yield listed
        finally:
            os.close(listable)


def _listed(entry: os.DirEntry[str]) -> Listed | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # removed since the folder was read
    except OSError as error:
        return Listed(entry.name, What.UNREADABLE, trouble=error.strerror or str(error))
    if stat.S_ISREG(found.st_mode):
        return Listed(entry.name, What.FILE, found.st_size, found.st_mtime_ns // 1000, found.st_ctime_ns // 1000)
    return Listed(entry.name, What.FOLDER if stat.S_ISDIR(found.st_mode) else What.OTHER)
