"""Named instants at which a test may have the process killed or stopped; without a variable that names one, nothing.

A crash test that waits for an effect from outside always comes late. Here the kill hits the very instruction.
"""

import os
import signal
from typing import Literal

ENV = "DICHROISM_KILL_AT"
"""``<point>`` or ``<point>:<n>`` for the n-th time that it is reached."""
ENV_STOP = "DICHROISM_STOP_AT"
"""The same, but SIGSTOP: the process stalls there until somebody continues it, as in a swapping or frozen machine."""

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
    "run-shown",
]

_reached: dict[str, int] = {}


def reach(point: Point) -> None:
    """Send the signal to this process when the environment asks for it at this point: no handler, no flush."""
    _signal(point, os.environ.get(ENV), signal.SIGKILL)
    _signal(point, os.environ.get(ENV_STOP), signal.SIGSTOP)


def _signal(point: Point, wanted: str | None, number: signal.Signals) -> None:
    name, _, count = (wanted or "").partition(":")
    if name == point:
        _reached[point] = _reached.get(point, 0) + 1
        if _reached[point] == int(count or 1):
            os.kill(os.getpid(), number)
