"""The life of a Scan as pure functions: which step is next, what a result means, what people read.

No I/O and no clock in here: the moment is an argument. Every function changes the Scan's status in place and can be
repeated on a fresh copy of the Scan, which is what happens after a write conflict.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from dichroism_crds.config import Beamline
from dichroism_crds.kinds import (
    MAX_SUPERSEDED,
    SCAN_CONDITIONS,
    SUCCEEDED,
    Attempts,
    Condition,
    ConditionStatus,
    Copy,
    Scan,
    ScanPhase,
    Step,
    SupersededCopy,
)
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import same_time

_PHASES = (
    (Step.TRANSFERRED, ScanPhase.TRANSFERRED),
    (Step.ARCHIVED, ScanPhase.ARCHIVED),
    (Step.INGESTED, ScanPhase.INGESTED),
    (Step.PRUNE_SCHEDULED, ScanPhase.PRUNE_SCHEDULED),
)
_ATTEMPT_FIELDS = {
    Step.TRANSFERRED: "transferred",
    Step.CATALOGUED: "catalogued",
    Step.ARCHIVED: "archived",
    Step.INGESTED: "ingested",
    Step.PRUNE_SCHEDULED: "prune_scheduled",
}
_NEEDS = {
    Step.TRANSFERRED: (),
    Step.CATALOGUED: (Step.TRANSFERRED,),
    Step.ARCHIVED: (Step.TRANSFERRED,),
    Step.INGESTED: (Step.TRANSFERRED, Step.CATALOGUED, Step.ARCHIVED),
    Step.PRUNE_SCHEDULED: (Step.TRANSFERRED, Step.ARCHIVED, Step.INGESTED),
}
_AWAITED = {Step.ARCHIVED: Reason.AWAITING_BUNDLE, Step.PRUNE_SCHEDULED: Reason.AWAITING_FLUSH}
HEADER_AGAIN_FIRST = timedelta(minutes=10)
HEADER_AGAIN_LONGEST = timedelta(days=1)
BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_LONGEST = timedelta(hours=1)


def configured_steps(beamline: Beamline) -> frozenset[Step]:
    """The steps that the beamline's configuration asks for."""
    steps = {Step.TRANSFERRED}
    if beamline.ingest:
        steps |= {Step.CATALOGUED, Step.INGESTED}
    if beamline.archive:
        steps.add(Step.ARCHIVED)
    if beamline.prune:
        steps.add(Step.PRUNE_SCHEDULED)
    return frozenset(steps)


def last_phase(beamline: Beamline) -> ScanPhase:
    """The phase of the beamline's Scans when every configured step is done."""
    steps = configured_steps(beamline)
    return [reached for step, reached in _PHASES if step in steps][-1]


def phase_before(step: Step, steps: Collection[Step]) -> ScanPhase:
    """The phase of a Scan whose earlier steps are done and this one and the later ones are not."""
    order = list(Step)
    done = [reached for known, reached in _PHASES if known in steps and order.index(known) < order.index(step)]
    return done[-1] if done else ScanPhase.PENDING


def is_done(scan: Scan, step: Step) -> bool:
    """Whether the step is done for the content that spec describes."""
    return scan.condition(step).status == ConditionStatus.TRUE


def attempts_of(scan: Scan, step: Step) -> int:
    """Failures of the step that were this file's own."""
    count: int = getattr(scan.status.attempts, _ATTEMPT_FIELDS[step])
    return count


def open_steps(scan: Scan, steps: Collection[Step], attempts: int) -> frozenset[Step]:
    """Steps that may be worked on now or after a back-off: not done, inputs there, attempts left.

    Empty for a Scan that is refused, suspended, being deleted, or whose new content must be looked at first.
    """
    if scan.status.phase == ScanPhase.REFUSED or scan.spec.suspend or scan.metadata.deletion_timestamp:
        return frozenset()
    if content_changed(scan):
        return frozenset()
    done = {one.type for one in scan.status.conditions if one.status == ConditionStatus.TRUE}
    return frozenset(
        step
        for step in steps
        if step not in done
        and attempts_of(scan, step) < attempts
        and all(need in done for need in _NEEDS[step] if need in steps)
    )


def content_changed(scan: Scan) -> bool:
    """Whether spec describes another content than the conditions speak about."""
    known = scan.status.content
    return known is not None and not (
        known.size == scan.spec.size and same_time(known.modified_at, scan.spec.modified_at)
    )


def suspicious_rewrite(scan: Scan) -> bool:
    """Whether a file that was already copied shrank to nothing or to less than half."""
    known = scan.status.content
    return content_changed(scan) and known is not None and bool(scan.status.copies) and scan.spec.size * 2 < known.size


def proposal_outdated(scan: Scan) -> bool:
    """Whether the catalogue has another proposal of the Scan than spec names by now."""
    dataset = scan.status.dataset
    return dataset is not None and dataset.proposal != scan.spec.proposal and is_done(scan, Step.CATALOGUED)


def header_due(scan: Scan, now: datetime) -> bool:
    """Whether a Scan that was catalogued without its header should have its file read again.

    After 10 minutes, then after as long as it waited already, at most a day: nothing has to be remembered for that.
    """
    known = scan.condition(Step.CATALOGUED)
    if not is_done(scan, Step.CATALOGUED) or known.reason != Reason.HEADER_NOT_READ:
        return False
    tried = known.last_transition_time or now
    waited = tried - (scan.condition(Step.TRANSFERRED).last_transition_time or tried)
    return now >= tried + min(max(HEADER_AGAIN_FIRST, waited), HEADER_AGAIN_LONGEST)


def set_condition(scan: Scan, kind: str, status: ConditionStatus, reason: Reason, message: str, now: datetime) -> None:
    """Set one condition; the transition time changes only when the status does."""
    new = scan.condition(kind).moved(status, reason, message, scan.metadata.generation, now)
    others = {condition.type: condition for condition in scan.status.conditions}
    others[kind] = new
    for known in SCAN_CONDITIONS:
        others.setdefault(known, Condition(type=known))
    scan.status.conditions = [others[known] for known in SCAN_CONDITIONS]


def begin(scan: Scan) -> None:
    """Note the content that every condition from now on speaks about."""
    if scan.status.content is None:
        scan.status.content = scan.content


def succeed(scan: Scan, step: Step, reason: Reason, message: str, now: datetime) -> None:
    """The step is done and verified for this content."""
    begin(scan)
    setattr(scan.status.attempts, _ATTEMPT_FIELDS[step], 0)
    set_condition(scan, step, ConditionStatus.TRUE, reason, message, now)


def fail(scan: Scan, step: Step, reason: Reason, message: str, now: datetime, *, counts: bool = True) -> None:
    """The step failed for this file; it is tried again after a back-off of 5 s, doubling to 1 h.

    A step that is done stays done: this is the word of a process that was overtaken, perhaps of a source pruned since.
    """
    if is_done(scan, step):
        return
    begin(scan)
    count = attempts_of(scan, step) + 1
    if counts:
        setattr(scan.status.attempts, _ATTEMPT_FIELDS[step], count)
    scan.status.attempts.retry_at = now + min(BACKOFF_FIRST * 2 ** min(count - 1, 12), BACKOFF_LONGEST)
    set_condition(scan, step, ConditionStatus.FALSE, reason, message, now)


def put_off(scan: Scan, step: Step, reason: Reason, message: str, now: datetime) -> None:
    """The step can't be done before something else has happened, so no attempt is counted.

    A new content or a person's retry goes at once. Without one the step is tried after 5 s, then after as long as it
    was put off already, at most 1 h: nothing has to be remembered for that but the condition itself.
    """
    if is_done(scan, step):
        return
    begin(scan)
    known = scan.condition(step)
    lasting = known.status == ConditionStatus.FALSE and known.reason == reason
    waited = now - (known.last_transition_time or now) if lasting else BACKOFF_FIRST
    scan.status.attempts.retry_at = now + min(max(BACKOFF_FIRST, waited), BACKOFF_LONGEST)
    set_condition(scan, step, ConditionStatus.FALSE, reason, message, now)


def wait(scan: Scan, step: Step, reason: Reason, message: str, now: datetime) -> None:
    """The step waits for something that is not this file's fault; one that is done stays done."""
    if is_done(scan, step):
        return
    begin(scan)
    set_condition(scan, step, ConditionStatus.UNKNOWN, reason, message, now)


def add_copy(scan: Scan, copy: Copy) -> None:
    """Record a verified copy in place of an older one on the same endpoint."""
    if scan.copy_on(copy.endpoint) is None:
        scan.status.copies = [*scan.status.copies, copy]
    else:
        scan.status.copies = [copy if old.endpoint == copy.endpoint else old for old in scan.status.copies]


def refuse(scan: Scan, reason: Reason, message: str, now: datetime) -> None:
    """Nothing is done for this Scan; a correction of spec or config is looked at again."""
    for step in Step:
        set_condition(scan, step, ConditionStatus.UNKNOWN, reason, "", now)
    set_condition(scan, SUCCEEDED, ConditionStatus.FALSE, reason, message, now)
    scan.status.phase = ScanPhase.REFUSED
    scan.status.message = message[:1024]
    scan.status.observed_generation = scan.metadata.generation


def refused_with(scan: Scan, message: str) -> bool:
    """Whether it is refused already, in these words."""
    return scan.status.phase == ScanPhase.REFUSED and scan.status.message == message[:1024]


def restart_for_new_content(scan: Scan, now: datetime) -> None:
    """Start over for the content that spec describes; the dataset stays the same one.

    What is on tape stays there, and the Scan goes on naming it as superseded.
    """
    scan.status.superseded = [*_on_tape(scan), *scan.status.superseded][:MAX_SUPERSEDED]
    scan.status.content = scan.content
    scan.status.copies = []
    scan.status.prune = []
    scan.status.attempts = Attempts()
    for step in Step:
        set_condition(scan, step, ConditionStatus.UNKNOWN, Reason.CONTENT_CHANGED, "the file has a new content", now)


def _on_tape(scan: Scan) -> list[SupersededCopy]:
    """The tape copies of the content that the conditions spoke about until now."""
    before = scan.status.content
    if before is None:
        return []
    return [SupersededCopy(**dict(copy), modified_at=before.modified_at) for copy in scan.status.copies if copy.member]


def reopen(scan: Scan) -> None:
    """A Scan that was refused and is legal now starts as new."""
    scan.status.phase = ScanPhase.PENDING
    scan.status.conditions = [Condition(type=kind) for kind in SCAN_CONDITIONS]


def failed_steps(scan: Scan) -> list[Step]:
    """Steps whose condition is False, in the card's order."""
    return [step for step in Step if scan.condition(step).status == ConditionStatus.FALSE]


def redo(scan: Scan, steps: Collection[Step], now: datetime) -> None:
    """Make steps undone again with fresh attempts. Recorded copies stay: the lane verifies them before it works."""
    for step in steps:
        setattr(scan.status.attempts, _ATTEMPT_FIELDS[step], 0)
        set_condition(scan, step, ConditionStatus.UNKNOWN, Reason.WAITING, "asked for again", now)
    scan.status.attempts.retry_at = None


def derive(scan: Scan, beamline: Beamline, attempts: int, now: datetime, pauses: Mapping[Step, str]) -> None:
    """Bring phase, message, summary condition and observedGeneration in line with the step conditions.

    ``pauses`` gives the reason of each step whose lane is paused now, for the message only.
    """
    if scan.status.phase == ScanPhase.REFUSED:
        return
    scan.status.observed_generation = scan.metadata.generation
    steps = configured_steps(beamline)
    for step in Step:
        if step not in steps:
            set_condition(scan, step, ConditionStatus.UNKNOWN, Reason.NOT_CONFIGURED, "", now)
    _note_what_is_awaited(scan, steps, attempts, now)
    phase = ScanPhase.PENDING
    for step, reached in _PHASES:
        if step in steps and not is_done(scan, step):
            break
        if step in steps:
            phase = reached
    scan.status.observed_generation = scan.metadata.generation
    if suspicious_rewrite(scan):
        scan.status.message = describe_shrunk(scan)
        set_condition(scan, SUCCEEDED, ConditionStatus.FALSE, Reason.SUSPICIOUS_REWRITE, scan.status.message, now)
        return
    complete = all(is_done(scan, step) for step in steps)
    exhausted = [step for step in steps if not is_done(scan, step) and attempts_of(scan, step) >= attempts]
    stuck = bool(exhausted) and not open_steps_ignoring_suspend(scan, steps, attempts)
    if complete:
        scan.status.message = _describe_complete(scan)
        set_condition(scan, SUCCEEDED, ConditionStatus.TRUE, Reason.COMPLETED, scan.status.message, now)
    elif stuck:
        phase = ScanPhase.FAILED
        scan.status.message = _describe_failed(scan, exhausted)
        set_condition(scan, SUCCEEDED, ConditionStatus.FALSE, Reason.ATTEMPTS_EXHAUSTED, scan.status.message, now)
    else:
        scan.status.message = _describe_open(scan, steps, beamline, pauses)
        set_condition(scan, SUCCEEDED, ConditionStatus.UNKNOWN, Reason.IN_PROGRESS, scan.status.message, now)
    scan.status.phase = phase


def _note_what_is_awaited(scan: Scan, steps: Collection[Step], attempts: int, now: datetime) -> None:
    """Say in the same write that a step now waits for its bundle or Prune to fill."""
    for step, reason in _AWAITED.items():
        condition = scan.condition(step)
        untouched = condition.status == ConditionStatus.UNKNOWN and condition.reason == Reason.WAITING
        if untouched and step in open_steps(scan, steps, attempts):
            set_condition(scan, step, ConditionStatus.UNKNOWN, reason, "", now)


def open_steps_ignoring_suspend(scan: Scan, steps: Collection[Step], attempts: int) -> frozenset[Step]:
    """What could still progress once a suspend ends; decides between 'waits' and 'failed'."""
    if not scan.spec.suspend:
        return open_steps(scan, steps, attempts)
    free = scan.model_copy(update={"spec": scan.spec.model_copy(update={"suspend": False})})
    return open_steps(free, steps, attempts)


def _places(scan: Scan) -> str:
    """``on nersc402 and hpss402``, or an empty string."""
    names = [copy.endpoint for copy in scan.status.copies]
    return f"on {' and '.join(names)}" if names else ""


def _in_catalogue(scan: Scan) -> str:
    reason = scan.condition(Step.CATALOGUED).reason
    wanting = reason in (Reason.HEADER_NOT_READ, Reason.CATALOGUE_NEEDS_OWNER)
    return f"in the catalogue ({reason})" if wanting else "in the catalogue"


def _describe_complete(scan: Scan) -> str:
    known = [_places(scan)]
    if scan.status.dataset:
        known.append(_in_catalogue(scan))
    prunes = [f"{entry.endpoint} {entry.not_before:%Y-%m-%d}" for entry in scan.status.prune]
    if prunes:
        known.append(f"pruned not before: {', '.join(prunes)}")
    return "; ".join(part for part in known if part)[:1024]


def _describe_failed(scan: Scan, exhausted: Collection[Step]) -> str:
    first = next(step for step in Step if step in exhausted)
    trouble = scan.condition(first)
    safe = _places(scan)
    return (
        f"{first} failed {attempts_of(scan, first)} times ({trouble.reason}): {trouble.message}; "
        + (f"safe {safe}" if safe else "no copy was made")
        + "; annotate with retry when mended"
    )[:1024]


def describe_shrunk(scan: Scan) -> str:
    """What a person must decide when a file lost more than half of itself."""
    before = scan.status.content.size if scan.status.content else 0
    return f"shrank from {before} to {scan.spec.size} bytes: look at the file, then annotate with retry"


def _describe_open(scan: Scan, steps: Collection[Step], beamline: Beamline, pauses: Mapping[Step, str]) -> str:
    parts = [_places(scan)]
    if is_done(scan, Step.CATALOGUED):
        parts.append(_in_catalogue(scan))
    if scan.spec.suspend:
        parts.append("suspended")
    failed = failed_steps(scan)
    if failed:
        trouble = scan.condition(failed[0])
        parts.append(f"{failed[0]}: {trouble.reason}, {trouble.message}")
    waiting = next((step for step in Step if step in steps and not is_done(scan, step) and step not in failed), None)
    if waiting and not scan.spec.suspend:
        parts.append(pauses.get(waiting) or _waiting_for(scan, waiting, beamline))
    return "; ".join(part for part in parts if part)[:1024]


def _waiting_for(scan: Scan, step: Step, beamline: Beamline) -> str:
    condition = scan.condition(step)
    if condition.message:
        return condition.message
    match step:
        case Step.TRANSFERRED:
            return f"waits for the copy to {beamline.transfer.destination}"
        case Step.CATALOGUED:
            return "waits for the catalogue"
        case Step.ARCHIVED:
            return _waiting_for_bundle(scan, beamline)
        case Step.INGESTED:
            return "waits for its tape path in the catalogue"
        case Step.PRUNE_SCHEDULED:
            return "waits for the prune calendar"


def _waiting_for_bundle(scan: Scan, beamline: Beamline) -> str:
    archive, since = beamline.archive, scan.waits_for_tape_since
    if archive is None or since is None:
        return "waits for the tape bundle"
    latest = (since + archive.bundle.max_age).astimezone(UTC)
    return f"waits for the tape bundle to {archive.destination}, closed by {latest:%Y-%m-%d %H:%M} UTC at the latest"
