"""The lane of one hop of one beamline: makes Transfers, has a mover carry them, tells every Scan what became of it.

The order of reads when planning makes two planners safe: first the highest number, then the unfinished Transfers, then
the Scans. Whoever planned in between has claimed the next number (409: plan again), is seen unfinished, or its Scans
are done.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from dichroism_crds.client import AlreadyExists, ApiError
from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.kinds import Bundle, Metadata, Scan, Step, Transfer, TransferPhase, TransferSpec
from dichroism_crds.names import ANNOTATION_CLOSED, LABEL_BEAMLINE, LABEL_LANE, lane_name, number_of, transfer_name
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import killpoints, planning, transferstatus
from dichroism_operator.board import Card
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.lanes.adoption import TapeAdoption
from dichroism_operator.lanes.base import Context, StepLane
from dichroism_operator.lanes.closing import Closing
from dichroism_operator.lanes.recorded import RecordedCopies
from dichroism_operator.lanes.tape_records import TapeRecords
from dichroism_operator.lanes.telling import Running, Telling
from dichroism_operator.metrics import BYTES_COPIED, TRANSFERS_RUNNING
from dichroism_operator.movers.base import Item, Mover, Progress, Task, TaskState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.slots import PER_LANE, Slots
from dichroism_operator.recorder import About

POLL_S = 0.1
ACTIVE_AFTER_S = 2.0
"""A Transfer that is done sooner never shows Active: one write less."""
MOST_RUNNING = 2 * PER_LANE
"""Transfers of a lane, those included whose tasks have ended and whose Scans are being told."""
REFUSED_FREELY = 2
"""Tasks in a row: more than a bad file and its half of the batch make, so it is not the files. The lane slows down."""
STRAYS_AGAIN_S = 5.0
"""A running task whose Transfer is gone is looked for again after this."""
FAILED = f"status.phase={TransferPhase.FAILED}"
PLAN_AT_ONCE = frozenset({Reason.RESULTS_LOST, Reason.TASK_EXPIRED})
"""Ends of a task that say nothing against starting the next one now."""

log = logging.getLogger(__name__)


class TransferLane(StepLane):
    """Both hops: disk to disk, and to tape when the beamline's archive is given as ``bundle``."""

    idle_s = 1.0
    """Nothing wakes the lane when a bundle's age or a file's back-off is reached, and a look at the board is cheap."""

    def __init__(
        self,
        context: Context,
        beamline: Beamline,
        step: Step,
        source: Endpoint,
        destination: Endpoint,
        mover: Mover,
        slots: Slots,
        catalogue: Catalogue | None = None,
    ) -> None:
        """``catalogue`` is asked what is on tape already; None: only the manifests are."""
        self.label = lane_name(beamline.name, source.name, destination.name)
        super().__init__(self.label, context, beamline, step)
        self.source = source
        self.destination = destination
        self.mover = mover
        self.slots = slots
        self.bundle = beamline.archive.bundle if step == Step.ARCHIVED and beamline.archive else None
        self.recorded = RecordedCopies(self, destination, mover) if self.bundle else None
        self.adoption = (
            TapeAdoption(self, destination, mover, TapeRecords(beamline, source, destination, catalogue))
            if self.bundle
            else None
        )
        self.closing = Closing(context, beamline, self.bundle) if self.bundle else None
        self.telling = Telling(context, step, to_tape=self.bundle is not None)
        self.running: dict[str, Running] = {}
        self._adopted = False
        self._refused = 0
        self._strays = True
        self._strays_again = 0.0

    def in_flight(self, name: str) -> bool:
        """Whether a Scan stands in a Transfer that this process works on."""
        return any(name in one.scans for one in self.running.values())

    async def turn(self) -> float:
        """Adopt what an earlier process left, poll what runs, plan what waits."""
        if not self._adopted:
            await self._adopt_all(await self._unfinished())
            self._adopted = True
        if self.paused:
            return max(0.05, self.paused_until - time.monotonic())
        try:
            await self._start_and_poll()
            if self.recorded:
                await self.recorded.verify(self.candidates())
            await self._plan()
        except MoverUnavailable as outage:
            about = next((one.transfer for one in self.running.values()), None) or await self._a_waiting_scan()
            self.pause(outage.reason, str(outage), about)
            await self._show_outage(outage)
        TRANSFERS_RUNNING.labels(self.label).set(len(self.running))
        return POLL_S if self.running else self.idle_s

    async def _unfinished(self) -> list[Transfer]:
        label = f"{LABEL_LANE}={self.label}"
        listed = self.context.api.list(Transfer, field_selector=transferstatus.UNFINISHED, label_selector=label)
        return [transfer async for transfer in listed]

    async def _failed(self) -> list[Transfer]:
        label = f"{LABEL_LANE}={self.label}"
        return [one async for one in self.context.api.list(Transfer, field_selector=FAILED, label_selector=label)]

    async def _adopt_all(self, strange: Sequence[Transfer]) -> None:
        """Take over what an earlier process left, or another one makes; its task may have been started."""
        failed = await self._failed() if strange else []
        for transfer in strange:
            self.context.show(transfer)
            self.running[transfer.name] = Running(transfer, await self._task(transfer, failed), tried=True)

    async def _task(self, transfer: Transfer, failed: Sequence[Transfer], scans: Sequence[Scan] | None = None) -> Task:
        """The mover's task for a Transfer; to tape, each item carries the checksum of record from its Scan.

        ``scans`` are its Scans, where they were read a moment ago.
        """
        recorded: dict[str, str | None] = {}
        if self.bundle:
            if scans is None:
                scans = await self.read_scans([item.scan for item in transfer.spec.items])
            recorded = {scan.name: copy.sha256 for scan in scans if (copy := scan.copy_on(self.source.name))}
        ours = planning.own_contents(failed)
        spec = transfer.spec
        installation = await self.context.api.namespace_uid()
        return Task(
            submission_id=spec.submission_id,
            label=planning.task_label(installation, transfer.name, spec.submission_id),
            source=self.source,
            destination=self.destination,
            items=tuple(
                Item(
                    one.path,
                    one.size,
                    one.modified_at,
                    recorded.get(one.scan),
                    own_partial=(one.path, one.size, one.modified_at) in ours,
                )
                for one in spec.items
            ),
            bundle=spec.bundle.path if spec.bundle else None,
            created_at=transfer.metadata.creation_timestamp,
        )

    @property
    def _active(self) -> list[Running]:
        """Transfers whose tasks have not ended."""
        return [one for one in self.running.values() if one.finishing is None]

    async def _start_and_poll(self) -> None:
        for one in self._active:
            if not one.asked:
                await self._start(one)
        active = {one.task.submission_id: one for one in self._active}
        self.slots.note(self.label, len(active))
        if not active:
            return
        polled = await asyncio.to_thread(self.mover.poll, list(active))
        outages = [await self._look(active[key], progress) for key, progress in polled.items()]
        self.slots.note(self.label, len(self._active))
        if outage := next((one for one in outages if one), None):
            raise outage

    async def _start(self, one: Running) -> None:
        one.task = replace(one.task, resumed=one.tried)
        one.tried = True
        try:
            one.task_id = await asyncio.to_thread(self.mover.start, one.task)
        except MoverUnavailable:
            raise
        except Exception as error:
            # A Transfer that the mover cannot even begin must not stop the lane's others.
            log.exception("%s cannot be started", one.transfer.name, extra={"transfer": one.transfer.name})
            self._finish_later(one, Progress(TaskState.FAILED, message=f"cannot be started: {error}"))
            if outage := self._refused_again(Reason.TASK_FAILED, str(error)):
                raise outage from error
            return
        one.asked = True
        if one.task_id:
            self._refused = 0
        killpoints.reach("task-started")

    def _refused_again(self, reason: Reason, said: str) -> MoverUnavailable | None:
        """One more task was refused; after some in a row the lane pauses rather than try file by file at full speed."""
        self._refused += 1
        if self._refused <= REFUSED_FREELY:
            return None
        return MoverUnavailable(reason, f"{self._refused} tasks in a row were refused, the last one with: {said}")

    async def _look(self, one: Running, progress: Progress) -> MoverUnavailable | None:
        """Act on the state of one task; an outage that it shows is returned, to pause the lane after all were seen."""
        outage = MoverUnavailable(progress.reason, progress.message) if progress.reason else None
        if progress.state == TaskState.LOST:
            one.asked = False
        elif progress.state == TaskState.FAILED and outage and not progress.over:
            # The outside system's trouble: the same task is started again after the pause.
            one.asked = False
            await asyncio.to_thread(self.mover.forget, one.task.submission_id)
            return outage
        elif progress.state == TaskState.ACTIVE:
            if time.monotonic() - one.started > ACTIVE_AFTER_S:
                await self.telling.write(one, transferstatus.active(one.transfer, progress, one.task_id, now()))
            if outage is None and self.pauses_in_a_row:
                self.resume(one.transfer)
            return outage
        else:
            if outage is None:
                self.resume(one.transfer)
            self._finish_later(one, progress)
            if progress.reason == Reason.SUBMISSION_EXPIRED:
                return self._refused_again(progress.reason, progress.message)
            return None if progress.reason in PLAN_AT_ONCE else outage
        return None

    def _finish_later(self, one: Running, progress: Progress) -> None:
        one.finishing = asyncio.create_task(self._finish(one, progress), name=f"finish {one.transfer.name}")

    async def _finish(self, one: Running, progress: Progress) -> None:
        """Scans first, the Transfer's final phase last: a crash in between repeats the whole, with the same outcome."""
        try:
            killpoints.reach("task-done")
            verified = await self.telling.scans(one, progress, await self._seen(one))
            killpoints.reach("scans-told")
            log.info(
                "%s: %d of %d files verified",
                one.transfer.name,
                verified,
                len(one.transfer.spec.items),
                extra={"transfer": one.transfer.name, "beamline": self.beamline.name, "task": one.task_id},
            )
            await self.telling.final(one, progress)
            await asyncio.to_thread(self.mover.forget, one.task.submission_id)
            self.running.pop(one.transfer.name, None)
            BYTES_COPIED.labels(self.label).inc(progress.bytes)
        except ApiError as error:
            log.warning("%s: its results wait for the Kubernetes API: %s", one.transfer.name, error)
            one.finishing = None
            await asyncio.sleep(1)
        except Exception:
            log.exception("%s: its results could not be recorded, it is polled again", one.transfer.name)
            one.finishing = None
            await asyncio.sleep(1)
        finally:
            self.wake.set()

    async def _seen(self, one: Running) -> dict[str, Scan]:
        """The Scans of a large Transfer as they are now; the writer reads for itself what is not in here."""
        try:
            return await self.listed(one.scans)
        except ApiError as error:
            log.info("%s: its Scans are read one by one: %s", one.transfer.name, error)
            return {}

    async def _show_outage(self, outage: MoverUnavailable) -> None:
        for one in list(self.running.values()):
            if one.finishing is None:
                await self.telling.write(one, transferstatus.outage(one.transfer, outage.reason, str(outage), now()))

    async def _a_waiting_scan(self) -> About | None:
        card = next(iter(self.context.board.waiting(self.beamline.name, self.step)), None)
        return About(Scan.kind, card.name, card.uid) if card else None

    # planning

    async def _plan(self) -> None:
        """Make the next Transfer when one is due and a slot is free."""
        cards = self._waiting()
        closed = await self.closing.why(cards) if self.closing else None
        if not cards or not (closed if self.closing else self._due(cards)):
            self.slots.withdraw(self.label)
            return
        if len(self.running) >= MOST_RUNNING or not self.slots.may_start(self.label):
            return
        number = await self._highest_number() + 1
        ours = set(self.running)
        unfinished = await self._unfinished()
        if await self._has_strays(unfinished):
            return
        # Ours may have ended since the LIST: they must not be begun again.
        await self._adopt_all([transfer for transfer in unfinished if transfer.name not in ours])
        taken = {item.scan for transfer in unfinished for item in transfer.spec.items}
        chosen = [card.name for card in planning.take(cards, self._limits()) if card.name not in taken]
        scans = [scan for scan in await self.read_scans(chosen) if self.may_work(scan)]
        failed = await self._failed()
        scans = planning.halves(scans, failed)
        if scans:
            await self._create(number, scans, failed, closed)

    def _waiting(self) -> list[Card]:
        """Cards that no Transfer of ours names.

        To disk the first ones: one more than fits into the next, where there are so many. To tape all that need not be
        looked for on tape first, which is begun for the others: they tell how full the bundle is.
        """
        taken = self._taken()
        if self.recorded is None or self.adoption is None:
            return self.candidates(taken, self._limits().items + 1)
        unrecorded = [card for card in self.candidates(taken) if not self.recorded.concerns(card)]
        self.adoption.look(unrecorded)
        return [card for card in unrecorded if not self.adoption.concerns(card)]

    def _taken(self) -> set[str]:
        """Scans that stand in a Transfer which this process works on."""
        return set().union(*(one.scans for one in self.running.values()))

    async def _has_strays(self, unfinished: Sequence[Transfer]) -> bool:
        """Whether tasks run whose Transfers somebody deleted: which files they carry is not known, so all wait.

        This process follows its own tasks to their end whatever happens to the Transfers. So only those of an earlier
        process are looked for, until there is none.
        """
        if not self._strays:
            return False
        if time.monotonic() < self._strays_again:
            return True
        self._strays_again = time.monotonic() + STRAYS_AGAIN_S
        installation = await self.context.api.namespace_uid()
        running = await asyncio.to_thread(self.mover.running_labels, planning.label_prefix(installation))
        known = {planning.task_label(installation, one.name, one.spec.submission_id) for one in unfinished}
        here = planning.lane_of_label(planning.task_label(installation, f"{self.label}-000000", "-"))
        strays = [label for label in running - known if planning.lane_of_label(label) == here]
        self._strays = bool(strays)
        if strays:
            text = f"{len(strays)} tasks of deleted Transfers still run, their end is awaited"
            self.context.pauses[self.beamline.name, self.step] = f"{self.step} waits: {text}"
            log.warning("lane %s: %s: %s", self.name, text, ", ".join(strays[:5]), extra={"lane": self.name})
        else:
            self.context.pauses.pop((self.beamline.name, self.step), None)
        return self._strays

    def _limits(self) -> planning.Limits:
        return planning.tape_limits(self.bundle) if self.bundle else planning.DISK_LIMITS

    def _due(self, cards: Sequence[Card]) -> bool:
        """To disk at once when the lane is idle, else after 10 s of filling."""
        full = len(planning.take(cards, self._limits())) < len(cards)
        oldest = min(card.since for card in cards)
        return not self.running or full or now() - oldest >= planning.SETTLE

    async def _highest_number(self) -> int:
        names = self.context.api.list_metadata(Transfer, label_selector=f"{LABEL_LANE}={self.label}")
        return max([number_of(one.name) async for one in names], default=0)

    async def _create(self, number: int, scans: Sequence[Scan], failed: Sequence[Transfer], closed: str | None) -> None:
        """Create the Transfer, which claims its Scans; only then is the mover asked."""
        items = planning.fitting(planning.items_of(scans), self._limits())
        key = await asyncio.to_thread(self.mover.new_submission_id)
        killpoints.reach("submission-id-fetched")
        bundle = None
        if self.bundle:
            digest = planning.plan_sha256(items)
            bundle = Bundle(path=planning.bundle_path(self.beamline.name, items, digest, key), plan_sha256=digest)
        wanted = Transfer(
            metadata=Metadata(
                name=transfer_name(self.beamline.name, self.source.name, self.destination.name, number),
                labels={LABEL_LANE: self.label, LABEL_BEAMLINE: self.beamline.name},
                annotations={ANNOTATION_CLOSED: closed} if closed else {},
            ),
            spec=TransferSpec(
                beamline=self.beamline.name,
                source=self.source.name,
                destination=self.destination.name,
                submission_id=key,
                bundle=bundle,
                items=items,
            ),
        )
        try:
            made = await self.context.api.create(wanted)
        except AlreadyExists:
            log.info("%s was claimed by another planner, planning again", wanted.name, extra={"transfer": wanted.name})
            self.wake.set()
            return
        if made.spec != wanted.spec:
            raise RuntimeError(f"{made.name}: the API server did not keep the spec as it was sent; are the CRDs older?")
        killpoints.reach("transfer-created")
        size = sum(item.size for item in items)
        log.info(
            "%s: %d files, %d bytes%s",
            made.name,
            len(items),
            size,
            f", bundle closed by {closed}" if closed else "",
            extra={"transfer": made.name, "beamline": self.beamline.name},
        )
        self.context.show(made)
        self.running[made.name] = Running(made, await self._task(made, failed, scans))
        self.slots.note(self.label, len(self._active))
        self.wake.set()
