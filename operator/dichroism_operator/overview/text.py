"""The overview as one screen for people and as one document for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dichroism_crds.timestamps import format_time
from dichroism_operator import wording
from dichroism_operator.doctor.check import Finding
from dichroism_operator.doctor.kubernetes import ago
from dichroism_operator.overview.state import PHASES, BeamlineState, Overview
from dichroism_operator.wording import printable

WIDTH = 120
_FINDING = 10
"""Columns before the text of a finding."""


def shown(view: Overview) -> str:
    """What needs a person first, then the tables."""
    head = f"namespace {view.namespace}, {view.at:%Y-%m-%d %H:%M:%S} UTC\noperator: {printable(view.operator)}"
    blocks = [head, _needs(view.needs), _phases(view), _work(view), _ahead(view), _heartbeats(view)]
    return "\n\n".join(blocks)


def _needs(findings: Sequence[Finding]) -> str:
    if not findings:
        return "all well: nothing needs a person"
    lines = [f"{wording.count(len(findings), 'thing')} to look at:"]
    for one in findings:
        lines += wording.wrapped(one.message, WIDTH, f"  {one.severity.name:<{_FINDING - 2}}")
        lines.append(f"{' ' * _FINDING}-> {printable(one.remedy)}")
    return "\n".join(lines)


def _phases(view: Overview) -> str:
    rows = [("BEAMLINE", *(phase.upper() for phase in PHASES), "OLDEST UNFINISHED")]
    for one in view.beamlines:
        oldest = f"{ago(view.at - one.oldest_since)} ({one.oldest})" if one.oldest_since else "-"
        rows.append((one.name, *(str(one.phases.get(phase, 0)) for phase in PHASES), oldest))
    return wording.columns(rows)


def _work(view: Overview) -> str:
    rows = [("BEAMLINE", "RUNNING", "LAST TRANSFER")]
    rows += [(one.name, str(one.running), _last(one, view.at)) for one in view.beamlines]
    return wording.columns(rows)


def _ahead(view: Overview) -> str:
    rows = [("BEAMLINE", "WAITS FOR TAPE", "NEXT PRUNE")]
    rows += [(one.name, _tape(one), _prune(one)) for one in view.beamlines]
    return wording.columns(rows)


def _last(state: BeamlineState, moment: datetime) -> str:
    last = state.last
    if last is None:
        return "-"
    age = f" {ago(moment - last.at)} ago" if last.at else ""
    return f"{last.name}, {wording.files(last.files)}, {last.phase}{age}"


def _tape(state: BeamlineState) -> str:
    if state.tape is None:
        return "no tape"
    if not state.tape.files:
        return "nothing"
    closes = f", closes by {_minute(state.tape.closes_by)}" if state.tape.closes_by else ""
    return f"{wording.files(state.tape.files)}, {wording.size(state.tape.bytes)}{closes}"


def _prune(state: BeamlineState) -> str:
    one = state.prune
    return f"{_minute(one.not_before)}, {wording.files(one.files)}, {wording.size(one.bytes)}" if one else "-"


def _heartbeats(view: Overview) -> str:
    rows = [("BEAMLINE", "WATCHER'S LAST PASS", "HINDERED FILES", "FLIGHT CHECK")]
    for one in view.beamlines:
        word = one.watcher
        watched = f"{ago(view.at - word.completed)} ago" if word and word.completed else "never" if one.heard else "?"
        hindered = ", ".join(f"{count} {state}" for state, count in (word.files if word else {}).items() if count)
        flight = "-"
        if one.flight:
            flight = f"{'passed' if one.flight.passed else 'FAILED'} {ago(view.at - one.flight.ended)} ago"
        rows.append((one.name, watched, hindered or "-", flight))
    return wording.columns(rows)


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def document(view: Overview) -> dict[str, Any]:
    """The same for programs; ``ok`` is what the exit code says."""
    return {
        "namespace": view.namespace,
        "at": format_time(view.at),
        "ok": not view.needs,
        "operator": view.operator,
        "needs": [
            {"severity": one.severity.name.lower(), "message": one.message, "remedy": one.remedy} for one in view.needs
        ],
        "beamlines": [_beamline(one) for one in view.beamlines],
    }


def _beamline(one: BeamlineState) -> dict[str, Any]:
    last, tape, prune, word, flight = one.last, one.tape, one.prune, one.watcher, one.flight
    return {
        "beamline": one.name,
        "phases": {phase.value: one.phases.get(phase, 0) for phase in PHASES},
        "oldest": {"scan": one.oldest, "since": _time(one.oldest_since)} if one.oldest else None,
        "running": one.running,
        "paused": [{"step": pause.step, "text": pause.text, "reason": pause.reason} for pause in one.paused],
        "lastTransfer": last and {"name": last.name, "phase": last.phase, "files": last.files, "at": _time(last.at)},
        "tape": tape and {"files": tape.files, "bytes": tape.bytes, "closesBy": _time(tape.closes_by)},
        "nextPrune": prune
        and {
            "name": prune.name,
            "notBefore": format_time(prune.not_before),
            "files": prune.files,
            "bytes": prune.bytes,
        },
        "watcher": word
        and {
            "holder": word.holder,
            "completed": _time(word.completed),
            "withinSeconds": word.within_s,
            "trouble": word.trouble,
            "files": dict(word.files),
        },
        "flightCheck": flight
        and {"passed": flight.passed, "ended": format_time(flight.ended), "summary": flight.summary},
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
