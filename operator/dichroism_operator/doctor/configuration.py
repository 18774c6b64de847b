"""The configuration: whether it loads, what it warns of, and whether this version can carry it out."""

from functools import partial
from pathlib import Path

from dichroism_crds.config import Config, check_runnable
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem, warning
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.place import Place


def checks(place: Place) -> list[Check]:
    """Two looks: at the document, and at what would be done with it here."""
    found = [Check("config/document", "the document is right and means what it says", partial(_document, place))]
    if place.config:
        found.append(Check("config/runnable", "this version can carry it out", partial(_runnable, place, place.config)))
    return found


async def _document(place: Place) -> Findings:
    file = place.config_file
    findings = [problem(line, f"Correct it, then: dichroism config check {file}") for line in place.checked.errors]
    findings += [warning(line, "Change it, or leave it if it is meant") for line in place.checked.warnings]
    if place.config is None:
        text = "everything that needs the configuration, which is nearly everything"
        return [*findings, not_checked(text, "Correct the configuration first")]
    beamlines, endpoints = len(place.config.beamlines), len(place.config.endpoints)
    return [ok(f"{file}: no errors ({beamlines} beamlines, {endpoints} endpoints)"), *findings]


async def _runnable(place: Place, config: Config) -> Findings:
    chosen = config.model_copy(update={"beamlines": {one.name: one for one in place.beamlines}})
    return judge_runnable(check_runnable(chosen), check_runnable(_mounted_everywhere(chosen)), await place.role())


def _mounted_everywhere(config: Config) -> Config:
    """The same as a place would see it that has every endpoint."""
    endpoints = {
        name: endpoint.model_copy(update={"mount": Path("/mounted")}) for name, endpoint in config.endpoints.items()
    }
    return config.model_copy(update={"endpoints": endpoints})


def judge_runnable(here: list[str], anywhere: list[str], role: Role) -> list[Finding]:
    """What keeps the operator from starting.

    Args:
        here: obstacles in this place.
        anywhere: those of them that are obstacles in every place.
        role: only where the operator runs is a missing mount a problem.
    """
    findings = [problem(line, "Correct the configuration, or use a version that can do it") for line in anywhere]
    unmounted = [line for line in here if line not in anywhere]
    if role == Role.OPERATOR:
        text = "the operator does not start"
        findings += [problem(f"{text}: {line}", "Mount it (value `mounts` of the chart)") for line in unmounted]
    elif unmounted:
        text = f"whether an operator could run: not everything that it needs is mounted here ({unmounted[0]})"
        findings.append(not_checked(text, "Run this in the operator's pod"))
    return findings or [ok("this version can carry it out here")]
