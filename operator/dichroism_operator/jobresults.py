"""What a job leaves in the cluster before it ends: a Lease of its own, which the operator makes metrics of.

Nobody can ask a job that has ended. The account of the job may create Leases and change its own ones; it reads none.
"""

import os
import socket
from typing import Any, Protocol

from dichroism_crds.client import Api, NotFound
from dichroism_crds.heartbeat import LEASES


class Result(Protocol):
    """What a job found."""

    def to_lease(self, holder: str) -> dict[str, Any]:
        """Annotations and spec of the Lease, as a merge patch; ``holder`` is the process that found it."""


async def leave(api: Api, name: str, result: Result) -> None:
    """Write the Lease of that name.

    Raises:
        ApiError: it can't be written.
    """
    body = result.to_lease(f"{socket.gethostname()}_{os.getpid()}")
    path = api.builtin_path(*LEASES, name)
    try:
        await api.request("PATCH", path, body=body, content_type="application/merge-patch+json")
    except NotFound:
        body["metadata"]["name"] = name
        whole = {"apiVersion": LEASES[0], "kind": "Lease", **body}
        await api.request("POST", api.builtin_path(*LEASES), body=whole)
