"""The ledger against a model: random files, looks, outages, restarts and a clock of our own."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dichroism_watcher.ledger import Ledger
from dichroism_watcher.records import Changes, FileContent, KnownScan
from dichroism_watcher.stability import Look, Seen
from dichroism_watcher.walk import Listing

QUIET = 10
PATHS = st.sampled_from(["a.txt", "day/b.txt", "day/c.txt", "other/d.txt"])
FOLDERS = ("", "day", "other")


class WatcherMachine(RuleBasedStateMachine):
    """Files and Scans as they really are, and a ledger that only learns of them by looks, answers and lists."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.files: dict[str, Seen] = {}
        self.changed: dict[str, float] = {}
        self.scans: dict[str, KnownScan] = {}
        self.inode = 0
        self.seen_succeeded: set[tuple[str, FileContent]] = set()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.ledger = Ledger(QUIET, 0)
        self.queue: list[str] = []
        self.late: list[tuple[str, FileContent]] = []
        self.seen_succeeded.clear()
        self.listed = False

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

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    @rule(seconds=st.sampled_from([0, 0.5, 3, 9.5, 10, 60]), unreadable=st.sampled_from(["", "", "day", "other"]))
    def pass_over(self, seconds: float, unreadable: str) -> None:
        """A pass, some time after whatever was before; perhaps a folder cannot be read."""
        self.now += seconds
        self.ledger.begin_pass()
        for folder in FOLDERS:
            listing = Listing(folder, Look(self.now, self.now))
            if folder and folder == unreadable:
                listing.error = "Input/output error"
            else:
                for path, seen in self.files.items():
                    if path.rpartition("/")[0] == folder:
                        listing.files.append((path.rpartition("/")[2], seen))
            changes = self.ledger.observe(listing)
            for path in changes.to_submit:
                assert self.now - self.changed[path] >= QUIET, "submitted before it was quiet"
            self.act(changes)
        self.act(self.ledger.end_pass())

    def act(self, changes: Changes) -> None:
        self.queue += changes.to_submit

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
        if answer != "down":
            held = self.scans.get(path)
            if held is None or held.content != content:
                self.scans[path] = KnownScan(content, succeeded=False)
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
        self.seen_succeeded |= {(path, scan.content) for path, scan in self.scans.items() if scan.succeeded}
        self.now += 0.001

    @rule(path=PATHS)
    def operator_succeeds(self, path: str) -> None:
        if path in self.scans:
            self.scans[path] = self.scans[path]._replace(succeeded=True)

    @rule(path=PATHS)
    def person_deletes_the_scan(self, path: str) -> None:
        self.scans.pop(path, None)

    def teardown(self) -> None:
        """When the beamline rests and the API serves, every file gets its Scan with its content."""
        if not hasattr(self, "ledger"):
            return
        while self.late:
            self.late_answer()
        for _ in range(3):
            self.pass_over(QUIET, "")
            self.relist()
            while self.queue:
                self.submit_next("yes")
        for path, seen in self.files.items():
            scan = self.scans.get(path)
            if scan is None:
                excused = seen.size == 0 or (path, FileContent.of(seen)) in self.seen_succeeded
                assert excused, f"{path} was lost"
            else:
                assert scan.content == FileContent.of(seen), f"the Scan of {path} has another content"
        assert self.ledger.counts().pending == 0


WatcherMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestEveryFileGetsItsScan = WatcherMachine.TestCase
