"""The looks at one beamline's root: when, at what, and what is fed to the ledger.

Passes over the whole tree are the truth: they find everything, however it came there. Between them the folders that
changed and the newest ones are looked at every ``interval``, and single files when a notice names them or when they may
be finished. Folders are read in threads; the ledger is fed in the event loop.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.config import Watch
from dichroism_crds.scan_files import Rules
from dichroism_watcher import killpoints
from dichroism_watcher.agenda import Agenda, Hints
from dichroism_watcher.daemon_thread import in_daemon_thread
from dichroism_watcher.folders import Folders
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.notices import Notices
from dichroism_watcher.records import Changes
from dichroism_watcher.root import Root, RootUnavailableError
from dichroism_watcher.walk import Listing, glance, list_folder, walk

log = logging.getLogger(__name__)

PAUSE_PER_PASS = 10
"""A pass is followed by a pause of at least this many times its duration, so passes take a tenth of a core at most."""
SOONEST_S = 0.2
"""Pause before a pass that was asked for because notices were lost."""
HEALTHY_PAUSES = 3
"""Pauses that may go by without a look at the disk before the watch counts as hung."""
_BATCH_FILES = 2000
_BATCH_FOLDERS = 256


@dataclass(slots=True)
class Tally:
    """How the looks went; moments on the monotonic clock (s)."""

    last_look: float
    """When part of a pass last succeeded; the start, before any did."""
    last_try: float
    """When one was last tried to the end, be it only to find the root missing."""
    completed_at: float | None = None
    """When a pass over the whole tree last ended."""
    completed: int = 0
    pass_s: float = 0.0
    """Duration of the last pass over the whole tree."""
    skipped: int = 0
    found_without_event: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    illegal_folders: dict[str, str] = field(default_factory=dict)
    root_problem: str | None = None


class Passes:
    """Looks at one root until cancelled. Everything that a look brings about goes to ``act``.

    ``met_all`` hears of each pass that met every file: the newest change time of an inode among them (ns).
    """

    def __init__(
        self,
        name: str,
        root: Path,
        watch: Watch,
        ledger: Ledger,
        act: Callable[[Changes], None],
        met_all: Callable[[int], None],
    ) -> None:
        self.name = name
        self.root = Root(root)
        self.agenda = Agenda()
        self.tally = Tally(last_look=time.monotonic(), last_try=time.monotonic())
        self.folders = Folders()
        self._rules = Rules(watch.exclude, watch.sentinel)
        self._interval = watch.interval.total_seconds()
        self._full_interval = watch.full_pass.total_seconds()
        self._ledger = ledger
        self._act = act
        self._met_all = met_all
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._pass_now = asyncio.Event()
        self._hints = Hints(self._wake_from_thread)
        self.notices = Notices(root, self._rules, self._hints.add, self._hints.flood) if watch.events else None
        self._hot_s = 0.0
        self._full_at = 0.0

    async def run(self) -> None:
        """Look for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._passes())
                tasks.create_task(self._glances())
        finally:
            if self.notices is not None:
                self.notices.close()

    def late_by(self, now: float) -> float:
        """Seconds by which the next look is overdue beyond what is tolerated; negative while healthy.

        A long pass that gets on is healthy, one that hangs or never begins is not.
        """
        return now - self.tally.last_look - HEALTHY_PAUSES * self._pause()

    def hung(self, now: float) -> bool:
        """Whether not even a failure was met for so long that a thread must hang."""
        return now - self.tally.last_try > HEALTHY_PAUSES * self._pause() + 60

    @property
    def full_pause_s(self) -> float:
        """Pause between two passes over the whole tree (s), before it is spread by a quarter to both sides."""
        return max(self._full_interval, PAUSE_PER_PASS * self.tally.pass_s)

    def _pause(self) -> float:
        return max(self._interval, PAUSE_PER_PASS * self._hot_s)

    def _wake_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody looks any more
            self._loop.call_soon_threadsafe(self._wake.set)

    # --- passes

    async def _passes(self) -> None:
        while True:
            began = time.monotonic()
            whole = began >= self._full_at
            try:
                await self._whole_pass() if whole else await self._hot_pass()
            except RootUnavailableError as error:
                if str(error) != self.tally.root_problem:
                    self.tally.root_problem = str(error)
                    log.error("%s; no file is taken from it meanwhile", error, extra=self._extra())
            else:
                self._passed(began, whole=whole)
            self.tally.last_try = time.monotonic()
            await self._rest()

    def _passed(self, began: float, *, whole: bool) -> None:
        now = time.monotonic()
        if self.tally.root_problem is not None:
            self.tally.root_problem = None
            self._full_at = now  # whatever happened meanwhile, every folder is looked at
            log.info("the watched root is back", extra=self._extra())
        elif whole:
            self.tally.pass_s, self.tally.completed_at = now - began, now
            self.tally.completed += 1
            self._full_at = now + self.full_pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, keeps no secret
            killpoints.reach("pass-ended")
        else:
            self._hot_s = now - began

    async def _rest(self) -> None:
        """Wait for the next look; when notices were lost, a moment only."""
        pause = self._pause()
        soonest = min(pause, max(SOONEST_S, PAUSE_PER_PASS * self._hot_s))
        await asyncio.sleep(soonest)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause - soonest):
                await self._pass_now.wait()
        self._pass_now.clear()

    async def _whole_pass(self) -> None:
        await in_daemon_thread(self.root.check)
        self._ledger.begin_pass()
        unreadable: dict[str, str] = {}
        illegal: dict[str, str] = {}
        skipped = newest_ns = 0
        met: set[str] = set()
        async for listing in self._feed(walk(self.root.path, self._rules)):
            met.add(listing.folder)
            unreadable.update(listing.problems())
            illegal.update(listing.illegal_folders)
            skipped += listing.skipped
            newest_ns = max(newest_ns, *(seen.changed_ns for _, seen in listing.files), 0)
        # Only a root that is still the same one proves that what was not met is gone.
        await in_daemon_thread(self.root.check)
        self._act(self._ledger.end_pass())
        if not unreadable:
            self._met_all(newest_ns)
        self.folders.keep({folder for folder in met if folder not in unreadable} | self._hidden(unreadable))
        self.tally.skipped = skipped
        self._report(unreadable, illegal)
        if self.notices is not None:
            notices, newest = self.notices, self.folders.newest(self.notices.most)
            await in_daemon_thread(lambda: _tend(notices, newest))

    def _hidden(self, unreadable: dict[str, str]) -> set[str]:
        """Folders that nobody could look at: they stay known."""
        hidden = {path for path in self.folders.names() if path in unreadable}
        below = tuple(f"{path}/" for path in unreadable)
        return hidden | {path for path in self.folders.names() if below and path.startswith(below)}

    async def _hot_pass(self) -> None:
        """Look at the folders that changed since the last look, at the newest ones, and at all below new ones."""
        await in_daemon_thread(self.root.check)
        if self.notices is not None:
            await in_daemon_thread(self.notices.tend)
        names = self.folders.names()
        times = await in_daemon_thread(lambda: dict(_times(self.root.path, names)))
        hot, known = self.folders.hot(times), frozenset(names)
        async for _ in self._feed(self._hot(hot, known)):
            pass
        await in_daemon_thread(self.root.check)

    def _hot(self, folders: Iterable[str], known: frozenset[str]) -> Iterator[Listing]:
        for folder in folders:
            listing, below = list_folder(self.root.path, self._rules, folder)
            if listing is not None:
                yield listing
            for new in below:
                if new not in known:
                    yield from self._walk_watched(new)

    def _named(self, folders: Iterable[str], known: frozenset[str]) -> Iterator[Listing]:
        """Folders of which something was heard: new ones with all below them."""
        for folder in folders:
            yield from self._hot([folder], known) if folder in known else self._walk_watched(folder)

    def _walk_watched(self, folder: str) -> Iterator[Listing]:
        """A new folder and all below it; each is watched before it is read, so that nothing falls between."""
        watch = self.notices.watch if self.notices is not None else _nobody
        return walk(self.root.path, self._rules, folder, watch)

    async def _feed(self, listings: Iterator[Listing]) -> AsyncIterator[Listing]:
        while batch := await in_daemon_thread(lambda: _batch(listings)):
            self.tally.last_look = self.tally.last_try = time.monotonic()
            for listing in batch:
                changes = self._ledger.observe(listing)
                if listing.error is None:
                    self.folders.seen(listing.folder, listing.mtime_ns)
                if self.notices is not None and self.tally.completed:
                    self.tally.found_without_event += sum(path not in self._hints for path in changes.new)
                self._act(changes)
                yield listing

    def _report(self, unreadable: dict[str, str], illegal: dict[str, str]) -> None:
        for path in unreadable.keys() - self.tally.unreadable.keys():
            log.warning(
                "cannot be read; what it holds is not copied until that is mended",
                extra=self._extra(path, reason=unreadable[path]),
            )
        for path in self.tally.unreadable.keys() - unreadable.keys():
            log.info("no longer in the way", extra=self._extra(path))
        for path in illegal.keys() - self.tally.illegal_folders.keys():
            log.warning(
                "quarantined: no file in this folder is copied under its name",
                extra=self._extra(path, reason=illegal[path]),
            )
        self.tally.unreadable, self.tally.illegal_folders = unreadable, illegal

    # --- single files

    async def _glances(self) -> None:
        while True:
            await self._wait()
            paths, flooded = self._hints.take(_BATCH_FILES)
            if flooded:
                self._pass_now.set()
            paths += self.agenda.due(time.monotonic(), _BATCH_FILES)
            if not paths or self.tally.root_problem is not None:
                continue
            try:
                listings, below = await in_daemon_thread(lambda: self._glance(paths))  # noqa: B023 - awaited right here
            except RootUnavailableError:
                continue  # the next pass tells
            for listing in listings:
                self._act(self._ledger.glance(listing))
            if below:
                known = frozenset(self.folders.names())
                async for _ in self._feed(self._named(below, known)):
                    pass

    async def _wait(self) -> None:
        """Until a notice came or a file is due."""
        due = self.agenda.next()
        pause = None if due is None else max(0.0, due - time.monotonic())
        if not len(self._hints):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
        self._wake.clear()

    def wake(self) -> None:
        """The agenda changed."""
        self._wake.set()

    def _glance(self, paths: Iterable[str]) -> tuple[list[Listing], list[str]]:
        self.root.check()
        by_folder: dict[str, list[str]] = {}
        below = []
        for path in paths:
            folder, _, name = path.rpartition("/")
            if name:
                by_folder.setdefault(folder, []).append(name)
            else:
                below.append("")  # the root itself
        listings = []
        for folder, names in by_folder.items():
            listing, folders = glance(self.root.path, self._rules, folder, names)
            listings.append(listing)
            below += folders
        return listings, below

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


def _times(root: Path, folders: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Modification times (ns) of folders; those that are gone or unreadable are left to the next whole pass."""
    for folder in folders:
        with contextlib.suppress(OSError):
            yield folder, os.stat(os.path.join(root, folder)).st_mtime_ns  # noqa: PTH116, PTH118


def _tend(notices: Notices, newest: list[str]) -> None:
    notices.tend()
    notices.keep(newest)


def _nobody(_: str) -> None:
    """Nobody watches."""
