"""What one screen tells, and what of it needs a person. Pure: findings are those of the doctor, with their remedies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dichroism_crds.heartbeat import Heartbeat
from dichroism_crds.kinds import ScanPhase
from dichroism_crds.reasons import Reason
from dichroism_operator.doctor.check import Finding, Severity, problem, warning
from dichroism_operator.doctor.kubernetes import ago, judge_pauses
from dichroism_operator.filling import Filling
from dichroism_operator.flight.result import FlightResult
from dichroism_operator.pauses import Pause

FLIGHT_LATE = timedelta(hours=26)
"""The alert on flight checks that stopped uses the same."""


@dataclass(frozen=True, slots=True)
class LastTransfer:
    """The newest Transfer of a beamline."""

    name: str
    phase: str
    files: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class NextPrune:
    """The next Prune whose day comes, or came."""

    name: str
    not_before: datetime
    files: int
    bytes: int


@dataclass(slots=True)
class BeamlineState:
    """One beamline. ``oldest`` is the unfinished Scan that is there for the longest time.

    ``heard`` is False where the account may not read what watchers and flight checks say of themselves.
    """

    name: str
    phases: Mapping[str, int] = field(default_factory=dict)
    rewritten: int = 0
    oldest: str | None = None
    oldest_since: datetime | None = None
    running: int = 0
    last: LastTransfer | None = None
    tape: Filling | None = None
    prune: NextPrune | None = None
    heard: bool = True
    watcher: Heartbeat | None = None
    flight: FlightResult | None = None
    paused: Sequence[Pause] = ()


@dataclass(slots=True)
class Overview:
    """The whole installation at one moment; ``findings`` are those of the objects themselves, see :func:`needs`."""

    namespace: str
    at: datetime
    operator: str
    beamlines: list[BeamlineState] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def needs(self) -> list[Finding]:
        """What needs a person, problems before warnings."""
        found = [*self.findings, *(one for state in self.beamlines for one in judged(state, self.at))]
        return [one for kind in (Severity.PROBLEM, Severity.WARNING) for one in found if one.severity == kind]


def judged(state: BeamlineState, moment: datetime) -> list[Finding]:
    """What is wrong at one beamline, as far as its lanes, its watcher and its flight checks tell."""
    return [*judge_pauses(state.paused), *_rewrites(state), *_watcher(state, moment), *_flight(state, moment)]


def _rewrites(state: BeamlineState) -> list[Finding]:
    if not state.rewritten:
        return []
    text = (
        f"{state.name}: {state.rewritten} files shrank to less than half after they were copied and wait for a person"
    )
    return [problem(text, f"{Reason.SUSPICIOUS_REWRITE.remedy} dichroism retry --reason {Reason.SUSPICIOUS_REWRITE}")]


def _watcher(state: BeamlineState, moment: datetime) -> list[Finding]:
    word, look = state.watcher, "On the watcher's host: dichroism watcher status; systemctl status dichroism-watcher"
    if not state.heard:
        return []
    if word is None or word.completed is None:
        return [problem(f"{state.name}: no watcher has completed a pass over the folder: new files wait", look)]
    findings = []
    if (age := moment - word.completed) > timedelta(seconds=word.within_s):
        text = f"{state.name}: the watcher {word.holder} completed its last pass {ago(age)} ago: new files wait"
        findings.append(problem(text, look))
    if word.trouble:
        findings.append(problem(f"{state.name}: the watcher {word.holder} says: {word.trouble}", look))
    return findings


def _flight(state: BeamlineState, moment: datetime) -> list[Finding]:
    """A beamline that was never checked is none of our business: checks may be switched off."""
    result = state.flight
    if result is None:
        return []
    if not result.passed:
        remedy = result.failed[0].reason.remedy if result.failed and result.failed[0].reason else ""
        text = f"{state.name}: the last flight check did not get through: {result.summary}"
        return [problem(text, f"{remedy} Then: dichroism flight-check --beamline {state.name}".strip())]
    if moment - result.ended > FLIGHT_LATE:
        text = f"{state.name}: the last flight check ended {ago(moment - result.ended)} ago"
        return [warning(text, "See its CronJob: kubectl get cronjobs -l app.kubernetes.io/component=flight")]
    return []


PHASES = tuple(ScanPhase)
