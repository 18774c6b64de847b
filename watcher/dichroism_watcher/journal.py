"""What the watcher remembers across restarts: which files the API took, and which of them are safe.

Needed because finished Scans are collected from the cluster while their files stay: without it every restart would
create them again. A row is written after the API's answer, in batches; a crash between only means that the API is asked
again, which changes nothing there. What is not written yet is answered from memory, also while the disk is full.
"""

import asyncio
import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from dichroism_crds import timestamps
from dichroism_watcher import killpoints
from dichroism_watcher.journal_file import (
    JournalBrokenError,
    JournalError,
    JournalFile,
    JournalFullError,
    Row,
    set_aside,
)
from dichroism_watcher.records import FileContent

log = logging.getLogger(__name__)

BATCH_S = 0.1
"""Pause between two commits: each costs a flush of the disk, and a burst brings hundreds of files a second."""
BATCH_ROWS = 5000
RETRY_S = 5.0
"""Pause after a commit that failed."""
GONE_KEPT_S = 30 * 86400
"""How long a file that is gone is remembered: it may come back with a mount, or from another place."""
TIDY_EVERY_S = 3600.0
COUNT_EVERY_S = 60.0


class JournalLockedError(JournalError):
    """Another watcher uses this journal."""


class Journal:
    """The journal of all beamlines of one process. Everything but the commits happens in the event loop."""

    def __init__(self, path: Path, lock: IO[str] | None) -> None:
        self.path = path
        self.problem: str | None = None
        """Why nothing can be written at present; all is kept in memory meanwhile."""
        self._row_counts: dict[tuple[str, bool], int] = {}
        self._lock = lock
        self._writer: JournalFile | None = None
        self._reader: JournalFile | None = None
        self._pending: dict[tuple[str, str], Row | None] = {}
        self._pending_inodes: dict[int, set[tuple[str, str]]] = {}
        self._meta: dict[str, str] = {}

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Open the journal at ``path``; a broken one is set aside, a missing one is made.

        Raises:
            JournalLockedError: another process has it.
            JournalError: it cannot be used, and a person has to do something about it.
        """
        journal = cls(path, _locked(path))
        try:
            try:
                journal._open()
            except JournalBrokenError as error:
                journal.set_aside(str(error))
                journal._open()
        except BaseException:
            journal.close()
            raise
        return journal

    def set_aside(self, reason: str) -> None:
        """Put a broken journal out of the way.

        Raises:
            JournalError: that is not possible.
        """
        self._close_files()
        kept = set_aside(self.path, timestamps.now())
        log.error(
            "the journal is broken and was set aside; files that are not proven safe get their Scans again",
            extra={"reason": reason, "path": str(kept)},
        )
        killpoints.reach("journal-set-aside")

    def _open(self) -> None:
        """Open both connections; with a full disk one that only reads, or none."""
        try:
            self._writer = JournalFile.open(self.path)
            self._reader = JournalFile.open(self.path)
        except JournalFullError as error:
            self._close_files()
            self._failed(error)
            if self.path.exists() and self.path.stat().st_size:
                self._reader = JournalFile.open_without_writing(self.path)
        if self._writer is not None:
            self._row_counts = self._writer.counts()

    def close(self) -> None:
        """Write what is pending, as far as that works, and let others have the file."""
        with suppress(JournalError):
            self._commit(*self._batch())
        self._close_files()
        if self._lock is not None:
            self._lock.close()

    def _close_files(self) -> None:
        for one in (self._reader, self._writer):
            if one is not None:
                one.close()
        self._reader = self._writer = None

    # --- what is asked of it

    def rows(self, beamline: str) -> Iterator[Row]:
        """All rows of a beamline, for the start."""
        return iter(()) if self._reader is None else self._reader.rows(beamline)

    def row(self, beamline: str, path: str) -> Row | None:
        """The row of a path."""
        key = (beamline, path)
        if key in self._pending:
            return self._pending[key]
        return None if self._reader is None else self._reader.row(beamline, path)

    def rows_in(self, beamline: str, folder: str) -> list[Row]:
        """The rows of one folder, not of those below."""
        stored = [] if self._reader is None else list(self._reader.rows_in(beamline, folder))
        waiting = (row for row in self._pending.values() if row and row.path.rpartition("/")[0] == folder)
        return self._newest(stored, (row for row in waiting if row.beamline == beamline))

    def rows_of(self, beamline: str, device: int, inode: int, content: FileContent) -> list[Row]:
        """The rows of the file with that inode and content: where it was before, should it be another path now."""
        stored = [] if self._reader is None else list(self._reader.rows_of(beamline, device, inode))
        pending = (self._pending[key] for key in self._pending_inodes.get(inode, ()))
        waiting = (row for row in pending if row and (row.beamline, row.device) == (beamline, device))
        return [row for row in self._newest(stored, waiting) if row.content == content]

    def _newest(self, stored: Iterable[Row], waiting: Iterable[Row]) -> list[Row]:
        return [*(row for row in stored if row.key not in self._pending), *waiting]

    def rows_counted(self, beamline: str) -> tuple[int, int]:
        """Numbers of rows that are safe and that are not, as last counted."""
        return self._row_counts.get((beamline, True), 0), self._row_counts.get((beamline, False), 0)

    # --- what it is told

    def put(self, row: Row) -> None:
        """Remember a row in place of the one of the same path."""
        if self.row(*row.key) != row:
            self._not_pending(row.key)
            self._pending[row.key] = row
            self._pending_inodes.setdefault(row.inode, set()).add(row.key)

    def remove(self, beamline: str, path: str) -> None:
        """Forget the row of a path."""
        if self.row(beamline, path) is not None:
            self._not_pending((beamline, path))
            self._pending[beamline, path] = None

    def _not_pending(self, key: tuple[str, str]) -> None:
        row = self._pending.pop(key, None)
        if row is not None:
            self._pending_inodes[row.inode].discard(key)
            if not self._pending_inodes[row.inode]:
                del self._pending_inodes[row.inode]

    def note(self, key: str, value: str) -> None:
        """Remember a value that is no file's."""
        self._meta[key] = value

    def met_until(self, beamline: str, endpoint: str) -> int | None:
        """The newest change time of an inode (ns) among the files older than the journal; None: not known yet."""
        key = _met_until(beamline, endpoint)
        value = self._meta.get(key) or (None if self._reader is None else self._reader.meta(key))
        return None if value is None else int(value)

    def met_all(self, beamline: str, endpoint: str, newest_ns: int) -> None:
        """All files of a root were met; the first time, this tells what was there before the journal."""
        if self.met_until(beamline, endpoint) is None:
            self.note(_met_until(beamline, endpoint), str(newest_ns))

    def free_bytes(self) -> int:
        """Space left on the journal's disk, 0 when that cannot be told."""
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError:
            return 0

    # --- writing

    async def run(self) -> None:
        """Write batches for ever.

        Raises:
            JournalBrokenError: the file broke while it was used: the watcher has to start anew.
        """
        counted = tidied = time.monotonic()
        while True:
            await asyncio.sleep(BATCH_S if self.problem is None else RETRY_S)
            try:
                if self._writer is None:
                    self._reopen()
                if self._pending or self._meta or self.problem is not None:
                    rows, removed, meta = self._batch()
                    await asyncio.to_thread(self._commit, rows, removed, meta)
                    self._written(rows, removed, meta)
                    killpoints.reach("journal-written")
                if self._writer is not None and time.monotonic() - counted > COUNT_EVERY_S:
                    counted = time.monotonic()
                    self._row_counts = await asyncio.to_thread(self._writer.counts)
                    if counted - tidied > TIDY_EVERY_S:
                        tidied = counted
                        await asyncio.to_thread(self._writer.drop_empty_folders)
            except JournalBrokenError:
                raise
            except JournalError as error:
                self._failed(error)

    def _reopen(self) -> None:
        # The connection that reads without writing keeps all others out.
        self._close_files()
        self._open()
        if self._writer is None:
            raise JournalFullError(self.problem or f"journal {self.path} cannot be opened")

    def _batch(self) -> tuple[list[Row], list[tuple[str, str]], dict[str, str]]:
        some = list(self._pending.items())[:BATCH_ROWS]
        return [row for _, row in some if row], [key for key, row in some if row is None], dict(self._meta)

    def _commit(self, rows: list[Row], removed: list[tuple[str, str]], meta: dict[str, str]) -> None:
        if self._writer is not None:
            self._writer.write(rows, removed, meta)

    def _written(self, rows: list[Row], removed: list[tuple[str, str]], meta: dict[str, str]) -> None:
        """Forget what is on the disk now, unless something newer was put meanwhile."""
        for key, row in [*((row.key, row) for row in rows), *((key, None) for key in removed)]:
            if key in self._pending and self._pending[key] is row:
                self._not_pending(key)
        for name, value in meta.items():
            if self._meta.get(name) == value:
                del self._meta[name]
        if self.problem is not None:
            self.problem = None
            log.info("the journal can be written again")

    def _failed(self, error: JournalError) -> None:
        if self.problem is None:
            log.error("the journal cannot be written; the watcher goes on from memory", extra={"reason": str(error)})
        self.problem = str(error)

    def forget_gone(self, beamline: str, scans: set[str]) -> None:
        """Remove rows of files that are long gone and safe, or whose Scan is none of these any more."""
        if self._reader is None:
            return
        moment = timestamps.to_ns(timestamps.now()) // 1_000_000_000
        for row in list(self._reader.rows_gone_before(beamline, moment - GONE_KEPT_S)):
            if row.safe or row.scan not in scans:
                self.remove(*row.key)


def _met_until(beamline: str, endpoint: str) -> str:
    return f"met_until {beamline} {endpoint}"


def _locked(path: Path) -> IO[str] | None:
    """The lock that keeps a second watcher away, and ends with this process; None where a full disk has no room."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(path.name + ".lock"), "a+")  # noqa: SIM115 - held until the end
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return None
        raise JournalError(
            f"journal {path} cannot be made ({error.strerror}): name a folder on a local disk that this user may write "
            "with --journal"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalLockedError(
            f"journal {path} is used by another watcher: stop that one, or give this one its own with --journal"
        ) from error
    os.set_inheritable(lock.fileno(), False)
    return lock
