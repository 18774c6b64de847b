"""Tasks, their items and their events as rows; what they mean is decided elsewhere."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from tests.emulators.globus.store import Store

TRANSFER = "TRANSFER"
DELETE = "DELETE"
ACTIVE = "ACTIVE"
INACTIVE = "INACTIVE"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
UNENDED = (ACTIVE, INACTIVE)


class State(StrEnum):
    """Of one item; a subtask in the words of the API."""

    PENDING = "pending"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    SYNCED = "synced"
    """Already right at the destination: nothing was sent."""
    SKIPPED = "skipped_errors"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(slots=True)
class Task:
    """One row; times are virtual seconds since the epoch."""

    seq: int
    task_id: str
    client: str
    type: str
    status: str
    label: str | None
    request_time: float
    completion_time: float | None
    deadline: float
    deadline_given: int
    source: str
    destination: str | None
    options: str
    same: str | None
    """Digest of what must not run twice at the same time."""
    started: float | None
    paused: float | None
    """Since when it was paused by itself, not by its collection."""
    pause_message: str | None
    ending: str | None
    """JSON of what ends it before its work is done: code and description."""
    ending_at: float | None
    faults: int
    bytes_transferred: int
    bytes_checksummed: int
    trouble: str | None
    """Code of the last error while it lasts."""
    trouble_details: str | None
    fatal: str | None
    admin_message: str | None
    counts: str | None
    """JSON of the items by state, kept when the items are dropped."""
    history_deleted: int

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status not in UNENDED

    @property
    def collections(self) -> tuple[str, ...]:
        """Ids of source and destination; a delete task has one of them."""
        return (self.source,) if self.destination is None else (self.source, self.destination)

    def option(self, name: str) -> Any:
        """A field of the submission, None when it was not sent."""
        return json.loads(self.options).get(name)


_COLUMNS = ", ".join(field.name for field in fields(Task))


@dataclass(frozen=True, slots=True)
class Item:
    """One path of a task."""

    task: int
    n: int
    source_path: str
    destination_path: str | None
    recursive: int | None
    external_checksum: str | None
    algorithm: str | None
    type: str
    state: str
    attempts: int
    not_before: float
    size: int | None
    checksum: str | None
    error: str | None
    error_details: str | None
    error_time: float | None

    @property
    def paths(self) -> tuple[str, ...]:
        """Source and destination."""
        return (self.source_path,) if self.destination_path is None else (self.source_path, self.destination_path)


class Tasks:
    """Reads and writes tasks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # tasks

    def add(self, items: Iterable[dict[str, Any]], **columns: Any) -> Task:
        """Insert a task with its items."""
        columns = {"faults": 0, "bytes_transferred": 0, "bytes_checksummed": 0, "history_deleted": 0} | columns
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO task ({', '.join(columns)}) VALUES ({marks})"
        self.add_items(self._store.write(statement, tuple(columns.values())), items)
        task = self.get(columns["task_id"])
        assert task is not None
        return task

    def get(self, task_id: str) -> Task | None:
        """The task of that id."""
        row = self._store.row(f"SELECT {_COLUMNS} FROM task WHERE task_id = ?", (task_id,))
        return None if row is None else Task(*row)

    def unended(self, client: str | None = None) -> list[Task]:
        """Tasks that have not ended, oldest first; of everybody, or of one client."""
        where, values = ("", ()) if client is None else (" AND client = ?", (client,))
        query = f"SELECT {_COLUMNS} FROM task WHERE status IN ('ACTIVE', 'INACTIVE'){where} ORDER BY seq"
        return [Task(*row) for row in self._store.rows(query, values)]

    def count_unended(self, client: str) -> int:
        """How many tasks of a client have not ended."""
        query = "SELECT count(*) AS n FROM task WHERE status IN ('ACTIVE', 'INACTIVE') AND client = ?"
        row = self._store.row(query, (client,))
        return int(row["n"]) if row else 0

    def of(self, client: str, chosen: Mapping[str, Sequence[str]]) -> list[Task]:
        """Tasks of a client, oldest first; ``chosen`` gives the values that a column may have."""
        query, values = f"SELECT {_COLUMNS} FROM task WHERE client = ?", [client]
        for column, allowed in chosen.items():
            query += f" AND {column} IN ({', '.join('?' * len(allowed))})"
            values += allowed
        return [Task(*row) for row in self._store.rows(f"{query} ORDER BY seq", values)]

    def all(self) -> list[Task]:
        """All tasks, oldest first."""
        return [Task(*row) for row in self._store.rows(f"SELECT {_COLUMNS} FROM task ORDER BY seq")]

    def is_running(self, client: str, same: str) -> bool:
        """Whether a task with these very paths has not ended."""
        query = "SELECT 1 FROM task WHERE status IN ('ACTIVE', 'INACTIVE') AND client = ? AND same = ?"
        return self._store.row(query, (client, same)) is not None

    def update(self, task: Task, **columns: Any) -> None:
        """Write columns, in the object too."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self._store.write(f"UPDATE task SET {names} WHERE seq = ?", (*columns.values(), task.seq))
        for name, value in columns.items():
            setattr(task, name, value)

    def count_up(self, task: Task, **amounts: int) -> None:
        """Add to counters, in the object too."""
        self.update(task, **{name: getattr(task, name) + amount for name, amount in amounts.items()})

    def extend(self, task: Task, deadline: float) -> None:
        """Move the deadline there unless it is later already, whatever the object says."""
        self._store.write("UPDATE task SET deadline = max(deadline, ?) WHERE seq = ?", (deadline, task.seq))

    def ended_before(self, moment: float, *, with_history: bool) -> list[Task]:
        """Tasks that ended before that time; either those that have their items, or all."""
        kept = "history_deleted = 0 AND" if with_history else "history_deleted IN (0, 1) AND"
        query = f"SELECT {_COLUMNS} FROM task WHERE {kept} completion_time < ?"
        return [Task(*row) for row in self._store.rows(query, (moment,))]

    def drop_history(self, task: Task) -> None:
        """Forget items and events, keep the counts."""
        self.update(task, counts=json.dumps(self.counts(task)), history_deleted=1)
        self._store.write("DELETE FROM item WHERE task = ?", (task.seq,))
        self._store.write("DELETE FROM event WHERE task = ?", (task.seq,))

    def drop(self, task: Task) -> None:
        """Forget the task; its submission id stays known."""
        self.drop_history(task)
        self._store.write("DELETE FROM task WHERE seq = ?", (task.seq,))

    # items

    def add_items(self, task: int, items: Iterable[dict[str, Any]]) -> None:
        """Append items."""
        row = self._store.row("SELECT max(n) AS last FROM item WHERE task = ?", (task,))
        first = 0 if row is None or row["last"] is None else row["last"] + 1
        names = ("source_path", "destination_path", "recursive", "external_checksum", "algorithm", "type")
        statement = f"INSERT INTO item (task, n, state, {', '.join(names)}) VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)"
        rows = ((task, n, *(item.get(name) for name in names)) for n, item in enumerate(items, first))
        self._store.write_many(statement, rows)

    def pending(self, task: Task, after: int, limit: int) -> list[Item]:
        """Items never tried, with a number above ``after``."""
        query = "SELECT * FROM item WHERE task = ? AND n > ? AND state = 'pending' ORDER BY n LIMIT ?"
        return [_item(row) for row in self._store.rows(query, (task.seq, after, limit))]

    def retrying(self, task: Task, limit: int) -> list[Item]:
        """Items to be tried again, the one that is due first at the front."""
        query = "SELECT * FROM item WHERE task = ? AND state = 'retrying' ORDER BY not_before LIMIT ?"
        return [_item(row) for row in self._store.rows(query, (task.seq, limit))]

    def set_item(self, item: Item, state: State, **columns: Any) -> None:
        """Write a state and whatever belongs to it."""
        names = "".join(f", {name} = ?" for name in columns)
        values = (state, *columns.values(), item.task, item.n)
        self._store.write(f"UPDATE item SET state = ?{names} WHERE task = ? AND n = ?", values)

    def close_items(self, task: Task, state: State) -> None:
        """Give all items that are not done the same last state."""
        statement = "UPDATE item SET state = ? WHERE task = ? AND state IN ('pending', 'retrying')"
        self._store.write(statement, (state, task.seq))

    def page(
        self, task: Task, states: Sequence[State], after: int, limit: int, kinds: Sequence[str] = ()
    ) -> list[Item]:
        """Items in one of the states, with a number above ``after``, in order."""
        chosen = f"state IN ({', '.join('?' * len(states))})"
        if kinds:
            chosen += f" AND type IN ({', '.join('?' * len(kinds))})"
        query = f"SELECT * FROM item WHERE task = ? AND n > ? AND {chosen} ORDER BY n LIMIT ?"
        return [_item(row) for row in self._store.rows(query, (task.seq, after, *states, *kinds, limit))]

    def counts(self, task: Task) -> dict[str, int]:
        """How many items there are by ``type/state``."""
        if task.counts is not None:
            return dict(json.loads(task.counts))
        query = "SELECT type, state, count(*) AS n FROM item WHERE task = ? GROUP BY type, state"
        return {f"{row['type']}/{row['state']}": row["n"] for row in self._store.rows(query, (task.seq,))}

    # events

    def add_event(
        self, task: Task, code: str, description: str, details: str, moment: float, *, error: bool = False
    ) -> None:
        """Note what happened."""
        values = (task.seq, code, description, details, int(error), moment)
        self._store.write(
            "INSERT INTO event (task, code, description, details, is_error, t) VALUES (?, ?, ?, ?, ?, ?)", values
        )

    def events(self, task: Task, *, errors_only: bool) -> list[dict[str, Any]]:
        """Newest first."""
        chosen = " AND is_error = 1" if errors_only else ""
        query = f"SELECT code, description, details, is_error, t FROM event WHERE task = ?{chosen} ORDER BY n DESC"
        return [dict(row) for row in self._store.rows(query, (task.seq,))]


def _item(row: sqlite3.Row) -> Item:
    return Item(**dict(row))
