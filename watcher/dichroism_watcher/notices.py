"""What the kernel tells of changes in watched folders: inotify, by way of watchdog's reader. Linux, local disks.

Notices only say where to look sooner. Nothing is believed because of one, and nothing is lost without one: passes find
the same. So only so many of the newest folders are watched that the kernel's queue cannot overflow by the watches
alone, and an overflow or a dead reader just asks for a pass.
"""

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from dichroism_crds.scan_files import Rules, join
from dichroism_watcher.throttle import backoff

log = logging.getLogger(__name__)

MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
"""A file or folder appeared, or was closed after writing. Not what our own looks do: they would fill the queue."""
_LIMITS = Path("/proc/sys/fs/inotify")
_DEFAULT_QUEUE = 16384


def most_folders() -> int:
    """How many folders may be watched: a quarter of the kernel's queue, and half of what a user may watch."""
    return max(1, min(_limit("max_queued_events") // 4, _limit("max_user_watches") // 2))


def _limit(name: str) -> int:
    try:
        return int((_LIMITS / name).read_text())
    except (OSError, ValueError):
        return _DEFAULT_QUEUE


class _Reader(InotifyFD):
    """watchdog's thread that reads inotify; an overflow and its own death are told to us."""

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__()
        self._on_overflow = on_overflow

    def handle_event(self, event: InotifyEvent) -> None:
        if event.is_queue_overflow:
            self._on_overflow()
        else:
            super().handle_event(event)

    def run(self) -> None:
        try:
            super().run()
        except Exception:
            log.exception("the reader of file notices died; it is started again, passes go on meanwhile")
            self._on_overflow()


class _Folder:
    """What watchdog calls for one watched folder."""

    def __init__(self, notices: "Notices", folder: str, inode: int) -> None:
        self.notices, self.folder, self.inode = notices, folder, inode
        self.descriptor: WatchDescriptor | None = None
        self.id = CallbackId(next(_ids))

    def on_event(self, event: InotifyEvent) -> None:
        name = os.fsdecode(event.name)
        if name:
            self.notices.tell(self.folder, name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 - watchdog's interface
        self.notices.lost(self)

    def on_queue_overflow(self) -> None:
        """Overflows are told by the reader, once for all folders."""


_ids = itertools.count(1)


class Notices:
    """Notices of one root. ``tell_path`` and ``tell_missed`` are called from the reader's thread."""

    def __init__(
        self,
        root: Path,
        rules: Rules,
        tell_path: Callable[[str], None],
        tell_missed: Callable[[], None],
        most: int | None = None,
    ) -> None:
        self.most = most or most_folders()
        self.overflows = 0
        self._root = root
        self._rules = rules
        self._tell_path = tell_path
        self._tell_missed = tell_missed
        self._folders: dict[str, _Folder] = {}
        self._reader: _Reader | None = None
        self._failures = 0
        self._start_at = 0.0
        self._full = False

    @property
    def watched(self) -> int:
        """Number of watched folders."""
        return len(self._folders)

    def tend(self) -> None:
        """Start the reader, or start it again when it died; with back-off."""
        if self._reader is not None and self._reader.is_alive():
            return
        if time.monotonic() < self._start_at:
            return
        self.close()
        self._failures += 1
        self._start_at = time.monotonic() + backoff(self._failures)
        try:
            self._reader = _Reader(self._overflowed)
            self._reader.start()
        except OSError as error:
            self._reader = None
            self._told_full(error)

    def watch(self, folder: str) -> None:
        """Watch a folder, unless as many are watched as may be. A folder that was replaced is watched anew."""
        reader = self._reader
        if reader is None:
            return
        path = os.fsencode(os.path.join(self._root, folder))  # noqa: PTH118
        try:
            inode = os.stat(path).st_ino  # noqa: PTH116
        except OSError:
            return
        held = self._folders.get(folder)
        if held is not None and held.inode == inode:
            return
        if held is not None:
            self._unwatch(held)
        if len(self._folders) >= self.most:
            return
        made = self._folders[folder] = _Folder(self, folder, inode)
        try:
            made.descriptor = reader.add_callback(path, MASK, made, made.id)
        except OSError as error:
            self._folders.pop(folder, None)
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                self._told_full(error)

    def keep(self, newest: Iterable[str]) -> None:
        """Watch exactly these folders, the most important first."""
        wanted = dict.fromkeys(itertools.islice(newest, self.most))
        for folder in [one for name, one in list(self._folders.items()) if name not in wanted]:
            self._unwatch(folder)
        for name in wanted:
            self.watch(name)
        if self._reader is not None and self._reader.is_alive():
            self._failures = 0

    def close(self) -> None:
        """Watch nothing any more."""
        reader, self._reader = self._reader, None
        self._folders.clear()
        if reader is not None:
            reader.stop()

    # --- called by the reader's thread

    def tell(self, folder: str, name: str) -> None:
        """Something happened to an entry of a folder."""
        if self._rules.is_sentinel(name):
            self._tell_path(folder)
        elif not self._rules.excludes(folder, name):
            self._tell_path(join(folder, name))

    def lost(self, folder: _Folder) -> None:
        """The kernel watches a folder no more: it was removed, or its file system went."""
        if self._folders.get(folder.folder) is folder:
            del self._folders[folder.folder]
            self._tell_missed()

    def _overflowed(self) -> None:
        self.overflows += 1
        self._tell_missed()

    # --- ending a watch

    def _unwatch(self, folder: _Folder) -> None:
        if self._folders.get(folder.folder) is folder:
            del self._folders[folder.folder]
        if self._reader is not None and folder.descriptor is not None:
            self._reader.remove_callbacks([(folder.descriptor, folder.id)])

    def _told_full(self, error: OSError) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "the kernel grants no more watches; folders without one are looked at by passes only",
                extra={"reason": error.strerror, "files": len(self._folders)},
            )
