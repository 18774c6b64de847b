"""Ledger, recognition and journal rows against a model: random files, moves, looks, outages, crashes, our clock."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dichroism_watcher.journal_file import Row
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.recognise import is_safe, places_before, row_of
from dichroism_watcher.records import Changes, FileContent, Held, KnownScan, Submission
from dichroism_watcher.stability import Look, Seen
from dichroism_watcher.walk import Listing

QUIET = 10
PATHS = st.sampled_from(["a.txt", "day/b.txt", "day/c.txt"])
FOLDERS = ("", "day")
DONE = st.sampled_from(["nothing", "copied", "succeeded"])


class WatcherMachine(RuleBasedStateMachine):
    """Files and Scans as they really are, and a watcher that only learns of them by looks, answers, lists and its rows.

    ``rows`` is the journal on the disk, ``unwritten`` what was put and would be lost with the process. ``copied`` and
    ``succeeded`` are true facts: contents by the path of their Scan.
    """

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.files: dict[str, Seen] = {}
        self.changed: dict[str, float] = {}
        self.scans: dict[str, KnownScan] = {}
        self.inode = 0
        self.succeeded: set[tuple[str, FileContent]] = set()
        self.rows: dict[str, Row] = {}
        self.restart()

    # --- the process

    @rule()
    def restart(self) -> None:
        """A crash: what was not written is gone."""
        self.unwritten: dict[str, Row | None] = {}
        self.ledger = Ledger(QUIET, 0)
        for row in self.rows.values():
            if row.gone_at is None:
                self.ledger.restore(row.path, Held(row.content, row.device, row.inode, row.safe, row.scan_path))
        self.queue: list[str] = []
        self.late: list[tuple[str, FileContent]] = []
        self.listed = False

    @rule()
    def lose_journal(self) -> None:
        self.rows.clear()
        self.restart()

    @rule()
    def journal_is_written(self) -> None:
        for path, row in self.unwritten.items():
            self.rows.pop(path, None) if row is None else self.rows.update({path: row})
        self.unwritten.clear()

    def all_rows(self) -> dict[str, Row]:
        merged = {**self.rows, **self.unwritten}
        return {path: row for path, row in merged.items() if row is not None}

    def act(self, changes: Changes) -> None:
        """What the watcher does about changes, in short."""
        self.queue += changes.to_submit
        rows = self.all_rows()
        for path, held in changes.held.items():
            self.unwritten[path] = row_of("BL402", path, held, rows.get(path))
        for path, content in changes.succeeded.items():
            if path in rows and rows[path].content == content:
                self.unwritten[path] = rows[path]._replace(safe=True)
        for folder, missing in changes.missing.items():
            for path, row in rows.items():
                within, _, name = path.rpartition("/")
                if within == folder and name not in missing.present:
                    self.unwritten[path] = row._replace(gone_at=1)
        for path in changes.gone:
            if path in rows:
                self.unwritten[path] = rows[path]._replace(gone_at=1)

    @invariant()
    def what_is_called_safe_succeeded(self) -> None:
        if hasattr(self, "unwritten"):
            for row in self.all_rows().values():
                assert not row.safe or (row.scan, row.content) in self.succeeded, f"{row} was never seen to succeed"

    # --- the disk

    @rule(path=PATHS, size=st.integers(0, 3), same_time=st.booleans())
    def write(self, path: str, size: int, same_time: bool) -> None:
        """Append, truncate or rewrite; sometimes a coarse file system shows the old time for it."""
        old = self.files.get(path)
        if old is None:
            self.inode += 1
            new = Seen(size, int(self.now * 1e9), self.inode)
        else:
            new = Seen(size, old.mtime_ns if same_time else int(self.now * 1e9), old.inode)
        if new != old:
            self.files[path], self.changed[path] = new, self.now

    @rule(path=PATHS, size=st.integers(1, 3), mtime_s=st.sampled_from([0, 5, 10**6]))
    def replace(self, path: str, size: int, mtime_s: int) -> None:
        """A finished file is moved over it, with a modification time from anywhere."""
        self.inode += 1
        self.files[path], self.changed[path] = Seen(size, mtime_s * 10**9, self.inode), self.now

    @rule(path=PATHS, to=PATHS)
    def move(self, path: str, to: str) -> None:
        if path in self.files and path != to:
            self.files[to], self.changed[to] = self.files.pop(path), self.now

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    # --- looks

    def listing(self, folder: str) -> Listing:
        found = Listing(folder, Look(self.now, self.now), device=1)
        for path, seen in self.files.items():
            if path.rpartition("/")[0] == folder:
                found.files.append((path.rpartition("/")[2], seen))
        return found

    def check_quiet(self, changes: Changes) -> None:
        for path in changes.to_submit:
            assert self.now - self.changed[path] >= QUIET, "submitted before it was quiet"

    @rule(seconds=st.sampled_from([0, 0.5, 3, 9.5, 10, 60]), unreadable=st.sampled_from(["", "", "day"]))
    def pass_over(self, seconds: float, unreadable: str) -> None:
        """A pass, some time after whatever was before; perhaps a folder cannot be read."""
        self.now += seconds
        self.ledger.begin_pass()
        for folder in FOLDERS:
            listing = self.listing(folder)
            if folder and folder == unreadable:
                listing.error = "Input/output error"
                listing.files.clear()
            changes = self.ledger.observe(listing)
            self.check_quiet(changes)
            self.act(changes)
        self.act(self.ledger.end_pass())

    @rule(seconds=st.sampled_from([0, 3, 10]), folder=st.sampled_from(FOLDERS), whole=st.booleans())
    def look_at(self, seconds: float, folder: str, whole: bool) -> None:
        """Between passes: one folder, or the files in it that a notice named."""
        self.now += seconds
        listing = self.listing(folder)
        changes = self.ledger.observe(listing) if whole else self.ledger.glance(listing)
        self.check_quiet(changes)
        self.act(changes)

    # --- the API

    @rule(answer=st.sampled_from(["yes", "yes", "yes, late", "lost", "down"]))
    def submit_next(self, answer: str) -> None:
        """A request: served (perhaps after more happened to the files), its answer lost on the way, or not served."""
        if not self.listed or not self.queue:
            return
        path = self.queue.pop(0)
        submission = self.ledger.take(path)
        if submission is None:
            return
        content = submission.content
        if is_safe(submission, self.all_rows().get(path)):
            self.act(self.ledger.proven_safe(path, content))
            return
        before = None
        if self.ledger.known(path) is None:
            standing = self.ledger.standing_for(path, content)
            if standing is not None:
                self.act(self.ledger.moved(path, standing, content, self.now))
                return
            before = self.place_before(path, submission)
        if answer == "down":
            self.queue.append(path)
        elif before is not None:
            self.move_scan(path, submission, before, answer)
        else:
            self.put_scan(path, content, answer)

    def place_before(self, path: str, submission: Submission) -> Row | None:
        rows = [
            row
            for row in self.all_rows().values()
            if (row.inode, row.content) == (submission.inode, submission.content)
        ]
        places = places_before(path, rows, self.ledger.known)
        return next((row for row in places if row.path not in self.files), None)

    def move_scan(self, path: str, submission: Submission, row: Row, answer: str) -> None:
        if row.scan in self.scans:
            self.scans[row.scan] = self.scans[row.scan]._replace(moved_to=path)
        elif not row.safe:
            self.queue.append(path)
            return
        if answer != "yes":
            self.queue.append(path)
            return
        self.unwritten[row.path] = None
        self.unwritten[path] = row._replace(path=path, scan_path=row.scan, gone_at=None)
        if row.safe:
            self.act(self.ledger.proven_safe(path, submission.content))
        else:
            self.act(self.ledger.moved(path, row.scan, submission.content, self.now))

    def put_scan(self, path: str, content: FileContent, answer: str) -> None:
        held = self.scans.get(path)
        if held is None or held.content != content:
            self.scans[path] = KnownScan(content, succeeded=False)
        else:
            self.scans[path] = held._replace(moved_to=None)
        match answer:
            case "yes":
                self.act(self.ledger.accepted(path, content, self.now))
            case "yes, late":
                self.late.append((path, content))
            case _:
                self.queue.append(path)

    @rule()
    def late_answer(self) -> None:
        """The answer of a request that was under way while other things happened."""
        if self.late:
            path, content = self.late.pop(0)
            self.act(self.ledger.accepted(path, content, self.now))

    @rule()
    def relist(self) -> None:
        self.listed = True
        self.now += 0.001
        self.act(self.ledger.relisted(dict(self.scans), self.now))
        self.now += 0.001

    @rule(path=PATHS)
    def watch_tells(self, path: str) -> None:
        if self.listed:
            self.act(self.ledger.told(path, self.scans.get(path)))

    def all_goes_well(self, done: str) -> None:
        """For a while nothing is written and everybody does their work; random steps alone seldom get that far."""
        for _ in range(2):
            self.pass_over(QUIET + 1, "")
            self.relist()
            for _ in range(len(self.queue)):
                self.submit_next("yes")
        for path in list(self.scans) if done != "nothing" else []:
            self.operator_copies(path)
            if done == "succeeded":
                self.operator_succeeds(path)
            self.watch_tells(path)

    @rule(path=PATHS, done=DONE)
    def a_file_is_carried(self, path: str, done: str) -> None:
        self.write(path, 2, same_time=False)
        self.all_goes_well(done)

    @rule(path=PATHS, to=PATHS, done=DONE)
    def a_carried_file_moves(self, path: str, to: str, done: str) -> None:
        self.all_goes_well(done)
        self.move(path, to)
        self.all_goes_well("nothing")

    @rule(path=PATHS, done=DONE, size=st.integers(1, 3))
    def a_carried_file_is_written_again(self, path: str, done: str, size: int) -> None:
        self.all_goes_well(done)
        self.now += 1
        self.write(path, size, same_time=False)

    # --- the operator and people

    @rule(path=PATHS)
    def operator_copies(self, path: str) -> None:
        """Only what is at its path, and is what the Scan says, can be copied."""
        if path in self.scans and path in self.files and FileContent.of(self.files[path]) == self.scans[path].content:
            self.scans[path] = self.scans[path]._replace(transferred=True)

    @rule(path=PATHS)
    def operator_succeeds(self, path: str) -> None:
        if path in self.scans and self.scans[path].transferred:
            self.scans[path] = self.scans[path]._replace(succeeded=True)
            self.succeeded.add((path, self.scans[path].content))

    @rule(path=PATHS)
    def scan_is_deleted(self, path: str) -> None:
        """By a person, or because it is past its time."""
        self.scans.pop(path, None)

    def teardown(self) -> None:
        """When the beamline rests and the API serves, every file has its content in a Scan, or is proven safe."""
        if not hasattr(self, "ledger"):
            return
        while self.late:
            self.late_answer()
        for _ in range(3):
            self.pass_over(QUIET + 1, "")
            self.relist()
            for _ in range(len(self.queue) * 3):
                self.submit_next("yes")
        for path, seen in self.files.items():
            if seen.size or path in self.scans:
                self.check_covered(path, seen)
        assert self.ledger.counts().pending == 0

    def check_covered(self, path: str, seen: Seen) -> None:
        content = FileContent.of(seen)
        scan = self.scans.get(path)
        if scan is not None and scan.content == content:
            return
        row = self.all_rows().get(path)
        if row is not None and row.safe and row.content == content:
            return
        moved = [one for one in self.scans.values() if one.moved_to == path]
        assert any(one.content == content and one.transferred for one in moved), f"{path} was lost"


WatcherMachine.TestCase.settings = settings(max_examples=3 * settings().max_examples, stateful_step_count=40)
TestEveryFileGetsItsScan = WatcherMachine.TestCase
