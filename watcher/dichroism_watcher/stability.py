"""When is a file finished? Pure logic on what was observed; no clock, no disk.

The control system says nothing when a scan ends. A file counts as finished when two of our own looks, at least the
quiet period apart on the monotonic clock, saw the same size, modification time and inode, and no look between saw
another. The modification time is never compared with a wall clock: it may lie in the past (a copy) or in the future (a
wrong clock).
"""

from typing import NamedTuple


class Seen(NamedTuple):
    """Attributes of a file at one look: bytes, nanoseconds, inode, and when the inode last changed (ns).

    The last one also changes with names and permissions, so it says nothing about the content.
    """

    size: int
    mtime_ns: int
    inode: int
    changed_ns: int = 0


class Look(NamedTuple):
    """The span of the monotonic clock (s) in which a look at the disk happened, somewhere inside."""

    began: float
    ended: float


class Stillness(NamedTuple):
    """What a file has looked like, without interruption, since ``since`` (s, end of the first look that saw it)."""

    seen: Seen
    since: float


def observe(before: Stillness | None, seen: Seen, look: Look) -> Stillness:
    """The stillness after one more look: it starts anew whenever anything changed."""
    if before is not None and before.seen[:3] == seen[:3]:
        return before
    return Stillness(seen, look.ended)


def quiet_for(stillness: Stillness, look: Look) -> float:
    """Seconds for which the file was surely unchanged: from the end of the first look to the begin of this one."""
    return look.began - stillness.since
