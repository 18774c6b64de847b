"""One request on its way to the real server and back, with the fault that hits it; outages; the control routes.

Clients and control have a port each: during an outage nothing listens on the port of the clients.
"""

import asyncio
import ssl
from collections import Counter

import aiohttp
from aiohttp import web

from tests.emulators.apiproxy.faults import Action, Fault, FaultPlan
from tests.emulators.apiproxy.upstream import HOST

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "host"})
_MOST_BYTES = 16 * 2**20


class Proxy:
    """Listens for clients while there is no outage, and forwards what no fault hits."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession, plan: FaultPlan, tls: ssl.SSLContext) -> None:
        self.plan = plan
        self.port = 0
        self._upstream = upstream
        self._session = session
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._ending: asyncio.Task[None] | None = None
        self._changes = asyncio.Lock()

    # --- up and down

    async def open(self) -> None:
        """Serve clients, on the port that was first given."""
        async with self._changes:
            if self._runner is not None:
                return
            app = web.Application(client_max_size=_MOST_BYTES)
            app.router.add_route("*", "/{path:.*}", self._handle)
            # A client that goes away takes its request with it, as with the real server.
            self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, HOST, self.port, ssl_context=self._tls, reuse_address=True).start()
            self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Cut every connection and listen no more."""
        async with self._changes:
            runner, self._runner = self._runner, None
            if runner is None:
                return
            for site in list(runner.sites):
                await site.stop()
            for connection in list(runner.server.connections if runner.server else ()):
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    # --- requests

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") in ("1", "true")
        fault = self.plan.take(request.method, str(request.rel_url), watch=watch)
        match fault:
            case Fault(action=Action.REFUSE):
                return _refusal(fault)
            case Fault(action=Action.LOSE_BEFORE):
                return _cut(request)
            case Fault(action=Action.DELAY):
                await asyncio.sleep(fault.seconds)
        try:
            return await self._forward(request, fault, watch=watch)
        except (aiohttp.ClientError, OSError):
            return _cut(request)  # what the real server does while it is down or ends

    async def _forward(self, request: web.Request, fault: Fault | None, *, watch: bool) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        body = await request.read()
        url = f"{self._upstream}{request.rel_url}"
        asked = self._session.request(request.method, url, headers=headers, data=body or None, allow_redirects=False)
        async with asked as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            if watch:
                return await self._stream(request, answer, kept, fault)
            content = await answer.read()
            if fault is not None and fault.action is Action.LOSE_AFTER:
                return _cut(request)
            if fault is not None and fault.action is Action.CUT:
                return await _half(request, answer.status, kept, content)
            return web.Response(status=answer.status, headers=kept, body=content)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str], fault: Fault | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        try:
            async with asyncio.timeout(fault.seconds if fault is not None and fault.action is Action.CUT else None):
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
        except TimeoutError:
            return _cut(request, response)
        await response.write_eof()
        return response

    # --- control

    def control(self) -> web.Application:
        """The routes by which a test steers it."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/faults", self._add),
                web.delete("/faults", self._clear),
                web.get("/counts", self._counts),
                web.post("/outage", self._outage),
                web.delete("/outage", self._end_outage),
            ]
        )
        return app

    async def _add(self, request: web.Request) -> web.Response:
        self.plan.faults += [Fault.from_json(one) for one in await request.json()]
        return web.json_response({})

    async def _clear(self, _: web.Request) -> web.Response:
        self.plan.faults.clear()
        return web.json_response({})

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(Counter(self.plan.counts))

    async def _outage(self, request: web.Request) -> web.Response:
        """Begin an outage of ``seconds``; without them it lasts until it is ended."""
        seconds = (await request.json()).get("seconds")
        self.plan.counts["outage"] += 1
        await self.close()
        if self._ending is not None:
            self._ending.cancel()
        if seconds is not None:
            self._ending = asyncio.create_task(self._open_after(seconds))
        return web.json_response({})

    async def _open_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()

    async def _end_outage(self, _: web.Request) -> web.Response:
        await self.open()
        return web.json_response({})


def _refusal(fault: Fault) -> web.Response:
    words = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "refused by a fault of the test",
        "reason": words.get(fault.status, "Unknown"),
        "code": fault.status,
    }
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return web.json_response(status, status=fault.status, headers=headers)


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=500)


async def _half(request: web.Request, status: int, headers: dict[str, str], content: bytes) -> web.StreamResponse:
    """Headers that promise the whole content, half of it, and the end of the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    return _cut(request, response)
