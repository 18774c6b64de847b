"""The lane that puts finished Scans on the prune calendar: collects them, writes Prunes, tells the Scans.

A Prune without a phase was written but not told; after a crash that is done first. The order of reads is the same as
for Transfers: highest number, then the untold Prunes, then the Scans.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from dichroism_crds.client import AlreadyExists, NotFound
from dichroism_crds.config import Beamline
from dichroism_crds.kinds import Prune, PrunePhase, PruneStatus, Scan, Step
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT, number_of
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import calendar, killpoints, lifecycle, planning
from dichroism_operator.lanes.base import Context, StepLane, read_scans
from dichroism_operator.metrics import STEPS_DONE

CRONJOBS_FRESH_S = 30.0
LACKING_AGAIN_S = 60.0
TROUBLE_AGAIN_S = 30.0

log = logging.getLogger(__name__)


class ScheduleLane(StepLane):
    """One beamline's calendar, for each endpoint that is pruned."""

    def __init__(self, context: Context, beamline: Beamline) -> None:
        super().__init__(f"{beamline.name.lower()}-prunescheduled", context, beamline, Step.PRUNE_SCHEDULED)
        self._told = False
        self._lacking: dict[str, float] = {}
        self._cronjobs_read = 0.0
        self._cronjobs: dict[str, bool] = {}

    async def turn(self) -> float:
        """Tell what an earlier process did not tell; write the next Prunes when they are due."""
        if not self._told:
            for prune in await self._untold():
                await self._tell(prune)
            self._told = True
        moment = time.monotonic()
        self._lacking = {name: until for name, until in self._lacking.items() if until > moment}
        cards = planning.in_turn(self.context.board.waiting(self.beamline.name, self.step), self._lacking, now())
        if not cards:
            return self.idle_s
        flush = self.context.config.schedule.flush
        left = (min(card.since for card in cards) + flush - now()).total_seconds()
        if left > 0 and len(cards) < calendar.MAX_ITEMS:
            return min(left, self.idle_s)
        trouble = await self._cronjob_trouble()
        names = [card.name for card in cards[: calendar.MAX_ITEMS]]
        for endpoint in self.beamline.prune:
            await self._schedule(endpoint, names)
        await self._conclude(names, trouble)
        return 1.0 if trouble is None else TROUBLE_AGAIN_S

    async def _schedule(self, endpoint: str, names: Sequence[str]) -> None:
        """Write and tell the Prunes of one endpoint for those Scans that do not stand in one yet."""
        number = await self._highest_number(endpoint)
        for prune in await self._untold():
            await self._tell(prune)
        scans = []
        for scan in await read_scans(self.context, names):
            if endpoint not in calendar.missing_prunes(scan, self.beamline):
                continue
            if absent := calendar.missing_copies(scan, self.beamline, endpoint):
                await self._lacks_copies(scan, endpoint, absent)
            else:
                scans.append(scan)
        for group in calendar.by_due_day(scans, self.beamline, endpoint):
            number += 1
            wanted = calendar.build_prune(group, self.beamline, endpoint, self.context.config, number)
            try:
                made = await self.context.api.create(wanted)
            except AlreadyExists:
                log.info("%s was claimed by another planner, planning again", wanted.name)
                return
            if made.spec != wanted.spec:
                raise RuntimeError(
                    f"{made.name}: the API server did not keep the spec as it was sent; are the CRDs older?"
                )
            killpoints.reach("prune-created")
            log.info(
                "%s: %d files, due %s",
                made.name,
                len(group),
                made.spec.not_before,
                extra={"prune": made.name, "beamline": self.beamline.name},
            )
            await self._tell(made)

    async def _tell(self, prune: Prune) -> None:
        """Scans first, then phase Scheduled."""
        entry = calendar.entry_of(prune)

        async def one(name: str, size: int, modified_at: object, path: str) -> None:
            def change(scan: Scan) -> bool:
                same = scan.spec.size == size and scan.spec.modified_at == modified_at and scan.spec.path == path
                if not same or lifecycle.content_changed(scan):
                    return False
                scan.status.prune = [old for old in scan.status.prune if old.endpoint != entry.endpoint] + [entry]
                return True

            try:
                scan = await self.context.api.get(Scan, name)
            except NotFound:
                return
            await self.context.writer.submit(name, scan.metadata.uid or "", change)

        await asyncio.gather(*(one(item.scan, item.size, item.modified_at, item.path) for item in prune.spec.items))
        killpoints.reach("prune-told")
        fresh = await self.context.api.get(Prune, prune.name)
        if fresh.status.phase is None:
            files, size = len(fresh.spec.items), sum(item.size for item in fresh.spec.items)
            status = PruneStatus(phase=PrunePhase.SCHEDULED, message=f"{files} files, {size} bytes")
            await self.context.api.replace_status(fresh.model_copy(update={"status": status}))
        killpoints.reach("prune-scheduled")

    async def _conclude(self, names: Sequence[str], trouble: tuple[Reason, str] | None) -> None:
        """PruneScheduled becomes True when every configured prune is named and its CronJob is there and running."""

        def change(scan: Scan) -> bool:
            if calendar.missing_prunes(scan, self.beamline) or lifecycle.content_changed(scan):
                return False
            if trouble:
                reason, text = trouble
                lifecycle.wait(scan, self.step, reason, text, now())
            else:
                lifecycle.succeed(scan, self.step, Reason.SCHEDULED, "stands in every configured Prune", now())
            return True

        scans = [scan for scan in await read_scans(self.context, names) if self.may_work(scan)]
        results = await asyncio.gather(
            *(self.context.writer.submit(scan.name, scan.metadata.uid or "", change) for scan in scans)
        )
        if not trouble:
            STEPS_DONE.labels(self.beamline.name, self.step, "done").inc(sum(results))

    async def _lacks_copies(self, scan: Scan, endpoint: str, absent: Sequence[str]) -> None:
        text = f"{endpoint} needs a verified copy on {', '.join(absent)}, none is recorded: change the config or wait"

        def change(fresh: Scan) -> bool:
            lifecycle.wait(fresh, self.step, Reason.COPY_MISSING, text, now())
            return True

        self._lacking[scan.name] = time.monotonic() + LACKING_AGAIN_S
        await self.context.writer.submit(scan.name, scan.metadata.uid or "", change)

    async def _untold(self) -> list[Prune]:
        listed = self.context.api.list(
            Prune, field_selector="status.phase=", label_selector=f"{LABEL_BEAMLINE}={self.beamline.name}"
        )
        return [prune async for prune in listed]

    async def _highest_number(self, endpoint: str) -> int:
        listed = self.context.api.list_metadata(Prune, label_selector=f"{LABEL_ENDPOINT}={endpoint}")
        return max([number_of(one.name) async for one in listed], default=0)

    async def _cronjob_trouble(self) -> tuple[Reason, str] | None:
        """Why a scheduled file would stay for ever, if so: a CronJob that is missing or suspended."""
        if time.monotonic() - self._cronjobs_read > CRONJOBS_FRESH_S or not self._cronjobs:
            path = self.context.api.builtin_path("batch/v1", "cronjobs")
            found = self.context.api.list_pages(path, label_selector=LABEL_ENDPOINT)
            self._cronjobs = {
                item["metadata"]["labels"][LABEL_ENDPOINT]: bool(item["spec"].get("suspend")) async for item in found
            }
            self._cronjobs_read = time.monotonic()
        for endpoint in self.beamline.prune:
            if endpoint not in self._cronjobs:
                return (
                    Reason.CRON_JOB_MISSING,
                    f"no CronJob with label {LABEL_ENDPOINT}={endpoint}: install it with the chart",
                )
            if self._cronjobs[endpoint]:
                return Reason.CRON_JOB_SUSPENDED, f"the CronJob that prunes {endpoint} is suspended"
        return None
