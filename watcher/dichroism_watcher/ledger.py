"""What the watcher knows of one beamline's files, and what has to be done next. Pure logic: no disk, no API, no clock.

A file is *open* while something may still have to be done for it, and has a :class:`FileRecord`. It is *settled* once
this process saw the Scan of its present content succeed; of a settled file only eight bytes stay, so that a million of
them fit. Files last modified before ``since`` leave no trace at all, unless they have a Scan: their modification time
decides, not when they appeared here. Contents are compared like the API does: size and modification time in whole
microseconds; the inode only matters while a file is observed.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dichroism_crds.paths import PathError, check_relative_path
from dichroism_watcher.stability import Look, Seen, Stillness, observe, quiet_for
from dichroism_watcher.walk import Listing, join

EMPTY_REPORT_AFTER = 10
"""Quiet periods after which a new file that is still empty is reported."""


class FileContent(NamedTuple):
    """Size in bytes and modification time in microseconds since the epoch."""

    size: int
    mtime_us: int

    @classmethod
    def of(cls, seen: Seen) -> "FileContent":
        """The content as the API can express it."""
        return cls(seen.size, seen.mtime_ns // 1000)


class KnownScan(NamedTuple):
    """What a list of the API said of a path; ``succeeded`` speaks about exactly this content."""

    content: FileContent
    succeeded: bool


class State(Enum):
    """Life of an open file."""

    OBSERVED = "observed"
    FINISHED = "finished"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"


@dataclass(slots=True)
class FileRecord:
    """An open file. ``accepted`` is the content that the API last held of it, at ``accepted_at`` (s, monotonic)."""

    stillness: Stillness
    state: State = State.OBSERVED
    accepted: FileContent | None = None
    accepted_at: float = 0.0
    queued: bool = False
    illegal: bool = False
    reported_empty: bool = False

    @property
    def content(self) -> FileContent:
        """The content at the last look."""
        return FileContent.of(self.stillness.seen)


@dataclass(slots=True)
class Changes:
    """What a step brought about, for the caller to act on and to log. All by path."""

    to_submit: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    """Files that went before their last content was accepted."""


class Counts(NamedTuple):
    """Files by what is to be done for them."""

    observed: int
    pending: int
    accepted: int
    quarantined: int
    settled: int


class Ledger:
    """All files of one beamline. Not thread-safe: everything happens in the event loop."""

    def __init__(self, quiet: float, since_ns: int) -> None:
        self._quiet = quiet
        self._since_ns = since_ns
        self._open: dict[str, dict[str, FileRecord]] = {}
        self._settled: dict[str, array[int]] = {}
        self._known: dict[str, KnownScan] = {}
        self._visited: set[str] = set()
        self._untold: set[str] = set()

    @property
    def had_files(self) -> bool:
        """Whether any file is or was there that mattered."""
        return bool(self._open or self._settled)

    def counts(self) -> Counts:
        """Present numbers, for metrics."""
        by_state = dict.fromkeys(State, 0)
        for _, record in self._records():
            by_state[record.state] += 1
        return Counts(
            by_state[State.OBSERVED],
            by_state[State.FINISHED],
            by_state[State.ACCEPTED],
            by_state[State.QUARANTINED],
            sum(map(len, self._settled.values())),
        )

    def known(self, path: str) -> KnownScan | None:
        """What the API last said of the path."""
        return self._known.get(path)

    # --- what the disk says

    def begin_pass(self) -> None:
        """A pass over the tree begins."""
        self._visited.clear()
        self._untold.clear()

    def observe(self, listing: Listing) -> Changes:
        """Take in one folder. Files missing from it are gone, unless the look was incomplete."""
        changes = Changes()
        self._visited.add(listing.folder)
        self._untold.update(join(listing.folder, name) for name in listing.unreadable)
        if listing.error is not None:
            self._untold.add(listing.folder)
            return changes
        records = self._open.get(listing.folder, {})
        settled, still = frozenset(self._settled.get(listing.folder, ())), array("Q")
        here: dict[str, FileRecord] = {name: records[name] for name in listing.unreadable if name in records}
        for name, seen in listing.files:
            mark = _mark(name, seen.size, seen.mtime_ns // 1000)
            if mark in settled:
                still.append(mark)
            elif (record := self._look_at(listing, name, seen, records.get(name), changes)) is not None:
                if self._succeeded(join(listing.folder, name), record):
                    still.append(mark)
                else:
                    here[name] = record
        self._report_vanished(listing.folder, (item for item in records.items() if item[0] not in here), changes)
        # An entry that could not be read may be a settled file, and a mark does not tell which: then all are kept.
        self._store(listing.folder, here, array("Q", {*settled, *still}) if listing.unreadable else still)
        return changes

    def end_pass(self) -> Changes:
        """The pass is over and the root still there: folders that were not met are gone, unless nobody could look."""
        changes = Changes()
        for folder in [*self._open, *(folder for folder in self._settled if folder not in self._open)]:
            if folder in self._visited or self._hidden(folder):
                continue
            self._report_vanished(folder, iter(self._open.get(folder, {}).items()), changes)
            self._store(folder, {}, array("Q"))
        return changes

    def _look_at(
        self, listing: Listing, name: str, seen: Seen, record: FileRecord | None, changes: Changes
    ) -> FileRecord | None:
        path = join(listing.folder, name)
        if record is None or record.accepted is None:
            if seen.mtime_ns < self._since_ns and path not in self._known:
                return None
            if record is None:
                record = _new_record(path, seen, listing.look, changes)
        if not record.illegal:
            self._advance(path, record, seen, listing.look, changes)
        return record

    def _advance(self, path: str, record: FileRecord, seen: Seen, look: Look, changes: Changes) -> None:
        stillness = observe(record.stillness, seen, look)
        if stillness is not record.stillness:
            record.stillness, record.state, record.reported_empty = stillness, State.OBSERVED, False
        if record.state is not State.OBSERVED or quiet_for(stillness, look) < self._quiet:
            return
        if seen.size == 0 and record.accepted is None and path not in self._known:
            # Instruments create the file before they write the first line. One that had a Scan and is empty now is
            # passed on, so that the operator can ask a person about it.
            if not record.reported_empty and quiet_for(stillness, look) >= EMPTY_REPORT_AFTER * self._quiet:
                record.reported_empty = True
                changes.empty.append(path)
            return
        self._submit(path, record, changes)

    def _report_vanished(self, folder: str, gone: Iterator[tuple[str, FileRecord]], changes: Changes) -> None:
        for name, record in gone:
            if not record.illegal and record.accepted != record.content and record.content.size > 0:
                changes.vanished.append(join(folder, name))

    def _hidden(self, folder: str) -> bool:
        """Whether the folder lies in (or is) something that could not be read in this pass."""
        if "" in self._untold:
            return True
        parts = folder.split("/")
        return any("/".join(parts[:length]) in self._untold for length in range(1, len(parts) + 1))

    # --- what the API says

    def relisted(self, scans: Mapping[str, KnownScan], began: float) -> Changes:
        """Take in a complete list of the beamline's Scans that was begun at ``began`` (s, monotonic).

        A file whose Scan is gone without having been seen to succeed, or holds another content, is submitted again.
        """
        changes = Changes()
        fresh = dict(scans)
        for path, record in self._records():
            if record.accepted is not None and record.accepted_at >= began:
                fresh[path] = self._known.get(path) or KnownScan(record.accepted, succeeded=False)
        self._known = fresh
        for path, record in list(self._records()):
            known = fresh.get(path)
            if record.accepted_at < began:
                record.accepted = known.content if known else None
            if record.state is not State.ACCEPTED:
                continue
            if record.accepted != record.content:
                self._submit(path, record, changes)
            elif self._succeeded(path, record):
                self._settle(path, record)
        return changes

    def take(self, path: str) -> FileContent | None:
        """The content to submit now, None when there is nothing (more) to submit for the path."""
        record = self._record(path)
        if record is None or record.state is not State.FINISHED:
            if record is not None:
                record.queued = False
            return None
        return record.content

    def accepted(self, path: str, content: FileContent, at: float) -> Changes:
        """The API holds ``content`` for the path since ``at`` (s, monotonic)."""
        changes = Changes()
        self._known[path] = KnownScan(content, succeeded=False)
        record = self._record(path)
        if record is not None:
            record.queued, record.accepted, record.accepted_at = False, content, at
            if record.state is State.FINISHED:
                self._submit(path, record, changes)
        return changes

    def refused(self, path: str, content: FileContent) -> Changes:
        """The API will never take ``content``: the file rests until it changes."""
        changes = Changes()
        record = self._record(path)
        if record is not None:
            record.queued = False
            if record.state is State.FINISHED and record.content == content:
                record.state = State.QUARANTINED
            elif record.state is State.FINISHED:
                self._submit(path, record, changes)
        return changes

    def _submit(self, path: str, record: FileRecord, changes: Changes) -> None:
        """Decide what a finished file needs: nothing when the API already holds this content."""
        known = self._known.get(path)
        if known is not None and known.content == record.content:
            record.state, record.accepted = State.ACCEPTED, record.content
            return
        record.state = State.FINISHED
        if not record.queued:
            record.queued = True
            changes.to_submit.append(path)

    def _succeeded(self, path: str, record: FileRecord) -> bool:
        if record.state is not State.ACCEPTED:
            return False
        known = self._known.get(path)
        return known is not None and known.succeeded and known.content == record.content

    # --- storage

    def _records(self) -> Iterator[tuple[str, FileRecord]]:
        for folder, records in self._open.items():
            for name, record in records.items():
                yield join(folder, name), record

    def _record(self, path: str) -> FileRecord | None:
        folder, _, name = path.rpartition("/")
        return self._open.get(folder, {}).get(name)

    def _settle(self, path: str, record: FileRecord) -> None:
        folder, _, name = path.rpartition("/")
        del self._open[folder][name]
        self._settled.setdefault(folder, array("Q")).append(_mark(name, *record.content))
        if not self._open[folder]:
            del self._open[folder]

    def _store(self, folder: str, records: dict[str, FileRecord], settled: "array[int]") -> None:
        self._open.pop(folder, None)
        self._settled.pop(folder, None)
        if records:
            self._open[folder] = records
        if settled:
            self._settled[folder] = settled


def _mark(name: str, size: int, mtime_us: int) -> int:
    """Eight bytes for a name with a content; two share them once in 2^64, and never the same two in another process."""
    return hash((name, size, mtime_us)) & 0xFFFF_FFFF_FFFF_FFFF


def _new_record(path: str, seen: Seen, look: Look, changes: Changes) -> FileRecord:
    record = FileRecord(observe(None, seen, look))
    try:
        check_relative_path(path)
    except PathError as error:
        record.state, record.illegal = State.QUARANTINED, True
        changes.quarantined[path] = str(error)
    return record
