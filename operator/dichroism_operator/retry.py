"""What a person's retry annotation asks for: parsing and the effect on a Scan, as pure functions.

``dichroism.als.lbl.gov/retry=<token>`` resumes at the failed steps; ``<Step>@<token>`` does again from that step on.
The token means nothing, it only has to be new; it is echoed in ``status.lastHandledRetry``.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dichroism_crds.kinds import Scan, ScanPhase, Step
from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_crds.reasons import EventReason
from dichroism_operator import lifecycle

MAX_TOKEN = 256


class RetryError(ValueError):
    """The annotation asks for something that does not exist; the text says what would."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A request: ``step`` None means 'whatever failed'."""

    token: str
    step: Step | None


def pending_token(scan: Scan) -> str | None:
    """The annotation's value when it was not handled yet."""
    value = scan.metadata.annotations.get(ANNOTATION_RETRY, "")[:MAX_TOKEN]
    return value if value and value != scan.status.last_handled_retry else None


def parse(value: str) -> Retry:
    """Read an annotation's value.

    Raises:
        RetryError: the part before ``@`` is no step.
    """
    name, at, _ = value.partition("@")
    if not at:
        return Retry(value, None)
    try:
        return Retry(value, Step(name))
    except ValueError:
        steps = ", ".join(Step)
        raise RetryError(
            f"{name!r} is no step; write <anything new>, or <step>@<anything new> with one of {steps}"
        ) from None


def steps_to_redo(scan: Scan, request: Retry, configured: Collection[Step]) -> list[Step]:
    """The steps that become undone: those that failed, even if they only wait now, or from the named step on."""
    if request.step is None:
        failed = {*lifecycle.failed_steps(scan), *(step for step in Step if lifecycle.attempts_of(scan, step))}
        return [step for step in Step if step in failed and step in configured]
    order = list(Step)
    return [step for step in order[order.index(request.step) :] if step in configured]


def foresee(scan: Scan, request: Retry, configured: Collection[Step]) -> tuple[bool, str]:
    """Whether a request would make anything of this Scan be tried again, and what, or why not.

    Whether the input of a named step is still there is only seen when the request is taken up.
    """
    if scan.status.phase == ScanPhase.REFUSED:
        return False, f"it is refused: {scan.status.message}"
    if scan.metadata.deletion_timestamp:
        return False, "it is being deleted"
    if pending_token(scan) is not None:
        return False, "a retry was asked for already and is taken up after what is under way"
    if request.step is not None and request.step not in configured:
        return False, f"{request.step} is not configured for {scan.spec.beamline}"
    if lifecycle.suspicious_rewrite(scan):
        return True, "the new content is taken as it is, and copied"
    steps = steps_to_redo(scan, request, configured)
    if not steps:
        return False, "no step has failed"
    held = "; it is suspended, so it starts when it is released" if scan.spec.suspend else ""
    return True, f"{', '.join(steps)}{held}"


def apply(scan: Scan, request: Retry, configured: Collection[Step], now: datetime) -> tuple[EventReason, str]:
    """Take the request up; returns the Event to post."""
    scan.status.last_handled_retry = request.token
    if lifecycle.suspicious_rewrite(scan):
        lifecycle.restart_for_new_content(scan, now)
        return EventReason.RETRYING, "the new content is taken as it is"
    steps = steps_to_redo(scan, request, configured)
    if not steps:
        return EventReason.RETRY_NOTHING_TO_DO, "no step has failed; to do one again write <step>@<anything new>"
    lifecycle.redo(scan, steps, now)
    return EventReason.RETRYING, f"again: {', '.join(steps)}"
