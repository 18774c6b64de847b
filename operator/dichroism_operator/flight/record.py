"""Leaves the result of a check in the cluster: the Lease of the beamline, as the watcher leaves word of itself."""

from dichroism_crds import heartbeat
from dichroism_crds.client import Api
from dichroism_operator.flight.result import FlightResult, lease_name


async def leave(api: Api, result: FlightResult) -> None:
    """Write the Lease.

    Raises:
        ApiError: it can't be written.
    """
    await heartbeat.leave(api, lease_name(result.beamline), result.to_lease(heartbeat.holder()))
