"""One beamline's watch: passes over the tree feed the ledger, workers submit what it asks for, lists correct it.

This is the wiring. What is decided where: finished and what to do next in ``ledger``, the disk in ``walk``, requests in
``submit`` and ``known_scans``, pace in ``throttle``.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dichroism_crds import timestamps
from dichroism_crds.client import Api, ApiError, Denied, NotFound
from dichroism_crds.config import Beamline
from dichroism_crds.names import scan_name
from dichroism_watcher.daemon_thread import in_daemon_thread
from dichroism_watcher.known_scans import list_scans
from dichroism_watcher.ledger import Changes, Counts, FileContent, Ledger
from dichroism_watcher.submit import Remedy, build_scan, put_scan, remedy
from dichroism_watcher.throttle import Throttle, backoff
from dichroism_watcher.walk import Excludes, Listing, Root, RootUnavailableError, walk

log = logging.getLogger(__name__)

RELIST_S = 60.0
"""Seconds between two lists of the beamline's Scans: how soon a deleted Scan comes back."""
PAUSE_PER_PASS = 10
"""A pass is followed by a pause of at least this many times its duration, so passes take a tenth of a core at most."""
HEALTHY_PAUSES = 3
"""Pauses between passes that may go by without a look at the disk before the watch counts as unhealthy."""
_BATCH_FILES = 2000
_BATCH_FOLDERS = 256


@dataclass(slots=True)
class Tally:
    """What happened so far and how the last pass went; times on the monotonic clock (s)."""

    last_look: float
    """When part of a pass last succeeded; the start, before any did."""
    accepted: int = 0
    api_errors: int = 0
    vanished: int = 0
    skipped: int = 0
    last_pass_s: float = 0.0


class BeamlineWatch:
    """Watches one beamline's root until cancelled."""

    def __init__(
        self, beamline: Beamline, root: Path, api: Api, throttle: Throttle, relist_s: float = RELIST_S
    ) -> None:
        self.name = beamline.name
        self.endpoint = beamline.watch.root
        self.tally = Tally(last_look=time.monotonic())
        self.root_problem: str | None = None
        self.unreadable: dict[str, str] = {}
        self._interval = beamline.watch.interval.total_seconds()
        self._relist_s = relist_s
        self._root = Root(root)
        self._excludes = Excludes(beamline.watch.exclude)
        self._ledger = Ledger(beamline.watch.quiet_period.total_seconds(), timestamps.to_ns(beamline.watch.since))
        self._api = api
        self._throttle = throttle
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._failures: dict[str, int] = {}
        self._listed = asyncio.Event()

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lists())
            tasks.create_task(self._passes())
            for _ in range(self._throttle.in_flight):
                tasks.create_task(self._worker())

    def counts(self) -> Counts:
        """Files by what is to be done for them."""
        return self._ledger.counts()

    def late_by(self, now: float) -> float:
        """Seconds by which the next look is overdue beyond what is tolerated; negative while healthy.

        A long pass that gets on is healthy, one that hangs or never begins is not.
        """
        return now - self.tally.last_look - HEALTHY_PAUSES * self._pause()

    def _pause(self) -> float:
        return max(self._interval, PAUSE_PER_PASS * self.tally.last_pass_s)

    # --- the disk

    async def _passes(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._pass()
            except RootUnavailableError as error:
                if str(error) != self.root_problem:
                    self.root_problem = str(error)
                    log.error("%s; no file is taken from it meanwhile", error, extra=self._extra())
            else:
                if self.root_problem is not None:
                    self.root_problem = None
                    log.info("the watched root is back", extra=self._extra())
                self.tally.last_pass_s = time.monotonic() - began
            await asyncio.sleep(self._pause())

    async def _pass(self) -> None:
        had_files = self._ledger.had_files
        await in_daemon_thread(lambda: self._root.check(had_files=had_files))
        self._ledger.begin_pass()
        listings = walk(self._root.path, self._excludes)
        unreadable: dict[str, str] = {}
        skipped = 0
        while batch := await in_daemon_thread(lambda: _batch(listings)):
            self.tally.last_look = time.monotonic()
            for listing in batch:
                self._act(self._ledger.observe(listing))
                unreadable.update(listing.problems())
                skipped += listing.skipped
        # Only a root that is still the same one proves that what was not met is gone.
        await in_daemon_thread(lambda: self._root.check(had_files=had_files))
        self._act(self._ledger.end_pass())
        self.tally.skipped = skipped
        self._report_unreadable(unreadable)

    def _report_unreadable(self, unreadable: dict[str, str]) -> None:
        for path in unreadable.keys() - self.unreadable.keys():
            log.warning(
                "cannot be read or carried; what it holds is not copied until that is mended",
                extra=self._extra(path, reason=unreadable[path]),
            )
        for path in self.unreadable.keys() - unreadable.keys():
            log.info("no longer in the way", extra=self._extra(path))
        self.unreadable = unreadable

    def _act(self, changes: Changes) -> None:
        """Queue and tell what the ledger asks for."""
        for path in changes.to_submit:
            self._queue.put_nowait(path)
        for path, reason in changes.quarantined.items():
            log.warning("quarantined: the file is not copied under this name", extra=self._extra(path, reason=reason))
        for path in changes.empty:
            log.warning("the file stays empty; it is not taken before it has content", extra=self._extra(path))
        for path in changes.vanished:
            self.tally.vanished += 1
            log.warning("the file was removed before it had a Scan", extra=self._extra(path))

    # --- the API

    async def _lists(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                scans = await list_scans(self._api, self.name, self.endpoint, self._unreadable_scan)
            except ApiError as error:
                failures += 1
                self.tally.api_errors += 1
                self._report_outage(error, first=failures == 1, doing="listing the Scans")
                await asyncio.sleep(max(backoff(failures, error.retry_after), 0.1))
                continue
            if failures:
                log.info("the Scans can be listed again", extra=self._extra())
                failures = 0
            self._act(self._ledger.relisted(scans, began))
            self._listed.set()
            await asyncio.sleep(self._relist_s)

    def _unreadable_scan(self, name: str, problem: str) -> None:
        log.warning("a listed Scan cannot be read and is taken as absent", extra=self._extra(scan=name, reason=problem))

    async def _worker(self) -> None:
        # Before the first list nobody knows which files have their Scan.
        await self._listed.wait()
        while True:
            path = await self._queue.get()
            async with self._throttle.slot():
                # Taken only now: what was finished when it was queued may have changed while it waited.
                content = self._ledger.take(path)
                if content is None:
                    self._failures.pop(path, None)
                else:
                    await self._submit(path, content)

    async def _submit(self, path: str, content: FileContent) -> None:
        scan = scan_name(self.name, self.endpoint, path)
        try:
            how = await put_scan(self._api, build_scan(self.name, self.endpoint, path, content))
        except Exception as error:  # one file's trouble, even a mistake of ours, must not stop the others
            self._failed(path, scan, content, error)
            return
        if self._throttle.answered():
            log.info("the API answers again", extra=self._extra())
        self._failures.pop(path, None)
        self.tally.accepted += 1
        modified = timestamps.format_time(timestamps.from_ns(content.mtime_us * 1000))
        log.info("accepted", extra=self._extra(path, scan=scan, size=content.size, modified=modified, how=how.value))
        self._act(self._ledger.accepted(path, content, time.monotonic()))

    def _failed(self, path: str, scan: str, content: FileContent, error: Exception) -> None:
        self.tally.api_errors += 1
        match remedy(error):
            case Remedy.REST:
                self._failures.pop(path, None)
                log.error(
                    "quarantined: the API refuses the Scan of this file, which is not copied until it changes",
                    extra=self._extra(path, scan=scan, reason=str(error)),
                )
                self._act(self._ledger.refused(path, content))
            case Remedy.PAUSE_ALL:
                first = not self._throttle.failing
                self._throttle.failed(error.retry_after if isinstance(error, ApiError) else None)
                self._report_outage(error, first=first, doing="creating Scans")
                self._again_later(path, error)
            case Remedy.RETRY_FILE:
                wait = self._again_later(path, error)
                log.warning(
                    "not accepted yet, asked again later",
                    extra=self._extra(path, scan=scan, reason=f"{type(error).__name__}: {error}", wait=round(wait, 1)),
                )

    def _again_later(self, path: str, error: Exception) -> float:
        failures = self._failures[path] = self._failures.get(path, 0) + 1
        wait = backoff(failures, error.retry_after if isinstance(error, ApiError) else None)
        asyncio.get_running_loop().call_later(wait, self._queue.put_nowait, path)
        return wait

    def _report_outage(self, error: Exception, *, first: bool, doing: str) -> None:
        """Tell of an API that does not serve us: once, and again and again when only a person can mend it."""
        if first or isinstance(error, Denied | NotFound):
            log.error(
                "the API does not serve us; files wait on disk and are tried again",
                extra=self._extra(reason=f"{doing}: {type(error).__name__}: {error}"),
            )

    def _extra(self, path: str | None = None, **fields: object) -> dict[str, object]:
        return {"beamline": self.name, **({} if path is None else {"path": path}), **fields}


def _batch(listings: Iterator[Listing]) -> list[Listing]:
    """The next folders of a walk, enough to be worth a thread and few enough not to hold up the event loop."""
    batch: list[Listing] = []
    files = 0
    for listing in listings:
        batch.append(listing)
        files += len(listing.files)
        if files >= _BATCH_FILES or len(batch) >= _BATCH_FOLDERS:
            break
    return batch
