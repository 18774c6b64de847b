"""What an audit leaves for the operator: numbers by kind of finding, and the Lease in which they stand. No I/O.

The job that audits writes the Lease; the operator reads it and makes metrics. What anybody may have written into the
Lease is bounded and checked. Names of files are not in it: they are in the log of the job.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dichroism_crds.names import GROUP
from dichroism_crds.timestamps import format_time
from dichroism_operator.audit.findings import Kind, Place

ANNOTATION_RESULT = f"{GROUP}/audit"
PERIOD_S = 86_400
"""Seconds between two audits as the chart schedules them; a Lease needs such a number."""
MOST_DISKS = 4

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Bytes = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A file system of a site may be larger than 9 PB, which is 2**53."""


class DiskResult(BaseModel):
    """How one endpoint is filled; bytes of the file system are None where the storage does not tell."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: Annotated[str, Field(max_length=64)]
    files: _Count
    bytes: _Bytes
    oldest: datetime | None = None
    capacity: _Bytes | None = None
    free: _Bytes | None = None


class AuditResult(BaseModel):
    """One audit of one beamline. ``unseen``: what could not be looked at, each place with how often."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    beamline: Annotated[str, Field(max_length=16)]
    started: datetime
    ended: datetime
    findings: dict[Kind, _Count]
    unseen: dict[Place, _Count]
    disks: Annotated[tuple[DiskResult, ...], Field(max_length=MOST_DISKS)] = ()

    @property
    def summary(self) -> str:
        """One sentence for people."""
        told = [f"{count} {kind}" for kind, count in self.findings.items()]
        told += [f"{place} was not looked at" for place in self.unseen]
        return ", ".join(told) or "nothing is wrong"

    def to_lease(self, holder: str) -> dict[str, Any]:
        """Annotations and spec of the Lease, as a merge patch; ``holder`` is the process that audited."""
        return {
            "metadata": {"annotations": {ANNOTATION_RESULT: self.model_dump_json(exclude_none=True)}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": PERIOD_S, "renewTime": format_time(self.ended)},
        }

    @classmethod
    def from_lease(cls, lease: Mapping[str, Any]) -> "AuditResult | None":
        """The last audit; None when the Lease tells of none.

        Raises:
            ValueError: what stands there makes no sense.
        """
        text = (lease.get("metadata", {}).get("annotations") or {}).get(ANNOTATION_RESULT)
        if text is None:
            return None
        result = cls.model_validate_json(str(text))
        times = [result.started, result.ended, *(one.oldest for one in result.disks if one.oldest)]
        if any(one.tzinfo is None for one in times):
            raise ValueError("a time without a zone")
        return result


def lease_name(beamline: str) -> str:
    """Name of the Lease with the last audit of a beamline."""
    return f"dichroism-audit-{beamline}".lower()
