"""The lane of one hop of one beamline: makes Transfers, has a mover carry them, tells every Scan what became of it.

The order of reads when planning makes two planners safe: first the highest number, then the unfinished Transfers, then
the Scans. Whoever planned in between has claimed the next number (409: plan again), is seen unfinished, or its Scans
are done.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dichroism_crds.client import AlreadyExists, Conflict, NotFound
from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.kinds import (
    Bundle,
    Checksum,
    Copy,
    Metadata,
    Scan,
    ScanPhase,
    Step,
    Transfer,
    TransferItem,
    TransferPhase,
    TransferSpec,
    TransferStatus,
)
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_LANE, lane_name, number_of, transfer_name
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now, same_time
from dichroism_operator import killpoints, lifecycle, planning, transferstatus
from dichroism_operator.board import Card
from dichroism_operator.lanes.base import Context, StepLane, read_scans
from dichroism_operator.lanes.recorded import RecordedCopies
from dichroism_operator.metrics import BYTES_COPIED, STEPS_DONE, TRANSFERS_RUNNING
from dichroism_operator.movers.base import Item, ItemResult, Mover, Progress, Task, TaskState
from dichroism_operator.movers.choice import TASKS_PER_HOP
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.recorder import About

POLL_S = 0.1
ACTIVE_AFTER_S = 2.0
"""A Transfer that is done sooner never shows Active: one write less."""
UNFINISHED = f"status.phase!={TransferPhase.SUCCEEDED},status.phase!={TransferPhase.FAILED}"
ITEM_TROUBLE_WITHOUT_BLAME = frozenset({Reason.SOURCE_CHANGED})
"""The file is being written again; the watcher will tell its new content."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """A Transfer that this process works on."""

    transfer: Transfer
    task: Task
    started: float = field(default_factory=time.monotonic)
    asked: bool = False
    """Whether the mover was asked to start the task in this process."""
    finishing: asyncio.Task[None] | None = None


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
        slots: int = TASKS_PER_HOP,
    ) -> None:
        self.label = lane_name(beamline.name, source.name, destination.name)
        super().__init__(self.label, context, beamline, step)
        self.source = source
        self.destination = destination
        self.mover = mover
        self.slots = slots
        self.bundle = beamline.archive.bundle if step == Step.ARCHIVED and beamline.archive else None
        self.recorded = RecordedCopies(self, destination, mover) if self.bundle else None
        self.running: dict[str, Running] = {}
        self._adopted = False

    def in_flight(self, name: str) -> bool:
        """Whether a Scan stands in a Transfer that this process works on."""
        return any(item.scan == name for one in self.running.values() for item in one.transfer.spec.items)

    async def turn(self) -> float:
        """Adopt what an earlier process left, poll what runs, plan what waits."""
        if not self._adopted:
            for transfer in await self._unfinished():
                await self._adopt(transfer)
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
        listed = self.context.api.list(Transfer, field_selector=UNFINISHED, label_selector=f"{LABEL_LANE}={self.label}")
        return [transfer async for transfer in listed]

    async def _adopt(self, transfer: Transfer) -> None:
        if transfer.name not in self.running:
            self._mirror(transfer)
            self.running[transfer.name] = Running(transfer, await self._task(transfer))

    async def _task(self, transfer: Transfer) -> Task:
        """The mover's task for a Transfer; to tape, each item carries the checksum of record from its Scan."""
        recorded: dict[str, str] = {}
        if self.bundle:
            scans = await read_scans(self.context, [item.scan for item in transfer.spec.items])
            recorded = {scan.name: copy.checksum.value for scan in scans if (copy := scan.copy_on(self.source.name))}
        return Task(
            submission_id=transfer.spec.submission_id,
            label=transfer.name,
            source=self.source,
            destination=self.destination,
            items=tuple(
                Item(one.path, one.size, one.modified_at, recorded.get(one.scan)) for one in transfer.spec.items
            ),
            bundle=transfer.spec.bundle.path if transfer.spec.bundle else None,
        )

    async def _start_and_poll(self) -> None:
        active = {one.task.submission_id: one for one in self.running.values() if one.finishing is None}
        for one in active.values():
            if not one.asked:
                await self._start(one)
        if not active:
            return
        for key, progress in (await asyncio.to_thread(self.mover.poll, list(active))).items():
            await self._look(active[key], progress)

    async def _start(self, one: Running) -> None:
        try:
            await asyncio.to_thread(self.mover.start, one.task)
        except MoverUnavailable:
            raise
        except Exception as error:
            # A Transfer that the mover cannot even begin must not stop the lane's others.
            log.exception("%s cannot be started", one.transfer.name, extra={"transfer": one.transfer.name})
            await self._look(one, Progress(TaskState.FAILED, message=f"cannot be started: {error}"))
            return
        one.asked = True
        killpoints.reach("task-started")

    async def _look(self, one: Running, progress: Progress) -> None:
        if progress.state == TaskState.LOST:
            one.asked = False
        elif progress.state == TaskState.FAILED and progress.reason:
            # The outside system's trouble: the same task is started again after the pause.
            one.asked = False
            await asyncio.to_thread(self.mover.forget, one.task.submission_id)
            raise MoverUnavailable(progress.reason, progress.message)
        elif progress.state == TaskState.ACTIVE:
            if time.monotonic() - one.started > ACTIVE_AFTER_S:
                await self._write(one, transferstatus.active(one.transfer, progress, now()))
        else:
            self.resume(one.transfer)
            one.finishing = asyncio.create_task(self._finish(one, progress), name=f"finish {one.transfer.name}")

    async def _finish(self, one: Running, progress: Progress) -> None:
        """Scans first, the Transfer's final phase last: a crash in between repeats the whole, with the same outcome."""
        try:
            killpoints.reach("task-done")
            results = {result.path: result for result in progress.results}
            if progress.state == TaskState.FAILED:
                for item in one.transfer.spec.items:
                    results.setdefault(item.path, ItemResult(item.path, Reason.TASK_FAILED, progress.message))
            applied = await asyncio.gather(
                *(self._tell(one, item, results[item.path]) for item in one.transfer.spec.items if item.path in results)
            )
            killpoints.reach("scans-told")
            log.info(
                "%s: %d of %d files verified",
                one.transfer.name,
                sum(applied),
                len(one.transfer.spec.items),
                extra={"transfer": one.transfer.name, "beamline": self.beamline.name},
            )
            await self._write(one, transferstatus.final(one.transfer, progress, now()))
            killpoints.reach("transfer-closed")
            await asyncio.to_thread(self.mover.forget, one.task.submission_id)
            self.running.pop(one.transfer.name, None)
            BYTES_COPIED.labels(self.label).inc(progress.bytes)
        except Exception:
            log.exception("%s: its results could not be recorded, it is polled again", one.transfer.name)
            one.finishing = None
            await asyncio.sleep(1)
        finally:
            self.wake.set()

    async def _tell(self, one: Running, item: TransferItem, result: ItemResult) -> bool:
        """Write one file's result into its Scan, only while uid and content still match."""
        copy = self._copy(one.transfer, item, result)
        moment = now()

        def change(scan: Scan) -> bool:
            if scan.spec.size != item.size or not same_time(scan.spec.modified_at, item.modified_at):
                return False
            if lifecycle.content_changed(scan) or scan.status.phase == ScanPhase.REFUSED:
                return False
            if copy:
                lifecycle.add_copy(scan, copy)
                lifecycle.succeed(scan, self.step, result.reason, f"on {copy.endpoint}", moment)
            else:
                blame = result.reason not in ITEM_TROUBLE_WITHOUT_BLAME
                if result.reason == Reason.TASK_FAILED:
                    blame = len(one.transfer.spec.items) == 1  # in company, the next Transfer has half of the items
                lifecycle.fail(scan, self.step, result.reason, result.message, moment, counts=blame)
            return True

        told = await self.context.writer.submit(item.scan, item.uid, change)
        STEPS_DONE.labels(self.beamline.name, self.step, "done" if copy else "failed").inc()
        if copy is None:
            reason = EventReason.MEMBER_LEFT_OUT if self.bundle else EventReason.STEP_FAILED
            about = About(Scan.kind, item.scan, item.uid)
            self.context.recorder.event(about, reason, f"{self.step}: {result.reason}: {result.message}")
        return told and copy is not None

    def _copy(self, transfer: Transfer, item: TransferItem, result: ItemResult) -> Copy | None:
        """The verified copy as the Scan records it; None when there is none."""
        if result.sha256 is None:
            return None
        bundle = transfer.spec.bundle
        return Copy(
            endpoint=self.destination.name,
            path=bundle.path if bundle else item.path,
            member=item.path if bundle else None,
            size=item.size,
            checksum=Checksum(value=result.sha256),
            verified_at=now(),
            transfer=transfer.name,
        )

    async def _write(self, one: Running, status: TransferStatus) -> None:
        """Write a Transfer's status; one that somebody deleted meanwhile is let go."""
        if status == one.transfer.status:
            return
        wanted = one.transfer.model_copy(update={"status": status})
        try:
            one.transfer = await self.context.api.replace_status(wanted)
        except Conflict:
            fresh = await self.context.api.get(Transfer, one.transfer.name)
            one.transfer = await self.context.api.replace_status(fresh.model_copy(update={"status": status}))
        except NotFound:
            log.warning("%s was deleted while it ran", one.transfer.name, extra={"transfer": one.transfer.name})
        self._mirror(one.transfer)

    def _mirror(self, transfer: Transfer) -> None:
        if self.context.feed:
            self.context.feed.observe_transfer(transfer)

    async def _show_outage(self, outage: MoverUnavailable) -> None:
        for one in list(self.running.values()):
            if one.finishing is None:
                await self._write(one, transferstatus.outage(one.transfer, outage.reason, str(outage), now()))

    async def _a_waiting_scan(self) -> About | None:
        card = next(iter(self.context.board.waiting(self.beamline.name, self.step)), None)
        return About(Scan.kind, card.name, card.uid) if card else None

    # planning

    async def _plan(self) -> None:
        """Make the next Transfer when one is due and a slot is free."""
        taken = {item.scan for one in self.running.values() for item in one.transfer.spec.items}
        cards = [card for card in self.candidates(taken) if not (self.recorded and self.recorded.concerns(card))]
        if not cards or len(self.running) >= self.slots or not self._due(cards):
            return
        number = await self._highest_number() + 1
        ours = set(self.running)
        unfinished = await self._unfinished()
        for transfer in unfinished:
            if transfer.name not in ours:  # ours may have ended since the LIST: it must not be begun again
                await self._adopt(transfer)
        taken = {item.scan for transfer in unfinished for item in transfer.spec.items}
        chosen = [card.name for card in planning.take(cards, self._limits()) if card.name not in taken]
        scans = [scan for scan in await read_scans(self.context, chosen) if self.may_work(scan)]
        failed = self.context.api.list(
            Transfer,
            field_selector=f"status.phase={TransferPhase.FAILED}",
            label_selector=f"{LABEL_LANE}={self.label}",
        )
        scans = planning.halves(scans, [transfer async for transfer in failed])
        if scans:
            await self._create(number, scans)

    def _limits(self) -> planning.Limits:
        return planning.tape_limits(self.bundle) if self.bundle else planning.DISK_LIMITS

    def _due(self, cards: Sequence[Card]) -> bool:
        """To tape at a bundle's first limit; to disk at once when the lane is idle, else after 10 s of filling."""
        if self.bundle:
            return planning.bundle_due(cards, self.bundle, now())
        full = len(planning.take(cards, self._limits())) < len(cards)
        oldest = min(card.since for card in cards)
        return not self.running or full or now() - oldest >= planning.SETTLE

    async def _highest_number(self) -> int:
        names = self.context.api.list_metadata(Transfer, label_selector=f"{LABEL_LANE}={self.label}")
        return max([number_of(one.name) async for one in names], default=0)

    async def _create(self, number: int, scans: Sequence[Scan]) -> None:
        """Create the Transfer, which claims its Scans; only then is the mover asked."""
        items = planning.fitting(planning.items_of(scans), self._limits())
        key = await asyncio.to_thread(self.mover.new_submission_id)
        bundle = None
        if self.bundle:
            digest = planning.plan_sha256(items)
            bundle = Bundle(path=planning.bundle_path(self.beamline.name, items, digest, key), plan_sha256=digest)
        wanted = Transfer(
            metadata=Metadata(
                name=transfer_name(self.beamline.name, self.source.name, self.destination.name, number),
                labels={LABEL_LANE: self.label, LABEL_BEAMLINE: self.beamline.name},
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
            "%s: %d files, %d bytes",
            made.name,
            len(items),
            size,
            extra={"transfer": made.name, "beamline": self.beamline.name},
        )
        self._mirror(made)
        self.running[made.name] = Running(made, await self._task(made))
        self.wake.set()
