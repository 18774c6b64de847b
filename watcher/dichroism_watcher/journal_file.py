"""The journal's SQLite file: its schema, its rows, opening it, setting a broken one aside. No decisions, no threads.

Only on a local disk: SQLite's write-ahead log does not work across hosts. Every commit is flushed to the disk before it
counts (``synchronous=FULL``), so batches are for the caller to make.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dichroism_watcher.records import FileContent

SCHEMA = 1
"""Version of the tables, kept in ``user_version``; a newer one is refused, not guessed at."""
KEPT_ASIDE = 3
"""Broken journals that stay for a person to look at."""
_BUSY_S = 10.0
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY})
_PRIMARY_CODE = 0xFF
_INT64 = 2**63
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE folder (id INTEGER PRIMARY KEY, beamline TEXT NOT NULL, path TEXT NOT NULL, UNIQUE (beamline, path))",
    "CREATE TABLE file (folder INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mtime_us INTEGER NOT NULL,"
    " device INTEGER NOT NULL, inode INTEGER NOT NULL, safe INTEGER NOT NULL, scan_path TEXT, gone_at INTEGER,"
    " PRIMARY KEY (folder, name)) WITHOUT ROWID",
    "CREATE INDEX file_by_inode ON file (inode)",
)
_COLUMNS = "beamline, path, name, size, mtime_us, device, inode, safe, scan_path, gone_at"
_SELECT = f"SELECT {_COLUMNS} FROM file JOIN folder ON folder.id = file.folder"  # noqa: S608 - constants


class JournalError(Exception):
    """The journal cannot be used as it is; the text names the file and says what to do."""


class JournalBrokenError(JournalError):
    """The file is no (whole) journal: it has to be set aside and made anew."""


class JournalFullError(JournalError):
    """The disk takes nothing at present: full, or failing."""


class Row(NamedTuple):
    """A file that the API took. ``scan_path`` where the Scan has another path; ``gone_at`` in s since the epoch."""

    beamline: str
    path: str
    content: FileContent
    device: int
    inode: int
    safe: bool
    scan_path: str | None = None
    gone_at: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Beamline and path: what a row is found by."""
        return self.beamline, self.path

    @property
    def scan(self) -> str:
        """The path that the file's Scan has."""
        return self.scan_path or self.path


class JournalFile:
    """An open journal. Not thread-safe, but may be handed from one thread to another."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._folders: dict[tuple[str, str], int] = {}

    @classmethod
    def open(cls, path: Path) -> "JournalFile":
        """Open the journal, or make a new one.

        Raises:
            JournalBrokenError: it is damaged, or something else.
            JournalFullError: the disk is full or does not work.
            JournalError: it may not be written, or a newer version made it.
        """
        opened = cls._connect(path, path)
        try:
            opened._prepare()
        except BaseException:
            opened.close()
            raise
        return opened

    @classmethod
    def open_without_writing(cls, path: Path) -> "JournalFile":
        """Open an existing journal when there is not even room for the write-ahead log's index.

        Nobody else can read it meanwhile.

        Raises:
            JournalError: it cannot be read either.
        """
        opened = cls._connect(path, path)
        opened._execute("PRAGMA locking_mode = EXCLUSIVE")
        opened._check_version()
        return opened

    @classmethod
    def open_beside_watcher(cls, path: Path) -> "JournalFile":
        """Open an existing journal to read in it, while a watcher may be writing.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        opened = cls._connect(f"{path.absolute().as_uri()}?mode=ro", path)
        opened._check_version()
        return opened

    @classmethod
    def _connect(cls, place: Path | str, path: Path) -> "JournalFile":
        try:
            connection = sqlite3.connect(
                place, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, uri=isinstance(place, str)
            )
        except sqlite3.Error as error:
            raise _told(error, path) from error
        return cls(connection, path)

    def close(self) -> None:
        """Close the file; what was not committed is not in it."""
        with suppress(sqlite3.Error):
            self._connection.close()

    # --- reading

    def meta(self, key: str) -> str | None:
        """A noted value."""
        found = next(self._execute("SELECT value FROM meta WHERE key = ?", (key,)), None)
        return None if found is None else str(found[0])

    def rows(self, beamline: str) -> Iterator[Row]:
        """All rows of a beamline."""
        return self._rows("beamline = ?", beamline)

    def rows_in(self, beamline: str, folder: str) -> Iterator[Row]:
        """The rows of one folder, not of those below."""
        return self._rows("beamline = ? AND path = ?", beamline, folder)

    def row(self, beamline: str, path: str) -> Row | None:
        """The row of a path."""
        folder, _, name = path.rpartition("/")
        return next(self._rows("beamline = ? AND path = ? AND name = ?", beamline, folder, name), None)

    def rows_of(self, beamline: str, device: int, inode: int) -> Iterator[Row]:
        """The rows of an inode."""
        return self._rows("beamline = ? AND inode = ? AND device = ?", beamline, _signed(inode), _signed(device))

    def rows_gone_before(self, beamline: str, moment: int) -> Iterator[Row]:
        """Rows of files that are gone since before that moment (s since the epoch)."""
        return self._rows("beamline = ? AND gone_at < ?", beamline, moment)

    def counts(self) -> dict[tuple[str, bool], int]:
        """Number of rows by beamline and whether they are safe."""
        query = "SELECT beamline, safe, COUNT(*) FROM file JOIN folder ON folder.id = folder GROUP BY beamline, safe"
        return {(beamline, bool(safe)): number for beamline, safe, number in self._execute(query)}

    def _rows(self, condition: str, *values: object) -> Iterator[Row]:
        for beamline, folder, name, size, mtime, device, inode, safe, scan, gone in self._execute(
            f"{_SELECT} WHERE {condition}",
            values,
        ):
            path = f"{folder}/{name}" if folder else name
            content = FileContent(size, mtime)
            yield Row(beamline, path, content, _unsigned(device), _unsigned(inode), bool(safe), scan, gone)

    # --- writing

    def write(self, rows: Iterable[Row], removed: Iterable[tuple[str, str]], meta: dict[str, str]) -> None:
        """Put and remove rows, by beamline and path, in one commit.

        Raises:
            JournalFullError: nothing of it was written.
        """
        self._execute("BEGIN IMMEDIATE")
        try:
            for key, value in meta.items():
                self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            for beamline, path in removed:
                folder, _, name = path.rpartition("/")
                self._execute("DELETE FROM file WHERE folder = ? AND name = ?", (self._folder(beamline, folder), name))
            for row in rows:
                self._put(row)
            self._execute("COMMIT")
        except BaseException:
            self._folders.clear()  # ids given in a transaction that did not happen
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _put(self, row: Row) -> None:
        folder, _, name = row.path.rpartition("/")
        values = (
            *(self._folder(row.beamline, folder), name, *row.content, _signed(row.device), _signed(row.inode)),
            *(row.safe, row.scan_path, row.gone_at),
        )
        self._execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _folder(self, beamline: str, path: str) -> int:
        known = self._folders.get((beamline, path))
        if known is None:
            self._execute("INSERT OR IGNORE INTO folder (beamline, path) VALUES (?, ?)", (beamline, path))
            found = self._execute("SELECT id FROM folder WHERE beamline = ? AND path = ?", (beamline, path))
            known = self._folders[beamline, path] = next(found)[0]
        return known

    def drop_empty_folders(self) -> None:
        """Forget folders without rows."""
        self._folders.clear()
        self._execute("DELETE FROM folder WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.folder = folder.id)")

    # --- the file

    def _prepare(self) -> None:
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = FULL")
        if self._check_version() == 0:
            self._execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                self._execute(statement)
            self._execute(f"PRAGMA user_version = {SCHEMA}")
            self._execute("COMMIT")
        found = [row[0] for row in self._execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise JournalBrokenError(f"journal {self.path}: {found[0]}")

    def _check_version(self) -> int:
        version = int(next(self._execute("PRAGMA user_version"))[0])
        if version > SCHEMA:
            raise JournalError(
                f"journal {self.path} was written by a newer version (format {version}, this one knows {SCHEMA}), so "
                "it cannot be used: run the newer version, or name another file with --journal"
            )
        return version

    def _execute(self, statement: str, values: Iterable[object] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            return self._fetched(self._connection.execute(statement, tuple(values)))
        except sqlite3.Error as error:
            raise _told(error, self.path) from error

    def _fetched(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        try:
            yield from cursor
        except sqlite3.Error as error:
            raise _told(error, self.path) from error


def set_aside(path: Path, moment: datetime) -> Path:
    """Rename a broken journal with its log, so that a new one can take its place; returns the new name.

    Raises:
        JournalError: it cannot be renamed.
    """
    kept = path.with_name(f"{path.name}.broken-{moment.astimezone(UTC):%Y%m%dT%H%M%S}")
    try:
        # The log first: a log without its journal is ignored, a journal without its log would be taken for whole.
        for suffix in ("-shm", "-wal", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
        for older in sorted(path.parent.glob(f"{path.name}.broken-*T??????"))[:-KEPT_ASIDE]:
            for suffix in ("-shm", "-wal", ""):
                older.with_name(older.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(
            f"journal {path} is broken and cannot be set aside ({error.strerror}): rename it by hand"
        ) from error
    return kept


def _told(error: sqlite3.Error, path: Path) -> JournalError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    if code in _BROKEN:
        return JournalBrokenError(f"journal {path}: {error}")
    # A file that cannot be made in a folder that we may write is a full disk.
    if code in _FULL or (code == sqlite3.SQLITE_CANTOPEN and os.access(path.parent, os.W_OK)):
        return JournalFullError(f"journal {path} cannot be written ({error}): look after the disk")
    return JournalError(
        f"journal {path} cannot be used ({error}): its folder must be there, on a local disk, and belong to this user"
    )


def _signed(number: int) -> int:
    """Device and inode numbers of network file systems use all 64 bits; SQLite's integers have a sign."""
    return number - 2 * _INT64 if number >= _INT64 else number


def _unsigned(number: int) -> int:
    return number + 2 * _INT64 if number < 0 else number
