"""Scans of files from before ``since``, on demand: slowly, behind everything that is live, and repeatable.

Only Scans are created. The running watcher hears of them, takes their files into its care and writes its journal. What
earlier flows copied, catalogued or archived already is recognised by the operator, by its checksum.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds import timestamps
from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline
from dichroism_crds.names import Origin
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.scan_files import Rules, join
from dichroism_watcher.daemon_thread import in_daemon_thread
from dichroism_watcher.journal_file import JournalFile
from dichroism_watcher.records import FileContent, KnownScan
from dichroism_watcher.root import Root
from dichroism_watcher.stability import Seen
from dichroism_watcher.submit import Remedy, build_scan, put_scan, remedy
from dichroism_watcher.throttle import Throttle, backoff
from dichroism_watcher.walk import Listing, glance, walk

RATE = 5.0
"""Scans per second: a year's files in some hours, and little beside what live files need."""
MOST_WAITING = 2000
"""Scans that may wait for their first copy."""
MOST_UNSAFE = 20_000
"""Scans that may have any step before them: they are in the operator's memory and in etcd."""
LIVE_PATIENCE_S = 600.0
"""A live Scan that waits for longer is stuck, and does not hold up the backfill."""
LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Progress:
    """Files of one beamline so far. ``waits`` says why none is created at present."""

    found: int = 0
    created: int = 0
    had_scan: int = 0
    safe: int = 0
    changing: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    waits: str = ""

    def __str__(self) -> str:
        """One line for people."""
        done = self.created + self.had_scan + self.safe + self.changing + len(self.refused)
        parts = [
            f"{done} of {self.found} files: {self.created} created, {self.had_scan} had a Scan, {self.safe} were safe"
        ]
        if self.changing:
            parts.append(f"{self.changing} not finished")
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        return ", ".join(parts) + (f"; waits: {self.waits}" if self.waits else "")


class Gate:
    """Whether another Scan may be created, from what is known of all Scans of the beamline."""

    def __init__(self) -> None:
        self._waiting_since: dict[str, float] = {}

    def closed(self, scans: Mapping[str, KnownScan], now: float) -> str:
        """Why nothing may be created at this moment (s, monotonic); empty when it may."""
        active = [(path, one) for path, one in scans.items() if not one.succeeded and not one.ended]
        live = {path for path, one in active if one.live and not one.transferred}
        self._waiting_since = {path: self._waiting_since.get(path, now) for path in live}
        if any(now - since < LIVE_PATIENCE_S for since in self._waiting_since.values()):
            return "live files go first"
        waiting = sum(not one.transferred for _, one in active)
        if waiting >= MOST_WAITING:
            return f"{waiting} Scans wait for their first copy"
        return f"{len(active)} Scans are not safe yet" if len(active) >= MOST_UNSAFE else ""


class Backfill:
    """The backfill of one beamline: files last modified from ``since_ns`` on and before the beamline's ``since``."""

    def __init__(
        self,
        beamline: Beamline,
        root: Path,
        since_ns: int,
        api: Api,
        throttle: Throttle,
        journal: JournalFile | None,
        origin: Origin,
    ) -> None:
        self.name = beamline.name
        self.endpoint = beamline.watch.root
        self.progress = Progress()
        self.listed = asyncio.Event()
        self._root = Root(root)
        self._rules = Rules(beamline.watch.exclude, beamline.watch.sentinel)
        self._span = range(since_ns, timestamps.to_ns(beamline.watch.since))
        self._quiet = beamline.watch.quiet_period.total_seconds()
        self._api = api
        self._throttle = throttle
        self._journal = journal
        self._origin = origin
        self._scans: dict[str, KnownScan] = {}
        self._gate = Gate()
        self._looked_at_gate = float("-inf")

    def scans_listed(self, scans: Mapping[str, KnownScan], began: float) -> None:  # noqa: ARG002 - a listener's part
        """All Scans of the beamline by path."""
        self._scans = dict(scans)
        self.listed.set()

    def scan_told(self, path: str, known: KnownScan | None) -> None:
        """One Scan changed; None: it is gone."""
        if known is None:
            self._scans.pop(path, None)
        else:
            self._scans[path] = known

    async def run(self, tell: Callable[[], None] = lambda: None, *, count_only: bool = False) -> None:
        """Look twice, a quiet period apart, and create the Scans of what stayed the same. ``tell`` shows progress.

        Raises:
            RootUnavailableError: the folder is not there.
        """
        marks = await in_daemon_thread(self._first_look)
        looked = time.monotonic()
        self.progress.found = sum(map(len, marks.values()))
        tell()
        if count_only or not self.progress.found:
            return
        await self.listed.wait()
        self.progress.waits = f"files must stay the same for {self._quiet:g} s"
        while (left := looked + self._quiet - time.monotonic()) > 0:
            tell()
            await asyncio.sleep(min(LOOK_EVERY_S, left))
        self.progress.waits = ""
        listings = walk(self._root.path, self._rules)
        while listing := await in_daemon_thread(lambda: next(listings, None)):
            seen = frozenset(marks.get(listing.folder, ()))
            for name, one in self._candidates(listing):
                if _mark(name, one) in seen:
                    await self._bring(join(listing.folder, name), one, tell)
        await in_daemon_thread(self._root.check)
        done = self.progress
        done.changing = done.found - done.created - done.had_scan - done.safe - len(done.refused)
        tell()

    def _first_look(self) -> dict[str, "array[int]"]:
        self._root.check()
        marks = {}
        for listing in walk(self._root.path, self._rules):
            found = array("Q", (_mark(name, one) for name, one in self._candidates(listing)))
            if found:
                marks[listing.folder] = found
        self._root.check()
        return marks

    def _candidates(self, listing: Listing) -> Iterator[tuple[str, Seen]]:
        return ((name, one) for name, one in listing.files if one.size and one.mtime_ns in self._span)

    async def _bring(self, path: str, seen: Seen, tell: Callable[[], None]) -> None:
        content = FileContent.of(seen)
        try:
            check_relative_path(path)
        except PathError as error:
            self.progress.refused[path] = str(error)
            return
        known = self._scans.get(path)
        if known is not None and known.content == content:
            self.progress.had_scan += 1
            return
        row = None if self._journal is None else self._journal.row(self.name, path)
        if row is not None and row.safe and row.content == content:
            self.progress.safe += 1
            return
        failures = 0
        while True:
            await self._until_open(tell)
            try:
                async with self._throttle.slot():
                    if not await self._same(path, seen):
                        return  # counted as not finished at the end
                    await put_scan(self._api, build_scan(self.name, self.endpoint, path, content, self._origin))
            except Exception as error:  # one file's trouble must not stop the others
                failures += 1
                if not await self._wait_after(path, error, failures, tell):
                    return
                continue
            self._throttle.answered()
            self.progress.created += 1
            self._scans[path] = KnownScan(content, succeeded=False, live=False)
            self.progress.waits = ""
            tell()
            return

    async def _wait_after(self, path: str, error: Exception, failures: int, tell: Callable[[], None]) -> bool:
        """Wait before the file is tried again; False when it is refused for good."""
        if remedy(error) is Remedy.REST:
            self.progress.refused[path] = str(error)
            return False
        self.progress.waits = f"{type(error).__name__}: {error}"
        tell()
        await asyncio.sleep(backoff(failures, error.retry_after if isinstance(error, ApiError) else None))
        return True

    async def _until_open(self, tell: Callable[[], None]) -> None:
        while True:
            now = time.monotonic()
            if now - self._looked_at_gate < LOOK_EVERY_S:
                return
            reason = self._gate.closed(self._scans, now)
            if not reason:
                self._looked_at_gate = now
                return
            self.progress.waits = reason
            tell()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _same(self, path: str, seen: Seen) -> bool:
        """Whether the file still is what both looks saw: it may have waited for hours."""
        folder, _, name = path.rpartition("/")
        listing, _ = await in_daemon_thread(lambda: glance(self._root.path, self._rules, folder, [name]))
        return [one[:3] for _, one in listing.files] == [seen[:3]]


def _mark(name: str, seen: Seen) -> int:
    """Eight bytes for a name with what was seen of it, so that a million fit into memory."""
    return hash((name, *seen[:3])) & 0xFFFF_FFFF_FFFF_FFFF
