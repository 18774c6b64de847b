"""The way to the Superfacility API: credentials, tokens, one request at a time, and every error as what it means.

On the synchronous client of sfapi_client, as the movers are synchronous and called in bounded threads. Its waits for
tasks have no end, so they are made here. What is asked of the service stands in ``site``.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from dichroism_crds.config import Superfacility
from dichroism_crds.reasons import Reason
from dichroism_operator.credentials import SecretMissingError, read_secret
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.sfapi.errors import MalformedAnswerError, is_refused_login, outage_of
from dichroism_operator.movers.sfapi.sdk import AuthlibBaseError, BriefClient, ClientKeyError, SfApiError

CLIENT_ID = "SFAPI_CLIENT_ID"
CLIENT_SECRET = "SFAPI_CLIENT_SECRET"  # noqa: S105 - the name of the variable
TASK_PATIENCE_S = 60.0
"""For what the service does behind an answer, such as a submission; asked again later it is found by its name."""
TASK_POLL_S = 0.5
_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    AuthlibBaseError,
    ClientKeyError,
    SfApiError,
    MalformedAnswerError,
    ValueError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client of the Superfacility API and its private key, as JSON Web Key or PEM."""

    client_id: str
    secret: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Credentials":
        """The credentials as they are now.

        Raises:
            MoverUnavailable: one is missing; reason ``CredentialsRefused``.
        """
        try:
            return cls(read_secret(CLIENT_ID, environment), read_secret(CLIENT_SECRET, environment))
        except SecretMissingError as error:
            raise MoverUnavailable(
                Reason.CREDENTIALS_REFUSED, f"no login for NERSC, so tape can't be reached: {error}"
            ) from error

    def key(self) -> Any:
        """The private key as the client takes it.

        Raises:
            MoverUnavailable: it is none.
        """
        try:
            key = json.loads(self.secret) if self.secret.startswith("{") else self.secret
            RSAKey.import_key(key)
        except (ValueError, TypeError, KeyError, JoseError) as error:
            text = f"no login for NERSC: {CLIENT_SECRET} holds no private key (JSON Web Key or PEM)"
            raise MoverUnavailable(Reason.CREDENTIALS_REFUSED, text) from error
        return key


class Connection(Closing):
    """One login for all threads; requests go one after the other, there are few of them."""

    def __init__(self, settings: Superfacility, environment: Mapping[str, str] = os.environ) -> None:
        """Connect to nothing yet."""
        self.settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._client: BriefClient | None = None
        self._credentials: Credentials | None = None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        with self._lock:
            self._drop()

    def get(self, what: str, url: str, **params: Any) -> Any:
        """The JSON document of an answer.

        Args:
            what: what is asked, for messages.
            url: below the base of the API.
            params: of the query.

        Raises:
            MoverUnavailable: the service or our client is in trouble.
        """
        return self._call(what, lambda client: client.get(url, params=params))

    def post(self, what: str, url: str, data: Mapping[str, Any]) -> Any:
        """Like :meth:`get`; never repeated, as it may have been done although nobody answered."""
        return self._call(what, lambda client: client.post(url, dict(data)))

    def put(self, what: str, url: str, content: bytes) -> Any:
        """Like :meth:`post`, for a file."""
        return self._call(what, lambda client: client.put(url, files={"file": ("file", content)}))

    def delete(self, what: str, url: str) -> Any:
        """Like :meth:`post`."""
        return self._call(what, lambda client: client.delete(url))

    def task_result(self, what: str, answer: Any) -> Mapping[str, Any]:
        """What a task came to that an answer names: the service does some things later.

        Raises:
            MoverUnavailable: it did not end in time, or failed.
        """
        if not isinstance(answer, Mapping) or str(answer.get("status")).upper() != "OK":
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: {_said(answer)}")
        deadline = time.monotonic() + TASK_PATIENCE_S
        while time.monotonic() < deadline:
            task = self.get(what, f"tasks/{answer.get('task_id')}")
            if isinstance(task, Mapping) and task.get("status") in ("completed", "failed", "cancelled"):
                return _result_of(what, task)
            time.sleep(TASK_POLL_S)
        text = f"{what}: not done within {TASK_PATIENCE_S:.0f} s. It goes on by itself"
        raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, text)

    def _call(self, what: str, request: Callable[[BriefClient], httpx.Response]) -> Any:
        with self._lock:
            try:
                return self._ask(request)
            except _ERRORS as error:
                self._drop()
                if not is_refused_login(error):
                    raise outage_of(error, what) from error
            # The token, or the client that was read long ago: once more with what the environment says now.
            try:
                return self._ask(request)
            except _ERRORS as error:
                self._drop()
                raise outage_of(error, what) from error

    def _ask(self, request: Callable[[BriefClient], httpx.Response]) -> Any:
        credentials = Credentials.from_environment(self._environment)
        if self._client is None or credentials != self._credentials:
            self._drop()
            self._client = BriefClient(
                client_id=credentials.client_id,
                secret=credentials.key(),
                api_base_url=self.settings.url,
                token_url=self.settings.token_url,
            )
            self._credentials = credentials
        answer = request(self._client)
        try:
            return answer.json()
        except ValueError as error:
            raise MalformedAnswerError(
                f"no JSON but {answer.headers.get('content-type', 'no content type')}"
            ) from error

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]
            self._client = None


def _result_of(what: str, task: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        result = json.loads(str(task.get("result")))
    except ValueError:
        result = {"status": "error", "error": task.get("result")}
    if not isinstance(result, Mapping) or task.get("status") != "completed":
        raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: the task {task.get('status')}: {_said(result)}")
    return result


def _said(answer: object) -> str:
    """What a document says of its failure, for people."""
    said = answer.get("error") or answer.get("status") if isinstance(answer, Mapping) else answer
    return f"the Superfacility API says: {str(said)[:300]}"
