"""The Lease in which a watcher leaves word of itself, one for each beamline: its name, and what stands in it.

The watcher writes it, the operator reads it. ``renewTime`` is the moment of the last completed pass over the folder, so
a watcher that runs and sees nothing grows silent too. Its numbers and its trouble are in annotations. :func:`leave`
writes such a Lease, for whoever may create Leases and change its own, and read nothing.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dichroism_crds.client import Api, NotFound
from dichroism_crds.names import GROUP
from dichroism_crds.timestamps import format_time

LEASES = ("coordination.k8s.io/v1", "leases")
"""Group with version, and plural."""
ANNOTATION_TROUBLE = f"{GROUP}/trouble"
ANNOTATION_FILES = f"{GROUP}/files"
STATES = ("pending", "quarantined", "unreadable")
"""What hinders a file that a watcher counts."""
MOST_WORDS = 500
_SHORTEST_S, _LONGEST_S = 60, 86_400


def lease_name(beamline: str) -> str:
    """Name of the Lease of a beamline's watcher."""
    return f"dichroism-watcher-{beamline}".lower()


def holder() -> str:
    """Host and process, for people."""
    return f"{socket.gethostname()}_{os.getpid()}"


async def leave(api: Api, name: str, word: Mapping[str, Any]) -> None:
    """Write the Lease of that name; ``word`` holds its annotations and spec, as a merge patch.

    Raises:
        ApiError: it can't be written.
    """
    path = api.builtin_path(*LEASES, name)
    try:
        await api.request("PATCH", path, body=dict(word), content_type="application/merge-patch+json")
    except NotFound:
        metadata = {**word["metadata"], "name": name}
        whole = {"apiVersion": LEASES[0], "kind": "Lease", **word, "metadata": metadata}
        await api.request("POST", api.builtin_path(*LEASES), body=whole)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a watcher tells of one beamline.

    Attributes:
        holder: host and process.
        completed: when the last pass over the whole folder ended; None before the first.
        within_s: seconds after which the next one should have ended at the latest.
        trouble: why there is none, for people; empty while all is well.
        files: files by what hinders them, for each of :data:`STATES`.
    """

    holder: str
    completed: datetime | None
    within_s: int
    trouble: str = ""
    files: Mapping[str, int] = field(default_factory=dict)

    def to_lease(self) -> dict[str, Any]:
        """Annotations and spec of the Lease, as a merge patch; before the first pass, an older time in it stays."""
        renewed = {"renewTime": format_time(self.completed)} if self.completed else {}
        return {
            "metadata": {
                "annotations": {
                    ANNOTATION_TROUBLE: self.trouble[:MOST_WORDS],
                    ANNOTATION_FILES: " ".join(f"{state}={self.files.get(state, 0)}" for state in STATES),
                }
            },
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": min(max(self.within_s, _SHORTEST_S), _LONGEST_S),
                **renewed,
            },
        }

    @classmethod
    def from_lease(cls, lease: Mapping[str, Any]) -> "Heartbeat":
        """Read a Lease; what anybody may have written there is bounded, and what makes no sense left out.

        Raises:
            ValueError: its time is none.
        """
        spec, annotations = lease.get("spec") or {}, lease.get("metadata", {}).get("annotations") or {}
        pairs = (pair.partition("=") for pair in str(annotations.get(ANNOTATION_FILES, ""))[:200].split())
        files = {state: int(count) for state, _, count in pairs if state in STATES and count.isdecimal()}
        within = int(spec.get("leaseDurationSeconds") or _LONGEST_S)
        renewed = spec.get("renewTime")
        return cls(
            str(spec.get("holderIdentity") or "")[:MOST_WORDS],
            datetime.fromisoformat(renewed) if renewed else None,
            min(max(within, _SHORTEST_S), _LONGEST_S),
            " ".join(str(annotations.get(ANNOTATION_TROUBLE, ""))[:MOST_WORDS].split()),
            files,
        )
