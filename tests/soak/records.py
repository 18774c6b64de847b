"""What the account is made of: what was written, what lies where, what each part of the product said. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Key = tuple[str, str]
"""Beamline and path."""


class Place(StrEnum):
    """Where bytes of ours may lie."""

    SOURCE = "source"
    SOURCE_TRASH = "trash of the source"
    DISK = "disk"
    DISK_SUPERSEDED = "superseded on disk"
    DISK_TRASH = "trash of the disk"
    TAPE = "tape"


@dataclass(frozen=True)
class Written:
    """One file as its instrument tells of it.

    Attributes:
        left: sha256 and size of each content that it left there, oldest first.
        scan: whether a Scan must come of it.
        deleted: whether the instrument itself took it away.
        former: where it was before it was moved.
        at: when the last content was written (s since the epoch).
        hesitated: whether the instrument was held up for so long that an unfinished file looked finished.
    """

    beamline: str
    path: str
    left: tuple[tuple[str, int], ...]
    scan: bool = True
    deleted: bool = False
    former: str | None = None
    at: float = 0.0
    hesitated: bool = False

    @property
    def key(self) -> Key:
        """Beamline and path."""
        return self.beamline, self.path

    @property
    def last(self) -> tuple[str, int] | None:
        """The content that has to be safe in the end."""
        return self.left[-1] if self.left else None


@dataclass(frozen=True)
class Found:
    """A file that was read from a disk, or a member that was read from a bundle on tape."""

    place: Place
    beamline: str
    path: str
    sha256: str
    size: int
    bundle: str = ""

    @property
    def key(self) -> Key:
        """Beamline and path."""
        return self.beamline, self.path


@dataclass(frozen=True)
class ToldCopy:
    """A copy that a Scan records."""

    path: str
    sha256: str | None


@dataclass(frozen=True)
class Told:
    """What a Scan says."""

    name: str
    beamline: str
    path: str
    done: bool
    reasons: tuple[str, ...] = ()
    message: str = ""
    moved_to: str | None = None
    copies: Mapping[str, ToldCopy] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()
    pid: str | None = None

    @property
    def key(self) -> Key:
        """Beamline and path."""
        return self.beamline, self.path


@dataclass(frozen=True)
class Entry:
    """A dataset: pid, the sha256 of each listed file, and of each listed tape copy."""

    pid: str
    files: tuple[str, ...]
    on_tape: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """A file on the calendar of an endpoint."""

    endpoint: str
    path: str
    sha256: str


@dataclass
class World:
    """All that is known at the end."""

    written: list[Written] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    scans: list[Told] = field(default_factory=list)
    datasets: list[Entry] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    deliveries: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Destination, path, size and time of each file that a Transfer says it brought there."""
    tasks: list[str] = field(default_factory=list)
    """Labels of the tasks in the books of the transfer service."""
    restored: list[tuple[Key, str]] = field(default_factory=list)
    """What came back from tape, and its sha256."""
    unreadable: list[str] = field(default_factory=list)
    """Bundles that can't be read to their end, and other things that should be readable."""
    gone_since: dict[Key, float] = field(default_factory=dict)
    """When a file was first seen to be gone from its source (s since the epoch)."""
    retention_s: float = 0.0
    """No file may go from its source earlier than this after it was written."""
    broken_words: list[str] = field(default_factory=list)
    """What was done although people had forbidden it."""
