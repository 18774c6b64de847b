"""The watcher's instants at which a test may have it killed or stopped."""

from typing import Literal

from dichroism_crds.killpoints import signal_at

Point = Literal[
    "scan-created",
    "scan-updated",
    "move-annotated",
    "journal-written",
    "journal-set-aside",
    "pass-ended",
]


def reach(point: Point) -> None:
    """Send the signal to this process when the environment asks for it at this point."""
    signal_at(point)
