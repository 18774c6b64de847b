"""The instants of operator, prune job and restore at which a test may have them killed or stopped."""

from typing import Literal

from dichroism_crds.killpoints import ENV, ENV_STOP, signal_at

__all__ = ["ENV", "ENV_STOP", "Point", "reach"]

Point = Literal[
    "submission-id-fetched",
    "transfer-created",
    "order-uploaded",
    "task-posted",
    "task-started",
    "task-done",
    "scans-told",
    "transfer-closed",
    "dataset-written",
    "picture-attached",
    "archive-recorded",
    "prune-created",
    "prune-told",
    "prune-scheduled",
    "retry-taken",
    "copies-verified",
    "file-renamed",
    "trash-emptied",
    "run-shown",
    "file-restored",
]


def reach(point: Point) -> None:
    """Send the signal to this process when the environment asks for it at this point."""
    signal_at(point)
