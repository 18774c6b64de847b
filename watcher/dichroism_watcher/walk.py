"""One pass over a folder tree: names and attributes of regular files, nothing else.

Folders are listed and entries lstat'ed; no file is opened and no link followed. Everything blocks, so callers run it in
a thread. What cannot be read is reported as such, because a folder that cannot be read is not an empty folder.
"""

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_watcher.stability import Look, Seen


class RootUnavailableError(Exception):
    """The watched root is not what it was: nothing seen below it may be believed, above all not that files are gone."""


class Excludes:
    """Globs of what is not a scan. Our own folder is always left out.

    A pattern with a slash is matched with the whole relative path, any other with every single name on it, so that it
    also shuts out folders. Upper and lower case differ.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        every = (PRIVATE_DIR, *patterns)
        self._name = _any_of([pattern for pattern in every if "/" not in pattern])
        self._path = _any_of([pattern for pattern in every if "/" in pattern])

    def match(self, folder: str, name: str) -> bool:
        """Whether the entry ``name`` of ``folder`` (relative) is left out."""
        if self._name is not None and self._name.match(name):
            return True
        return self._path is not None and self._path.match(join(folder, name)) is not None


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None


def join(folder: str, name: str) -> str:
    """Relative path of an entry; the root is the empty folder."""
    return f"{folder}/{name}" if folder else name


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
    error: str | None = None

    def problems(self) -> dict[str, str]:
        """What could not be looked at, by relative path; the root is ``.``."""
        own = {} if self.error is None else {self.folder or ".": self.error}
        below = {join(self.folder, name): reason for name, reason in self.unreadable.items()}
        return own | below | self.illegal_folders


class Root:
    """A watched root and the proof that it is still the same one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device: int | None = None

    def check(self, *, had_files: bool) -> None:
        """Prove that the root is there, is the file system it was, and did not suddenly turn empty.

        Raises:
            RootUnavailableError: it is not; the text says how and what to do.
        """
        try:
            found = self.path.stat()
            with os.scandir(self.path) as entries:
                empty = had_files and next(entries, None) is None
        except OSError as error:
            raise RootUnavailableError(
                f"watched root {self.path}: {error.strerror}; mount it or correct the config"
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise RootUnavailableError(f"watched root {self.path} is not a folder; correct the config")
        if self._device is not None and found.st_dev != self._device:
            raise RootUnavailableError(
                f"watched root {self.path} is on another device than before, so it was probably unmounted: "
                "mount it again; if the change is meant, restart the watcher"
            )
        if empty:
            raise RootUnavailableError(
                f"watched root {self.path} is empty where files had been, so it was probably unmounted: "
                "mount it again; if all files were meant to go, restart the watcher"
            )
        self._device = found.st_dev


def walk(root: Path, excludes: Excludes, clock: Callable[[], float] = time.monotonic) -> Iterator[Listing]:
    """Every folder below ``root``, one listing each; the root itself is the folder ``""``."""
    waiting = [""]
    while waiting:
        listing, below = _list(root, waiting.pop(), excludes, clock)
        waiting.extend(below)
        if listing is not None:
            yield listing


def _list(root: Path, folder: str, excludes: Excludes, clock: Callable[[], float]) -> tuple[Listing | None, list[str]]:
    listing = Listing(folder, Look(clock(), 0.0))
    below: list[str] = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118 - a Path per file costs memory and time
            for entry in entries:
                if not excludes.match(folder, entry.name):
                    _take(entry, listing, below)
    except (FileNotFoundError, NotADirectoryError):
        return None, []  # removed since its parent was listed
    except OSError as error:
        listing.error = error.strerror or str(error)
    listing.look = Look(listing.look.began, clock())
    return listing, below


def _take(entry: os.DirEntry[str], listing: Listing, below: list[str]) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        listing.unreadable[entry.name] = error.strerror or str(error)
        return
    if stat.S_ISREG(found.st_mode):
        listing.files.append((entry.name, Seen(found.st_size, found.st_mtime_ns, found.st_ino)))
    elif stat.S_ISDIR(found.st_mode):
        path = join(listing.folder, entry.name)
        try:
            below.append(check_relative_path(path))
        except PathError as error:
            listing.illegal_folders[path] = str(error)
    else:
        listing.skipped += 1
