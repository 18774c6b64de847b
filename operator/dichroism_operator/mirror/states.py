"""What a Scan or a Transfer has been through, as the states of one flow run: pure functions of the object.

Prefect stamps a state with the moment at which it is told, so the true time stands at the beginning of each message. It
is also how the mirror finds out, after a restart, what a run shows already.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from dichroism_crds.kinds import (
    SUCCEEDED,
    Condition,
    ConditionStatus,
    Scan,
    Step,
    Transfer,
    TransferPhase,
)
from dichroism_crds.timestamps import EPOCH, format_time
from dichroism_operator.mirror import names, page

MOST_MESSAGE = 2000


class StateType(StrEnum):
    """The types of Prefect's states that the mirror uses. Never SCHEDULED: only that is offered to workers."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_ENDS = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED})


@dataclass(frozen=True, slots=True)
class RunState:
    """One state; ``at`` is when it was true. ``name`` is what people read: the step, or Completed and Failed."""

    type: StateType
    name: str
    at: datetime
    text: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it unless somebody asks for a retry."""
        return self.type in _ENDS

    @property
    def order(self) -> tuple[datetime, int]:
        """States are shown in this order; of two at one moment the end comes last."""
        return self.at, int(self.type != StateType.PENDING) + self.ended

    @property
    def message(self) -> str:
        """The true time and the text."""
        return f"{format_time(self.at)} {self.text}".strip()[:MOST_MESSAGE]

    def wire(self) -> dict[str, Any]:
        """As Prefect takes it."""
        return {"type": self.type.value, "name": self.name, "message": self.message}


def shown_state(wire: dict[str, Any] | None) -> RunState | None:
    """The state that a run shows, None when it is not one of ours: somebody used a button."""
    try:
        moment, _, text = str((wire or {})["message"]).partition(" ")
        at = datetime.fromisoformat(moment)
        return RunState(StateType((wire or {})["type"]), str((wire or {})["name"]), at.astimezone(UTC), text)
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Run:
    """One flow run as it should be. ``states`` are in order and never empty."""

    key: str
    """Idempotency key: the object's uid."""
    deployment: str
    queue: str
    name: str
    parameters: dict[str, Any]
    tags: tuple[str, ...]
    states: tuple[RunState, ...]
    reopened: RunState | None = None
    """What comes first when the run shows an end by now and the object goes on."""
    artifact: page.Artifact | None = None

    @property
    def latest(self) -> RunState:
        """The state that is true now, with all before it in its message: for a backlog this one is enough."""
        last = self.states[-1]
        earlier = ", ".join(f"{one.name} {format_time(one.at)}" for one in self.states[1:-1])
        return replace(last, text=f"{last.text} (before: {earlier})".strip()) if earlier else last


def missing(run: Run, shown: RunState | None, *, briefly: bool) -> list[RunState]:
    """What a run has to be told, in order, when it shows ``shown``; None: a state that is not ours.

    ``briefly``: the newest state only, with the earlier ones in its message.
    """
    later = [state for state in run.states if shown is None or state.order > shown.order]
    if shown and shown.ended and run.reopened and run.reopened.order > shown.order:
        later = sorted([run.reopened, *later], key=lambda state: state.order)
    if not later:
        return []
    if shown is None or briefly:
        return [run.latest if later[-1] is run.states[-1] else later[-1]]
    return later


def changed_at(scan: Scan) -> datetime:
    """When a Scan last changed in a way that people see: its newest transition, or its creation."""
    moments = [one.last_transition_time for one in scan.status.conditions if one.last_transition_time]
    return max(moments, default=_created(scan))


def scan_run(scan: Scan, namespace: str) -> Run:
    """The flow run of a Scan."""
    steps = sorted(_steps(scan), key=lambda one: one.order)
    newest = max((one.at for one in steps), default=_created(scan))
    summary = scan.condition(SUCCEEDED)
    at = max(summary.last_transition_time or newest, newest)
    end = _end(scan, summary, at)
    start = min(_created(scan), steps[0].at if steps else at)  # the API server's clock may be ahead of ours
    begin = RunState(StateType.PENDING, "Pending", start, f"{scan.spec.path}: Scan {scan.name}")
    taken_up = summary.last_transition_time or at
    reopened = None if end else RunState(StateType.RUNNING, "Retrying", taken_up, scan.status.message)
    return Run(
        key=scan.metadata.uid or "",
        deployment=names.new_file(scan.spec.beamline),
        queue=names.new_file_queue(scan.spec.beamline),
        name=scan.spec.path,
        parameters={
            "file_path": scan.spec.path,
            "beamline": scan.spec.beamline,
            "is_export_control": scan.spec.export_controlled,
        },
        tags=(scan.spec.beamline,),
        states=(begin, *steps, *([end] if end else [])),
        reopened=reopened,
        artifact=page.of_scan(scan, namespace) if end else None,
    )


def _steps(scan: Scan) -> Iterator[RunState]:
    """Every step that is done, and one that failed and is tried again."""
    failing = scan.condition(SUCCEEDED).status == ConditionStatus.UNKNOWN
    for step in Step:
        condition = scan.condition(step)
        if condition.last_transition_time is None:
            continue
        if condition.status == ConditionStatus.TRUE:
            yield RunState(StateType.RUNNING, step.value, condition.last_transition_time, condition.message)
        elif condition.status == ConditionStatus.FALSE and failing:
            text = f"{step}: {condition.reason}: {condition.message}"
            yield RunState(StateType.RUNNING, "Retrying", condition.last_transition_time, text)


def _end(scan: Scan, summary: Condition, at: datetime) -> RunState | None:
    if summary.status == ConditionStatus.TRUE:
        return RunState(StateType.COMPLETED, "Completed", at, scan.status.message)
    if summary.status == ConditionStatus.FALSE:
        return RunState(StateType.FAILED, "Failed", at, f"{summary.reason}: {scan.status.message}")
    return None


def transfer_run(transfer: Transfer, namespace: str) -> Run:
    """The flow run of a Transfer."""
    spec, status = transfer.spec, transfer.status
    created = transfer.metadata.creation_timestamp or EPOCH
    started, completed = status.started_at or created, status.completed_at
    way = f"{spec.source} to {spec.destination}"
    states = [RunState(StateType.PENDING, "Pending", min(created, started), f"{len(spec.items)} files, {way}")]
    if status.phase != TransferPhase.PENDING:
        states.append(RunState(StateType.RUNNING, "Running", started, status.message))
    if transfer.finished:
        good = status.phase == TransferPhase.SUCCEEDED
        kind, name = (StateType.COMPLETED, "Completed") if good else (StateType.FAILED, "Failed")
        states.append(RunState(kind, name, max(completed or started, started), status.message))
    if spec.bundle:
        file_path = spec.bundle.path
    elif len(spec.items) == 1:
        file_path = spec.items[0].path
    else:
        file_path = str(PurePosixPath(spec.items[0].path).parent)
    return Run(
        key=transfer.metadata.uid or "",
        deployment=names.DISPATCHER,
        queue=names.dispatcher_queue(spec.beamline),
        name=transfer.name,
        parameters={"file_path": file_path, "beamline": spec.beamline, "is_export_control": False},
        tags=(spec.beamline,),
        states=tuple(states),
        artifact=page.of_transfer(transfer, namespace) if transfer.finished else None,
    )


def _created(scan: Scan) -> datetime:
    return scan.metadata.creation_timestamp or scan.spec.modified_at
