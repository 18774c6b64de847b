"""Which mover carries a hop and looks after an endpoint: one instance per name for the whole process."""

import os
from collections.abc import Mapping

from dichroism_crds.config import Config, Hop, movers_used
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.slots import PER_LANE, Slots

GLOBUS_TASKS = 3
"""Transfer tasks that the service works on at a time for one identity, over all beamlines."""
GLOBUS_POLL = "DICHROISM_GLOBUS_POLL_SECONDS"
"""Variable: from the start of a Globus task to its first poll. Default 8, as a real task takes so long to start."""
GLOBUS_GRACE = "DICHROISM_GLOBUS_GRACE_SECONDS"
"""Variable: how long a file may hold up a Globus task before it is canceled. Default 120: Globus tries again itself."""

SFAPI_POLL = "DICHROISM_SFAPI_POLL_SECONDS"
"""Variable: from the submission of a tape job to its first poll. Default 20: a job waits in its queue for minutes."""


def build_movers(config: Config, *, for_pruning: bool = False) -> dict[str, Mover]:
    """One mover for each name that the configuration uses; ``for_pruning`` asks outside services more slowly."""
    return {name: build_mover(name, config, for_pruning=for_pruning) for name in movers_used(config)}


def build_mover(name: str, config: Config, *, for_pruning: bool = False) -> Mover:
    """One of them alone."""
    # Imported here: the SDKs are large, and most processes need one of them.
    if name == "filesystem":
        from dichroism_operator.movers.filesystem import FilesystemMover

        return FilesystemMover(max_threads=len(_hops(config)) * PER_LANE)
    if name == "globus":
        from dichroism_operator.movers.globus.connection import GlobusConnection
        from dichroism_operator.movers.globus.flights import FIRST_POLL_S
        from dichroism_operator.movers.globus.mover import GlobusMover
        from dichroism_operator.movers.globus.pace import OPERATOR_RATE, PRUNE_RATE
        from dichroism_operator.movers.globus.reactions import STUCK_GRACE_S

        return GlobusMover(
            GlobusConnection(per_second=PRUNE_RATE if for_pruning else OPERATOR_RATE),
            first_poll_s=float(os.environ.get(GLOBUS_POLL, FIRST_POLL_S)),
            stuck_grace_s=float(os.environ.get(GLOBUS_GRACE, STUCK_GRACE_S)),
        )
    from dichroism_operator.movers.sfapi.mover import SfapiMover
    from dichroism_operator.movers.sfapi.pace import FIRST_POLL_S as FIRST_JOB_POLL_S

    near = {hop.destination: config.endpoints[hop.source] for hop in _hops(config) if hop.mover == name}
    return SfapiMover(config.sfapi, near, first_poll_s=float(os.environ.get(SFAPI_POLL, FIRST_JOB_POLL_S)))


def build_slots(config: Config) -> dict[str, Slots]:
    """What the lanes of each mover share."""
    return {name: Slots(GLOBUS_TASKS if name == "globus" else None) for name in movers_used(config)}


def mover_for(config: Config, movers: Mapping[str, Mover], endpoint: str) -> Mover:
    """The mover of an endpoint."""
    return movers[mover_name(config, endpoint)]


def mover_name(config: Config, endpoint: str) -> str:
    """Its name: that of the hop which makes copies on the endpoint, else of the hop which reads from it.

    Raises:
        ValueError: no hop does.
    """
    for hop in _hops(config):
        if hop.destination == endpoint:
            return hop.mover
    for hop in _hops(config):
        if hop.source == endpoint:
            return hop.mover
    raise ValueError(f"no hop of the configuration uses endpoint {endpoint}")


def verifier_for(config: Config, movers: Mapping[str, Mover], endpoint: str) -> Mover:
    """The mover that proves copies on an endpoint again."""
    return movers[verifier_name(config, endpoint)]


def verifier_name(config: Config, endpoint: str) -> str:
    """Its name: that of :func:`mover_name`, but for files that lie where tape jobs run and are not mounted here.

    A job reads those there, whatever their size.

    Raises:
        ValueError: no hop uses the endpoint.
    """
    for hop in _hops(config):
        if hop.source == endpoint and hop.mover == "sfapi" and config.endpoints[endpoint].mount is None:
            return hop.mover
    return mover_name(config, endpoint)


def _hops(config: Config) -> list[Hop]:
    return [hop for beamline in config.beamlines.values() for hop in (beamline.transfer, beamline.archive) if hop]
