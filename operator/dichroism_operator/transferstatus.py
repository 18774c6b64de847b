"""Status of a Transfer as pure functions of what the mover reports."""

from collections.abc import Iterable
from datetime import datetime

from dichroism_crds.kinds import (
    MAX_FAILED_SHOWN,
    Condition,
    ConditionStatus,
    FailedItem,
    Transfer,
    TransferPhase,
    TransferStatus,
    find_condition,
)
from dichroism_crds.reasons import Reason
from dichroism_crds.schema_size import MAX_STATUS_BYTES, stored_bytes
from dichroism_operator import wording
from dichroism_operator.movers.base import ItemResult, Progress, TaskState

SUCCEEDED = "Succeeded"
PROGRESSING = "Progressing"
UNFINISHED = f"status.phase!={TransferPhase.SUCCEEDED},status.phase!={TransferPhase.FAILED}"
"""Field selector of Transfers that have not ended."""
OTHER_STATUS_BYTES = 64 * 1024
"""Room for everything in a status but its list of failed files."""


def active(transfer: Transfer, progress: Progress, task_id: str | None, now: datetime) -> TransferStatus:
    """The task runs; bytes and files are what the mover counted so far."""
    old = transfer.status
    return old.model_copy(
        update={
            "phase": TransferPhase.ACTIVE,
            "task_id": task_id or old.task_id,
            "started_at": old.started_at or now,
            "files": progress.files,
            "bytes": progress.bytes,
            "faults": progress.faults,
            "message": progress.message[:1024],
            "conditions": _conditions(transfer, PROGRESSING, ConditionStatus.TRUE, Reason.IN_PROGRESS, "", now),
        }
    )


def outage(transfer: Transfer, reason: Reason, message: str, now: datetime) -> TransferStatus:
    """The outside system is in trouble: the Transfer stays unfinished and says why."""
    shown = f"{reason}: {message}"[:1024]
    conditions = _conditions(transfer, PROGRESSING, ConditionStatus.FALSE, reason, message, now)
    return transfer.status.model_copy(update={"message": shown, "conditions": conditions})


def final(transfer: Transfer, progress: Progress, task_id: str | None, now: datetime) -> TransferStatus:
    """The task ended and every Scan was told. Failed as soon as one file was not verified.

    ``task_id`` is None for a task that was never started.
    """
    failed = [result for result in progress.results if not result.verified]
    total = len(transfer.spec.items)
    verified = len(progress.results) - len(failed)
    if progress.state == TaskState.FAILED:
        reason, message = progress.reason or Reason.TASK_FAILED, progress.message
    elif not failed and verified == total:
        reason, message = Reason.COMPLETED, f"{wording.files(total)} verified"
    else:
        reason = Reason.SOME_ITEMS_FAILED if verified else Reason.ALL_ITEMS_FAILED
        message = f"{verified} of {wording.files(total)} verified; {_reasons(failed)}"
    good = reason == Reason.COMPLETED
    status = ConditionStatus.TRUE if good else ConditionStatus.FALSE
    return transfer.status.model_copy(
        update={
            "phase": TransferPhase.SUCCEEDED if good else TransferPhase.FAILED,
            "task_id": task_id or transfer.status.task_id,
            "started_at": transfer.status.started_at or transfer.metadata.creation_timestamp or now,
            "completed_at": now,
            "files": verified,
            "bytes": progress.bytes,
            "faults": progress.faults,
            "message": message[:1024],
            "failed_count": total - verified,
            "failed_items": _shown(failed),
            "conditions": _conditions(transfer, SUCCEEDED, status, reason, message, now),
        }
    )


def _shown(failed: Iterable[ItemResult]) -> list[FailedItem]:
    """The first failed files, as many as a status has room for."""
    shown: list[FailedItem] = []
    room = MAX_STATUS_BYTES - OTHER_STATUS_BYTES
    for one in failed:
        item = FailedItem(path=one.path, reason=one.reason.value, message=one.message[:1024])
        room -= stored_bytes(item.wire()) + 1
        if room < 0 or len(shown) == MAX_FAILED_SHOWN:
            break
        shown.append(item)
    return shown


def _reasons(failed: Iterable[ItemResult]) -> str:
    counts: dict[str, int] = {}
    for result in failed:
        counts[result.reason] = counts.get(result.reason, 0) + 1
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def _conditions(
    transfer: Transfer, kind: str, status: ConditionStatus, reason: Reason, message: str, now: datetime
) -> list[Condition]:
    old = find_condition(transfer.status.conditions, kind)
    new = old.moved(status, reason, message, transfer.metadata.generation, now)
    return [one for one in transfer.status.conditions if one.type not in (kind, PROGRESSING)] + [new]
