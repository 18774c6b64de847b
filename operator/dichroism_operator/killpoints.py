"""Named instants at which a test may have the process killed; they do nothing unless DICHROISM_KILL_AT names one.

A crash test that waits for an effect from outside always comes late. Here the kill hits the very instruction.
"""

import os
import signal
from typing import Literal

ENV = "DICHROISM_KILL_AT"
"""``<point>`` or ``<point>:<n>`` for the n-th time that it is reached."""

Point = Literal[
    "transfer-created",
    "task-started",
    "task-done",
    "scans-told",
    "transfer-closed",
    "dataset-written",
    "archive-recorded",
    "prune-created",
    "prune-told",
    "prune-scheduled",
    "retry-taken",
    "file-renamed",
    "trash-emptied",
]

_reached: dict[str, int] = {}


def reach(point: Point) -> None:
    """Kill this process (SIGKILL: no handler, no flush) when the environment asks for it at this point."""
    wanted = os.environ.get(ENV)
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    if name == point:
        _reached[point] = _reached.get(point, 0) + 1
        if _reached[point] >= int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
