"""What was read about one file, before anything is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dichroism_crds.kinds import Prune, Scan, Transfer
from dichroism_operator.pauses import Pause


@dataclass(frozen=True, slots=True)
class Happened:
    """One Kubernetes Event; ``at`` is its last time, ``about`` the kind and name of its object."""

    at: datetime | None
    reason: str
    about: str
    message: str
    warning: bool

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> "Happened":
        """From the object as the API serves it; its text is anybody's."""
        moment = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
        about = event.get("involvedObject") or {}
        return cls(
            datetime.fromisoformat(moment) if moment else None,
            str(event.get("reason", "")),
            f"{about.get('kind', '')} {about.get('name', '')}",
            " ".join(str(event.get("message", "")).split()),
            event.get("type") == "Warning",
        )


@dataclass(frozen=True, slots=True)
class Known:
    """The objects that speak about a file. ``scan`` is None when there is none (any more).

    Attributes:
        transfers: unfinished and failed ones that name it, and those that made its copies, as far as they are kept.
        prunes: those that name it.
        events: about all of these, oldest first.
        pauses: lanes that wait, as the operator says; empty while none works.
        idle: why no operator works, None while one does or it is not known.
        unread: what could not be read, and why.
    """

    scan: Scan | None
    transfers: tuple[Transfer, ...] = ()
    prunes: tuple[Prune, ...] = ()
    events: tuple[Happened, ...] = ()
    pauses: tuple[Pause, ...] = ()
    idle: str | None = None
    unread: tuple[str, ...] = ()
