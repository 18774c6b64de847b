"""What became of a Transfer, written where it belongs: its Scans first, its own final phase last.

A crash in between repeats the whole, with the same outcome. When a task is started and how it is polled is decided in
``transfer``.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from dichroism_crds.client import Conflict, NotFound
from dichroism_crds.kinds import (
    Checksum,
    ConditionStatus,
    Copy,
    Scan,
    ScanPhase,
    Step,
    Transfer,
    TransferItem,
    TransferStatus,
)
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now, same_time
from dichroism_operator import killpoints, lifecycle, transferstatus
from dichroism_operator.lanes.base import Context
from dichroism_operator.metrics import STEPS_DONE
from dichroism_operator.movers.base import Item, ItemResult, Progress, Task, TaskState
from dichroism_operator.recorder import About

AWAITS_THE_WATCHER = frozenset({Reason.SOURCE_CHANGED})
"""The file is being written again; its new content will be told, and goes at once then."""
PLANNED_AGAIN = frozenset({Reason.RESULTS_LOST})
"""Nothing is wrong with the file, it is just not known to be copied."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """A Transfer that this process works on."""

    transfer: Transfer
    task: Task
    started: float = field(default_factory=time.monotonic)
    asked: bool = False
    """Whether the mover has the task, as far as this process knows."""
    tried: bool = False
    """Whether the mover was asked to start it, successfully or not."""
    task_id: str | None = None
    finishing: asyncio.Task[None] | None = None
    deleted: bool = False
    """Somebody deleted the Transfer; its task is followed to the end all the same."""
    scans: frozenset[str] = field(init=False)
    """Names of its Scans."""

    def __post_init__(self) -> None:
        self.scans = frozenset(item.scan for item in self.transfer.spec.items)


class Telling:
    """Writes the results of one lane."""

    def __init__(self, context: Context, step: Step, *, to_tape: bool) -> None:
        self._context = context
        self._step = step
        self._to_tape = to_tape

    async def scans(self, one: Running, progress: Progress, seen: Mapping[str, Scan]) -> int:
        """Tell every Scan what became of its file; how many were told of a verified copy.

        ``seen`` has Scans that were read a moment ago, by name.
        """
        results = {result.path: result for result in progress.results}
        again = {result.path for result in progress.results if result.reason in PLANNED_AGAIN}
        if progress.state == TaskState.FAILED:
            # What an outage ended is nobody's fault; what failed for no known reason is looked for in halves.
            unreached = [item.path for item in one.transfer.spec.items if item.path not in results]
            reason = progress.reason or Reason.TASK_FAILED
            results |= {path: ItemResult(path, reason, progress.message) for path in unreached}
            again |= set(unreached) if progress.reason else set()
        asked = {item.path: item for item in one.task.items}
        told: list[bool] = await asyncio.gather(
            *(
                self._tell(one, item, asked[item.path], results[item.path], seen.get(item.scan), item.path in again)
                for item in one.transfer.spec.items
                if item.path in results
            )
        )
        return sum(told)

    async def _tell(
        self, one: Running, item: TransferItem, asked: Item, result: ItemResult, seen: Scan | None, again: bool
    ) -> bool:
        """Write one file's result into its Scan, only while uid and content still match."""
        copy = self._copy(one.transfer, item, result)
        moment = now()

        def change(scan: Scan) -> bool:
            if scan.spec.size != item.size or not same_time(scan.spec.modified_at, item.modified_at):
                return False
            if lifecycle.content_changed(scan) or scan.status.phase == ScanPhase.REFUSED:
                return False
            if copy:
                reason = self._how(scan, one.task, asked, result)
                lifecycle.add_copy(scan, copy)
                lifecycle.succeed(scan, self._step, reason, f"on {copy.endpoint}", moment)
            elif again:
                lifecycle.wait(scan, self._step, result.reason, result.message, moment)
            elif result.reason in AWAITS_THE_WATCHER:
                lifecycle.put_off(scan, self._step, result.reason, result.message, moment)
            else:
                # In company it is not known whose fault it is, and the next Transfer has half of the items.
                blame = result.reason != Reason.TASK_FAILED or len(one.transfer.spec.items) == 1
                counts = blame and not self._told_before(one, scan, result)
                lifecycle.fail(scan, self._step, result.reason, result.message, moment, counts=counts)
            return True

        told = await self._context.writer.submit(item.scan, item.uid, change, seen)
        outcome = "done" if copy else "again" if again else "failed"
        STEPS_DONE.labels(one.transfer.spec.beamline, self._step, outcome).inc()
        if copy is None and not again:
            reason = EventReason.MEMBER_LEFT_OUT if self._to_tape else EventReason.STEP_FAILED
            about = About(Scan.kind, item.scan, item.uid)
            self._context.recorder.event(about, reason, f"{self._step}: {result.reason}: {result.message}")
        return told is not None and copy is not None

    def _told_before(self, one: Running, scan: Scan, result: ItemResult) -> bool:
        """Whether a process that died before it could close the Transfer has told this very failure."""
        known, created = scan.condition(self._step), one.transfer.metadata.creation_timestamp
        if not one.task.resumed or known.last_transition_time is None or created is None:
            return False
        same = (known.status, known.reason, known.message) == (ConditionStatus.FALSE, result.reason, result.message)
        return same and known.last_transition_time >= created

    def _how(self, scan: Scan, task: Task, asked: Item, result: ItemResult) -> Reason:
        """Whether a file that was right before was put there by us or by somebody before us."""
        ours = self._to_tape or task.resumed or asked.own_partial or scan.copy_on(task.destination.name) is not None
        return Reason.ADOPTED if result.reason == Reason.ALREADY_THERE and not ours else result.reason

    def _copy(self, transfer: Transfer, item: TransferItem, result: ItemResult) -> Copy | None:
        """The verified copy as the Scan records it; None when there is none."""
        if not result.verified:
            return None
        bundle = transfer.spec.bundle
        return Copy(
            endpoint=transfer.spec.destination,
            path=bundle.path if bundle else item.path,
            member=item.path if bundle else None,
            size=item.size,
            checksum=Checksum(value=result.sha256) if result.sha256 else None,
            verified_at=now(),
            transfer=transfer.name,
        )

    async def final(self, one: Running, progress: Progress) -> None:
        """Write the Transfer's final phase: every Scan was told."""
        await self.write(one, transferstatus.final(one.transfer, progress, one.task_id, now()))
        killpoints.reach("transfer-closed")

    async def write(self, one: Running, status: TransferStatus) -> None:
        """Write a Transfer's status; one that somebody deleted meanwhile is let go."""
        if status == one.transfer.status or one.deleted:
            return
        wanted = one.transfer.model_copy(update={"status": status})
        try:
            try:
                one.transfer = await self._context.api.replace_status(wanted)
            except Conflict:
                fresh = await self._context.api.get(Transfer, one.transfer.name)
                one.transfer = await self._context.api.replace_status(fresh.model_copy(update={"status": status}))
        except NotFound:
            one.deleted = True
            log.warning("%s was deleted while it ran", one.transfer.name, extra={"transfer": one.transfer.name})
        self._context.show(one.transfer)
