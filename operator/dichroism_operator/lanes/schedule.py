"""The lane that puts finished Scans on the prune calendar: collects them, writes Prunes, tells the Scans.

A Prune without a phase was written but not told; after a crash that is done first. The order of reads is the same as
for Transfers: highest number, then the untold Prunes, then the Scans.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

from dichroism_crds.client import AlreadyExists
from dichroism_crds.config import Beamline
from dichroism_crds.kinds import Prune, PruneItem, PrunePhase, PruneStatus, Scan, ScheduledPrune, Step
from dichroism_crds.names import ANNOTATION_REPLACES, LABEL_BEAMLINE, LABEL_ENDPOINT, number_of
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import calendar, killpoints, lifecycle, wording
from dichroism_operator.lanes.base import Context, StepLane
from dichroism_operator.metrics import STEPS_DONE

CRONJOBS_FRESH_S = 30.0
LACKING_AGAIN_S = 60.0
TROUBLE_AGAIN_S = 30.0
UNTOLD_AGAIN_S = 60.0
"""Time between two looks for Prunes that a person made in place of others; our own are told as soon as they exist."""

log = logging.getLogger(__name__)
Trouble = tuple[Reason, str]


class ScheduleLane(StepLane):
    """One beamline's calendar, for each endpoint that is pruned."""

    def __init__(self, context: Context, beamline: Beamline) -> None:
        super().__init__(f"{beamline.name.lower()}-prunescheduled", context, beamline, Step.PRUNE_SCHEDULED)
        self._untold_read = 0.0
        self._lacking: dict[str, float] = {}
        self._cronjobs_read = 0.0
        self._cronjobs: dict[str, bool] = {}

    async def turn(self) -> float:
        """Tell what an earlier process did not tell; write the next Prunes when they are due."""
        moment = time.monotonic()
        if not self._untold_read or moment - self._untold_read > UNTOLD_AGAIN_S:
            await self._tell_untold()
        self._lacking = {name: until for name, until in self._lacking.items() if until > moment}
        cards = self.candidates(self._lacking, calendar.MAX_ITEMS)
        if not cards:
            return self.idle_s
        flush = self.context.config.schedule.flush
        left = (min(card.since for card in cards) + flush - now()).total_seconds()
        if left > 0 and len(cards) < calendar.MAX_ITEMS:
            return min(left, self.idle_s)
        trouble = await self._cronjob_trouble()
        await self._schedule([card.name for card in cards], trouble)
        return 1.0 if trouble is None else TROUBLE_AGAIN_S

    async def _schedule(self, names: Sequence[str], trouble: Trouble | None) -> None:
        """Write the Prunes of all endpoints for Scans that do not stand in one yet, then tell each Scan once."""
        known = {endpoint: await self._names(endpoint) for endpoint in self.beamline.prune}
        existing = set().union(*known.values())
        await self._tell_untold()
        scans = [scan for scan in await self.read_scans(names) if self.may_work(scan)]
        made: list[Prune] = []
        for endpoint, names_there in known.items():
            number = max(map(number_of, names_there), default=0)
            missing = [scan for scan in scans if endpoint in calendar.missing_prunes(scan, self.beamline, existing)]
            lacking = [scan for scan in missing if calendar.missing_copies(scan, self.beamline, endpoint)]
            for scan in lacking:
                await self._lacks_copies(scan, endpoint)
            scans = [scan for scan in scans if scan not in lacking]
            ready = [scan for scan in missing if scan not in lacking]
            for count, group in enumerate(calendar.by_due_day(ready, self.beamline, endpoint), start=1):
                made += await self._create(group, endpoint, number + count)
        await self._tell(made, scans, existing, trouble)

    async def _create(self, group: Sequence[Scan], endpoint: str, number: int) -> list[Prune]:
        wanted = calendar.build_prune(group, self.beamline, endpoint, self.context.config, number)
        try:
            made = await self.context.api.create(wanted)
        except AlreadyExists:
            log.info("%s was claimed by another planner, planning again", wanted.name)
            return []
        if made.spec != wanted.spec:
            raise RuntimeError(f"{made.name}: the API server did not keep the spec as sent; are the CRDs older?")
        killpoints.reach("prune-created")
        fields = {"prune": made.name, "beamline": self.beamline.name}
        log.info("%s: %d files, due %s", made.name, len(group), made.spec.not_before, extra=fields)
        return [made]

    async def _tell_untold(self) -> None:
        prunes = await self._untold()
        self._untold_read = time.monotonic()
        if prunes:
            names = sorted({item.scan for prune in prunes for item in prune.spec.items})
            existing = set().union(*[await self._names(endpoint) for endpoint in self.beamline.prune])
            scans = await self.read_scans(names)
            await self._tell(prunes, scans, existing, await self._cronjob_trouble())

    async def _tell(
        self, prunes: Sequence[Prune], scans: Sequence[Scan], existing: set[str], trouble: Trouble | None
    ) -> None:
        """Scans first, each in one write, then phase Scheduled of the Prunes."""
        entries: dict[str, list[tuple[PruneItem, ScheduledPrune]]] = defaultdict(list)
        for prune in prunes:
            for item in prune.spec.items:
                entries[item.scan].append((item, calendar.entry_of(prune)))
        # One that was replaced may be there for a moment still, and may have stood under another endpoint's name.
        replaced = {prune.metadata.annotations.get(ANNOTATION_REPLACES, "") for prune in prunes}
        existing = (existing | {prune.name for prune in prunes}) - replaced
        told = await asyncio.gather(
            *(self._tell_scan(scan, entries[scan.name], existing, replaced, trouble) for scan in scans)
        )
        if not trouble:
            STEPS_DONE.labels(self.beamline.name, self.step, "done").inc(sum(told))
        killpoints.reach("prune-told")
        for prune in prunes:
            await self._mark_scheduled(prune.name)
        killpoints.reach("prune-scheduled")

    async def _tell_scan(
        self,
        scan: Scan,
        entries: Sequence[tuple[PruneItem, ScheduledPrune]],
        existing: set[str],
        replaced: set[str],
        trouble: Trouble | None,
    ) -> bool:
        """PruneScheduled becomes True when every configured prune is named and its CronJob is there and running."""

        def change(fresh: Scan) -> bool:
            if lifecycle.content_changed(fresh):
                return False
            for item, entry in entries:
                if calendar.describes(item, fresh):
                    others = [old for old in fresh.status.prune if old.endpoint != entry.endpoint]
                    fresh.status.prune = [*(old for old in others if old.prune not in replaced), entry]
            if calendar.missing_prunes(fresh, self.beamline, existing):
                return True
            if trouble:
                lifecycle.wait(fresh, self.step, *trouble, now())
            else:
                lifecycle.succeed(fresh, self.step, Reason.SCHEDULED, "stands in every configured Prune", now())
            return True

        return await self.context.writer.update(scan, change) is not None

    async def _mark_scheduled(self, name: str) -> None:
        fresh = await self.context.api.get(Prune, name)
        if fresh.status.phase is None:
            files, size = len(fresh.spec.items), sum(item.size for item in fresh.spec.items)
            status = PruneStatus(phase=PrunePhase.SCHEDULED, message=f"{wording.files(files)}, {wording.size(size)}")
            await self.context.api.replace_status(fresh.model_copy(update={"status": status}))

    async def _lacks_copies(self, scan: Scan, endpoint: str) -> None:
        absent = ", ".join(calendar.missing_copies(scan, self.beamline, endpoint))
        text = f"{endpoint} needs a verified copy on {absent}, none is recorded: change the config or retry"

        def change(fresh: Scan) -> bool:
            lifecycle.wait(fresh, self.step, Reason.COPY_MISSING, text, now())
            return True

        self._lacking[scan.name] = time.monotonic() + LACKING_AGAIN_S
        await self.context.writer.update(scan, change)

    async def _untold(self) -> list[Prune]:
        listed = self.context.api.list(
            Prune, field_selector="status.phase=", label_selector=f"{LABEL_BEAMLINE}={self.beamline.name}"
        )
        return [prune async for prune in listed]

    async def _names(self, endpoint: str) -> set[str]:
        """Every Prune of an endpoint; a Scan that names another was told of one that somebody deleted."""
        listed = self.context.api.list_metadata(Prune, label_selector=f"{LABEL_ENDPOINT}={endpoint}")
        return {one.name async for one in listed}

    async def _cronjob_trouble(self) -> Trouble | None:
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
