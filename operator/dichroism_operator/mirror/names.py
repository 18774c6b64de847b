"""Names in Prefect, derived from the configuration: those that staff know from the flows that ran here before."""

from collections.abc import Iterable
from dataclasses import dataclass

from dichroism_crds.config import Config

POOL_TYPE = "scan-operator-mirror"
"""A type of work pool that no worker has."""
TAG = "scan-operator-mirror"
"""Marks the deployments that are ours."""

NEW_FILE_POOL = "new_file_dichroism_pool"
DISPATCHER_POOL = "dispatcher_dichroism_pool"
DISPATCHER = "run_dichroism_dispatcher"
FLIGHT_CHECK = "test_transfers_dichroism"
FLIGHT_CHECK_QUEUE = "test_transfers_dichroism_queue"

_BUTTONS = (
    "**Cancel**, **Retry** and **Change state** change what is shown here for some minutes and nothing else; nothing "
    "here can be run. To try a scan again: `kubectl annotate scan NAME dichroism.als.lbl.gov/retry=$(date +%s) "
    "--overwrite`. The artifact of each finished run has the whole command."
)


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool and its queues."""

    name: str
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment; ``queue`` is the one of runs that name no other."""

    name: str
    flow: str
    pool: str
    queue: str
    description: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that has to exist in Prefect before a run can be shown."""

    pools: tuple[Pool, ...]
    deployments: tuple[Deployment, ...]


def number_of(beamline: str) -> str:
    """``BL402`` is 402 in all names; a beamline of another form is its own name in lower case."""
    digits = beamline.removeprefix("BL")
    return digits if beamline.startswith("BL") and digits else beamline.lower()


def new_file(beamline: str) -> str:
    """Deployment of a beamline's Scans, such as ``new_file_402``."""
    return f"new_file_{number_of(beamline)}"


def new_file_queue(beamline: str) -> str:
    """Queue of a beamline's Scans, such as ``new_file_402_queue``."""
    return f"new_file_{number_of(beamline)}_queue"


def dispatcher_queue(beamline: str) -> str:
    """Queue of a beamline's Transfers, such as ``dispatcher_402_queue``."""
    return f"dispatcher_{number_of(beamline)}_queue"


def layout(config: Config) -> Layout:
    """Pools, queues and deployments of all configured beamlines."""
    beamlines = config.beamlines
    new_files = Pool(NEW_FILE_POOL, (*map(new_file_queue, beamlines), FLIGHT_CHECK_QUEUE))
    dispatchers = Pool(DISPATCHER_POOL, tuple(map(dispatcher_queue, beamlines)))
    batches = config.prefect.batches
    return Layout(
        pools=(new_files, dispatchers) if batches else (new_files,),
        deployments=tuple(_deployments(beamlines, batches)),
    )


def _deployments(beamlines: Iterable[str], batches: bool) -> Iterable[Deployment]:
    names = list(beamlines)
    if batches:
        text = "One run for each batch of files on its way to disk or tape (a Transfer)."
        yield Deployment(DISPATCHER, "dispatcher", DISPATCHER_POOL, dispatcher_queue(names[0]), f"{text}\n\n{_BUTTONS}")
    for name in names:
        text = f"One run for each scan file of {name} (a Scan). The mirror follows the operator in Kubernetes."
        flow = f"new_{number_of(name)}_file_flow"
        yield Deployment(new_file(name), flow, NEW_FILE_POOL, new_file_queue(name), f"{text}\n\n{_BUTTONS}")
    text = "One run for each flight check: a small file sent through every hop."
    yield Deployment(FLIGHT_CHECK, FLIGHT_CHECK, NEW_FILE_POOL, FLIGHT_CHECK_QUEUE, f"{text}\n\n{_BUTTONS}")
