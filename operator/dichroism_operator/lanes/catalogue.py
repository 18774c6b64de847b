"""The two lanes that write into the catalogue: the dataset once the copy is on disk, the tape path after archiving.

Each Scan is worked on by itself, some at a time. An outage pauses the lane and blames no Scan; copies go on meanwhile.
Pictures are not made here: ``lanes.pictures`` attaches them afterwards.
"""

import asyncio
import itertools
import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from dichroism_crds.client import ApiError, NotFound
from dichroism_crds.config import Beamline, Ingest
from dichroism_crds.kinds import Copy, Dataset, Scan, Step
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now
from dichroism_operator import entries, killpoints, lifecycle, planning
from dichroism_operator.catalogue.base import Catalogue, DatasetRef
from dichroism_operator.catalogue.errors import CatalogueUnavailable, DatasetGone, EntryRefused
from dichroism_operator.lanes.base import Context, StepLane, unless_changed
from dichroism_operator.lanes.pictures import NO_PICTURE, PictureLane
from dichroism_operator.lease import LeaseLostError
from dichroism_operator.metrics import STEPS_DONE
from dichroism_operator.previews.describer import Described, Describer, stem_of
from dichroism_operator.recorder import About

AT_ONCE = 8
"""Scans under way per lane: the catalogue's requests take their time, and each holds a thread."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a step came to: the dataset, the condition's reason and message, and what is to be told besides."""

    dataset: DatasetRef
    reason: Reason
    message: str
    quick_look: str | None = None
    """Set where it is clear already that there is no picture."""
    differing: tuple[str, ...] = ()
    beside: "Recorded | None" = None
    """Of the dataset that this file's sidecar told about, where that was corrected."""


class CatalogueLane(StepLane):
    """What both steps have in common: read the Scan, ask the catalogue in a thread, write the condition."""

    def __init__(
        self,
        context: Context,
        beamline: Beamline,
        ingest: Ingest,
        catalogue: Catalogue,
        describer: Describer,
        pictures: PictureLane,
        step: Step,
    ) -> None:
        super().__init__(f"{beamline.name.lower()}-{step.lower()}", context, beamline, step)
        self.ingest = ingest
        self.catalogue = catalogue
        self.describer = describer
        self.pictures = pictures
        self._working: dict[str, asyncio.Task[None]] = {}
        self._asking: set[str] = set()

    @abstractmethod
    def record(self, scan: Scan, beside: Scan | None) -> Recorded:
        """Write what the step stands for into the catalogue; blocks. ``beside``: see :meth:`find_beside`."""

    async def find_beside(self, _scan: Scan) -> Scan | None:
        """The catalogued Scan about which this one's file tells something, if any."""
        return None

    async def turn(self) -> float:
        """Start work on waiting Scans while there is room."""
        if self.paused:
            return max(0.05, self.paused_until - time.monotonic())
        # After a pause one Scan tries first.
        room = (AT_ONCE if not self.pauses_in_a_row else 1) - len(self._asking)
        if room <= 0:
            return self.idle_s
        waiting = self.context.board.waiting(self.beamline.name, self.step)
        cards = list(itertools.islice(planning.ready(waiting, self._working, now()), room))
        for card in cards:
            task = asyncio.create_task(self._work(card.name), name=f"{self.name} {card.name}")
            self._working[card.name] = task
            self._asking.add(card.name)
        return 1.0 if cards or self._working else self.idle_s

    async def _work(self, name: str) -> None:
        try:
            try:
                scan = await self.read(name)
            except NotFound:
                self.context.board.drop(name)
                return
            await self.work(scan)
        except (ApiError, LeaseLostError) as error:
            log.warning("%s: Scan %s is tried again: %s", self.name, name, error, extra={"scan": name})
            await asyncio.sleep(1)
        except Exception:
            log.exception("%s: Scan %s: unexpected error, tried again", self.name, name, extra={"scan": name})
            await asyncio.sleep(1)
        finally:
            self._done_asking(name)
            self._working.pop(name, None)

    async def read(self, name: str) -> Scan:
        """A Scan as it is, or as it will be once a write under way is done."""
        return self.context.writer.preview(name) or await self.context.api.get(Scan, name)

    async def work(self, scan: Scan) -> None:
        """Do the step for a Scan if it still waits for it."""
        if self.may_work(scan):
            await self._attempt(scan)

    def _done_asking(self, name: str) -> None:
        """Let the next Scan in: the status write that is left waits for company and needs no thread."""
        self._asking.discard(name)
        self.wake.set()

    async def _attempt(self, scan: Scan) -> None:
        about = About.of(scan)
        change: Callable[[Scan], None]
        recorded, beside, outcome = None, await self.find_beside(scan), "done"
        try:
            recorded = await asyncio.to_thread(self.record, scan, beside)
        except CatalogueUnavailable as outage:
            reason, text, outcome = outage.reason, str(outage), "again"  # no fault of this file
            if not self.paused:
                self.pause(reason, text, about)
            change = lambda fresh: lifecycle.wait(fresh, self.step, reason, text, now())  # noqa: E731
        except EntryRefused as refusal:
            why, text, outcome = refusal.reason, str(refusal), "failed"
            self.context.recorder.event(about, EventReason.STEP_FAILED, f"{self.step}: {text}")
            change = lambda fresh: lifecycle.fail(fresh, self.step, why, text, now())  # noqa: E731
        else:
            self.resume(about)
            for text in recorded.differing:
                self.context.recorder.event(about, EventReason.COPY_DIFFERS, text)
            done = recorded
            change = lambda fresh: self.apply(fresh, done, scan.spec.proposal)  # noqa: E731
        self._done_asking(scan.name)
        STEPS_DONE.labels(self.beamline.name, self.step, outcome).inc()
        written = await self.context.writer.update(scan, unless_changed(scan, change))
        if recorded and written:
            self.pictures.want(written, fresh=scan.status.dataset is None, at_once=True)
        if recorded and recorded.beside and beside:
            await self._tell_beside(beside, recorded.beside)

    async def _tell_beside(self, beside: Scan, recorded: Recorded) -> None:
        """Write what became of another Scan's dataset, where that is news."""
        known = beside.condition(Step.CATALOGUED)
        if (known.reason, known.message) == (recorded.reason, recorded.message):
            return

        def change(fresh: Scan) -> None:
            if lifecycle.is_done(fresh, Step.CATALOGUED):
                lifecycle.succeed(fresh, Step.CATALOGUED, recorded.reason, recorded.message, now())

        await self.context.writer.update(beside, unless_changed(beside, change))

    @abstractmethod
    def apply(self, scan: Scan, recorded: Recorded, proposal: str | None) -> None:
        """Put the result into the status. ``proposal`` is the one that was asked for; spec may name another by now."""

    def copy_on(self, scan: Scan, endpoint: str) -> Copy:
        """The recorded copy on an endpoint.

        Raises:
            EntryRefused: there is none.
        """
        copy = scan.copy_on(endpoint)
        if copy is None:
            raise EntryRefused(f"Scan {scan.name} records no copy on {endpoint}")
        return copy

    def catalogue_copy(self, scan: Scan) -> Recorded:
        """Read the copy on disk and make sure that its dataset says what it says; blocks."""
        config = self.context.config
        disk = self.copy_on(scan, self.beamline.transfer.destination)
        described = self.describer.describe(scan, disk)
        entry = entries.dataset_entry(scan, disk, self.beamline, self.ingest, config, described.description)
        dataset = self.catalogue.ensure_dataset(entry)
        return self._outcome(dataset, described)

    def _outcome(self, dataset: DatasetRef, described: Described) -> Recorded:
        told = described.description
        parts, reason, quick_look = [f"dataset {dataset.pid}"], Reason.CATALOGUED, None
        if told is None:
            reason = Reason.HEADER_NOT_READ
            parts.append(f"its file was not read: {described.unread}")
        else:
            if told.problem:
                parts.append(f"of the file: {told.problem}")
            if named := entries.unaccepted_proposal(told, self.ingest.proposals):
                parts.append(f"{named[:40]!r} in the sidecar has not the form of a proposal and is not used")
            if not told.drawable:
                quick_look = f"{NO_PICTURE}{told.problem or 'there is no plot of such a file'}"[:256]
        parts += described.differing
        if dataset.uncorrected:
            reason = Reason.CATALOGUE_NEEDS_OWNER
            parts.insert(1, _needs_owner(dataset, Step.CATALOGUED))
        return Recorded(dataset, reason, "; ".join(parts), quick_look, described.differing)


class CataloguedLane(CatalogueLane):
    """The dataset with its file list and metadata, from the verified copy on disk.

    A sidecar is a Scan of its own. What it says is used for the scan beside it: by that Scan itself when the sidecar is
    there first, else by the sidecar's. The two never work at the same moment, so neither is missed.
    """

    def __init__(
        self,
        context: Context,
        beamline: Beamline,
        ingest: Ingest,
        catalogue: Catalogue,
        describer: Describer,
        pictures: PictureLane,
    ) -> None:
        super().__init__(context, beamline, ingest, catalogue, describer, pictures, Step.CATALOGUED)
        self._stems: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def work(self, scan: Scan) -> None:
        """One after the other for a scan and its sidecar."""
        lock = self._stems.setdefault(stem_of(scan.spec.path), asyncio.Lock())
        async with lock:
            await super().work(scan)

    async def find_beside(self, scan: Scan) -> Scan | None:
        """The catalogued Scan whose sidecar this file is."""
        for name in entries.scans_beside(scan, self.beamline):
            try:
                beside = await self.read(name)
            except NotFound:
                continue
            if lifecycle.is_done(beside, Step.CATALOGUED) and not lifecycle.content_changed(beside):
                return beside
        return None

    def record(self, scan: Scan, beside: Scan | None) -> Recorded:
        """Make sure that the dataset is there, and that the scan beside a sidecar knows what it says."""
        recorded = self.catalogue_copy(scan)
        told_beside = None
        if beside is not None:
            try:
                told_beside = self.catalogue_copy(beside)
            except EntryRefused as refusal:  # the sidecar itself is catalogued; the other Scan's retry will tell more
                log.warning("Scan %s is not told what its sidecar says: %s", beside.name, refusal)
        killpoints.reach("dataset-written")
        return Recorded(
            recorded.dataset,
            recorded.reason,
            recorded.message,
            recorded.quick_look,
            recorded.differing,
            told_beside,
        )

    def apply(self, scan: Scan, recorded: Recorded, proposal: str | None) -> None:
        """The step is done. The picture is looked after again."""
        dataset = recorded.dataset
        scan.status.dataset = Dataset(
            pid=dataset.pid, url=dataset.url, proposal=proposal, quick_look=recorded.quick_look
        )
        lifecycle.succeed(scan, self.step, recorded.reason, recorded.message, now())


class IngestedLane(CatalogueLane):
    """The tape path beside the disk path: afterwards the catalogue knows every path that the configuration produces."""

    def __init__(
        self,
        context: Context,
        beamline: Beamline,
        ingest: Ingest,
        catalogue: Catalogue,
        describer: Describer,
        pictures: PictureLane,
    ) -> None:
        super().__init__(context, beamline, ingest, catalogue, describer, pictures, Step.INGESTED)

    def record(self, scan: Scan, beside: Scan | None) -> Recorded:  # noqa: ARG002 - nothing is told beside
        """Make sure that the tape copy is recorded; without an archive step that the dataset is as it should be."""
        config = self.context.config
        disk = self.copy_on(scan, self.beamline.transfer.destination)
        entry = entries.dataset_entry(scan, disk, self.beamline, self.ingest, config, None)
        if self.beamline.archive is None:
            return self._recorded(self.catalogue.ensure_dataset(entry))
        tape = self.copy_on(scan, self.beamline.archive.destination)
        archive = entries.archive_entry(scan, disk, tape, config)
        try:
            dataset = self.catalogue.ensure_archived(entry, archive)
        except DatasetGone as gone:
            log.warning("Scan %s: %s: it is made again", scan.name, gone, extra={"scan": scan.name})
            self.catalogue_copy(scan)
            try:
                dataset = self.catalogue.ensure_archived(entry, archive)
            except DatasetGone as error:
                raise CatalogueUnavailable(f"{error}, although it has just been made", pid=error.pid) from error
        killpoints.reach("archive-recorded")
        return self._recorded(dataset)

    def _recorded(self, dataset: DatasetRef) -> Recorded:
        if not dataset.uncorrected:
            return Recorded(dataset, Reason.RECORDED, f"dataset {dataset.pid}")
        return Recorded(
            dataset, Reason.CATALOGUE_NEEDS_OWNER, f"dataset {dataset.pid}; {_needs_owner(dataset, self.step)}"
        )

    def apply(self, scan: Scan, recorded: Recorded, proposal: str | None) -> None:  # noqa: ARG002 - asked for earlier
        """The step is done; what became of the picture meanwhile is written along."""
        before, dataset = scan.status.dataset, recorded.dataset
        scan.status.dataset = Dataset(
            pid=dataset.pid,
            url=dataset.url,
            proposal=before.proposal if before else None,
            quick_look=(before.quick_look if before else None) or self.pictures.settled(scan),
        )
        lifecycle.succeed(scan, self.step, recorded.reason, recorded.message, now())


def _needs_owner(dataset: DatasetRef, step: Step) -> str:
    return (
        f"our account may not correct: {'; '.join(dataset.uncorrected)}. Have an owner or admin do it, or give the "
        f"account the right and annotate with retry={step}@<anything new>"
    )
