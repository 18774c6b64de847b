"""What a flight check found, hop by hop, and the Lease in which it stands until the next one. No I/O.

The job that checks writes the Lease; the operator reads it, because nobody can ask a job that has ended for metrics.
What anybody may have written into the Lease is bounded and checked.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dichroism_crds.config import Beamline
from dichroism_crds.names import GROUP
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import format_time

ANNOTATION_RESULT = f"{GROUP}/flight-check"
CATALOGUE = "scicat"
CLEANUP = "cleanup"
MOST_WORDS = 400
MOST_LEGS = 8
PERIOD_S = 43_200
"""Seconds between two checks as the chart schedules them; a Lease needs such a number."""


class Outcome(StrEnum):
    """What became of one leg."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried, because an earlier leg it needs failed."""


class Leg(BaseModel):
    """One hop, the catalogue, or the cleaning up. ``reason`` is None unless it failed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(max_length=64)]
    outcome: Outcome
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    message: Annotated[str, Field(max_length=MOST_WORDS)] = ""
    reason: Reason | None = None


class FlightResult(BaseModel):
    """One check of one beamline. ``id`` is unique among all checks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    beamline: Annotated[str, Field(max_length=16)]
    started: datetime
    ended: datetime
    legs: Annotated[tuple[Leg, ...], Field(max_length=MOST_LEGS)]

    @property
    def failed(self) -> tuple[Leg, ...]:
        """The legs that failed."""
        return tuple(leg for leg in self.legs if leg.outcome == Outcome.FAILED)

    @property
    def passed(self) -> bool:
        """Whether something was tried and nothing failed."""
        return not self.failed and any(leg.outcome == Outcome.PASSED for leg in self.legs)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.passed:
            return "every leg works: " + ", ".join(leg.name for leg in self.legs if leg.outcome == Outcome.PASSED)
        return "; ".join(f"{leg.name}: {leg.reason}: {leg.message}" for leg in self.failed) or "nothing was tried"

    def to_lease(self, holder: str) -> dict[str, Any]:
        """Annotations and spec of the Lease, as a merge patch; ``holder`` is the process that checked."""
        return {
            "metadata": {"annotations": {ANNOTATION_RESULT: self.model_dump_json(exclude_none=True)}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": PERIOD_S, "renewTime": format_time(self.ended)},
        }

    @classmethod
    def from_lease(cls, lease: Mapping[str, Any]) -> "FlightResult | None":
        """The last check; None when the Lease tells of none.

        Raises:
            ValueError: what stands there makes no sense.
        """
        annotations = lease.get("metadata", {}).get("annotations") or {}
        text = annotations.get(ANNOTATION_RESULT)
        if text is None:
            return None
        result = cls.model_validate_json(str(text))
        if result.started.tzinfo is None or result.ended.tzinfo is None:
            raise ValueError("a time without a zone")
        return result


def lease_name(beamline: str) -> str:
    """Name of the Lease with the last check of a beamline."""
    return f"dichroism-flight-{beamline}".lower()


def leg_names(beamline: Beamline) -> tuple[str, ...]:
    """The legs that a check of this beamline has, in their order."""
    hops = [hop for hop in (beamline.transfer, beamline.archive) if hop]
    first, *later = (f"{hop.source}-{hop.destination}" for hop in hops)
    return (first, *([CATALOGUE] if beamline.ingest else []), *later, CLEANUP)
