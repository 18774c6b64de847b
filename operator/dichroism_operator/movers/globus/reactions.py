"""What the state of a task means and what is to be done about it: one table, as a pure function.

The codes are those of the service's events and of ``nice_status``; one that is not named here is left to Globus while
the task runs, and fails the task when it ended it.
"""

from dataclasses import dataclass
from enum import StrEnum

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.globus.documents import INACTIVE, SUCCEEDED, TaskDocument

STUCK_GRACE_S = 120.0
"""How long a task may be held up by a file before it is canceled: Globus itself tries again after 10 s and longer."""

STUCK = frozenset(
    {
        "AMBIGUOUS_PATH",
        "FILE_NOT_FOUND",
        "FILE_SIZE_CHANGED",
        "INVALID_PATH_NAME",
        "INVALID_SYMLINK",
        "IS_A_DIRECTORY",
        "IS_A_FILE",
        "LIMIT_EXCEEDED",
        "NOT_A_DIRECTORY",
        "NOT_A_FILE",
        "NOT_A_SYMLINK",
        "PERMISSION_DENIED",
        "VERIFY_CHECKSUM",
    }
)
"""A file that will not get better by waiting; Globus would try until the deadline."""
FULL = frozenset({"NO_SPACE_LEFT", "QUOTA_EXCEEDED"})
UNREACHABLE = frozenset(
    {
        "CONNECT_FAILED",
        "CONNECTION_BROKEN",
        "CONNECTION_RESET",
        "ENDPOINT_ERROR",
        "ENDPOINT_TOO_BUSY",
        "GC_NOT_CONNECTED",
        "TIMEOUT",
    }
)
"""Globus goes on by itself; people should see why nothing moves."""
PAUSED = frozenset({"PAUSED", "PAUSED_BY_ADMIN", "GC_PAUSED"})
NO_LOGIN = frozenset({"AUTH", "GSI_DN_MISMATCH", "INVALID_SERVICE_CREDENTIAL", "NO_CREDENTIALS"})
_CANCELED = "CANCELED"
_EXPIRED = "EXPIRED"
EXTERNAL_MISMATCH = "EXTERNAL_CHECKSUM_MISMATCH"

_OF_FILE = {
    "AMBIGUOUS_PATH": Reason.SOURCE_UNREADABLE,
    "FILE_NOT_FOUND": Reason.SOURCE_MISSING,
    "FILE_SIZE_CHANGED": Reason.SOURCE_CHANGED,
    "INVALID_PATH_NAME": Reason.INVALID_PATH,
    "IS_A_DIRECTORY": Reason.DESTINATION_OBSTRUCTED,
    "IS_A_FILE": Reason.DESTINATION_OBSTRUCTED,
    "NOT_A_DIRECTORY": Reason.DESTINATION_OBSTRUCTED,
    "NOT_A_FILE": Reason.DESTINATION_OBSTRUCTED,
    "PERMISSION_DENIED": Reason.PERMISSION_DENIED,
    "VERIFY_CHECKSUM": Reason.CHECKSUM_MISMATCH,
    EXTERNAL_MISMATCH: Reason.CHECKSUM_MISMATCH,
}


class Do(StrEnum):
    """What is to be done about a task."""

    WAIT = "wait"
    """It runs. With a reason: something holds it up for everybody, and people are told."""
    CANCEL = "cancel"
    """It is held up by a file: cancel it, once the grace is over, and wait for its end."""
    REVIVE = "revive"
    """Its login expired: cancel it as soon as both collections let us in again."""
    SETTLE = "settle"
    """It ended: read what became of each file. With a reason: of those that it did not reach, and nobody's fault."""
    BISECT = "bisect"
    """It ended because of a file: keep what it finished, plan the rest again in halves."""
    LOST = "lost"
    """It ended and nobody can tell any more what it did."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do, why, and the sentence for people."""

    do: Do
    reason: Reason | None = None
    message: str = ""


def react(task: TaskDocument, *, canceled_for: Reason | None = None) -> Reaction:
    """The row of the table for a task.

    Args:
        task: as the service shows it.
        canceled_for: why we canceled it ourselves; None when we did not.
    """
    return _ended(task, canceled_for) if task.ended else _running(task)


def _running(task: TaskDocument) -> Reaction:
    code = task.nice_status
    said = f"{code}: {task.nice_details}" if task.nice_details else (code or "")
    if task.status == INACTIVE or code in NO_LOGIN:
        text = (
            f"the collection's login expired ({said or 'INACTIVE'}): renew it, the files are sent again by themselves"
        )
        return Reaction(Do.REVIVE, Reason.CREDENTIALS_REFUSED, text)
    if task.is_paused or code in PAUSED:
        return Reaction(Do.WAIT, Reason.ENDPOINT_PAUSED, f"an administrator paused the task ({said or 'PAUSED'})")
    if code in FULL:
        return Reaction(Do.CANCEL, Reason.DESTINATION_FULL, f"{said}. Free space or raise the quota")
    if code in UNREACHABLE:
        return Reaction(Do.WAIT, Reason.ENDPOINT_UNAVAILABLE, f"{said}. Globus tries again by itself")
    if code in STUCK:
        return Reaction(Do.CANCEL, None, f"a file holds up the task: {said}")
    return Reaction(Do.WAIT, None, said)


def _ended(task: TaskDocument, canceled_for: Reason | None) -> Reaction:
    if task.history_deleted:
        return Reaction(Do.LOST, Reason.RESULTS_LOST, f"Globus forgot the files of task {task.task_id}")
    if task.status == SUCCEEDED:
        return Reaction(Do.SETTLE)
    code, said = task.fatal_code, f"{task.fatal_code}: {task.fatal_description}"
    if canceled_for == Reason.TASK_FAILED:
        return Reaction(Do.BISECT, None, "a file held up the task, so it was canceled")
    if canceled_for:
        return Reaction(Do.SETTLE, canceled_for, f"task {task.task_id} could not go on, so it was canceled")
    if code in FULL:
        return Reaction(Do.SETTLE, Reason.DESTINATION_FULL, f"{said}. Free space or raise the quota")
    if code == _EXPIRED:
        return Reaction(Do.SETTLE, Reason.TASK_EXPIRED, f"task {task.task_id} did not end before its deadline")
    if code == _CANCELED:
        who = f"an administrator ({task.admin_message})" if task.canceled_by_admin else "somebody"
        return Reaction(Do.SETTLE, Reason.TASK_CANCELED, f"{who} canceled task {task.task_id}")
    if code in NO_LOGIN:
        return Reaction(Do.SETTLE, Reason.CREDENTIALS_REFUSED, f"task {task.task_id}: {said}. Renew the login")
    if code in UNREACHABLE | PAUSED:
        return Reaction(Do.SETTLE, Reason.ENDPOINT_UNAVAILABLE, f"task {task.task_id}: {said}")
    return Reaction(Do.BISECT, None, f"task {task.task_id} failed: {said}")


def reason_of(code: str | None) -> Reason:
    """What a code means for the one file that it is about."""
    return _OF_FILE.get(code or "", Reason.TASK_FAILED)
