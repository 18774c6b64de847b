"""Trouble of a mover's outside system as a whole, and refusals about one path."""

from dichroism_crds.reasons import Reason


class MoverUnavailable(Exception):  # noqa: N818 - an outage, not an error of a file
    """The endpoint or service does not work for anybody now: the lane pauses and tries again.

    ``reason`` goes into conditions, metrics and the LanePaused event; the text says what to do.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotARegularFileError(OSError):
    """A link, folder or special file stands where a regular file was expected; it is never touched."""


class FileTrouble(Exception):  # noqa: N818 - becomes one file's result
    """Trouble of one file: it has its reason in the results, and its batch-mates go on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TaskRefused(Exception):  # noqa: N818 - named for what happened
    """A task can't be done as it stands, and neither an outage nor one of its files is to blame."""


class TaskCancelled(Exception):  # noqa: N818 - named for what happened
    """Somebody asked for the task to stop."""
