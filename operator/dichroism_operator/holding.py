"""Who suspended a Scan or Prune, why and until when: the note beside ``spec.suspend``, which alone acts. Pure.

A suspend ends when a person takes it back, never by itself: ``until`` is the day on which somebody should ask.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dichroism_crds.kinds import Metadata, Prune, Scan
from dichroism_crds.names import ANNOTATION_HOLD
from dichroism_crds.timestamps import format_time

MOST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Note:
    """What a person said when suspending."""

    by: str
    reason: str
    until: datetime | None = None


def hold(note: Note) -> dict[str, Any]:
    """Merge patch that suspends a Scan or Prune and leaves the note."""
    told = {"by": note.by[:MOST_WORDS], "reason": note.reason[:MOST_WORDS]}
    if note.until:
        told["until"] = format_time(note.until)
    return {"metadata": {"annotations": {ANNOTATION_HOLD: json.dumps(told)}}, "spec": {"suspend": True}}


def release() -> dict[str, Any]:
    """Merge patch that takes the suspend back, with its note."""
    return {"metadata": {"annotations": {ANNOTATION_HOLD: None}}, "spec": {"suspend": False}}


def note_of(resource: Scan | Prune) -> Note | None:
    """The note on a suspended Scan or Prune; None when it is not suspended. Without a note nobody said."""
    return (_note(resource.metadata) or Note("somebody", "no reason was given")) if resource.spec.suspend else None


def _note(metadata: Metadata) -> Note | None:
    """What stands there may be anybody's: it is bounded, and what makes no sense counts as nothing."""
    try:
        told = json.loads(metadata.annotations.get(ANNOTATION_HOLD, ""))
        if not isinstance(told, Mapping):
            return None
        until = datetime.fromisoformat(told["until"]) if told.get("until") else None
        if until and until.tzinfo is None:
            return None
        return Note(_words(told.get("by")) or "somebody", _words(told.get("reason")) or "no reason was given", until)
    except (ValueError, TypeError):
        return None


def _words(text: object) -> str:
    return " ".join(str(text or "")[:MOST_WORDS].split())
