"""What an error on the way to the Superfacility API means: everybody's trouble, with what to do about it."""

import httpx

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.sfapi.sdk import AuthlibBaseError, ClientKeyError, SfApiError

NEW_CLIENT = (
    "Make a new client (iris.nersc.gov, Profile, Superfacility API Clients; one that may submit jobs lives 2 days "
    "unless NERSC grants more) and put it into SFAPI_CLIENT_ID and SFAPI_CLIENT_SECRET; they are read again at the "
    "next try, nothing is lost"
)


class MalformedAnswerError(Exception):
    """The service answered with something that is not the document it should be: cut, or the page of a proxy."""


def is_refused_login(error: Exception) -> bool:
    """Whether other credentials, or a new token, would help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 401
    return isinstance(error, AuthlibBaseError | ClientKeyError)


def outage_of(error: Exception, what: str) -> MoverUnavailable:
    """The error as trouble of the whole service.

    Args:
        error: what the client raised.
        what: what was asked; it stands in front of the message.
    """
    if isinstance(error, AuthlibBaseError | ClientKeyError):
        said = getattr(error, "description", "") or getattr(error, "error", "") or type(error).__name__
        return _outage(Reason.CREDENTIALS_REFUSED, what, f"the login is refused ({said}). {NEW_CLIENT}")
    if isinstance(error, httpx.HTTPStatusError):
        return _status_outage(error.response.status_code, what)
    if isinstance(error, httpx.HTTPError):
        text = f"the Superfacility API does not answer ({type(error).__name__}). It goes on by itself"
        return _outage(Reason.SERVICE_UNAVAILABLE, what, text)
    if isinstance(error, SfApiError):
        return _outage(Reason.SERVICE_UNAVAILABLE, what, f"the Superfacility API says: {str(error.message)[:300]}")
    return _outage(Reason.SERVICE_UNAVAILABLE, what, f"the answer can't be read: {error}")


def _status_outage(status: int, what: str) -> MoverUnavailable:
    if status == 401:
        return _outage(
            Reason.CREDENTIALS_REFUSED, what, f"our client is refused (401), so it has expired. {NEW_CLIENT}"
        )
    if status == 403:
        text = "403: our client may not do this. Let it submit jobs and transfer files (its security level decides)"
        return _outage(Reason.PERMISSION_DENIED, what, text)
    if status == 429:
        return _outage(Reason.RATE_LIMITED, what, "429: too many requests. It goes on by itself")
    return _outage(Reason.SERVICE_UNAVAILABLE, what, f"the Superfacility API answers {status}")


def _outage(reason: Reason, what: str, text: str) -> MoverUnavailable:
    return MoverUnavailable(reason, f"{what}: {text}")
