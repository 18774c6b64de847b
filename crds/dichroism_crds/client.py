"""Access to the Kubernetes API: typed calls on the three kinds, and plain ones on the few built-in objects we read.

The official client does connection, TLS and credentials; paths and bodies are ours, because its generated models know
nothing of our kinds. No retries in here but of questions that the server puts off for a moment: every caller has a loop
that knows better when to ask again.
"""

import asyncio
import base64
import functools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration
from pydantic import ValidationError
from pydantic_core import from_json

from dichroism_crds.kinds import Metadata, Resource
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.timestamps import now

R = TypeVar("R", bound=Resource)

CONNECTIONS = 32
"""Simultaneous connections; without a limit a burst opens thousands and the API server swells to gigabytes."""
REQUEST_TIMEOUT_S = 30.0
IN_A_MOMENT_S = 2.0
"""A question that the server puts off for no longer is put again, until its time limit."""
WATCH_S = 300
"""After this long the server ends a watch, and the next one begins: no stream lives long enough to die unnoticed."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TOO_LARGE = ("request is too large", "larger than max")
"""etcd's words for an object that it will never take; the API server passes them on as a 500."""
_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(Exception):
    """The API server said no, or nothing. ``status`` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(ApiError):  # noqa: N818 - the API's own words
    """404: no such object, or no such kind."""


class AlreadyExists(ApiError):  # noqa: N818
    """409 on a creation: the name is claimed."""


class Conflict(ApiError):  # noqa: N818
    """409 on a write: the object changed since it was read."""


class Gone(ApiError):  # noqa: N818
    """410: the page of a long list expired; list again."""


class Invalid(ApiError):  # noqa: N818
    """400, 413 or 422: the object breaks a rule of its kind or is too large; the message says which."""


class Denied(ApiError):  # noqa: N818
    """401 or 403: credentials or Role."""


class Unavailable(ApiError):  # noqa: N818
    """429, 5xx, or no answer at all; whether a write happened is unknown."""


def error_of(status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """The typed error of an HTTP answer that is not 2xx; a body that is no Status is kept short."""
    try:
        answer = json.loads(body)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", body[:200].decode(errors="replace")
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    kind: type[ApiError]
    match status:
        case 404:
            kind = NotFound
        case 409:
            kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        case 410:
            kind = Gone
        case 400 | 413 | 422:
            kind = Invalid
        case 401 | 403:
            kind = Denied
        case 500 if any(words in message for words in _TOO_LARGE):
            kind = Invalid
        case _:
            kind = Unavailable
    return kind(status, reason, message or f"HTTP {status}", wait)


@functools.lru_cache(maxsize=1)
def _moment(date: str) -> datetime | None:
    """The moment of a Date header, which hundreds of answers in a row share; None when it is none."""
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return None


def _event(line: bytes) -> dict[str, Any]:
    """One event of a watch; one that tells of an error is raised as that."""
    try:
        event = from_json(line)
        kind, told = event["type"], event["object"]
        status = int(told.get("code", 0)) if kind == "ERROR" else 0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(200, "NotJson", "the watch told something that is no event") from error
    if kind == "ERROR":
        raise error_of(status, json.dumps(told).encode())
    return dict(event)


class Api:
    """One connection pool to one namespace. Use as ``async with await Api.connect() as api``."""

    def __init__(self, client: ApiClient, namespace: str, kubeconfig: str | None = None) -> None:
        self.client = client
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._namespace_uid = ""
        self.on_answer: Callable[[str, int], None] = lambda *_: None
        """Called after each request with its method and HTTP status, 0 without an answer; for metrics."""
        self.server_ahead = timedelta(0)
        """By how much the API server's clock is ahead of ours, as its last answer told; exact to about a second."""

    @classmethod
    async def connect(cls, namespace: str | None = None) -> Self:
        """Connect as a pod's service account, or with KUBECONFIG outside a cluster.

        Raises:
            Denied: neither a service account nor a kubeconfig is there.
        """
        configuration = Configuration()
        context_namespace = None
        kubeconfig = None
        try:
            if os.environ.get("KUBECONFIG") or not _NAMESPACE_FILE.exists():
                named = os.environ.get("KUBECONFIG")  # read now: the library reads it when it is imported
                kubeconfig = named or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
                await kube_config.load_kube_config(config_file=named, client_configuration=configuration)
                _, active = kube_config.list_kube_config_contexts(config_file=named)
                context_namespace = active["context"].get("namespace")
            else:
                kube_config.load_incluster_config(client_configuration=configuration)
                context_namespace = _NAMESPACE_FILE.read_text().strip()
        except (kube_config.ConfigException, OSError) as error:
            raise Denied(
                0, "NoCredentials", f"no way to the Kubernetes API: set KUBECONFIG or run in a pod ({error})"
            ) from error
        configuration.connection_pool_maxsize = CONNECTIONS
        # Looking for a proxy and for a password in ~/.netrc takes two threads a request, and no password there is ours.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        return cls(ApiClient(configuration), namespace or context_namespace or "default", kubeconfig)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = REQUEST_TIMEOUT_S,  # noqa: ASYNC109 - handed to the HTTP client
    ) -> dict[str, Any]:
        """One plain request; ``path`` starts with ``/api`` or ``/apis``.

        A question that the server asks to put again in a moment is put again, as other clients of Kubernetes do: a kind
        is served only some seconds after the server is ready ("storage is (re)initializing").

        Raises:
            ApiError: anything but a 2xx answer, as the subclass that says what to do about it.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                return await self._request(method, path, query, body, content_type, accept, timeout)
            except Unavailable as error:
                wait = error.retry_after or 0
                put_off = method == "GET" and error.status == 429 and 0 < wait <= IN_A_MOMENT_S
                if not put_off or time.monotonic() + wait > end:
                    raise
                await asyncio.sleep(wait)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
        content_type: str,
        accept: str,
        timeout: float,  # noqa: ASYNC109 - handed to the HTTP client
    ) -> dict[str, Any]:
        headers = await self._headers(method, path, accept, content_type)
        url = f"{self.client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self.client.call_api(
                method, url, headers, body, _request_timeout=aiohttp.ClientTimeout(total=timeout)
            )
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.on_answer(method, 0)
            raise Unavailable(0, "NoAnswer", f"{method} {path}: {type(error).__name__} {error}".strip()) from error
        self.on_answer(method, answer.status)
        self._compare_clocks(answer.headers.get("Date"))
        if not 200 <= answer.status < 300:
            await self._refused(answer.status)
            raise error_of(answer.status, data, answer.headers.get("Retry-After"))
        try:
            return from_json(data) if data else {}
        except ValueError as error:
            raise Unavailable(answer.status, "NotJson", f"{method} {path}: the answer is not JSON") from error

    def _compare_clocks(self, date: str | None) -> None:
        if told := _moment(date or ""):
            # The header has whole seconds, cut off.
            self.server_ahead = told + timedelta(seconds=1) - now()

    async def _headers(self, method: str, path: str, accept: str, content_type: str) -> dict[str, str]:
        headers: dict[str, str] = {"Accept": accept, "Content-Type": content_type}
        await self.client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        return headers

    async def _refused(self, status: int) -> None:
        """Read the kubeconfig's token again when it was refused: it may have been renewed. A pod's is read anyway."""
        if status == 401 and self._kubeconfig is not None:
            fresh = Configuration()
            try:
                await kube_config.load_kube_config(config_file=self._kubeconfig, client_configuration=fresh)
            except (kube_config.ConfigException, OSError):
                return  # half-written; the next refusal reads it again
            self.client.configuration.api_key = fresh.api_key

    @property
    def credentials_end(self) -> datetime | None:
        """When the kubeconfig's token ends; None where that is not known, or where others renew it, as in a pod."""
        if self._kubeconfig is None:
            return None
        token = str(self.client.configuration.api_key.get("BearerToken", "")).removeprefix("Bearer ")
        try:
            claims = token.split(".")[1]
            moment = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
            return datetime.fromtimestamp(moment, UTC)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError):
            return None

    async def watch(
        self, path: str, resource_version: str, *, field_selector: str = "", seconds: int = WATCH_S
    ) -> AsyncIterator[dict[str, Any]]:
        """Events of a kind after that version of its list, bookmarks included, until the server ends the stream.

        Raises:
            Gone: the version is too old, or the server says otherwise that it lost the thread: list again.
            ApiError: the API refused or the stream broke; what was yielded holds.
        """
        query: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": seconds,
        }
        if field_selector:
            query["fieldSelector"] = field_selector
        headers = await self._headers("GET", path, "application/json", "application/json")
        url = f"{self.client.configuration.host}{path}?{urlencode(query)}"
        # A stream that was cut without a word ends a little after the server would have ended it.
        timeout = aiohttp.ClientTimeout(total=seconds + REQUEST_TIMEOUT_S, sock_connect=REQUEST_TIMEOUT_S)
        try:
            answer = (await self.client.call_api("GET", url, headers, None, _request_timeout=timeout)).response
            async with answer:
                self.on_answer("WATCH", answer.status)
                if answer.status != 200:
                    await self._refused(answer.status)
                    raise error_of(answer.status, await answer.read(), answer.headers.get("Retry-After"))
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, lines):
                        yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.on_answer("WATCH", 0)
            raise Unavailable(0, "NoAnswer", f"watch {path}: {type(error).__name__} {error}".strip()) from error

    def path(self, kind: type[Resource], name: str | None = None, subresource: str | None = None) -> str:
        """URL path of a kind, an object or its subresource in this namespace."""
        parts = ["/apis", GROUP, VERSION, "namespaces", self.namespace, kind.plural, name, subresource]
        return "/".join(part for part in parts if part)

    def builtin_path(self, group_version: str, plural: str, name: str | None = None) -> str:
        """URL path of a built-in object in this namespace, such as ``batch/v1`` ``cronjobs``."""
        root = "/api/v1" if group_version == "v1" else f"/apis/{group_version}"
        return "/".join(part for part in (root, "namespaces", self.namespace, plural, name) if part)

    async def namespace_uid(self) -> str:
        """The uid of our namespace, which tells this installation from every other one."""
        if not self._namespace_uid:
            found = await self.request("GET", f"/api/v1/namespaces/{self.namespace}")
            self._namespace_uid = str(found["metadata"]["uid"])
        return self._namespace_uid

    async def get(self, kind: type[R], name: str) -> R:
        """Read one object, consistently (not from a cache)."""
        return kind.parse(await self.request("GET", self.path(kind, name)))

    async def list_pages(
        self,
        path: str,
        *,
        field_selector: str = "",
        label_selector: str = "",
        limit: int = 500,
        accept: str = "application/json",
        on_version: Callable[[str], None] = lambda _: None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list in plain form, page by page.

        ``on_version`` is called with the resourceVersion of the list, from which a watch goes on.

        Raises:
            Gone: the list took so long that its snapshot expired; what was yielded is a part only.
        """
        query: dict[str, str | int] = {"limit": limit}
        if field_selector:
            query["fieldSelector"] = field_selector
        if label_selector:
            query["labelSelector"] = label_selector
        while True:
            page = await self.request("GET", path, query=query, accept=accept)
            for item in page.get("items") or ():  # the API server writes null for an empty metadata list
                yield item
            on_version(str(page.get("metadata", {}).get("resourceVersion", "")))
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def list(
        self,
        kind: type[R],
        *,
        field_selector: str = "",
        label_selector: str = "",
        limit: int = 500,
        on_unreadable: Callable[[str, str], None] | None = None,
    ) -> AsyncIterator[R]:
        """Every object of a kind.

        An object that the models cannot read goes to ``on_unreadable(name, problem)``; without one it raises
        ``pydantic.ValidationError``, because a caller that plans must not overlook it.
        """
        pages = self.list_pages(
            self.path(kind), field_selector=field_selector, label_selector=label_selector, limit=limit
        )
        async for item in pages:
            try:
                parsed = kind.parse(item)
            except ValidationError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(str(item.get("metadata", {}).get("name")), str(error))
                continue
            yield parsed

    async def list_metadata(
        self, kind: type[Resource], *, field_selector: str = "", label_selector: str = "", limit: int = 500
    ) -> AsyncIterator[Metadata]:
        """Metadata of every object of a kind, without the weight of spec and status."""
        async for item in self.list_pages(
            self.path(kind),
            field_selector=field_selector,
            label_selector=label_selector,
            limit=limit,
            accept=_METADATA_ONLY,
        ):
            yield Metadata.model_validate(item["metadata"])

    async def list_columns(self, kind: type[Resource], *, limit: int = 500) -> AsyncIterator[dict[str, Any]]:
        """The printer columns of every object by their names: what ``kubectl get -o wide`` shows, and no more."""
        query: dict[str, str | int] = {"limit": limit, "includeObject": "None"}
        while True:
            page = await self.request("GET", self.path(kind), query=query, accept=_TABLE)
            names = [column["name"] for column in page["columnDefinitions"]]
            for row in page.get("rows") or ():
                yield dict(zip(names, row["cells"], strict=True))
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, resource: R) -> R:
        """Create an object and return it as the API stored it."""
        return type(resource).parse(await self.request("POST", self.path(type(resource)), body=resource.to_wire()))

    async def replace_status(self, resource: R) -> R:
        """Replace the whole status; the resourceVersion must still be the one read."""
        path = self.path(type(resource), resource.name, "status")
        return type(resource).parse(await self.request("PUT", path, body=resource.to_wire()))

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any]) -> R:
        """JSON merge patch of the object itself (never of a list, which it would replace)."""
        body = dict(patch)
        return kind.parse(
            await self.request("PATCH", self.path(kind, name), body=body, content_type="application/merge-patch+json")
        )

    async def delete(self, kind: type[Resource], name: str, *, uid: str | None = None) -> None:
        """Delete an object, only while it has that uid where one is given."""
        body = {"preconditions": {"uid": uid}} if uid else None
        await self.request("DELETE", self.path(kind, name), body=body)
