"""Looks at a folder tree: names and attributes of regular files, nothing else.

Folders are listed and entries lstat'ed; no file is opened and no link followed. Everything blocks, so callers run it in
a thread. What cannot be read is reported as such, because a folder that cannot be read is not an empty folder.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.scan_files import Rules, join
from dichroism_watcher.stability import Look, Seen


@dataclass(slots=True)
class Listing:
    """What one look at one folder saw. With ``error`` the rest says nothing about what is there."""

    folder: str
    look: Look
    files: list[tuple[str, Seen]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Entries whose attributes could not be read, with the reason: they exist."""
    illegal_folders: dict[str, str] = field(default_factory=dict)
    """Folders not entered because no legal path leads through them, with the reason."""
    skipped: int = 0
    """Links, sockets, devices."""
    told: frozenset[str] = frozenset()
    """Files whose end was told by a sentinel that is not older than they are."""
    device: int = 0
    inode: int = 0
    mtime_ns: int = 0
    """Of the folder itself, from before it was listed: names that come later change the time."""
    error: str | None = None

    def problems(self) -> dict[str, str]:
        """What could not be looked at, by relative path; the root is ``.``."""
        own = {} if self.error is None else {self.folder or ".": self.error}
        below = {join(self.folder, name): reason for name, reason in self.unreadable.items()}
        return own | below


def walk(
    root: Path,
    rules: Rules,
    folder: str = "",
    on_folder: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Listing]:
    """Every folder from ``folder`` (relative, the root is ``""``) downwards, one listing each.

    ``on_folder`` is called with each of them right before it is listed.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        on_folder(here)
        listing, below = list_folder(root, rules, here, clock)
        waiting.extend(below)
        if listing is not None:
            yield listing


def list_folder(
    root: Path, rules: Rules, folder: str, clock: Callable[[], float] = time.monotonic
) -> tuple[Listing | None, list[str]]:
    """One folder and the folders in it; None when there is no such folder."""
    listing = Listing(folder, Look(clock(), 0.0))
    below: list[str] = []
    sentinels: dict[str, int] = {}
    where = os.path.join(root, folder)  # noqa: PTH118 - a Path per file costs memory and time
    try:
        own = os.stat(where)  # noqa: PTH116
        listing.device, listing.inode, listing.mtime_ns = own.st_dev, own.st_ino, own.st_mtime_ns
        with os.scandir(where) as entries:
            for entry in entries:
                if not rules.excludes(folder, entry.name):
                    _take(entry, rules, listing, below, sentinels)
    except (FileNotFoundError, NotADirectoryError):
        return None, []  # removed since its parent was listed
    except OSError as error:
        listing.error = error.strerror or str(error)
    listing.look = Look(listing.look.began, clock())
    if sentinels:
        listing.told = frozenset(
            name for name, seen in listing.files if sentinels.get(rules.sentinel_of(name) or "", -1) >= seen.mtime_ns
        )
    return listing, below


def glance(
    root: Path, rules: Rules, folder: str, names: Iterable[str], clock: Callable[[], float] = time.monotonic
) -> tuple[Listing, list[str]]:
    """Single files of one folder, and those of the names that are folders. What is gone or unreadable is left out."""
    listing = Listing(folder, Look(clock(), 0.0))
    below: list[str] = []
    told: set[str] = set()
    where = os.path.join(root, folder)  # noqa: PTH118
    for name in names:
        try:
            found = os.lstat(os.path.join(where, name))  # noqa: PTH118
        except (OSError, ValueError):
            continue
        listing.device = found.st_dev
        if stat.S_ISREG(found.st_mode):
            listing.files.append((name, _seen(found)))
            sentinel = rules.sentinel_of(name)
            if sentinel is not None and _modified(os.path.join(where, sentinel)) >= found.st_mtime_ns:  # noqa: PTH118
                told.add(name)
        elif stat.S_ISDIR(found.st_mode):
            with contextlib.suppress(PathError):  # told by the pass
                below.append(check_relative_path(join(folder, name)))
    listing.told = frozenset(told)
    listing.look = Look(listing.look.began, clock())
    return listing, below


def _take(entry: os.DirEntry[str], rules: Rules, listing: Listing, below: list[str], sentinels: dict[str, int]) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        listing.unreadable[entry.name] = error.strerror or str(error)
        return
    if stat.S_ISREG(found.st_mode):
        if rules.is_sentinel(entry.name):
            sentinels[entry.name] = found.st_mtime_ns
        else:
            listing.files.append((entry.name, _seen(found)))
    elif stat.S_ISDIR(found.st_mode):
        path = join(listing.folder, entry.name)
        try:
            below.append(check_relative_path(path))
        except PathError as error:
            listing.illegal_folders[path] = str(error)
    else:
        listing.skipped += 1


def _seen(found: os.stat_result) -> Seen:
    return Seen(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def _modified(path: str) -> int:
    """Modification time (ns) of a regular file, -1 when there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return -1
    return found.st_mtime_ns if stat.S_ISREG(found.st_mode) else -1
