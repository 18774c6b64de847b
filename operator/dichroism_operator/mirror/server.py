"""One request to Prefect: who we are, CSRF, rate limits, and errors with a type. No policy about runs in here."""

import asyncio
import email.utils
import json
import logging
import random
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from dichroism_crds.timestamps import now
from dichroism_operator.metrics import MIRROR_REQUESTS
from dichroism_operator.mirror import access
from dichroism_operator.mirror.errors import MirrorOff, NotThere, RequestRefused, ServerBusy, Trouble

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
"""Seconds; a server on SQLite that is asked by many answers late."""
BUSY_WAITS_S = (0.1, 0.4, 1.0, 2.0, 4.0, 8.0, 15.0)
"""A server on SQLite answers 'database is locked' (503) to every twentieth creation or so, having done nothing, and is
well a moment later."""
LONGEST_RATE_WAIT_S = 300.0
FIRST_RATE_WAIT_S = 5.0
_SAID = 300
_BUSY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""The first and the last are a proxy's words, and say nothing about what the server did."""

log = logging.getLogger(__name__)


class Pace:
    """Keeps requests apart, so that a budget is never used up in one burst."""

    def __init__(self, per_minute: int | None) -> None:
        self._apart_s = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        """Wait until the next request may be sent."""
        moment = time.monotonic()
        start = max(moment, self._next)
        self._next = start + self._apart_s
        if start > moment:
            await asyncio.sleep(start - moment)

    def hold(self, seconds: float) -> None:
        """The server asked for silence."""
        self._next = max(self._next, time.monotonic() + seconds)


class PrefectServer:
    """The API of one server or workspace. One request at a time: more make a server on SQLite slower, not faster."""

    def __init__(
        self,
        url: str,
        http: httpx.AsyncClient,
        *,
        authorization: Callable[[], str] = access.authorization,
        pace: Pace | None = None,
    ) -> None:
        """``authorization`` is asked for the header at the first request and whenever the server refuses it."""
        self.url = url
        self._http = http
        self._authorization = authorization
        self._pace = pace or Pace(None)
        self._header: str | None = None
        self._csrf: dict[str, str] = {}
        self._client = secrets.token_hex(16)

    @classmethod
    async def connect(cls, per_minute: int | None = None) -> Self:
        """The server that the environment names; nothing is asked yet.

        Raises:
            MirrorOff: the environment names no server.
        """
        url = access.api_url()
        pace = Pace(access.requests_per_minute(per_minute))
        # In a thread: reading the machine's certificates takes a while, in which the lanes would stand still.
        http = await asyncio.to_thread(httpx.AsyncClient, timeout=TIMEOUT, limits=httpx.Limits(max_connections=2))
        return cls(url, http, pace=pace)

    @classmethod
    def at(cls, url: str, authorization: Callable[[], str]) -> Self:
        """The server at an address, for a few questions of a person."""
        return cls(url, httpx.AsyncClient(timeout=TIMEOUT), authorization=authorization)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self, operation: str, method: str, path: str, body: Any = None, params: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status (2xx) and parsed answer of one request. ``operation`` is its name in metrics and messages.

        Waits as long as the server asks for (429), and for a locked database. Credentials are read again once when
        they are refused.

        Raises:
            ServerBusy: no answer, or none of the server's own; whether the request took effect is unknown.
            NotThere: 404.
            RequestRefused: the server will never take this request.
            MirrorOff: anything else; the credentials are refused, or no Prefect answers.
        """
        renewed = False
        rate_wait = FIRST_RATE_WAIT_S
        busy_waits = iter(BUSY_WAITS_S)
        while True:
            response = await self._send(operation, method, path, body, params)
            status = response.status_code
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                seconds = _retry_after(response) or rate_wait
                rate_wait = min(rate_wait * 2, LONGEST_RATE_WAIT_S)
                log.info("Prefect asks to wait %.0f s before the next request", seconds)
                self._pace.hold(min(seconds, LONGEST_RATE_WAIT_S) + random.uniform(0, 1))  # noqa: S311
                continue
            if status == HTTPStatus.SERVICE_UNAVAILABLE and (wait := next(busy_waits, None)) is not None:
                await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311
                continue
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not renewed:
                renewed = True
                self._header = None
                if status == HTTPStatus.FORBIDDEN:
                    await self._renew_csrf()
                continue
            return status, self._answer(response, operation)

    async def _send(
        self, operation: str, method: str, path: str, body: Any, params: dict[str, str] | None
    ) -> httpx.Response:
        await self._pace.wait()
        if self._header is None:
            self._header = self._authorization()
        headers = {"Accept": "application/json", **self._csrf}
        if self._header:
            headers["Authorization"] = self._header
        try:
            response = await self._http.request(method, f"{self.url}{path}", json=body, params=params, headers=headers)
        except httpx.HTTPError as error:
            MIRROR_REQUESTS.labels(operation, "0").inc()
            kind = type(error).__name__
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
                raise MirrorOff(f"no connection to Prefect ({kind})", operation=operation) from error
            raise ServerBusy(f"no answer from Prefect to {operation} ({kind})", operation=operation) from error
        MIRROR_REQUESTS.labels(operation, str(response.status_code)).inc()
        return response

    async def _renew_csrf(self) -> None:
        """Get a token where the server wants one; 422 says that it does not."""
        self._csrf = {}
        response = await self._send("csrf", "GET", "/csrf-token", None, {"client": self._client})
        if response.status_code == HTTPStatus.OK:
            token = self._answer(response, "csrf").get("token", "")
            self._csrf = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": self._client}

    def _answer(self, response: httpx.Response, operation: str) -> Any:
        status = response.status_code
        about: dict[str, Any] = {"http_status": status, "operation": operation}
        if 300 <= status < 400:
            raise MirrorOff(
                f"Prefect redirects {operation} (HTTP {status}): set {access.URL} to the address it redirects to",
                **about,
            )
        if status in _BUSY:
            raise ServerBusy(f"Prefect is busy: HTTP {status} to {operation}: {self._said(response)}", **about)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise MirrorOff(
                f"Prefect refuses {operation} (HTTP {status}): {self._said(response)}. Check {access.AUTH_STRING} or "
                f"{access.KEY}",
                trouble=Trouble.LOGIN_FAILED,
                **about,
            )
        if status == HTTPStatus.NOT_FOUND:
            raise NotThere(f"Prefect knows no object for {operation}: {self._said(response)}", **about)
        if 400 <= status < 500:
            raise RequestRefused(f"Prefect refuses {operation} (HTTP {status}): {self._said(response)}", **about)
        if status >= 500:
            raise MirrorOff(f"Prefect is in trouble: HTTP {status} to {operation}: {self._said(response)}", **about)
        try:
            return json.loads(response.content) if response.content else None
        except ValueError as error:
            raise MirrorOff(
                f"not Prefect but something else answers {operation} (HTTP {status}, no JSON): a proxy's page, or "
                f"{access.URL} does not end with /api",
                **about,
            ) from error

    def _said(self, response: httpx.Response) -> str:
        """What the server says, as one short line, without our credentials should it echo them."""
        text = response.text
        for secret in (self._header or "").split(" ", 1)[1:]:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_SAID]


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, which may also be a date."""
    text = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now()).total_seconds())
    except (ValueError, TypeError):
        return None
