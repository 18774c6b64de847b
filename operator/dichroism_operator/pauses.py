"""The word of an operator on what it waits for, as it stands in its Lease: written with each renewal, read by commands.

So a person sees which lanes are paused without metrics or logs, and it costs no write of its own. What anybody may have
written there is bounded and checked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dichroism_crds.kinds import Step
from dichroism_crds.names import ANNOTATION_PAUSED
from dichroism_crds.reasons import Reason

MOST_WORDS = 1024
"""Characters; a remedy in it may name a path of any length, and half of a command does harm."""
MOST = 64
_BY_ITSELF = "Nothing has to be retried: it is tried every few minutes."
_IF_IT_LASTS = "If it lasts: kubectl logs deployment/dichroism-operator"


@dataclass(frozen=True, slots=True)
class Pause:
    """The lane of one step of one beamline waits; ``text`` says for what, and begins with the reason where known."""

    beamline: str
    step: Step
    text: str

    @property
    def reason(self) -> Reason | None:
        """The reason that the text names."""
        return next((one for one in Reason if f"waits: {one}," in self.text), None)

    @property
    def remedy(self) -> str:
        """What to do about it; its files are in no danger and need no retry."""
        known = self.reason.remedy if self.reason else ""
        return f"{known} {_BY_ITSELF}" if known else f"{_BY_ITSELF} {_IF_IT_LASTS}"


def word(paused: Mapping[tuple[str, Step], str]) -> str:
    """What the annotation says of the paused lanes; short enough for a Lease."""
    told = sorted(paused.items())[:MOST]
    return json.dumps({f"{beamline}/{step}": _cut(text) for (beamline, step), text in told})


def of_lease(lease: Mapping[str, Any]) -> list[Pause]:
    """The paused lanes that a Lease tells of; what makes no sense is left out."""
    annotations = lease.get("metadata", {}).get("annotations") or {}
    try:
        told = json.loads(str(annotations.get(ANNOTATION_PAUSED, "{}")))
        pairs = [(*str(key).partition("/")[::2], text) for key, text in told.items()][:MOST]
    except (ValueError, AttributeError):
        return []
    steps = set(Step)
    return [Pause(name, Step(step), " ".join(_cut(str(text)).split())) for name, step, text in pairs if step in steps]


def _cut(text: str) -> str:
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"
