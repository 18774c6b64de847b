"""The words in which the watcher speaks of files: a content, an open file, what a step brought about. No decisions."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dichroism_watcher.stability import Seen, Stillness


class FileContent(NamedTuple):
    """Size in bytes and modification time in microseconds since the epoch."""

    size: int
    mtime_us: int

    @classmethod
    def of(cls, seen: Seen) -> "FileContent":
        """The content as the API can express it."""
        return cls(seen.size, seen.mtime_ns // 1000)


class KnownScan(NamedTuple):
    """What the API said of a path; ``transferred`` and ``succeeded`` speak about exactly this content.

    ``moved_to`` is the path to which the Scan says that its file went; ``ended`` tells that nothing happens any more
    before a person acts; ``live`` that nobody asked for it.
    """

    content: FileContent
    succeeded: bool
    transferred: bool = False
    moved_to: str | None = None
    ended: bool = False
    live: bool = True


class State(Enum):
    """Life of an open file."""

    OBSERVED = "observed"
    FINISHED = "finished"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"


@dataclass(slots=True)
class FileRecord:
    """An open file. ``accepted`` is the content that the API last held of it, at ``accepted_at`` (s, monotonic).

    ``looked_at`` and ``finished_at`` are moments of the same clock: the end of the last look, and when the present
    content was found finished. ``reason`` tells why it is in quarantine. A file that is older than the day from which
    files count is ``tracked`` once it had a Scan.
    """

    stillness: Stillness
    device: int = 0
    state: State = State.OBSERVED
    accepted: FileContent | None = None
    accepted_at: float = float("-inf")
    looked_at: float = float("-inf")
    finished_at: float = 0.0
    queued: bool = False
    tracked: bool = False
    illegal: bool = False
    reported_empty: bool = False
    reason: str = ""

    @property
    def content(self) -> FileContent:
        """The content at the last look."""
        return FileContent.of(self.stillness.seen)


class Submission(NamedTuple):
    """A finished file for which the API has to be asked; ``changed_ns`` is when its inode last changed (ns)."""

    content: FileContent
    device: int
    inode: int
    changed_ns: int


class Held(NamedTuple):
    """What the API is known to hold of a file, for the journal; ``scan_path`` where the Scan is that of another path.

    ``safe``: its Scan was seen to succeed with this content.
    """

    content: FileContent
    device: int
    inode: int
    safe: bool
    scan_path: str | None = None


class Missing(NamedTuple):
    """A folder in which files are gone that had a Scan: the names that are there, and those left out as too old."""

    present: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


@dataclass(slots=True)
class Changes:
    """What a step brought about, for the caller to act on and to log. All by path, ``missing`` by folder."""

    to_submit: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    """Files that went before their last content was accepted."""
    new: list[str] = field(default_factory=list)
    """Files of which nothing was known before."""
    due: list[tuple[float, str]] = field(default_factory=list)
    """Files to look at again, and when (s, monotonic): then they may be finished."""
    held: dict[str, Held] = field(default_factory=dict)
    succeeded: dict[str, FileContent] = field(default_factory=dict)
    """Scans that succeeded and whose file is not open here: gone, or settled before."""
    missing: dict[str, Missing] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    """Files that the journal knows with a Scan and that were not there at the first pass."""


class Counts(NamedTuple):
    """Files by what is to be done for them."""

    observed: int
    pending: int
    accepted: int
    quarantined: int
    settled: int
