"""The lane that looks at what people and the watcher wrote: refusals, new contents, retries, changes of spec.

Watch events and the sweep call :meth:`Intake.observe`; it is cheap and writes nothing. Scans that need a decision are
queued and decided on a fresh copy.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from dichroism_crds.client import NotFound
from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.kinds import Scan, ScanPhase, Step
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now
from dichroism_operator import admission, killpoints, lifecycle, retry
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.errors import MoverUnavailable

AT_ONCE = 8
AGAIN_S = 1.0

log = logging.getLogger(__name__)
Decision = Callable[[Scan], tuple[EventReason, str] | None]


class Intake(Lane):
    """One for all beamlines. ``in_flight`` says whether a Transfer names a Scan; retries wait for its end."""

    def __init__(
        self,
        context: Context,
        movers: Mapping[tuple[str, Step], Mover],
        in_flight: Callable[[str], bool],
        can_read: Callable[[str], bool] = lambda _: False,
        also: Callable[[Scan], None] = lambda _: None,
    ) -> None:
        """``can_read`` says whether a beamline's files can be read; ``also`` is told of every Scan that is seen."""
        super().__init__("intake", context)
        self._can_read = can_read
        self._also = also
        self._movers = movers
        self._in_flight = in_flight
        self._queue: dict[str, None] = {}
        self._later: set[asyncio.Task[None]] = set()

    def observe(self, scan: Scan) -> None:
        """Take note of a Scan as the API shows it; older news than our own write under way is ignored."""
        if self.context.writer.is_open(scan.name):
            if self._needs_decision(scan):
                self._again_later(scan.name)  # what a person wrote must not be lost with it
            return
        beamline = self.context.config.beamlines.get(scan.spec.beamline)
        if self._needs_decision(scan):
            self._queue[scan.name] = None
            self.wake.set()
        self._also(scan)
        steps = lifecycle.configured_steps(beamline) if beamline else frozenset()
        waiting = lifecycle.open_steps(scan, steps, self.context.config.attempts)
        refused = admission.refusal(scan, self.context.config)
        self.context.board.put(scan, frozenset() if refused else waiting)

    def _needs_decision(self, scan: Scan) -> bool:
        if scan.metadata.deletion_timestamp:
            return False
        refused = admission.refusal(scan, self.context.config)
        if refused:
            unseen = scan.status.observed_generation != scan.metadata.generation
            return unseen or not lifecycle.refused_with(scan, refused[1])
        if scan.status.phase == ScanPhase.REFUSED or retry.pending_token(scan) is not None:
            return True
        if lifecycle.content_changed(scan):
            return not lifecycle.suspicious_rewrite(scan) or scan.status.observed_generation != scan.metadata.generation
        # A write of ours may have passed over the change of spec and noted its generation.
        if lifecycle.proposal_outdated(scan) or self._header_due(scan):
            return True
        seen = scan.status.observed_generation
        return seen is not None and seen != scan.metadata.generation

    async def turn(self) -> float:
        """Decide on everything that is queued."""
        while self._queue:
            names = list(self._queue)[:AT_ONCE]
            for name in names:
                del self._queue[name]
            await asyncio.gather(*map(self._decide, names))
            self.beat()
        return self.idle_s

    async def _decide(self, name: str) -> None:
        try:
            scan = await self.context.api.get(Scan, name)
        except NotFound:
            self.context.board.drop(name)
            return
        beamline = self.context.config.beamlines.get(scan.spec.beamline)
        if not self._needs_decision(scan):
            return
        if refused := admission.refusal(scan, self.context.config):
            await self._submit(scan, lambda fresh: self._refuse(fresh, *refused))
        elif beamline is None:
            return
        elif scan.status.phase == ScanPhase.REFUSED:
            await self._submit(scan, self._reopen)
        elif (token := retry.pending_token(scan)) is not None:
            await self._retry(scan, beamline, token)
        else:
            await self._submit(scan, lambda fresh: self._follow_spec(fresh, beamline))

    async def _submit(self, scan: Scan, decide: Decision) -> None:
        told: list[tuple[EventReason, str]] = []

        def change(fresh: Scan) -> bool:
            told.clear()
            if event := decide(fresh):
                told.append(event)
            return True

        if await self.context.writer.update(scan, change):
            for reason, message in told:
                self.context.recorder.event(scan, reason, message)

    def _refuse(self, scan: Scan, reason: Reason, message: str) -> tuple[EventReason, str] | None:
        known = lifecycle.refused_with(scan, message)
        lifecycle.refuse(scan, reason, message, now())
        return None if known else (EventReason.REFUSED, message)

    def _reopen(self, scan: Scan) -> None:
        lifecycle.reopen(scan)

    def _follow_spec(self, scan: Scan, beamline: Beamline) -> tuple[EventReason, str] | None:
        if lifecycle.suspicious_rewrite(scan):
            return EventReason.SUSPICIOUS_REWRITE, lifecycle.describe_shrunk(scan)
        if lifecycle.content_changed(scan):
            lifecycle.restart_for_new_content(scan, now())
            return EventReason.CONTENT_CHANGED, f"new content of {scan.spec.size} bytes: its steps are done again"
        if beamline.ingest and (lifecycle.proposal_outdated(scan) or self._header_due(scan)):
            lifecycle.redo(scan, [Step.CATALOGUED], now())
        return None

    def _header_due(self, scan: Scan) -> bool:
        return lifecycle.header_due(scan, now()) and self._can_read(scan.spec.beamline) and not scan.spec.suspend

    async def _retry(self, scan: Scan, beamline: Beamline, token: str) -> None:
        if self._in_flight(scan.name):
            self._again_later(scan.name)
            return
        try:
            request = retry.parse(token)
            missing = await self._missing_input(scan, beamline, request)
        except retry.RetryError as error:
            missing, request = str(error), retry.Retry(token, None)
        except MoverUnavailable as outage:
            log.warning("retry of Scan %s waits: %s", scan.name, outage, extra={"scan": scan.name})
            self._again_later(scan.name)
            return
        steps = lifecycle.configured_steps(beamline)

        def decide(fresh: Scan) -> tuple[EventReason, str]:
            if missing:
                fresh.status.last_handled_retry = token
                return EventReason.RETRY_REFUSED, missing
            return retry.apply(fresh, request, steps, now())

        await self._submit(scan, decide)
        killpoints.reach("retry-taken")

    async def _missing_input(self, scan: Scan, beamline: Beamline, request: retry.Retry) -> str | None:
        """Why a named step cannot be done again, if so: the file it starts from is gone."""
        configured = lifecycle.configured_steps(beamline)
        if request.step is not None and request.step not in configured:
            return f"{request.step} is not configured for {beamline.name}"
        asked: Sequence[tuple[Step, str]] = ()
        if request.step == Step.TRANSFERRED:
            asked = ((Step.TRANSFERRED, beamline.transfer.source),)
        elif request.step == Step.ARCHIVED:
            asked = ((Step.ARCHIVED, beamline.transfer.destination),)
        for step, place in asked:
            endpoint: Endpoint = self.context.config.endpoints[place]
            mover = self._movers[beamline.name, step]
            found = await asyncio.to_thread(mover.stat, endpoint, [scan.spec.path])
            if found.get(scan.spec.path) is None:
                return f"{scan.spec.path} is not on {place} any more: {request.step} cannot be done again"
        return None

    def _again_later(self, name: str) -> None:
        async def later() -> None:
            await asyncio.sleep(AGAIN_S)
            self._queue[name] = None
            self.wake.set()

        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)
