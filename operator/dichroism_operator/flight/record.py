"""Leaves the result of a check in the cluster: the Lease of the beamline, as the watcher leaves word of itself.

The account of the job may create Leases and change its own ones; it reads nothing.
"""

import os
import socket

from dichroism_crds.client import Api, NotFound
from dichroism_crds.heartbeat import LEASES
from dichroism_operator.flight.result import FlightResult, lease_name


async def leave(api: Api, result: FlightResult) -> None:
    """Write the Lease.

    Raises:
        ApiError: it can't be written.
    """
    name, body = lease_name(result.beamline), result.to_lease(f"{socket.gethostname()}_{os.getpid()}")
    path = api.builtin_path(*LEASES, name)
    try:
        await api.request("PATCH", path, body=body, content_type="application/merge-patch+json")
    except NotFound:
        body["metadata"]["name"] = name
        whole = {"apiVersion": LEASES[0], "kind": "Lease", **body}
        await api.request("POST", api.builtin_path(*LEASES), body=whole)
