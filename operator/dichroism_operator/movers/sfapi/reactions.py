"""What the end of a job means that left no result: one table, as a pure function."""

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Progress, TaskState
from dichroism_operator.movers.sfapi import tapejob
from dichroism_operator.movers.sfapi.jobs import Trouble

UNDER_WAY = frozenset(
    {
        "PENDING",
        "RUNNING",
        "CONFIGURING",
        "COMPLETING",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "RESV_DEL_HOLD",
        "RESIZING",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "STOPPED",
        "SUSPENDED",
    }
)
WORDLESS_ATTEMPTS = 3
"""So often a job may die without a word before its files are suspected and planned again in halves."""

BY_ITSELF = "It goes on by itself"
_OUTAGES = {
    tapejob.TAPE_UNAVAILABLE: (Reason.ENDPOINT_UNAVAILABLE, "{goes_on} when the tape archive is back"),
    tapejob.TAPE_REFUSES: (
        Reason.PERMISSION_DENIED,
        "Let the account of our client use the tape archive (hsi). {goes_on} then",
    ),
    tapejob.NO_SPACE: (Reason.DESTINATION_FULL, "Free space or raise the quota. {goes_on} then"),
    tapejob.SITE: (Reason.ENDPOINT_UNAVAILABLE, "{goes_on} when the file system is back"),
}
_LOST_JOB = frozenset({"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"})
_EXPIRED = frozenset({"TIMEOUT", "DEADLINE"})


def react(job_id: str, state: str, trouble: Trouble, log: str, *, goes_on: str = BY_ITSELF) -> Progress:
    """The end of a task whose job ended in ``state`` without a result; ``log`` is where its words are.

    With a reason nobody's file is to blame; such a task is started again unless it is ``over``. ``goes_on`` says by
    whom.
    """
    said = f"job {job_id} ended {state or 'without a state'}"
    if outage := _OUTAGES.get(trouble.kind):
        reason, todo = outage
        return _failed(f"{said}: {trouble.message}. {todo.format(goes_on=goes_on)}", reason)
    if trouble.kind:
        return _failed(f"{said}: {trouble.message}")
    if state in _EXPIRED:
        return _failed(
            f"{said}, before its work was done (sfapi.time_limit). {goes_on}", Reason.TASK_EXPIRED, over=True
        )
    if state.startswith("CANCELLED"):
        return _failed(f"{said}: somebody canceled it. {goes_on}", Reason.TASK_CANCELED, over=True)
    if state in _LOST_JOB:
        return _failed(f"{said}. {goes_on}", Reason.SERVICE_UNAVAILABLE)
    if state == "OUT_OF_MEMORY" or trouble.attempts >= WORDLESS_ATTEMPTS:
        return _failed(f"{said} without a word for the {trouble.attempts}. time; its output is in {log}")
    text = f"{said} without a word; its output is in {log}. {goes_on}"
    return _failed(text, Reason.SERVICE_UNAVAILABLE)


def _failed(message: str, reason: Reason | None = None, *, over: bool = False) -> Progress:
    return Progress(TaskState.FAILED, message=message, reason=reason, over=over)
