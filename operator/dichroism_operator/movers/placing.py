"""Giving a proven copy its final name. What stands there is kept: it goes to ``.dichroism/superseded``.

Whoever decided that the content at a path is obsolete may be wrong, or late, so nothing is ever replaced. Not even a
file that may be our own half-written copy (``Item.own_partial``): this mover never writes to a final name, so what
stands there came from elsewhere or is an older, verified copy, which a failed task for the new content had not moved
yet.
"""

import logging
import os
import secrets
import stat
from dataclasses import dataclass

from dichroism_operator.movers.hashing import Checkpoint, sha256_from_disk
from dichroism_operator.movers.incoming import IncomingFile
from dichroism_operator.movers.mount import SUPERSEDED, Mount, sync_folder
from dichroism_operator.movers.noreplace import rename_noreplace

_NAME_MAX = 255
"""Bytes in a file name on every file system we know."""
_TRIES = 5
"""Others may place files at the same path meanwhile; after so many turns somebody is fighting us."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Content:
    """What a copy must hold. ``source`` is what the copy was made of: another name of the same file is no copy."""

    size: int
    sha256: str
    source: os.stat_result | None = None


def place(mount: Mount, copy: IncomingFile, path: str, content: Content, checkpoint: Checkpoint) -> bool:
    """Put the proven ``copy`` at ``path``; False when an equal file was placed there meanwhile.

    The folder still has to be synced. On the way from the old file to the new one the path is empty for a moment.

    Raises:
        FileTrouble: something that may not be touched stands in the way.
        MoverUnavailable: the endpoint is in trouble.
    """
    above, _, name = path.rpartition("/")
    with mount.placing(path), mount.folder(above, create=True) as folder:
        for _ in range(_TRIES):
            try:
                copy.rename_to(folder, name)
            except FileExistsError:
                standing = mount.lstat(path)
                if standing is None:
                    continue
                if holds(mount, path, standing, content, checkpoint):
                    return False
                supersede(mount, folder, path, standing)
            else:
                return True
    raise mount.obstructed(path, "other programs keep placing files there")


def holds(mount: Mount, path: str, standing: os.stat_result, content: Content, checkpoint: Checkpoint) -> bool:
    """Whether the file at ``path`` is a copy with this content; it is made durable and read from the disk.

    Raises:
        FileTrouble: it is no regular file.
    """
    if not may_hold(mount, path, standing, content.size, content.source):
        return False
    with mount.placing(path), mount.open(path) as fd:
        os.fsync(fd)
        return sha256_from_disk(fd, checkpoint) == (content.size, content.sha256)


def may_hold(mount: Mount, path: str, standing: os.stat_result, size: int, source: os.stat_result | None) -> bool:
    """Whether it is worth reading what stands at ``path``: the size fits and it is not the source itself.

    Raises:
        FileTrouble: it is no regular file.
    """
    if not stat.S_ISREG(standing.st_mode):
        raise mount.obstructed(path, "a link, folder or special file stands there")
    return standing.st_size == size and not (source is not None and os.path.samestat(standing, source))


def supersede(mount: Mount, folder: int, path: str, standing: os.stat_result) -> None:
    """Move the file at ``path`` (its folder open as ``folder``) out of the way, under a name never used before.

    When another file than ``standing`` was caught, it is put back: somebody placed it in between.
    """
    name = path.rpartition("/")[2]
    kept = superseded_name(name)
    with mount.folder(SUPERSEDED, create=True) as superseded:
        try:
            rename_noreplace(folder, name, superseded, kept, private_old=False)
        except FileNotFoundError:
            return
        if not os.path.samestat(os.stat(kept, dir_fd=superseded, follow_symlinks=False), standing):
            rename_noreplace(superseded, kept, folder, name, private_old=True)
            return
        # Before the new file takes the path: a crash must not lose the old one's only name.
        sync_folder(superseded)
    logger.warning(
        "moved %s to %s/%s: another content takes its path", path, SUPERSEDED, kept, extra={"endpoint": mount.name}
    )


def superseded_name(name: str) -> str:
    """``<random>-<name>``, cut at the end where it would be too long for a file name."""
    prefix = f"{secrets.token_hex(8)}-"
    room = _NAME_MAX - len(prefix)
    return prefix + name.encode()[:room].decode(errors="ignore")
