"""The lane that shows Scans, Transfers and flight checks in Prefect. Best effort: nobody waits for it.

It takes names from the mirror's feed, reads each Scan from the API and brings its run up to date, one after the other.
Liveness does not look at this lane: a mirror that hangs is no reason to interrupt copies.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from datetime import datetime
from typing import TypeVar

from dichroism_crds.client import NotFound
from dichroism_crds.kinds import Scan, Transfer
from dichroism_crds.names import OPERATOR_LEASE
from dichroism_crds.reasons import EventReason
from dichroism_crds.timestamps import now
from dichroism_operator import killpoints
from dichroism_operator.lanes.base import Context, Lane, backoff_s
from dichroism_operator.metrics import MIRROR_LAG, MIRROR_OFF, MIRROR_REFUSED, MIRROR_WAITING
from dichroism_operator.mirror import upkeep
from dichroism_operator.mirror.errors import MirrorOff, RequestRefused, Trouble
from dichroism_operator.mirror.feed import MARGIN, Backlog, Due, Feed
from dichroism_operator.mirror.names import layout
from dichroism_operator.mirror.pools import PoolInUse, Prepared, prepare
from dichroism_operator.mirror.runs import Runs
from dichroism_operator.mirror.server import PrefectServer
from dichroism_operator.mirror.states import Run, changed_at, scan_run
from dichroism_operator.recorder import About

UPKEEP_S = 300.0
"""Time between two looks at the pools and at what somebody changed in Prefect."""
GONE_EVERY = 12
"""Every so many of those looks, runs of objects that are gone are closed."""
IN_USE_S = 60.0
"""Time between two looks at pools that somebody else uses."""
BRIEFLY_ABOVE = 50
"""With more than this waiting, a run gets its newest state only: Prefect takes some ten states a second."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class PrefectLane(Lane):
    """One for all beamlines. :meth:`begin` is called once, with the Lease in hand."""

    def __init__(self, context: Context, feed: Feed) -> None:
        super().__init__("prefect", context)
        self.feed = feed
        self.wake = feed.wake
        self.off: str | None = None
        """Why nothing is shown now, for /readyz."""
        self._kept: MutableMapping[str, str] = {}
        self._server: PrefectServer | None = None
        self._prepared: Prepared | None = None
        self._runs: Runs | None = None
        self._trouble: Trouble | None = None
        self._failures = 0
        self._resume_at = 0.0
        self._upkeep_at = 0.0
        self._upkeeps = 0
        self._transfers_read = False

    def begin(self, kept: MutableMapping[str, str]) -> None:
        """Start from the watermarks in ``kept``, and keep them there: the annotations of our Lease."""
        self._kept = kept
        self.feed.begin(kept)

    async def turn(self) -> float:
        """Show what waits; returns the seconds until the next look."""
        self._measure()
        if (left := self._resume_at - time.monotonic()) > 0:
            return min(left, self.idle_s)
        try:
            complete = await self._show_all(await self._ready())
            self._on()
            return self.idle_s if complete else 0.0
        except MirrorOff as trouble:
            return min(self._turn_off(trouble), self.idle_s)
        finally:
            self._measure()

    async def _ready(self) -> Runs:
        """Connected, everything made, upkeep done when it is due."""
        if self._server is None:
            self._server = await PrefectServer.connect(self.context.config.prefect.requests_per_minute)
        due = time.monotonic() >= self._upkeep_at
        if self._prepared is None or self._runs is None or due:
            prefect = self.context.config.prefect
            prepared = await prepare(self._server, layout(self.context.config), take_over=prefect.take_over)
            if self._runs is None or self._prepared != prepared:
                self._runs = Runs(self._server, prepared.deployments)
            self._prepared = prepared
        if not self._transfers_read:
            await self._read_transfers()
        if due:
            await self._upkeep(self._server, self._runs, list(self._prepared.deployments.values()))
            self._upkeep_at = time.monotonic() + UPKEEP_S
        return self._runs

    async def _upkeep(self, server: PrefectServer, runs: Runs, deployments: Collection[str]) -> None:
        if restored := await upkeep.put_right(server, runs, deployments):
            log.info("%d runs in Prefect were changed by somebody and show again what is true", restored)
        self._upkeeps += 1
        if self._upkeeps % GONE_EVERY == 1 and not len(self.feed.scans):
            await upkeep.close_gone(server, runs, deployments, self._present)

    async def _present(self) -> set[str]:
        transfers = {one.uid or "" async for one in self.context.api.list_metadata(Transfer)}
        self.feed.transfers_known(transfers)
        return transfers | {one.uid or "" async for one in self.context.api.list_metadata(Scan)}

    async def _read_transfers(self) -> None:
        """Those made since the watermark: a Transfer that ended before this process began is told by nobody else."""
        if self.context.config.prefect.batches:
            since = self.feed.transfers.floor - MARGIN
            async for one in self.context.api.list_metadata(Transfer):
                if one.creation_timestamp and one.creation_timestamp >= since:
                    try:
                        self.feed.observe_transfer(await self.context.api.get(Transfer, one.name))
                    except NotFound:
                        continue
        self.feed.transfers_known()
        self._transfers_read = True

    async def _show_all(self, runs: Runs) -> bool:
        """Show what waits, oldest first; False when it was interrupted because the upkeep is due."""
        while time.monotonic() < self._upkeep_at:
            shown = await self._next(self.feed.flights, self._show_flight, runs)
            shown |= await self._next(self.feed.transfers, self._show_transfer, runs)
            if not await self._next(self.feed.scans, self._show_scan, runs) and not shown:
                return True
            killpoints.reach("run-shown")
            self._on()
            self.beat()
            self._measure()
        return False

    async def _next(self, backlog: Backlog[T], show: Callable[[Runs, Due[T]], Awaitable[datetime]], runs: Runs) -> bool:
        """Take one and show it; whatever ends that early puts it back."""
        due = backlog.take()
        if due is None:
            return False
        try:
            changed = await show(runs, due)
        except BaseException:
            backlog.again(due)
            raise
        backlog.done(due, changed)
        return True

    async def _show_flight(self, runs: Runs, due: Due[Run]) -> datetime:
        await self._show(runs, due.what)
        return due.changed

    async def _show_transfer(self, runs: Runs, due: Due[Run]) -> datetime:
        await self._show(runs, due.what)
        self.feed.transfer_shown(due)
        return due.changed

    async def _show_scan(self, runs: Runs, due: Due[str]) -> datetime:
        """Show a Scan as it is now; returns when it changed last."""
        try:
            scan = await self.context.api.get(Scan, due.what)
        except NotFound:
            return due.changed
        if scan.metadata.uid != due.uid or scan.spec.beamline not in self.context.config.beamlines:
            return due.changed
        await self._show(runs, scan_run(scan, self.context.api.namespace))
        return max(due.changed, changed_at(scan))

    async def _show(self, runs: Runs, run: Run) -> None:
        waiting = len(self.feed.scans) + len(self.feed.transfers) + len(self.feed.flights)
        try:
            await runs.show(run, briefly=waiting > BRIEFLY_ABOVE)
        except RequestRefused as refusal:
            # It would be refused for ever, and all others behind it would wait.
            MIRROR_REFUSED.inc()
            log.error("%s is not shown in Prefect: %s", run.name, refusal)

    def _measure(self) -> None:
        moment = now()
        self.feed.advance(self._kept, moment)
        MIRROR_WAITING.labels("Scan").set(len(self.feed.scans))
        MIRROR_WAITING.labels("Transfer").set(len(self.feed.transfers))
        MIRROR_WAITING.labels("FlightCheck").set(len(self.feed.flights))
        MIRROR_LAG.set(self.feed.lag_s(moment))

    def _turn_off(self, trouble: MirrorOff) -> float:
        """Note why nothing is shown; returns the seconds until it is tried again."""
        self._failures += 1
        seconds = IN_USE_S if isinstance(trouble, PoolInUse) else backoff_s(self._failures)
        self._resume_at = time.monotonic() + seconds
        self._prepared = None  # whoever repairs a server may also have emptied it
        self.off = f"{trouble.trouble}: {trouble}"
        if trouble.trouble != self._trouble:
            log.warning("the Prefect mirror is off: %s: %s; copies do not wait for it", trouble.trouble, trouble)
            if self._trouble:
                MIRROR_OFF.labels(self._trouble).set(0)
            self._trouble = trouble.trouble
        MIRROR_OFF.labels(trouble.trouble).set(1)
        if trouble.trouble == Trouble.POOL_IN_USE:
            about = About("Lease", OPERATOR_LEASE, api_version="coordination.k8s.io/v1")
            self.context.recorder.event(about, EventReason.POOL_IN_USE, str(trouble))
        return seconds

    def _on(self) -> None:
        if self._trouble:
            MIRROR_OFF.labels(self._trouble).set(0)
            log.info("the Prefect mirror goes on")
        self.off = self._trouble = None
        self._failures = 0

    async def close(self) -> None:
        """Close the connections; what waits is found again by the watermark."""
        if self._server:
            await self._server.close()
