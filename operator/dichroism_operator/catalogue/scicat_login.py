"""Who we are at SciCat: one login shared by all threads, renewed when it nears its end or was rejected."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue.credentials import Credentials
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.catalogue.scicat_client import Timeout, send, server_message

_LONGEST_MARGIN_S = 60.0
_MARGIN_SHARE = 0.1
_ASSUMED_LIFE_S = 600.0


@dataclass(frozen=True, slots=True)
class Login:
    """A token and the groups of its account; ``good_until`` is on the monotonic clock, with a margin."""

    token: str = field(repr=False)
    groups: tuple[str, ...]
    good_until: float


class LoginKeeper:
    """Logs in when needed, one thread at a time; the others take over what it got, be it a login or a refusal."""

    def __init__(
        self,
        base_url: str,
        credentials: Callable[[], Credentials],
        http: Callable[[], requests.Session],
        timeout: Timeout,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._http = http
        self._timeout = timeout
        self._lock = threading.Lock()
        self._login: Login | None = None
        self._attempts = 0
        self._failure: CatalogueUnavailable | None = None

    def current(self) -> Login:
        """A login that should be good for a while."""
        return self._get(rejected=None)

    def renew(self, rejected: Login) -> Login:
        """Another login than the rejected one; credentials are read again."""
        return self._get(rejected)

    def _get(self, rejected: Login | None) -> Login:
        attempts = self._attempts
        with self._lock:
            login = self._login
            if login is not None and login is not rejected and time.monotonic() < login.good_until:
                return login
            if self._attempts != attempts and self._failure is not None:
                # Another thread has just failed: eight threads shall not wait for eight timeouts, one after the other.
                raise CatalogueUnavailable(
                    str(self._failure), reason=self._failure.reason, http_status=self._failure.http_status
                ) from self._failure
            self._attempts += 1
            self._login = None
            try:
                self._login = self._log_in()
            except CatalogueUnavailable as error:
                self._failure = error
                raise
            self._failure = None
            return self._login

    def _log_in(self) -> Login:
        """Log in without any old token in the header: 5.2 refuses a login that carries an expired one."""
        credentials = self._credentials()
        body = {"username": credentials.username, "password": credentials.password}
        asked = time.monotonic()
        url = f"{self._base_url}/auth/login"
        status, answer = send(self._http(), "POST", url, self._timeout, body=body)
        said = server_message(answer, credentials.password)
        if status in (400, 401, 403):
            raise CatalogueUnavailable(
                f"the catalogue refuses our login (HTTP {status}): {said}. Check SCICAT_USERNAME and SCICAT_PASSWORD",
                reason=Reason.CATALOGUE_LOGIN_FAILED,
                http_status=status,
                operation="login",
            )
        token = (answer.get("access_token") or answer.get("id")) if isinstance(answer, dict) else None
        if status not in (200, 201) or not isinstance(token, str) or not token:
            raise CatalogueUnavailable(
                f"the catalogue's login is in trouble (HTTP {status}, {'a' if token else 'no'} token)",
                http_status=status,
                operation="login",
            )
        life = answer.get("expires_in")
        life = float(life) if isinstance(life, int | float) and life > 0 else _ASSUMED_LIFE_S
        return Login(token, self._groups(token), asked + life - min(_LONGEST_MARGIN_S, _MARGIN_SHARE * life))

    def _groups(self, token: str) -> tuple[str, ...]:
        status, answer = send(self._http(), "GET", f"{self._base_url}/auth/whoami", self._timeout, token=token)
        groups = answer.get("currentGroups") if isinstance(answer, dict) else None
        if status != 200 or not isinstance(groups, list) or not groups:
            raise CatalogueUnavailable(
                f"the catalogue names no group of our account (HTTP {status}): an account without groups cannot read "
                "what it creates. Ask the catalogue's administrator to give it one",
                reason=Reason.CATALOGUE_LOGIN_FAILED if status < 500 else Reason.CATALOGUE_UNAVAILABLE,
                http_status=status,
                operation="whoami",
            )
        return tuple(map(str, groups))
