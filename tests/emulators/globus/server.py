"""One request through the service: fault, caller, rate, route, answer, log."""

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from tests.emulators.globus import control, download, operations, submission, taskroutes
from tests.emulators.globus.access import Meter, expire_tokens, identify, issue_token
from tests.emulators.globus.answers import Answer, Refusal
from tests.emulators.globus.call import Call
from tests.emulators.globus.faults import Action, Fault
from tests.emulators.globus.running import Scheduler
from tests.emulators.globus.site import Site

_BASE = "/v0.10/"
_TOKEN = "/v2/oauth2/token"
_RECEIVE_LIMIT = 512 * 1024 * 1024
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_Handler = Callable[[Call], Awaitable[Answer]]
_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("GET", "submission_id", submission.new_submission_id),
    ("POST", "transfer", submission.submit_transfer),
    ("POST", "delete", submission.submit_delete),
    ("GET", "task_list", taskroutes.task_list),
    ("GET", "task/{id}", taskroutes.get_task),
    ("PUT", "task/{id}", taskroutes.update_task),
    ("POST", "task/{id}/cancel", taskroutes.cancel_task),
    ("GET", "task/{id}/event_list", taskroutes.event_list),
    ("GET", "task/{id}/successful_transfers", taskroutes.successful_transfers),
    ("GET", "task/{id}/skipped_errors", taskroutes.skipped_errors),
    ("GET", "task/{id}/pause_info", taskroutes.pause_info),
    ("GET", "endpoint/{id}", operations.endpoint),
    ("GET", "endpoint/{id}/my_effective_pause_rule_list", operations.pause_rules),
    ("GET", "operation/endpoint/{id}/ls", operations.ls),
    ("GET", "operation/endpoint/{id}/stat", operations.stat),
    ("POST", "operation/endpoint/{id}/mkdir", operations.mkdir),
    ("POST", "operation/endpoint/{id}/rename", operations.rename),
)
_PATTERNS = tuple(
    (method, re.compile(re.escape(_BASE) + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), handler)
    for method, template, handler in _ROUTES
)


def _route(method: str, path: str) -> tuple[dict[str, str], _Handler]:
    for wanted, pattern, handler in _PATTERNS:
        found = pattern.fullmatch(path) if wanted == method else None
        if found:
            return {name: unquote(value) for name, value in found.groupdict().items()}, handler
    raise Refusal(404, "ClientError.NotFound", f"there is no {method} {path}")


class Server:
    """The web application of one service."""

    def __init__(self, site: Site, scheduler: Scheduler, collection_ports: Mapping[int, str]) -> None:
        """``collection_ports`` says which collection has its HTTPS server at which port."""
        self._site = site
        self._scheduler = scheduler
        self._ports = collection_ports
        self._meter = Meter(site.limits.requests_per_second, site.limits.metered_s)

    def application(self) -> web.Application:
        """One catch-all route for all ports."""
        application = web.Application(client_max_size=_RECEIVE_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._serve)
        return application

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            body = await request.read()
        except ConnectionResetError:  # whoever asked was killed meanwhile
            raise web.HTTPBadRequest from None
        self._scheduler.look()
        if path.startswith(control.PREFIX):
            return await self._control(request.method, path, body)
        fault = self._site.faults.on_request(request.method, path)
        action = fault.action if fault else None
        identity: str | None = None
        answer: Answer | web.StreamResponse
        if fault and action == Action.DELAY:
            await asyncio.sleep(fault.seconds)
        if action == Action.EXPIRE_TOKENS:
            expire_tokens(self._site)
        if fault and action in (Action.STATUS, Action.HTML, Action.DROP_BEFORE):
            answer = _injected(fault)
        else:
            identity, answer = await self._answer(request, path, body)
        lost = action in (Action.DROP_BEFORE, Action.DROP_AFTER)
        self._site.store.commit()
        status = None if lost else answer.status
        query, now = unquote(request.query_string), self._site.clock.now()
        self._site.store.add_call(request.method, path, query, status, identity, now)
        if lost and request.transport is not None:
            request.transport.abort()
        response = _response(answer)
        return await _truncated(request, response) if action == Action.TRUNCATED else response

    async def _answer(
        self, request: web.Request, path: str, body: bytes
    ) -> tuple[str | None, Answer | web.StreamResponse]:
        site, identity = self._site, None
        try:
            authorization = request.headers.get("Authorization")
            if path == _TOKEN and request.method == "POST":
                return None, issue_token(site, authorization, body)
            caller = identify(site, authorization)
            identity = caller.client_id
            served = self._ports.get(request.transport.get_extra_info("sockname")[1] if request.transport else 0)
            if served:
                return identity, download.serve(site, served, caller, path)
            caller.require_transfer()
            self._meter.count(identity)
            params, handler = _route(request.method, path)
            call = Call(site, self._scheduler, caller, path, params, request.query, body)
            return identity, await handler(call)
        except Refusal as refusal:
            return identity, refusal.answer(path)
        except Exception as error:  # a fault of this program: said aloud, and in the form that clients know
            traceback.print_exception(error)
            return identity, Refusal(500, "InternalError", f"{type(error).__name__}: {error}").answer(path)

    async def _control(self, method: str, path: str, body: bytes) -> web.StreamResponse:
        try:
            answer = await control.answer(self._site, self._scheduler, method, path, body)
        except Refusal as refusal:
            answer = refusal.answer(path)
        except (TypeError, ValueError, KeyError, re.error) as error:
            answer = Refusal(400, "ClientError.BadRequest", f"{type(error).__name__}: {error}").answer(path)
        self._scheduler.look()
        self._site.store.commit()
        return _response(answer)


def _response(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.json_response(answer.body, status=answer.status, headers=dict(answer.headers))


def _injected(fault: Fault) -> Answer | web.StreamResponse:
    if fault.action == Action.HTML:
        return web.Response(text=_HTML, status=fault.status, content_type="text/html")
    return Refusal(fault.status, fault.code, fault.message, headers=fault.headers).answer("")


async def _truncated(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Half of the answer: JSON as a proxy that gave up sends it, a file as a broken connection leaves it."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        half = response.body[: len(response.body) // 2]
        return web.Response(body=half, status=response.status, content_type="application/json")
    if isinstance(response, download.File):
        content = response.path.read_bytes()
        broken = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await broken.prepare(request)
        await broken.write(content[: len(content) // 2])
        if request.transport is not None:
            request.transport.abort()
        return broken
    return response
