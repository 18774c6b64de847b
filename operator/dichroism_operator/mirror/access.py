"""Where Prefect is and who we are there: the environment variables that Prefect's own programs use.

``PREFECT_API_URL`` is the address. ``PREFECT_API_AUTH_STRING`` (``user:password`` of a self-hosted server) or
``PREFECT_API_KEY`` (Prefect Cloud) says who we are; with neither, the server asks for nothing. Each of the three may
come from a file, as :mod:`dichroism_operator.credentials` says.
"""

import base64
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from dichroism_operator.credentials import SecretMissingError, find_secret
from dichroism_operator.mirror.errors import MirrorOff, Trouble

URL = "PREFECT_API_URL"
AUTH_STRING = "PREFECT_API_AUTH_STRING"
KEY = "PREFECT_API_KEY"
CLOUD_REQUESTS_PER_MINUTE = 200
"""Of the 250 that the smallest account has for everybody; only used with an API key."""


def api_url(environment: Mapping[str, str] = os.environ) -> str:
    """Base of the API without a slash at its end.

    Raises:
        MirrorOff: it is not set, or is no web address; reason ``PrefectNotConfigured``.
    """
    try:
        url = find_secret(URL, environment).rstrip("/")
    except SecretMissingError as error:
        raise MirrorOff(f"{error}: runs are not shown in Prefect", trouble=Trouble.NOT_CONFIGURED) from error
    if not url:
        raise MirrorOff(
            f"{URL} is not set: runs are not shown in Prefect. Set it to the address that ends with /api",
            trouble=Trouble.NOT_CONFIGURED,
        )
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
    except ValueError:
        host, user = None, None
    if not host or user is not None or urlsplit(url).scheme not in ("http", "https"):
        # The text is not repeated: somebody may have written a password into it.
        raise MirrorOff(
            f"{URL} is no web address without user and password: runs are not shown in Prefect. "
            f"Credentials belong into {AUTH_STRING} or {KEY}",
            trouble=Trouble.NOT_CONFIGURED,
        )
    return url


def authorization(environment: Mapping[str, str] = os.environ) -> str:
    """Value of the Authorization header as it is now, empty when no credentials are set; the auth string goes first.

    Raises:
        MirrorOff: a file of a secret cannot be read; reason ``PrefectLoginFailed``.
    """
    try:
        if text := find_secret(AUTH_STRING, environment):
            return f"Basic {base64.b64encode(text.encode()).decode()}"
        key = find_secret(KEY, environment)
    except SecretMissingError as error:
        raise MirrorOff(
            f"{error}: runs are not shown in Prefect until it can be read",
            trouble=Trouble.LOGIN_FAILED,
        ) from error
    return f"Bearer {key}" if key else ""


def requests_per_minute(configured: int | None, environment: Mapping[str, str] = os.environ) -> int | None:
    """Most requests a minute: as configured; else none for a server of one's own, and a careful number for Cloud."""
    if configured is not None:
        return configured
    return CLOUD_REQUESTS_PER_MINUTE if authorization(environment).startswith("Bearer ") else None
