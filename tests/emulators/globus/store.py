"""Durable state in SQLite: the connection with its transactions, and the small tables.

Tasks and their items have their own module, :mod:`tests.emulators.globus.tasks`. All writes since the last
:meth:`Store.commit` are one transaction. The server commits before each answer, so nothing that a client was told is
lost with the process, and the progress of many files shares one fsync.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS collection (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fault (id INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, client TEXT NOT NULL, scopes TEXT NOT NULL,
    expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS submission (id TEXT PRIMARY KEY, client TEXT NOT NULL, issued REAL NOT NULL, task_id TEXT);
CREATE TABLE IF NOT EXISTS call (n INTEGER PRIMARY KEY, method TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL,
    status INTEGER, identity TEXT, t REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tape (path TEXT NOT NULL, size INTEGER NOT NULL, t REAL NOT NULL);
CREATE TABLE IF NOT EXISTS task (seq INTEGER PRIMARY KEY, task_id TEXT UNIQUE NOT NULL, client TEXT NOT NULL,
    type TEXT NOT NULL, status TEXT NOT NULL, label TEXT, request_time REAL NOT NULL, completion_time REAL,
    deadline REAL NOT NULL, deadline_given INTEGER NOT NULL, source TEXT NOT NULL, destination TEXT,
    options TEXT NOT NULL, same TEXT, started REAL, paused REAL, pause_message TEXT, ending TEXT, ending_at REAL,
    faults INTEGER NOT NULL,
    bytes_transferred INTEGER NOT NULL, bytes_checksummed INTEGER NOT NULL, trouble TEXT, trouble_details TEXT,
    fatal TEXT, admin_message TEXT, counts TEXT, history_deleted INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS task_status ON task (status);
CREATE INDEX IF NOT EXISTS task_completion ON task (history_deleted, completion_time);
CREATE TABLE IF NOT EXISTS item (task INTEGER NOT NULL, n INTEGER NOT NULL, source_path TEXT NOT NULL,
    destination_path TEXT, recursive INTEGER, external_checksum TEXT, algorithm TEXT, type TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, size INTEGER,
    checksum TEXT, error TEXT, error_details TEXT, error_time REAL, PRIMARY KEY (task, n)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_retry ON item (task, not_before) WHERE state = 'retrying';
CREATE TABLE IF NOT EXISTS event (task INTEGER NOT NULL, n INTEGER PRIMARY KEY, code TEXT NOT NULL,
    description TEXT NOT NULL, details TEXT NOT NULL, is_error INTEGER NOT NULL, t REAL NOT NULL);
CREATE INDEX IF NOT EXISTS event_of ON event (task);
"""


class Store:
    """The database of one service; used from the event loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Commit and close the file."""
        self.commit()
        self._database.close()

    # statements

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds, with all that was written before, committed or not."""
        return self._database.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row, or None."""
        found: sqlite3.Row | None = self._database.execute(query, values).fetchone()
        return found

    def write(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Write inside the current transaction; returns the new row's number."""
        self._begin()
        return self._database.execute(statement, values).lastrowid or 0

    def write_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Write many rows inside the current transaction."""
        self._begin()
        self._database.executemany(statement, rows)

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN")

    def commit(self) -> None:
        """Make everything durable; cheap when nothing was written."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    # small tables

    def setting(self, key: str) -> Any:
        """A value that was kept, or None."""
        row = self.row("SELECT value FROM setting WHERE key = ?", (key,))
        return None if row is None else json.loads(row["value"])

    def put_setting(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.write("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, json.dumps(value)))

    def add_call(self, method: str, path: str, query: str, status: int | None, identity: str | None, t: float) -> None:
        """Log a request; ``status`` is None when it got no answer."""
        values = (method, path, query, status, identity, t)
        self.write("INSERT INTO call (method, path, query, status, identity, t) VALUES (?, ?, ?, ?, ?, ?)", values)

    def calls(self) -> list[dict[str, Any]]:
        """All requests since the state was made, oldest first."""
        return [dict(row) for row in self.rows("SELECT method, path, query, status, identity, t FROM call ORDER BY n")]
