"""What a person does next about one file: the first rule that applies, with exact commands. Pure.

The sentences about reasons are those of ``dichroism_crds.reasons``; here stands only which of them counts now.
"""

from collections.abc import Sequence
from datetime import datetime

from dichroism_crds.config import Config
from dichroism_crds.kinds import Condition, ConditionStatus, Scan, ScanPhase, Step, Transfer, TransferPhase
from dichroism_crds.names import ANNOTATION_ABANDON
from dichroism_crds.reasons import KEPT_REASONS, REASONS, KeptReason, Reason
from dichroism_operator import lifecycle, retry, wording
from dichroism_operator.story.known import Known
from dichroism_operator.story.model import NextStep, PruneTold

_AGAINST_REFUSAL = {
    Reason.BEAMLINE_UNKNOWN.value: "dichroism config check config.yml",
    Reason.EXPORT_CONTROLLED.value: "kubectl edit scan {}",
}
"""Command by reason; against the others the Scan is deleted."""
_NO_CRONJOB = (Reason.CRON_JOB_MISSING, Reason.CRON_JOB_SUSPENDED)


def next_step(scan: Scan, known: Known, prunes: Sequence[PruneTold], config: Config, moment: datetime) -> NextStep:
    """What to do about a file that has a Scan."""
    return (
        _a_persons_turn(scan, known)
        or _waits_for_something_broken(scan, known, config)
        or _goes_on_by_itself(scan, known, config, moment)
        or _done(scan, prunes)
    )


def nothing(text: str, *commands: str) -> NextStep:
    """Nobody has to do anything; the commands are for those who want to look or to hurry."""
    return NextStep(person=False, text=text, commands=list(commands))


def asks(text: str, *commands: str) -> NextStep:
    """A person has to do something."""
    return NextStep(person=True, text=text, commands=list(commands))


def no_operator(idle: str) -> NextStep:
    """Nothing goes on for anybody."""
    look = ("kubectl get pods", "kubectl logs deployment/dichroism-operator", "dichroism doctor")
    return asks(f"{idle}. Start the operator; then every file goes on by itself.", *look)


def _remedy(reason: str) -> str:
    known = REASONS.get(reason)
    return known.remedy if known else ""


def _again(scan: Scan) -> str:
    return f"dichroism retry {scan.name}"


def _a_persons_turn(scan: Scan, known: Known) -> NextStep | None:
    """Nothing of this file goes on without a person."""
    summary = scan.condition("Succeeded")
    if scan.status.phase == ScanPhase.REFUSED:
        command = _AGAINST_REFUSAL.get(summary.reason, "kubectl delete scan {}").format(scan.name)
        return asks(f"{summary.message or summary.reason}. {_remedy(summary.reason)}", command)
    if ANNOTATION_ABANDON in scan.metadata.annotations and scan.status.phase == ScanPhase.FAILED:
        return nothing("Nothing: somebody abandoned this Scan, and the operator removes it.")
    if known.idle:
        return no_operator(known.idle)
    if lifecycle.suspicious_rewrite(scan):
        return asks(f"{lifecycle.describe_shrunk(scan)}. {Reason.SUSPICIOUS_REWRITE.remedy}", _again(scan))
    if scan.spec.suspend:
        return asks("It is suspended: no further step starts. When it may go on:", f"dichroism release {scan.name}")
    if retry.pending_token(scan) is not None:
        return nothing("Nothing: a retry was asked for, and is taken up after what is under way.")
    if scan.status.phase == ScanPhase.FAILED:
        failed = lifecycle.failed_steps(scan)
        return _for_good(scan, scan.condition(failed[0]) if failed else summary)
    return None


def _for_good(scan: Scan, trouble: Condition) -> NextStep:
    text = _remedy(trouble.reason) or Reason.ATTEMPTS_EXHAUSTED.remedy
    return asks(f"{trouble.type} failed for good ({trouble.reason}). {text}", _again(scan))


def _waits_for_something_broken(scan: Scan, known: Known, config: Config) -> NextStep | None:
    """A lane is paused, or a CronJob is wanting: no file's fault, and a person may be needed."""
    waiting = _open(scan, config)
    for pause in known.pauses:
        if pause.beamline == scan.spec.beamline and pause.step in waiting:
            return asks(f"{pause.text}. {pause.remedy}", "dichroism doctor")
    condition = scan.condition(Step.PRUNE_SCHEDULED)
    if condition.reason in _NO_CRONJOB:
        return asks(f"{condition.message or condition.reason}. {_remedy(condition.reason)}", "dichroism doctor")
    return None


def _open(scan: Scan, config: Config) -> Sequence[Step]:
    """The steps that may be worked on, in their order."""
    beamline = config.beamlines.get(scan.spec.beamline)
    if beamline is None:
        return ()
    steps = lifecycle.open_steps(scan, lifecycle.configured_steps(beamline), config.attempts)
    return [step for step in Step if step in steps]


def _goes_on_by_itself(scan: Scan, known: Known, config: Config, moment: datetime) -> NextStep | None:
    for step in lifecycle.failed_steps(scan):
        if lifecycle.attempts_of(scan, step) >= config.attempts:  # the others go on, so the Scan is not Failed yet
            return _for_good(scan, scan.condition(step))
        again, condition = scan.status.attempts.retry_at, scan.condition(step)
        when = f"at {again:%Y-%m-%d %H:%M:%S} UTC" if again and again > moment else "now"
        text = f"{step} is tried again by itself {when}. {_remedy(condition.reason)} To try at once:"
        return NextStep(person=bool(_remedy(condition.reason)), text=text, commands=[_again(scan)])
    transfer = next((one for one in known.transfers if not one.finished), None)
    if transfer:
        return nothing(f"Nothing: it is under way. {_progress(transfer)}", f"kubectl get transfer {transfer.name} -w")
    waiting = _open(scan, config)
    if Step.ARCHIVED in waiting and scan.condition(Step.ARCHIVED).status == ConditionStatus.UNKNOWN:
        hurry = f"dichroism archive now --beamline {scan.spec.beamline}"
        return nothing(
            f"Nothing, it goes on by itself: {scan.status.message}. Not to wait for it:",
            "dichroism due --archive",
            hurry,
        )
    if waiting:
        waits = scan.status.message or "it waits for its turn"
        return nothing(f"Nothing, it goes on by itself: {waits}.", f"kubectl get scan {scan.name} -w")
    return None


def _progress(transfer: Transfer) -> str:
    task = f", task {transfer.status.task_id}" if transfer.status.task_id else ""
    state = "is about to start" if transfer.status.phase == TransferPhase.PENDING else "carries it"
    said = f": {transfer.status.message}" if transfer.status.message else ""
    return f"Transfer {transfer.name} with {wording.files(transfer.spec.files)} {state}{task}{said}"


def _done(scan: Scan, prunes: Sequence[PruneTold]) -> NextStep:
    for one in prunes:
        kept = KEPT_REASONS.get(one.reason or "")
        if kept and not kept.settled and kept not in (KeptReason.HELD, KeptReason.SUSPENDED, KeptReason.NOT_DUE):
            return asks(f"{one.name} keeps it ({kept}). {kept.remedy}", f"kubectl describe prune {one.name}")
    condition = scan.condition(Step.CATALOGUED)
    if condition.reason == Reason.CATALOGUE_NEEDS_OWNER:
        return asks(f"{condition.message}. {Reason.CATALOGUE_NEEDS_OWNER.remedy}", f"{_again(scan)} --step Catalogued")
    if condition.reason == Reason.HEADER_NOT_READ:
        return nothing(f"Nothing is lost: {condition.message}. {Reason.HEADER_NOT_READ.remedy}", "dichroism doctor")
    return nothing("Nothing: every configured step is done and verified.")
