"""What goes to a worker process and what comes back: plain data, light to import."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SIDECAR_SUFFIX = ".sdc.json"
"""A file ``<scan>.sdc.json`` tells of the scan ``<scan>.txt`` beside it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file that the worker can open itself: ``path`` below the folder ``root``, entered without following links."""

    root: str
    path: str


Source = Place | bytes


@dataclass(frozen=True, slots=True)
class Job:
    """One recorded copy to be read. What is read must have this size and, where it is known, this sha256."""

    source: Source
    size: int
    sha256: str | None
    beamline: str
    path: str
    """Below the endpoint's root, for the numbers in its name."""
    sidecars: tuple[Source, ...] = ()
    """Where its sidecar may be; the first that is there counts."""
    picture: bool = False
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Description:
    """What a file says of itself."""

    metadata: dict[str, Any] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    """All keys of metadata that such a description may have; one that is not in ``metadata`` does not hold any more."""
    techniques: tuple[dict[str, str], ...] = ()
    keywords: tuple[str, ...] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    proposal: str | None = None
    """As the sidecar says, or the file itself when it is one."""
    sample: str | None = None
    has_sidecar: bool = False
    sidecar_unread: bool = False
    """Whether there may be a sidecar that could not be read: what it says of the proposal is not known."""
    problem: str | None = None
    """What of the file could not be understood, in words for a person."""
    drawable: bool = False
    """Whether there is a picture of such a file."""
    png: bytes | None = None
    headline: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a worker: the description, or why the bytes could not be had."""

    description: Description | None = None
    unread: str | None = None
    differs: bool = False
    """The bytes are not those of the recorded copy."""
