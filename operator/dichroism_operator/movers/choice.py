"""Which mover carries a hop and looks after an endpoint: one instance per name for the whole process."""

from collections.abc import Mapping

from dichroism_crds.config import Config, Hop, movers_used
from dichroism_operator.movers.base import Mover

TASKS_PER_HOP = 2
"""Tasks of one hop at the same time: the next one fills while the first one ends. No beamline waits for another."""


def build_movers(config: Config) -> dict[str, Mover]:
    """One mover for each name that the configuration uses.

    Raises:
        ValueError: a mover that this version does not have; ``check_runnable`` tells people before.
    """
    return {name: _build(name, len(_hops(config)) * TASKS_PER_HOP) for name in movers_used(config)}


def _build(name: str, tasks: int) -> Mover:
    if name == "filesystem":
        from dichroism_operator.movers.filesystem import FilesystemMover

        return FilesystemMover(max_threads=tasks)
    raise ValueError(f"mover {name} is not there in this version")


def mover_for(config: Config, movers: Mapping[str, Mover], endpoint: str) -> Mover:
    """The mover of an endpoint: that of the hop which makes copies on it, else of the hop which reads from it."""
    for hop in _hops(config):
        if hop.destination == endpoint:
            return movers[hop.mover]
    for hop in _hops(config):
        if hop.source == endpoint:
            return movers[hop.mover]
    raise ValueError(f"no hop of the configuration uses endpoint {endpoint}")


def _hops(config: Config) -> list[Hop]:
    return [hop for beamline in config.beamlines.values() for hop in (beamline.transfer, beamline.archive) if hop]
