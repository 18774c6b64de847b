"""Makes the story of a file out of the objects that speak about it. Pure: no I/O, and the moment is an argument."""

from datetime import datetime
from pathlib import PurePosixPath

from dichroism_crds.config import Config
from dichroism_crds.kinds import (
    SCAN_CONDITIONS,
    SUCCEEDED,
    Condition,
    ConditionStatus,
    Copy,
    Scan,
    ScanPhase,
    Step,
    Transfer,
)
from dichroism_crds.names import ANNOTATION_MOVED_TO, LABEL_ORIGIN
from dichroism_crds.reasons import REASONS, Reason
from dichroism_operator import holding
from dichroism_operator.story.advice import next_step
from dichroism_operator.story.calendar import hold_told, told_prunes
from dichroism_operator.story.known import Known
from dichroism_operator.story.model import CopyTold, DatasetTold, EventTold, StepTold, Story, TransferTold

MOST_EVENTS = 12
_MATTERS_THOUGH_DONE = (Reason.HEADER_NOT_READ, Reason.CATALOGUE_NEEDS_OWNER)


def tell(known: Known, config: Config, moment: datetime) -> Story:
    """The story of a file that has a Scan."""
    scan = known.scan
    assert scan is not None
    beamline = config.beamlines.get(scan.spec.beamline)
    dataset = scan.status.dataset
    note = holding.note_of(scan)
    prunes = told_prunes(known, scan.name, config, moment)
    return Story(
        scan=scan.name,
        beamline=scan.spec.beamline,
        path=scan.spec.path,
        place=place(config, beamline.watch.root, scan.spec.path) if beamline else scan.spec.path,
        size=scan.spec.size,
        modified_at=scan.spec.modified_at,
        proposal=scan.spec.proposal,
        origin=scan.metadata.labels.get(LABEL_ORIGIN),
        moved_to=scan.metadata.annotations.get(ANNOTATION_MOVED_TO),
        suspended=scan.spec.suspend,
        held=hold_told(note, f"dichroism release {scan.name}") if note else None,
        phase=scan.status.phase,
        since=standing_since(scan),
        message=scan.status.message,
        steps=[_step(scan.condition(kind)) for kind in SCAN_CONDITIONS],
        copies=[_copy(copy, config) for copy in scan.status.copies],
        dataset=DatasetTold(pid=dataset.pid, url=dataset.url, quick_look=dataset.quick_look) if dataset else None,
        transfers=[told_transfer(one, scan.name) for one in known.transfers],
        prunes=prunes,
        events=told_events(known),
        unread=list(known.unread),
        next=next_step(scan, known, prunes, config, moment),
    )


def place(config: Config, endpoint: str, path: str) -> str:
    """Absolute path of a file at the site of an endpoint."""
    known = config.endpoints.get(endpoint)
    return str(PurePosixPath(known.root_path) / path) if known else path


def standing_since(scan: Scan) -> datetime | None:
    """Since when the Scan is in its phase, as far as its conditions tell."""
    by_phase = {
        ScanPhase.TRANSFERRED: Step.TRANSFERRED,
        ScanPhase.ARCHIVED: Step.ARCHIVED,
        ScanPhase.INGESTED: Step.INGESTED,
        ScanPhase.PRUNE_SCHEDULED: Step.PRUNE_SCHEDULED,
    }
    if scan.status.phase == ScanPhase.PENDING:
        return scan.metadata.creation_timestamp
    return scan.condition(by_phase.get(scan.status.phase, SUCCEEDED)).last_transition_time


def _step(condition: Condition) -> StepTold:
    reason = REASONS.get(condition.reason)
    matters = condition.status != ConditionStatus.TRUE or reason in _MATTERS_THOUGH_DONE
    return StepTold(
        type=condition.type,
        status=condition.status,
        reason=condition.reason,
        since=condition.last_transition_time,
        message=condition.message,
        meaning=reason.description if reason else "",
        to_do=reason.remedy if reason and matters else "",
    )


def _copy(copy: Copy, config: Config) -> CopyTold:
    return CopyTold(
        endpoint=copy.endpoint,
        place=place(config, copy.endpoint, copy.path),
        member=copy.member,
        size=copy.size,
        sha256=copy.sha256,
        verified_at=copy.verified_at,
        transfer=copy.transfer,
    )


def told_transfer(transfer: Transfer, scan: str) -> TransferTold:
    """A Transfer, and what it says of this one file."""
    status, spec = transfer.status, transfer.spec
    paths = {item.path for item in spec.items if item.scan == scan}
    failed = next((one for one in status.failed_items if one.path in paths), None)
    return TransferTold(
        name=transfer.name,
        source=spec.source,
        destination=spec.destination,
        phase=status.phase,
        task_id=status.task_id,
        files=spec.files,
        bundle=spec.bundle.path if spec.bundle else None,
        started_at=status.started_at,
        completed_at=status.completed_at,
        message=status.message,
        trouble=f"{failed.reason}: {failed.message}" if failed else "",
    )


def told_events(known: Known) -> list[EventTold]:
    """The last Events, oldest first."""
    return [
        EventTold(at=one.at, reason=one.reason, about=one.about, message=one.message, warning=one.warning)
        for one in known.events[-MOST_EVENTS:]
    ]
