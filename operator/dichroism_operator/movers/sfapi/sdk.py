"""sfapi_client as we use it: imported in one place, and without what two of its habits would do to us.

It repeats a request up to ten times, a submission too: that holds a thread for minutes, and one submission may start
several jobs. And its library for logins announces at import that a later major version will want another HTTP library;
the lock holds this one.
"""

import warnings

import authlib.deprecate  # noqa: F401 - puts a filter of its own in front, so ours has to come later
import tenacity
from authlib.common.errors import AuthlibBaseError

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="The httpx module is deprecated")
    from sfapi_client.client import Client
    from sfapi_client.exceptions import ClientKeyError, SfApiError

__all__ = ["AuthlibBaseError", "BriefClient", "ClientKeyError", "SfApiError"]


class BriefClient(Client):
    """The client; a read is repeated once, nothing else is. A longer outage is waited for by the lane, which tells."""

    get = Client.get.retry_with(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_fixed(0.2), reraise=True)
    post = Client.post.retry_with(stop=tenacity.stop_after_attempt(1), reraise=True)
    put = Client.put.retry_with(stop=tenacity.stop_after_attempt(1), reraise=True)
    delete = Client.delete.retry_with(stop=tenacity.stop_after_attempt(1), reraise=True)
