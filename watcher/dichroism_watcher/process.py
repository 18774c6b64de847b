"""One watcher process: its beamlines, the one watch over their Scans, the journal, and who is told how it goes."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dichroism_crds import timestamps
from dichroism_crds.client import Api
from dichroism_crds.config import Config, Endpoint
from dichroism_crds.heartbeat import Heartbeat, holder
from dichroism_watcher.heartbeat import Heart
from dichroism_watcher.journal import Journal
from dichroism_watcher.passes import HEALTHY_PAUSES
from dichroism_watcher.scan_feed import ScanFeed
from dichroism_watcher.service import ServiceManager
from dichroism_watcher.throttle import Throttle
from dichroism_watcher.watch import BeamlineWatch


def root_of(endpoint: Endpoint) -> Path:
    """The endpoint's folder as this process sees it: its mount, or its root at the site when we run there."""
    return endpoint.mount or Path(endpoint.root_path)


@dataclass(slots=True)
class WatcherProcess:
    """The parts of a running watcher."""

    watches: Mapping[str, BeamlineWatch]
    feed: ScanFeed
    journal: Journal
    heart: Heart

    @classmethod
    def make(
        cls, config: Config, names: Iterable[str], api: Api, journal: Journal, throttle: Throttle, relist_s: float
    ) -> "WatcherProcess":
        """Put the parts together for the named beamlines."""
        watches = {}
        for name in names:
            beamline = config.beamlines[name]
            root = root_of(config.endpoints[beamline.watch.root])
            watches[name] = BeamlineWatch(beamline, root, api, throttle, journal)
        return cls(watches, ScanFeed(api, watches, relist_s), journal, Heart(api))

    async def run(self) -> None:
        """Watch for ever.

        Raises:
            JournalBrokenError: the journal broke, inside an exception group: start anew.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.journal.run())
            tasks.create_task(self.feed.run())
            for watch in self.watches.values():
                tasks.create_task(watch.run(self.feed.listed))
            tasks.create_task(self.heart.beat(self.heartbeats))
            # Started is started: if an API that is away or one of two folders failed the start, the service manager
            # would end us before a file of the other folder had been quiet for long enough.
            tasks.create_task(ServiceManager().keep_told(self.status_line, lambda: not self.hung()))

    # --- how it goes

    def hung(self) -> list[str]:
        """Beamlines whose looks at the disk neither succeed nor fail: a restart may help."""
        now = time.monotonic()
        return [name for name, watch in self.watches.items() if watch.passes.hung(now)]

    def not_ready(self) -> dict[str, str]:
        """Why a beamline is not watched at present, by beamline; empty when all are."""
        now = time.monotonic()
        problems = {}
        for name, watch in self.watches.items():
            tally = watch.passes.tally
            if tally.root_problem is not None:
                problems[name] = tally.root_problem
            elif watch.passes.late_by(now) > 0:
                problems[name] = f"no look at the disk for {now - tally.last_look:.0f} s"
            elif tally.completed_at is None:
                problems[name] = "the first pass over the folder is under way"
            elif not self.feed.listed.is_set():
                problems[name] = f"the Scans are not known yet: {self.feed.problem or 'they are being listed'}"
        return problems

    def status_line(self) -> str:
        """One line for people."""
        problems = self.not_ready()
        if problems:
            return "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        counts = {name: watch.counts() for name, watch in self.watches.items()}
        parts = [
            f"{name}: {one.settled} safe, {one.accepted} accepted, {one.pending} pending, {one.observed} not finished"
            for name, one in counts.items()
        ]
        return "; ".join(parts)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """What is told in the cluster, by beamline."""
        return {name: self._heartbeat(watch) for name, watch in self.watches.items()}

    def _heartbeat(self, watch: BeamlineWatch) -> Heartbeat:
        tally = watch.passes.tally
        ago = None if tally.completed_at is None else timedelta(seconds=time.monotonic() - tally.completed_at)
        trouble = [tally.root_problem, self.journal.problem, self.feed.problem, self.heart.token_trouble()]
        files = {
            "pending": watch.counts().pending,
            "quarantined": len(watch.quarantined),
            "unreadable": len(tally.unreadable),
        }
        return Heartbeat(
            holder(),
            None if ago is None else timestamps.now() - ago,
            int(HEALTHY_PAUSES * watch.passes.full_pause_s),
            "; ".join(filter(None, trouble)),
            files,
        )
