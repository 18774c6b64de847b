"""The two lanes that write into the catalogue: the dataset once the copy is on disk, the tape path after archiving.

Each Scan is worked on by itself, some at a time. An outage pauses the lane and blames no Scan; copies go on meanwhile.
"""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable

from dichroism_crds.client import NotFound
from dichroism_crds.config import Beamline, Ingest
from dichroism_crds.kinds import Dataset, Scan, Step
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now
from dichroism_operator import entries, killpoints, lifecycle, planning
from dichroism_operator.catalogue.base import Catalogue, DatasetRef
from dichroism_operator.catalogue.errors import CatalogueUnavailable, EntryRefused
from dichroism_operator.lanes.base import Context, StepLane
from dichroism_operator.metrics import STEPS_DONE
from dichroism_operator.recorder import About

AT_ONCE = 8
"""Scans under way per lane: the catalogue's requests take their time, and each holds a thread."""

log = logging.getLogger(__name__)


class CatalogueLane(StepLane):
    """What both steps have in common: read the Scan, ask the catalogue in a thread, write the condition."""

    def __init__(self, context: Context, beamline: Beamline, ingest: Ingest, catalogue: Catalogue, step: Step) -> None:
        super().__init__(f"{beamline.name.lower()}-{step.lower()}", context, beamline, step)
        self.ingest = ingest
        self.catalogue = catalogue
        self._working: dict[str, asyncio.Task[None]] = {}
        self._asking: set[str] = set()

    @abstractmethod
    def record(self, scan: Scan) -> DatasetRef:
        """Write what the step stands for into the catalogue; blocks."""

    async def turn(self) -> float:
        """Start work on waiting Scans while there is room."""
        if self.paused:
            return max(0.05, self.paused_until - time.monotonic())
        # After a pause one Scan tries first.
        room = (AT_ONCE if not self.pauses_in_a_row else 1) - len(self._asking)
        if room <= 0:
            return self.idle_s
        cards = planning.in_turn(self.context.board.waiting(self.beamline.name, self.step), self._working, now())
        for card in cards[:room]:
            task = asyncio.create_task(self._work(card.name), name=f"{self.name} {card.name}")
            self._working[card.name] = task
            self._asking.add(card.name)
        return 1.0 if cards or self._working else self.idle_s

    async def _work(self, name: str) -> None:
        try:
            try:
                scan = self.context.writer.preview(name) or await self.context.api.get(Scan, name)
            except NotFound:
                self.context.board.drop(name)
                return
            if self.may_work(scan):
                await self._attempt(scan)
        except Exception:
            log.exception("%s: Scan %s: unexpected error, tried again", self.name, name, extra={"scan": name})
            await asyncio.sleep(1)
        finally:
            self._done_asking(name)
            self._working.pop(name, None)

    def _done_asking(self, name: str) -> None:
        """Let the next Scan in: the status write that is left waits for company and needs no thread."""
        self._asking.discard(name)
        self.wake.set()

    async def _attempt(self, scan: Scan) -> None:
        about = About.of(scan)
        change: Callable[[Scan], None]
        try:
            dataset = await asyncio.to_thread(self.record, scan)
        except CatalogueUnavailable as outage:
            reason, text = outage.reason, str(outage)
            if not self.paused:
                self.pause(reason, text, about)
            change = lambda fresh: lifecycle.wait(fresh, self.step, reason, text, now())  # noqa: E731
            done = False
        except EntryRefused as refusal:
            text = str(refusal)
            self.context.recorder.event(about, EventReason.STEP_FAILED, f"{self.step}: {text}")
            change = lambda fresh: lifecycle.fail(fresh, self.step, Reason.REFUSED_BY_CATALOGUE, text, now())  # noqa: E731
            done = False
        else:
            self.resume(about)
            change = lambda fresh: self._recorded(fresh, dataset, scan.spec.proposal)  # noqa: E731
            done = True
        self._done_asking(scan.name)
        STEPS_DONE.labels(self.beamline.name, self.step, "done" if done else "failed").inc()
        await self.context.writer.submit(scan.name, scan.metadata.uid or "", self._unless_changed(scan, change))

    def _unless_changed(self, seen: Scan, change: Callable[[Scan], None]) -> Callable[[Scan], bool]:
        def apply(fresh: Scan) -> bool:
            if fresh.content != seen.content or lifecycle.content_changed(fresh):
                return False
            change(fresh)
            return True

        return apply

    def _recorded(self, scan: Scan, dataset: DatasetRef, proposal: str | None) -> None:
        """``proposal`` is the one that was asked for; spec may name another by now. The tape path brings none along."""
        reason = Reason.CATALOGUED if self.step == Step.CATALOGUED else Reason.RECORDED
        if self.step == Step.INGESTED and scan.status.dataset:
            proposal = scan.status.dataset.proposal
        scan.status.dataset = Dataset(pid=dataset.pid, url=dataset.url, proposal=proposal)
        lifecycle.succeed(scan, self.step, reason, f"dataset {dataset.pid}", now())


class CataloguedLane(CatalogueLane):
    """The dataset with its file list, from the verified copy on disk."""

    def __init__(self, context: Context, beamline: Beamline, ingest: Ingest, catalogue: Catalogue) -> None:
        super().__init__(context, beamline, ingest, catalogue, Step.CATALOGUED)

    def record(self, scan: Scan) -> DatasetRef:
        """Make sure that the dataset is there."""
        disk = scan.copy_on(self.beamline.transfer.destination)
        if disk is None:
            raise EntryRefused(f"Scan {scan.name} records no copy on {self.beamline.transfer.destination}")
        config = self.context.config
        dataset = self.catalogue.ensure_dataset(entries.dataset_entry(scan, disk, self.beamline, self.ingest, config))
        killpoints.reach("dataset-written")
        return dataset


class IngestedLane(CatalogueLane):
    """The tape path beside the disk path: afterwards the catalogue knows every path that the configuration produces."""

    def __init__(self, context: Context, beamline: Beamline, ingest: Ingest, catalogue: Catalogue) -> None:
        super().__init__(context, beamline, ingest, catalogue, Step.INGESTED)

    def record(self, scan: Scan) -> DatasetRef:
        """Make sure that the tape copy is recorded; without an archive step that the dataset is as it should be."""
        config = self.context.config
        disk = scan.copy_on(self.beamline.transfer.destination)
        if disk is None:
            raise EntryRefused(f"Scan {scan.name} records no copy on {self.beamline.transfer.destination}")
        entry = entries.dataset_entry(scan, disk, self.beamline, self.ingest, config)
        if self.beamline.archive is None:
            return self.catalogue.ensure_dataset(entry)
        tape = scan.copy_on(self.beamline.archive.destination)
        if tape is None:
            raise EntryRefused(f"Scan {scan.name} records no copy on {self.beamline.archive.destination}")
        dataset = self.catalogue.ensure_archived(entry, entries.archive_entry(scan, disk, tape, config))
        killpoints.reach("archive-recorded")
        return dataset
