"""What the watcher knows of one beamline's files, and what has to be done next. Pure logic: no disk, no API, no clock.

A file is *open* while something may still have to be done for it, and has a ``FileRecord``. It is *settled* once
the Scan of its present content was seen to succeed (``known_files`` keeps both). Files last modified before ``since``
leave no trace at all, unless they have a Scan: their modification time decides, not when they appeared here. Contents
are compared like the API does: size and modification time in whole microseconds; the inode only matters while a file is
observed, and to recognise one that was moved.
"""

from collections.abc import Iterable, Iterator, Mapping

from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.scan_files import join
from dichroism_watcher.known_files import KnownFiles, mark_of, new_marks
from dichroism_watcher.moves import Moves
from dichroism_watcher.records import (
    Changes,
    Counts,
    FileContent,
    FileRecord,
    Held,
    KnownScan,
    Missing,
    State,
    Submission,
)
from dichroism_watcher.stability import Look, Seen, observe, quiet_for
from dichroism_watcher.walk import Listing

EMPTY_REPORT_AFTER = 10
"""Quiet periods after which a new file that is still empty is reported."""
TOLD_QUIET_S = 1.0
"""Quiet period of a file whose end was told by a sentinel: enough to see that nobody writes on."""


class Ledger:
    """All files of one beamline. Not thread-safe: everything happens in the event loop."""

    def __init__(self, quiet: float, since_ns: int) -> None:
        self._quiet = quiet
        self._since_ns = since_ns
        self._files = KnownFiles()
        self._known: dict[str, KnownScan] = {}
        self._expected: dict[str, FileContent | None] = {}
        self._moves = Moves()
        self._visited: set[str] = set()
        self._untold: set[str] = set()

    def restore(self, path: str, held: Held) -> None:
        """Take in what the journal remembers of a file that was there when it was last looked for."""
        if held.safe:
            self._files.settle(path, held.content)
            return
        self._expected[path] = held.content
        if held.scan_path is not None:
            self._moves.link(path, held.scan_path)

    def counts(self) -> Counts:
        """Present numbers, for metrics."""
        by_state = dict.fromkeys(State, 0)
        for _, record in self._files.open_files():
            by_state[record.state] += 1
        return Counts(
            by_state[State.OBSERVED],
            by_state[State.FINISHED],
            by_state[State.ACCEPTED],
            by_state[State.QUARANTINED],
            self._files.settled,
        )

    def open_files(self, state: State) -> Iterator[tuple[str, FileRecord]]:
        """The open files of a state, by path."""
        return ((path, record) for path, record in self._files.open_files() if record.state is state)

    def changed_ns(self, path: str) -> int:
        """When the inode of an open file last changed (ns); 0 for one that is not open."""
        record = self._files.record(path)
        return 0 if record is None else record.stillness.seen.changed_ns

    def known(self, path: str) -> KnownScan | None:
        """What the API last said of the path."""
        return self._known.get(path)

    def known_paths(self) -> set[str]:
        """The paths of all Scans."""
        return set(self._known)

    # --- what the disk says

    def begin_pass(self) -> None:
        """A pass over the whole tree begins."""
        self._visited.clear()
        self._untold.clear()

    def observe(self, listing: Listing) -> Changes:
        """Take in one whole folder. Files missing from it are gone, unless the look was incomplete."""
        changes = Changes()
        self._visited.add(listing.folder)
        self._untold.update(join(listing.folder, name) for name in listing.unreadable)
        if listing.error is not None:
            self._untold.add(listing.folder)
            return changes
        records, settled = self._files.open_in(listing.folder), self._files.marks_in(listing.folder)
        still = new_marks()
        # A file that another look met after this one began may be missing from this one.
        here = {
            name: record
            for name, record in records.items()
            if name in listing.unreadable or record.looked_at > listing.look.began
        }
        ignored: set[str] = set()
        settled_now = new_marks()
        for name, seen in listing.files:
            mark = mark_of(name, seen.size, seen.mtime_ns // 1000)
            if mark in settled and name not in records:
                still.append(mark)
            elif (record := self._look_at(listing, name, seen, records.get(name), changes)) is None:
                ignored.add(name)
            elif self._succeeded(path := join(listing.folder, name), record):
                changes.held[path] = self._held(path, record, safe=True)
                self._moves.unlink(path)
                settled_now.append(mark)
                here.pop(name, None)
            else:
                here[name] = record
        self._note_gone(listing, records, here, ignored, not listing.unreadable and len(still) < len(settled), changes)
        still += settled_now
        # An entry that could not be read may be a settled file, and a mark does not tell which: then all are kept.
        self._files.store(listing.folder, here, new_marks({*settled, *still}) if listing.unreadable else still)
        return changes

    def _note_gone(
        self,
        listing: Listing,
        records: Mapping[str, FileRecord],
        here: Mapping[str, FileRecord],
        ignored: set[str],
        settled_gone: bool,
        changes: Changes,
    ) -> None:
        if settled_gone or records.keys() - here.keys():
            present = frozenset([name for name, _ in listing.files]).union(listing.unreadable)
            gone = [(name, records[name]) for name in records.keys() - here.keys() - present]
            self._report_vanished(listing.folder, gone, changes)
            if settled_gone or any(record.accepted is not None for _, record in gone):
                changes.missing[listing.folder] = Missing(present, frozenset(ignored))

    def glance(self, listing: Listing) -> Changes:
        """Take in some files of one folder. Nothing is said about those that are not in the listing."""
        changes = Changes()
        if listing.files:
            self._visited.add(listing.folder)
        records, settled = self._files.open_in(listing.folder), self._files.marks_in(listing.folder)
        for name, seen in listing.files:
            if name not in records and mark_of(name, seen.size, seen.mtime_ns // 1000) in settled:
                continue
            asked = len(changes.due)
            record = self._look_at(listing, name, seen, records.get(name), changes)
            if record is None:
                continue
            path = join(listing.folder, name)
            self._files.put(path, record)
            if self._succeeded(path, record):
                self._settle(path, record, changes)
            elif record.state is State.OBSERVED and seen.size and len(changes.due) == asked:
                changes.due.append((record.stillness.since + self._quiet_period(listing, name), path))
        return changes

    def end_pass(self) -> Changes:
        """The pass is over and the root still there: folders that were not met are gone, unless nobody could look."""
        changes = Changes()
        for folder in self._files.folders():
            if folder in self._visited or self._hidden(folder):
                continue
            records = self._files.open_in(folder)
            self._report_vanished(folder, records.items(), changes)
            if self._files.marks_in(folder) or any(record.accepted is not None for record in records.values()):
                changes.missing[folder] = Missing()
            self._files.store(folder, {}, new_marks())
        for path in [path for path in self._expected if not self._hidden(path)]:
            # It had a Scan when the journal was last written, and was not met.
            changes.gone.append(path)
            del self._expected[path]
        return changes

    def track(self, path: str) -> None:
        """A file that is older than ``since`` counts nevertheless: it had a Scan before."""
        self._expected[path] = None

    def _look_at(
        self, listing: Listing, name: str, seen: Seen, record: FileRecord | None, changes: Changes
    ) -> FileRecord | None:
        path = join(listing.folder, name)
        if record is not None and record.looked_at > listing.look.began:
            return record
        if record is None or not record.tracked:
            tracked = path in self._expected or path in self._known
            if seen.mtime_ns < self._since_ns and not tracked:
                return None
            if record is None:
                changes.new.append(path)
                record = _new_record(path, seen, listing.look, changes)
                if not record.illegal:
                    changes.due.append((record.stillness.since + self._quiet_period(listing, name), path))
            record.tracked = tracked
            if self._expected.pop(path, record.content) != record.content:
                self._moves.unlink(path)
        record.device = listing.device
        if not record.illegal:
            self._advance(path, record, seen, listing, changes)
        record.looked_at = listing.look.ended
        return record

    def _advance(self, path: str, record: FileRecord, seen: Seen, listing: Listing, changes: Changes) -> None:
        look, quiet = listing.look, self._quiet_period(listing, path.rpartition("/")[2])
        stillness = observe(record.stillness, seen, look)
        if stillness is not record.stillness:
            if record.content != FileContent.of(seen):
                self._moves.unlink(path)
            record.stillness, record.state, record.reported_empty = stillness, State.OBSERVED, False
            changes.due.append((stillness.since + quiet, path))
        if record.state is not State.OBSERVED or quiet_for(stillness, look) < quiet:
            return
        if seen.size == 0 and record.accepted is None and path not in self._known:
            # Instruments create the file before they write the first line. One that had a Scan and is empty now is
            # passed on, so that the operator can ask a person about it.
            if not record.reported_empty and quiet_for(stillness, look) >= EMPTY_REPORT_AFTER * self._quiet:
                record.reported_empty = True
                changes.empty.append(path)
            return
        record.finished_at = look.ended
        self._submit(path, record, changes)

    def _quiet_period(self, listing: Listing, name: str) -> float:
        return min(TOLD_QUIET_S, self._quiet) if name in listing.told else self._quiet

    def _report_vanished(self, folder: str, gone: Iterable[tuple[str, FileRecord]], changes: Changes) -> None:
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
        before, fresh = self._known, dict(scans)
        for path, record in self._files.open_files():
            scan = self._moves.scan_of(path)
            if record.accepted is not None and record.accepted_at >= began:
                fresh[scan] = self._known.get(scan) or KnownScan(record.accepted, succeeded=False)
        self._known = fresh
        for path, known in fresh.items():
            self._moves.heard(path, known)
            self._moves.unlink(path)  # it has a Scan of its own
        for path, record in list(self._files.open_files()):
            if record.accepted_at < began:
                self._correct(path, record, changes)
        for path, known in fresh.items():
            if known.succeeded and before.get(path) != known:
                self._tell_success(path, known, changes)
        return changes

    def told(self, path: str, known: KnownScan | None) -> Changes:
        """Take in one Scan as the watch tells of it; None: it was deleted."""
        changes = Changes()
        before = self._known.get(path)
        if known is None:
            self._known.pop(path, None)
        else:
            self._known[path] = known
            self._moves.heard(path, known)
        for file in {path, self._moves.file_of(path)}:
            record = self._files.record(file)
            if record is not None:
                self._correct(file, record, changes)
        if known is not None and known.succeeded and known != before:
            self._tell_success(path, known, changes)
        return changes

    def _correct(self, path: str, record: FileRecord, changes: Changes) -> None:
        """Bring a record in line with what is known of its Scan."""
        known = self._known_of(path)
        record.tracked |= record.accepted is not None or known is not None
        record.accepted = known.content if known else None
        if record.state is not State.ACCEPTED:
            return
        if record.accepted != record.content:
            self._moves.unlink(path)
            self._submit(path, record, changes)
        elif self._succeeded(path, record):
            self._settle(path, record, changes)

    def _tell_success(self, path: str, known: KnownScan, changes: Changes) -> None:
        file = self._moves.file_of(path)
        if self._files.record(file) is None:
            changes.succeeded[file] = known.content

    def take(self, path: str) -> Submission | None:
        """What to submit now, None when there is nothing (more) to submit for the path."""
        record = self._files.record(path)
        if record is None or record.state is not State.FINISHED:
            if record is not None:
                record.queued = False
            return None
        seen = record.stillness.seen
        return Submission(record.content, record.device, seen.inode, seen.changed_ns)

    def accepted(self, path: str, content: FileContent, at: float) -> Changes:
        """The API holds ``content`` for the path since ``at`` (s, monotonic)."""
        self._moves.unlink(path)
        known = self._known.get(path)
        same = known is not None and known.content == content
        self._known[path] = known._replace(moved_to=None) if known and same else KnownScan(content, succeeded=False)
        return self._taken(path, content, at)

    def moved(self, path: str, scan_path: str, content: FileContent, at: float) -> Changes:
        """The file's content is that of the Scan of another path, from which it was moved."""
        self._moves.link(path, scan_path)
        return self._taken(path, content, at)

    def standing_for(self, path: str, content: FileContent) -> str | None:
        """The path of the Scan that says of itself that this content went to ``path``."""
        return self._moves.told_of(path, content, self._known)

    def proven_safe(self, path: str, content: FileContent) -> Changes:
        """The journal knows that this content is safe, and which Scan stands for it."""
        changes = Changes()
        self._moves.unlink(path)
        record = self._files.record(path)
        if record is not None:
            record.queued = False
            if record.content == content:
                self._settle(path, record, changes)
            elif record.state is State.FINISHED:
                self._submit(path, record, changes)
        return changes

    def _taken(self, path: str, content: FileContent, at: float) -> Changes:
        changes = Changes()
        record = self._files.record(path)
        if record is not None:
            record.queued, record.accepted, record.accepted_at, record.tracked = False, content, at, True
            if record.content == content:
                changes.held[path] = self._held(path, record)
            if record.state is State.FINISHED:
                self._submit(path, record, changes)
            if self._succeeded(path, record):
                self._settle(path, record, changes)
        return changes

    def refused(self, path: str, content: FileContent, reason: str) -> Changes:
        """The API will never take ``content``: the file rests until it changes."""
        changes = Changes()
        record = self._files.record(path)
        if record is not None:
            record.queued = False
            if record.state is State.FINISHED and record.content == content:
                record.state, record.reason = State.QUARANTINED, reason
            elif record.state is State.FINISHED:
                self._submit(path, record, changes)
        return changes

    def _submit(self, path: str, record: FileRecord, changes: Changes) -> None:
        """Decide what a finished file needs: nothing when the API already holds this content."""
        known = self._known_of(path)
        if known is not None and known.content == record.content and not (known.moved_to and path not in self._moves):
            record.state, record.accepted = State.ACCEPTED, record.content
            changes.held[path] = self._held(path, record)
            return
        record.state = State.FINISHED
        if not record.queued:
            record.queued = True
            changes.to_submit.append(path)

    def _known_of(self, path: str) -> KnownScan | None:
        return self._known.get(self._moves.scan_of(path))

    def _succeeded(self, path: str, record: FileRecord) -> bool:
        if record.state is not State.ACCEPTED:
            return False
        known = self._known_of(path)
        return known is not None and known.succeeded and known.content == record.content

    def _held(self, path: str, record: FileRecord, *, safe: bool = False) -> Held:
        return Held(record.content, record.device, record.stillness.seen.inode, safe, self._moves.elsewhere(path))

    def _settle(self, path: str, record: FileRecord, changes: Changes) -> None:
        changes.held[path] = self._held(path, record, safe=True)
        self._moves.unlink(path)
        self._files.settle(path, record.content)


def _new_record(path: str, seen: Seen, look: Look, changes: Changes) -> FileRecord:
    record = FileRecord(observe(None, seen, look))
    try:
        check_relative_path(path)
    except PathError as error:
        record.state, record.illegal, record.reason = State.QUARANTINED, True, str(error)
        changes.quarantined[path] = str(error)
    return record
