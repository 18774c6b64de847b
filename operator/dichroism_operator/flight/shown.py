"""A flight check as the run that Prefect shows, under the name that staff know. Pure.

The operator shows it, from what the job left in the cluster: so the job needs no way to Prefect, and Prefect being down
is no reason for a check to fail.
"""

from datetime import timedelta

from dichroism_operator.flight.field import FLIGHT
from dichroism_operator.flight.result import FlightResult
from dichroism_operator.mirror import names
from dichroism_operator.mirror.page import Artifact, artifact_key, plain
from dichroism_operator.mirror.states import Run, RunState, StateType


def flight_run(result: FlightResult) -> Run:
    """The flow run of a check: one state for each leg, at its end."""
    states = [RunState(StateType.PENDING, "Pending", result.started, f"flight check of {result.beamline}")]
    moment = result.started
    for leg in result.legs:
        moment = min(moment + timedelta(seconds=leg.seconds), result.ended)
        text = f"{leg.outcome} in {leg.seconds:.1f} s: {f'{leg.reason}: ' if leg.reason else ''}{leg.message}"
        states.append(RunState(StateType.RUNNING, leg.name, moment, text))
    kind, name = (StateType.COMPLETED, "Completed") if result.passed else (StateType.FAILED, "Failed")
    states.append(RunState(kind, name, max(result.ended, moment), result.summary))
    return Run(
        key=result.id,
        deployment=names.FLIGHT_CHECK,
        queue=names.FLIGHT_CHECK_QUEUE,
        name=f"{result.beamline} {result.started:%Y-%m-%d %H:%M}",
        parameters={"file_path": FLIGHT, "beamline": result.beamline, "is_export_control": False},
        tags=(result.beamline,),
        states=tuple(states),
        artifact=_artifact(result),
    )


def _artifact(result: FlightResult) -> Artifact:
    rows = [f"| {plain(leg.name)} | {leg.outcome} | {leg.seconds:.1f} | {leg.reason or ''} |" for leg in result.legs]
    parts = [
        f"## Flight check of {result.beamline}",
        plain(result.summary),
        "\n".join(["| leg | result | seconds | reason |", "|---|---|---|---|", *rows]),
        "To check again now:",
        f"```\ndichroism flight-check --beamline {result.beamline}\n```",
    ]
    return Artifact(artifact_key(f"flight-{result.id}"), "\n\n".join(parts), f"Flight check of {result.beamline}")
