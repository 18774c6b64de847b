"""What the places say, sorted by path: a database in a temporary folder, so memory does not grow with the files.

Rows come in the order in which a place tells them; :meth:`Index.cases` gives everything about one path together.
"""

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from dichroism_operator.audit.facts import (
    Case,
    Dataset,
    Member,
    OnDisk,
    Planned,
    Steered,
    microseconds_of,
    moment_of,
    same_moment,
)
from dichroism_operator.audit.findings import Disk, Finding, Kind
from dichroism_operator.movers.closing import Closing

CACHE_KIB = 65_536
"""Memory of the database, whatever its size."""
TOGETHER = 1000
"""Rows that are written in one go."""
_SCHEMA = """
CREATE TABLE fact (
    beamline TEXT, path TEXT, told_by INTEGER, key TEXT, size INTEGER, modified_us INTEGER, also_us INTEGER, more TEXT,
    PRIMARY KEY (beamline, path, told_by, key)
) WITHOUT ROWID;
CREATE TABLE bundle (beamline TEXT, name TEXT, PRIMARY KEY (beamline, name)) WITHOUT ROWID;
CREATE TABLE finding (beamline TEXT, kind TEXT, endpoint TEXT, path TEXT, size INTEGER, since_us INTEGER, message TEXT);
"""


class _By(IntEnum):
    SOURCE = 0
    DISK = 1
    DATASET = 2
    MEMBER = 3
    PLANNED = 4
    SCAN = 5


class NamedBundle(NamedTuple):
    """A bundle with the files and bytes that it holds by those who name it."""

    path: str
    by_manifest: bool
    on_tape: bool
    files: int
    size: int


_Row = tuple[str, str, int, str, int, int, int | None, str]


class Index(Closing):
    """The database. A context manager: its folder is gone afterwards."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make it in a new folder below ``folder``, or below the one for temporary files."""
        self._folder = TemporaryDirectory(prefix="dichroism-audit-", dir=folder)
        self._database = sqlite3.connect(Path(self._folder.name) / "index.db", check_same_thread=False)
        # What is in it can be listed again, so nothing is flushed and nothing rolled back.
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Remove it."""
        self._database.close()
        self._folder.cleanup()

    # what the places say

    def add_files(self, beamline: str, files: Iterable[tuple[str, OnDisk]], *, on_source: bool) -> None:
        """Files on the source, or on disk."""
        by = _By.SOURCE if on_source else _By.DISK
        self._add(
            (beamline, path, by, "", one.size, one.modified_us, one.changed_us, "" if one.is_scan else "not")
            for path, one in files
        )

    def add_datasets(self, beamline: str, datasets: Iterable[tuple[str, Dataset]]) -> None:
        """Datasets, with the paths that they claim."""
        self._add((beamline, path, _By.DATASET, *_dataset_row(one)) for path, one in datasets)

    def add_members(self, beamline: str, members: Iterable[tuple[str, Member]]) -> None:
        """Lines of manifests."""
        self._add(
            (beamline, path, _By.MEMBER, one.bundle, one.size, one.modified_us, one.made_us, one.sha256 or "")
            for path, one in members
        )

    def add_planned(self, beamline: str, planned: Iterable[tuple[str, str, Planned]]) -> None:
        """Items of Prunes: path, name of the Prune, item."""
        self._add(
            (beamline, path, _By.PLANNED, prune, one.size, one.modified_us, None, one.endpoint)
            for path, prune, one in planned
        )

    def add_scans(self, beamline: str, scans: Iterable[tuple[str, Steered]]) -> None:
        """What people said of Scans."""
        self._add(
            (beamline, path, _By.SCAN, "", 0, 0, None, json.dumps([one.export_controlled, one.suspended]))
            for path, one in scans
        )

    def add_bundles(self, beamline: str, names: Iterable[str]) -> None:
        """Bundles that are on tape, by their names without folders."""
        rows = ((beamline, name) for name in names)
        self._database.executemany("INSERT OR REPLACE INTO bundle VALUES (?, ?)", rows)

    def _add(self, rows: Iterable[_Row]) -> None:
        told = iter(rows)
        while part := list(itertools.islice(told, TOGETHER)):
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?, ?, ?, ?, ?, ?, ?)", part)

    def complete(self) -> None:
        """Everything was added: prepare for questions about contents."""
        self._database.execute(
            f"CREATE INDEX content ON fact (beamline, size, modified_us) WHERE told_by = {_By.DISK:d}"
        )

    # questions

    def cases(self, beamline: str) -> Iterator[Case]:
        """Everything about each path, path by path in their order."""
        query = "SELECT * FROM fact WHERE beamline = ? ORDER BY path, told_by, key"
        with closing(self._database.execute(query, (beamline,))) as found:
            for path, rows in itertools.groupby(found, key=lambda row: row[1]):
                yield _case(path, rows)

    def moved_from(self, beamline: str, path: str, file: OnDisk) -> str | None:
        """Where the copy of a file lies that was renamed or moved on the source after it was copied.

        Only where the source has nothing at that path any more, and the time to the microsecond, or the name, is the
        same.
        """
        query = f"""
            SELECT path, modified_us FROM fact AS copy
            WHERE beamline = ? AND size = ? AND modified_us IN (?, ?) AND told_by = {_By.DISK:d} AND path != ?
            AND NOT EXISTS (SELECT 1 FROM fact WHERE beamline = copy.beamline AND path = copy.path
                            AND told_by = {_By.SOURCE:d})
            """  # noqa: S608
        whole = file.modified_us // 1_000_000 * 1_000_000
        rows = self._database.execute(query, (beamline, file.size, file.modified_us, whole, path)).fetchall()
        for known, modified_us in rows:
            exact = modified_us == file.modified_us and modified_us != whole
            same_name = known.rpartition("/")[2] == path.rpartition("/")[2]
            if exact or (same_name and same_moment(modified_us, file.modified_us)):
                return str(known)
        return None

    def named_bundles(self, beamline: str) -> list[NamedBundle]:
        """Every bundle that a manifest or a dataset names, in the order of their paths."""
        by_manifest = f"""
            SELECT key, count(*), sum(size) FROM fact WHERE beamline = ? AND told_by = {_By.MEMBER:d} GROUP BY key
            """  # noqa: S608
        by_dataset = f"""
            SELECT json_extract(more, '$[1]') AS named, count(*), sum(size) FROM fact
            WHERE beamline = ? AND told_by = {_By.DATASET:d} AND named IS NOT NULL GROUP BY named
            """  # noqa: S608
        there = {name for (name,) in self._database.execute("SELECT name FROM bundle WHERE beamline = ?", (beamline,))}
        # Manifests come last: they name the members that were replaced as well.
        told = {path: (False, *rest) for path, *rest in self._database.execute(by_dataset, (beamline,))}
        told |= {path: (True, *rest) for path, *rest in self._database.execute(by_manifest, (beamline,))}
        return [
            NamedBundle(path, is_by_manifest, path.rpartition("/")[2] in there, files, size)
            for path, (is_by_manifest, files, size) in sorted(told.items())
        ]

    def pids(self, beamline: str, path: str) -> list[str]:
        """Datasets that claim a path."""
        query = "SELECT key FROM fact WHERE beamline = ? AND path = ? AND told_by = ?"
        return [pid for (pid,) in self._database.execute(query, (beamline, path, _By.DATASET))]

    def disk(self, beamline: str, endpoint: str, *, on_source: bool) -> Disk:
        """What lies on an endpoint."""
        by = _By.SOURCE if on_source else _By.DISK
        query = "SELECT count(*), coalesce(sum(size), 0), min(modified_us) FROM fact WHERE beamline = ? AND told_by = ?"
        files, size, oldest = self._database.execute(query, (beamline, by)).fetchone()
        return Disk(endpoint, files, size, oldest)

    # what was found

    def keep(self, findings: Iterable[Finding]) -> None:
        """Add findings."""
        rows = (
            (one.beamline, one.kind, one.endpoint, one.path, one.size, microseconds_of(one.since), one.message)
            for one in findings
        )
        self._database.executemany("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def drop(self, finding: Finding) -> None:
        """It was none after all."""
        what = (finding.beamline, finding.kind, finding.path, finding.message)
        query = "DELETE FROM finding WHERE beamline = ? AND kind = ? AND path = ? AND message = ?"
        self._database.execute(query, what)

    def counts(self, beamline: str | None = None) -> dict[Kind, tuple[int, int]]:
        """Findings and their bytes by kind, of one beamline or of all."""
        query = "SELECT kind, count(*), sum(size) FROM finding WHERE ? IN (beamline, '') GROUP BY kind"
        found = {Kind(kind): (number, size) for kind, number, size in self._database.execute(query, (beamline or "",))}
        return {kind: found[kind] for kind in Kind if kind in found}

    def findings(self, kind: Kind | None = None, most: int = -1, beamline: str = "") -> Iterator[Finding]:
        """Findings, the oldest of each kind first; of one kind and beamline where these are given."""
        query = """
            SELECT beamline, kind, endpoint, path, size, since_us, message FROM finding
            WHERE ? IN (kind, '') AND ? IN (beamline, '') ORDER BY kind, since_us, path LIMIT ?
            """
        with closing(self._database.execute(query, (kind or "", beamline, most))) as found:
            for name, told, endpoint, path, size, since_us, message in found:
                yield Finding(name, Kind(told), endpoint, path, size, moment_of(since_us), message)


def _dataset_row(one: Dataset) -> tuple[str, int, int, int, str]:
    more = json.dumps([one.on_disk, one.bundle, sorted(one.removed_from), one.proposal])
    return one.pid, one.size, one.modified_us, one.changed_us, more


def _case(path: str, rows: Iterable[Any]) -> Case:
    by: dict[int, list[Any]] = {}
    for _, _, told_by, *rest in rows:
        by.setdefault(told_by, []).append(rest)
    return Case(
        path,
        source=_on_disk(by.get(_By.SOURCE)),
        disk=_on_disk(by.get(_By.DISK)),
        datasets=tuple(_dataset(*one) for one in by.get(_By.DATASET, ())),
        members=tuple(
            Member(bundle, size, modified, made, sha256 or None)
            for bundle, size, modified, made, sha256 in by.get(_By.MEMBER, ())
        ),
        planned=tuple(Planned(endpoint, size, modified) for _, size, modified, _, endpoint in by.get(_By.PLANNED, ())),
        scan=Steered(*json.loads(by[_By.SCAN][0][-1])) if _By.SCAN in by else None,
    )


def _on_disk(rows: list[Any] | None) -> OnDisk | None:
    if not rows:
        return None
    _, size, modified_us, changed_us, more = rows[0]
    return OnDisk(size, modified_us, changed_us, is_scan=not more)


def _dataset(pid: str, size: int, modified_us: int, changed_us: int, more: str) -> Dataset:
    on_disk, bundle, removed_from, proposal = json.loads(more)
    return Dataset(pid, size, modified_us, changed_us, on_disk, bundle, frozenset(removed_from), proposal)
