"""The few API calls of the pod runner, as plain JSON objects, and which of their failures pass by waiting."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import client, config

Json = dict[str, Any]
Result = TypeVar("Result")

_LOG = logging.getLogger("podrunner")
_CALL_SECONDS = 20.0
_WATCH_SECONDS = 30
_RETRY_SECONDS = 0.3


class CallError(Exception):
    """The server refused a call.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status == 429 or self.status >= 500


class PodApi:
    """Calls with the administrator's credentials."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = api_client

    @classmethod
    async def connect(cls, kubeconfig: str) -> "PodApi":
        """Read the kubeconfig. Nothing is asked of the server yet."""
        configuration = client.Configuration()
        await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        configuration.proxy = None  # the server is on loopback
        return cls(client.ApiClient(configuration))

    @property
    def server(self) -> str:
        """The server's URL."""
        return str(self._client.configuration.host)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, path: str, **query: str) -> Json:
        """Read an object or a list."""
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Json) -> Json:
        """Create an object, or call a subresource such as a binding."""
        return await self._call("POST", path, body)

    async def merge(self, path: str, body: Json) -> Json:
        """Change an object or its status by a merge patch."""
        return await self._call("PATCH", path, body, content="application/merge-patch+json")

    async def delete(self, path: str, body: Json) -> None:
        """Delete an object."""
        await self._call("DELETE", path, body)

    async def watch(self, path: str, resource_version: str) -> AsyncIterator[tuple[str, Json]]:
        """Types and objects of what changes, until the server ends it after half a minute.

        Raises:
            CallError: the version is too old, or the server cannot serve it.
        """
        query = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": str(_WATCH_SECONDS)}
        response = await self._send("GET", path, None, "application/json", query, _WATCH_SECONDS + _CALL_SECONDS)
        try:
            while line := await response.content.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise CallError("WATCH", path, event["object"].get("code", 500), event["object"].get("message", ""))
                yield event["type"], event["object"]
        finally:
            response.close()

    async def _call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        response = await self._send(method, path, body, content, query or {}, _CALL_SECONDS)
        answer: Json = json.loads(await response.read())
        return answer

    async def _send(
        self, method: str, path: str, body: Json | None, content: str, query: Mapping[str, str], seconds: float
    ) -> aiohttp.ClientResponse:
        parts = await self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Content-Type": content, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._client.call_api(*parts, _request_timeout=seconds)
        response: aiohttp.ClientResponse = answer.response
        if response.status >= 300:
            raise CallError(method, path, response.status, (await response.text())[:500])
        return response


async def insist(call: Callable[[], Awaitable[Result]]) -> Result:
    """Make a call until the server answers it, through restarts of the server.

    Raises:
        CallError: the answer is a refusal that waiting does not change.
    """
    while True:
        try:
            return await call()
        except CallError as error:
            if not error.passing:
                raise
            _LOG.info("%s; trying again", error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _LOG.info("the API server does not answer (%s); trying again", type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)
