"""What an error of the Globus services means: the whole service's trouble, or an answer about this one request."""

from globus_sdk import AuthAPIError, GlobusAPIError, GlobusError, NetworkError, TransferAPIError

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.errors import MoverUnavailable

ENDPOINT_GONE = ("EndpointNotFound", "EndpointDeleted")
TOO_MANY_PENDING = "TooManyPendingJobs"
_FROM_ENDPOINT = ("ExternalError", "EndpointError")
_DENIED_BY_STORAGE = ("PermissionDenied", "PERMISSION_DENIED")
_FULL = ("QUOTA", "NO_SPACE", "Disk quota", "No space left")


class MalformedAnswerError(Exception):
    """The service answered with something that is not the document it should be: cut, or the page of a proxy."""


def outage_of(error: Exception, what: str) -> MoverUnavailable | None:
    """The error as trouble of everybody; None when it is an answer about this request that the caller understands.

    Args:
        error: what the SDK raised.
        what: what was asked, such as ``list folder x on nersc402``; it stands in front of the message.
    """
    if isinstance(error, MalformedAnswerError):
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"the answer can't be read: {error}")
    if isinstance(error, NetworkError):
        cause = type(error.underlying_exception).__name__
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"Globus does not answer ({cause}). Look after the network")
    if isinstance(error, AuthAPIError):
        return _login_outage(error, what)
    if isinstance(error, TransferAPIError):
        return _transfer_outage(error, what)
    if isinstance(error, GlobusError):
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"{type(error).__name__}: {error}")
    return None


def is_refused_login(error: Exception) -> bool:
    """Whether other credentials would help."""
    if isinstance(error, AuthAPIError):
        return error.http_status in (400, 401, 403)
    return isinstance(error, TransferAPIError) and error.http_status == 401


def _login_outage(error: AuthAPIError, what: str) -> MoverUnavailable:
    if not is_refused_login(error):
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"Globus Auth answers {_said(error)}")
    return _outage(
        Reason.CREDENTIALS_REFUSED,
        what,
        f"Globus Auth refuses the login ({_said(error)}). Correct GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET; they are "
        "read again at the next try",
    )


def _transfer_outage(error: TransferAPIError, what: str) -> MoverUnavailable | None:
    status, code = error.http_status, error.code or ""
    if status == 401:
        text = f"our token is refused ({_said(error)}). Correct GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET"
        return _outage(Reason.CREDENTIALS_REFUSED, what, text)
    if error.info.consent_required:
        text = f"{error.message}. Give the consent, or use a guest collection, which needs none"
        return _outage(Reason.CONSENT_REQUIRED, what, text)
    if status == 403:
        text = f"{_said(error)}. Give our identity the permission on the collection"
        return _outage(Reason.PERMISSION_DENIED, what, text)
    if status == 429 or TOO_MANY_PENDING in code:
        return _outage(Reason.RATE_LIMITED, what, f"{_said(error)}. It goes on by itself")
    if status == 404 and any(word in code for word in ENDPOINT_GONE):
        text = f"no such collection ({_said(error)}). Correct the uuid in the configuration"
        return _outage(Reason.ENDPOINT_UNAVAILABLE, what, text)
    if any(word in code for word in _FROM_ENDPOINT):
        return _storage_outage(error, what)
    if status >= 500:
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"Globus answers {_said(error)}")
    return None


def _storage_outage(error: TransferAPIError, what: str) -> MoverUnavailable | None:
    """An answer of the collection's own server."""
    said = f"{error.code} {error.message or ''}"
    if is_not_found(error) or is_existing(error):
        return None
    if any(word in said for word in _DENIED_BY_STORAGE):
        return _outage(Reason.PERMISSION_DENIED, what, f"{_said(error)}. Give our identity the permission")
    if any(word in said for word in _FULL):
        return _outage(Reason.DESTINATION_FULL, what, f"{_said(error)}. Free space or raise the quota")
    return _outage(Reason.ENDPOINT_UNAVAILABLE, what, f"{_said(error)}. Look after the collection")


def is_not_found(error: GlobusAPIError) -> bool:
    """Whether the path that was asked about is not there."""
    if any(word in (error.code or "") for word in ENDPOINT_GONE):
        return False
    return error.http_status == 404 or "NotFound" in (error.code or "") or "PATH_NOT_FOUND" in (error.message or "")


def is_existing(error: GlobusAPIError) -> bool:
    """Whether the path that was to be made is taken."""
    return "Exists" in (error.code or "")


def _said(error: GlobusAPIError) -> str:
    return f"{error.http_status} {error.code or ''} {(error.message or '')[:300]}".strip()


def _outage(reason: Reason, what: str, text: str) -> MoverUnavailable:
    return MoverUnavailable(reason, f"{what}: {text}")
