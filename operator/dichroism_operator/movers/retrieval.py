"""What comes back from tape by itself: members of a bundle, as files on the endpoint from which they were archived."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from dichroism_crds.config import Endpoint
from dichroism_operator.movers.base import CopyState


class Wanted(NamedTuple):
    """One member: its path in the bundle, its size in bytes, its sha256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Members of one bundle that are to come back; ``bundle`` is its path below the root of ``tape``."""

    tape: Endpoint
    bundle: str
    members: tuple[Wanted, ...]

    @property
    def key(self) -> str:
        """Names the wish for ever: whoever has the same one meets the same retrieval."""
        lines = ["\0".join(map(str, member)) for member in self.members]
        whole = "\n".join([f"{self.tape.name}\0{self.tape.root_path}\0{self.bundle}", *lines])
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


class Retrieval(StrEnum):
    """How far a retrieval is."""

    ACTIVE = "Active"
    DONE = "Done"
    FAILED = "Failed"


class Brought(NamedTuple):
    """One member as it was brought back, or why not.

    When VERIFIED it lies at ``path`` below the root of the endpoint, which has no awkward name. ``modified_us`` is its
    modification time in microseconds since 1970 (UTC).
    """

    state: CopyState
    path: str = ""
    modified_us: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A retrieval as it is now.

    When DONE, there is a word about each member. ``folder`` is the whole path at the site of the folder in which those
    that came lie under their own paths, for people. ``message`` says what is wrong with the bundle as a whole.
    """

    state: Retrieval
    message: str = ""
    near: Endpoint | None = None
    folder: str = ""
    members: Mapping[str, Brought] = field(default_factory=dict)


class Retrieves(Protocol):
    """Brings members back from tape, which takes minutes or hours and goes on without this process.

    Everything raises :class:`~dichroism_operator.movers.errors.MoverUnavailable` when the service is in trouble.
    """

    largest_read: int
    """Bytes of the largest file that :meth:`read` should be asked for."""

    def begin(self, wish: Wish) -> Retrieved:
        """Have the members brought back, or find that somebody asked for it before, or that they lie there.

        Raises:
            TaskRefused: a path can't be used at the site.
            PathError: one that no file of a user can have.
        """

    def look(self, wishes: Collection[Wish]) -> Mapping[str, Retrieved]:
        """State of each wish that was begun, by its key."""

    def spoilt(self, wish: Wish) -> None:
        """What lies there is not any more what was brought back: the next :meth:`begin` brings it anew."""

    def read(self, near: Endpoint, path: str, size: int) -> bytes:
        """A file of that size where it lies, when nothing is mounted.

        Raises:
            FileNotFoundError: it is not there.
        """

    def pause_s(self, age_s: float) -> float:
        """Seconds until the next look is worth its while, so long after the beginning."""


@runtime_checkable
class BringsBack(Protocol):
    """A mover whose archive gives bundles back by jobs of its own."""

    retrievals: Retrieves
