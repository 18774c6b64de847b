"""Trouble with the catalogue: an outage for all, or one refused entry."""

from dichroism_crds.reasons import Reason


class CatalogueError(Exception):
    """Base, with what an operator of the catalogue needs to find the request."""

    def __init__(self, message: str, *, http_status: int | None = None, operation: str = "", pid: str = "") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.operation = operation
        self.pid = pid


class CatalogueUnavailable(CatalogueError):  # noqa: N818 - an outage, not an error of an entry
    """No answer, 5xx, rate limit or refused login: the lane pauses, no scan is blamed."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason = Reason.CATALOGUE_UNAVAILABLE,
        http_status: int | None = None,
        operation: str = "",
        pid: str = "",
    ) -> None:
        super().__init__(message, http_status=http_status, operation=operation, pid=pid)
        self.reason = reason


class EntryRefused(CatalogueError):  # noqa: N818 - named for what happened
    """The catalogue refuses this one entry (400, 403, 413, 422): counts as the scan's own attempt."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason = Reason.REFUSED_BY_CATALOGUE,
        http_status: int | None = None,
        operation: str = "",
        pid: str = "",
    ) -> None:
        super().__init__(message, http_status=http_status, operation=operation, pid=pid)
        self.reason = reason


class DatasetGone(CatalogueError):  # noqa: N818 - named for what happened
    """A dataset that was catalogued is not there any more: it has to be made again first."""
