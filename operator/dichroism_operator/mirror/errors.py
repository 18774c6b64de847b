"""Trouble with Prefect: the mirror is off for a while, or one request was refused. The pipeline does not notice."""

from enum import StrEnum


class Trouble(StrEnum):
    """Why the mirror is off: a label of the metric, and what /readyz says."""

    NOT_CONFIGURED = "PrefectNotConfigured"
    UNAVAILABLE = "PrefectUnavailable"
    LOGIN_FAILED = "PrefectLoginFailed"
    POOL_IN_USE = "PoolInUse"


class MirrorError(Exception):
    """Base, with what an operator of the Prefect server needs to find the request."""

    def __init__(self, message: str, *, http_status: int | None = None, operation: str = "") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.operation = operation


class MirrorOff(MirrorError):  # noqa: N818 - a state of the mirror
    """Nothing can be shown now; the mirror tries again by itself."""

    def __init__(
        self,
        message: str,
        *,
        trouble: Trouble = Trouble.UNAVAILABLE,
        http_status: int | None = None,
        operation: str = "",
    ) -> None:
        super().__init__(message, http_status=http_status, operation=operation)
        self.trouble = trouble


class ServerBusy(MirrorOff):
    """A connection that broke, or the database stayed locked. Whether the request took effect is unknown."""


class RequestRefused(MirrorError):  # noqa: N818 - named for what happened
    """Prefect will never take this one request (400, 409, 413, 422)."""


class NotThere(MirrorError):  # noqa: N818 - named for what happened
    """404: somebody deleted the run, or the server is older than the route."""
