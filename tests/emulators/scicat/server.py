"""One request through the site: fault, caller, route, answer, log."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from tests.emulators.scicat import children, control, datasets, login
from tests.emulators.scicat.access import identify
from tests.emulators.scicat.answers import Answer, Refusal
from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.site import Call, Site

_BASE = "/api/v3/"
_RECEIVE_LIMIT = 64 * 1024 * 1024
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_Handler = Callable[[Call], Awaitable[Answer]]
_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("POST", "auth/login", login.login),
    ("GET", "auth/whoami", login.whoami),
    ("POST", "datasets", datasets.create),
    ("GET", "datasets", datasets.find),
    ("POST", "datasets/isvalid", datasets.is_valid),
    ("GET", "datasets/findone", datasets.find_one),
    ("GET", "datasets/{pid}", datasets.read),
    ("PATCH", "datasets/{pid}", datasets.patch),
    ("DELETE", "datasets/{pid}", datasets.delete),
    ("GET", "datasets/{pid}/datasetlifecycle", datasets.read_lifecycle),
    ("PATCH", "datasets/{pid}/datasetlifecycle", datasets.patch_lifecycle),
    ("GET", "datasets/{pid}/origdatablocks", children.list_origdatablocks),
    ("POST", "datasets/{pid}/origdatablocks", children.add_origdatablock),
    ("DELETE", "datasets/{pid}/origdatablocks/{id}", children.delete_origdatablock),
    ("GET", "datasets/{pid}/datablocks", children.list_datablocks),
    ("POST", "datasets/{pid}/datablocks", children.add_datablock),
    ("GET", "datablocks", children.find_datablocks),
    ("GET", "datasets/{pid}/attachments", children.list_attachments),
    ("POST", "datasets/{pid}/attachments", children.add_attachment),
    ("PUT", "datasets/{pid}/attachments/{id}", children.replace_attachment),
    ("DELETE", "datasets/{pid}/attachments/{id}", children.delete_attachment),
    ("GET", "datasets/{pid}/thumbnail", children.thumbnail),
)
_PATTERNS = tuple(
    (method, template, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), re.IGNORECASE), handler)
    for method, template, handler in _ROUTES
)


def _route(method: str, raw_path: str) -> tuple[str, dict[str, str], _Handler]:
    """The handler of a path. Paths are matched without regard to case, and ``+`` in them is a plus sign."""
    path = raw_path.removeprefix(_BASE).strip("/")
    for wanted, template, pattern, handler in _PATTERNS:
        found = pattern.fullmatch(path) if wanted == method and raw_path.startswith(_BASE) else None
        if found:
            return template, {name: unquote(value) for name, value in found.groupdict().items()}, handler
    raise Refusal(404, f"Cannot {method} {raw_path}")


class Server:
    """The web application of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def application(self) -> web.Application:
        """One catch-all route: aiohttp's own routing would decode ``%2F`` in a pid."""
        application = web.Application(client_max_size=_RECEIVE_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._serve)
        return application

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        path = request.rel_url.raw_path
        if path.startswith("/__"):
            return self._respond(self._control(request, path, body))
        route, respond = path, True
        answer: Answer | web.Response
        fault = self._site.plan.take(request.method, path)
        if fault and fault.action == Action.DROP_BEFORE:
            answer, respond = Answer(None), False
        elif fault and fault.action in (Action.STATUS, Action.HTML):
            answer = _injected(fault)
        else:
            if fault and fault.action == Action.DELAY:
                await asyncio.sleep(fault.seconds)
            if fault and fault.action == Action.EXPIRE:
                self._site.store.expire_tokens()
            route, answer = await self._answer(request, path, body)
            respond = not (fault and fault.action == Action.DROP_AFTER)
        secrets = self._site.store.tokens() | {account.password for account in self._site.settings.accounts}
        status = answer.status if respond else None
        self._site.log.add(request.method, unquote(str(request.rel_url)), route, status, secrets)
        if not respond and request.transport is not None:
            request.transport.abort()
        return answer if isinstance(answer, web.Response) else self._respond(answer)

    async def _answer(self, request: web.Request, path: str, body: bytes) -> tuple[str, Answer]:
        route = path
        try:
            caller = identify(self._site.settings, self._site.store, request.headers.get("Authorization"))
            route, params, handler = _route(request.method, path)
            return route, await handler(Call(self._site, caller, params, request.query, body))
        except Refusal as refusal:
            return route, Answer(refusal.body(), refusal.status)

    def _control(self, request: web.Request, path: str, body: bytes) -> Answer:
        try:
            return control.answer(self._site, request.method, path, dict(request.query), body)
        except Refusal as refusal:
            return Answer(refusal.body(), refusal.status)

    def _respond(self, answer: Answer) -> web.Response:
        if answer.body is None:
            return web.Response(status=answer.status)
        return web.json_response(answer.body, status=answer.status)


def _injected(fault: Fault) -> Answer | web.Response:
    if fault.action == Action.HTML:
        return web.Response(text=_HTML, status=fault.status, content_type="text/html")
    return Answer({"statusCode": fault.status, "message": "injected fault"}, fault.status)
