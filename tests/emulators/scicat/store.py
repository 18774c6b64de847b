"""Durable state in SQLite: datasets, their children, issued tokens. Every method is one committed transaction.

Write-ahead log without a sync per commit: what was answered survives SIGKILL of the server, which is what the tests do.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.emulators.scicat.answers import Json

ORIGDATABLOCKS = "origdatablocks"
DATABLOCKS = "datablocks"
ATTACHMENTS = "attachments"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS dataset (pid TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS child (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, pid TEXT NOT NULL,
    archive_id TEXT UNIQUE, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS child_of ON child (pid, kind);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, username TEXT NOT NULL, expires REAL NOT NULL);
"""


class DuplicateKeyError(Exception):
    """A unique key is taken: the pid of a dataset or the archiveId of a datablock."""


class Store:
    """The database of one site."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database file."""
        self._database.close()

    # datasets

    def dataset(self, pid: str) -> Json | None:
        """The dataset, or None."""
        row = self._database.execute("SELECT doc FROM dataset WHERE pid = ?", (pid,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def datasets(self) -> Iterator[Json]:
        """All datasets in the order in which they were created."""
        for (doc,) in self._database.execute("SELECT doc FROM dataset ORDER BY rowid"):
            yield json.loads(doc)

    def add_dataset(self, document: Json) -> None:
        """Insert; raises DuplicateKeyError when the pid is taken."""
        try:
            self._database.execute("INSERT INTO dataset VALUES (?, ?)", (document["pid"], json.dumps(document)))
        except sqlite3.IntegrityError as error:
            raise DuplicateKeyError(document["pid"]) from error

    def put_dataset(self, document: Json) -> None:
        """Replace the whole document."""
        self._database.execute("UPDATE dataset SET doc = ? WHERE pid = ?", (json.dumps(document), document["pid"]))

    def increment(self, pid: str, **counters: int) -> None:
        """Add to counters in one step, like MongoDB's ``$inc``."""
        document = self.dataset(pid)
        if document is not None:
            for name, amount in counters.items():
                document[name] = (document.get(name) or 0) + amount
            self.put_dataset(document)

    def remove_dataset(self, pid: str) -> None:
        """Remove the dataset alone; its children stay, as in the real backend."""
        self._database.execute("DELETE FROM dataset WHERE pid = ?", (pid,))

    def purge(self, pid: str) -> None:
        """Remove the dataset and all its children, as a person who tidies up would."""
        self.remove_dataset(pid)
        self._database.execute("DELETE FROM child WHERE pid = ?", (pid,))

    # children

    def children(self, kind: str, pid: str | None = None) -> list[Json]:
        """Children of one kind, of one dataset or of all, oldest first."""
        where, values = ("", ()) if pid is None else (" AND pid = ?", (pid,))
        rows = self._database.execute(f"SELECT doc FROM child WHERE kind = ?{where} ORDER BY seq", (kind, *values))
        return [json.loads(doc) for (doc,) in rows]

    def add_child(self, kind: str, pid: str, document: Json, key: str | None = None) -> Json:
        """Insert, with a new id unless one is given; raises DuplicateKeyError when id or archiveId is taken."""
        key = key or str(uuid.uuid4())
        document = document | {"_id": key} | ({"aid": key} if kind == ATTACHMENTS else {})
        try:
            self._database.execute(
                "INSERT INTO child (id, kind, pid, archive_id, doc) VALUES (?, ?, ?, ?, ?)",
                (key, kind, pid, document.get("archiveId"), json.dumps(document)),
            )
        except sqlite3.IntegrityError as error:
            raise DuplicateKeyError(str(document.get("archiveId") or key)) from error
        return document

    def child(self, kind: str, key: str) -> Json | None:
        """The child of that id, or None."""
        row = self._database.execute("SELECT doc FROM child WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def put_child(self, pid: str, document: Json) -> None:
        """Replace the whole document, which belongs to ``pid`` from now on."""
        values = (pid, json.dumps(document), document["_id"])
        self._database.execute("UPDATE child SET pid = ?, doc = ? WHERE id = ?", values)

    def take_child(self, kind: str, pid: str, key: str) -> Json | None:
        """Remove and return; None when the dataset has none of that id."""
        query = "DELETE FROM child WHERE kind = ? AND pid = ? AND id = ? RETURNING doc"
        rows = self._database.execute(query, (kind, pid, key)).fetchall()
        return json.loads(rows[0][0]) if rows else None

    # tokens

    def add_token(self, token: str, username: str, ttl: float) -> None:
        """Remember a token until it expires, and after that, so that it is known as expired."""
        self._database.execute("INSERT INTO token VALUES (?, ?, ?)", (token, username, time.time() + ttl))

    def token(self, token: str) -> tuple[str, bool] | None:
        """Username and whether the token has expired; None for one that was never issued."""
        row = self._database.execute("SELECT username, expires FROM token WHERE token = ?", (token,)).fetchone()
        return None if row is None else (row[0], row[1] <= time.time())

    def tokens(self) -> set[str]:
        """All tokens ever issued."""
        return {token for (token,) in self._database.execute("SELECT token FROM token")}

    def expire_tokens(self) -> None:
        """Let every issued token expire now."""
        self._database.execute("UPDATE token SET expires = 0")
