"""One request through the site: fault, caller, route, answer, log."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from tests.emulators.scicat import attachments, children, control, datasets, datasets_v4, login
from tests.emulators.scicat.access import identify
from tests.emulators.scicat.answers import Answer, Refusal
from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.site import Call, Site

_RECEIVE_LIMIT = 64 * 1024 * 1024
_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"

_Handler = Callable[[Call], Awaitable[Answer]]
_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("POST", "v3/auth/login", login.login),
    ("GET", "v3/auth/whoami", login.whoami),
    ("POST", "v3/users/login", login.users_login),
    ("POST", "v3/datasets", datasets.create),
    ("GET", "v3/datasets", datasets.find),
    ("POST", "v3/datasets/isValid", datasets.is_valid),
    ("GET", "v3/datasets/findOne", datasets.find_one),
    ("GET", "v3/datasets/fullquery", datasets.full_query),
    ("GET", "v3/datasets/{pid}", datasets.read),
    ("PATCH", "v3/datasets/{pid}", datasets.patch),
    ("DELETE", "v3/datasets/{pid}", datasets.delete),
    ("GET", "v3/datasets/{pid}/datasetlifecycle", datasets.read_lifecycle),
    ("PATCH", "v3/datasets/{pid}/datasetlifecycle", datasets.patch_lifecycle),
    ("GET", "v3/datasets/{pid}/origdatablocks", children.list_origdatablocks),
    ("POST", "v3/datasets/{pid}/origdatablocks", children.add_origdatablock),
    ("DELETE", "v3/datasets/{pid}/origdatablocks/{oid}", children.delete_origdatablock),
    ("POST", "v3/origdatablocks", children.add_origdatablock_by_pid),
    ("GET", "v3/datasets/{pid}/datablocks", children.list_datablocks),
    ("POST", "v3/datasets/{pid}/datablocks", children.add_datablock),
    ("GET", "v3/datablocks", children.find_datablocks),
    ("POST", "v3/datablocks", children.add_datablock_by_pid),
    ("GET", "v3/datasets/{pid}/attachments", attachments.list_v3),
    ("POST", "v3/datasets/{pid}/attachments", attachments.add_v3),
    ("PUT", "v3/datasets/{pid}/attachments/{aid}", attachments.replace_v3),
    ("DELETE", "v3/datasets/{pid}/attachments/{aid}", attachments.delete_v3),
    ("GET", "v3/datasets/{pid}/thumbnail", attachments.thumbnail),
    ("POST", "v4/datasets", datasets_v4.create),
    ("GET", "v4/datasets", datasets_v4.find),
    ("POST", "v4/datasets/isValid", datasets_v4.is_valid),
    ("GET", "v4/datasets/{pid}", datasets_v4.read),
    ("PATCH", "v4/datasets/{pid}", datasets_v4.patch),
    ("GET", "v4/datasets/{pid}/datasetlifecycle", datasets.read_lifecycle),
    ("PATCH", "v4/datasets/{pid}/datasetlifecycle", datasets.patch_lifecycle),
    ("POST", "v4/origdatablocks", children.add_origdatablock_by_pid),
    ("POST", "v4/attachments", attachments.add_v4),
    ("PATCH", "v4/attachments/{aid}", attachments.patch_v4),
)
ROUTES = tuple((method, f"/api/{template}") for method, template, _ in _ROUTES)
"""What is emulated: methods and paths."""


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    template: str
    published: str
    """The template as the contract names it: without the names of the parameters."""
    pattern: re.Pattern[str]
    handler: _Handler

    @classmethod
    def of(cls, method: str, template: str, handler: _Handler) -> "_Route":
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/api/{template}"), re.IGNORECASE)
        return cls(method, template, re.sub(r"\{\w+\}", "{}", f"/api/{template}"), pattern, handler)


_PATTERNS = tuple(_Route.of(*route) for route in _ROUTES)


def _route(method: str, raw_path: str) -> tuple[_Route, dict[str, str]]:
    """The route of a path. Paths are matched without regard to case, and ``+`` in them is a plus sign."""
    for route in _PATTERNS:
        found = route.pattern.fullmatch(raw_path.rstrip("/")) if route.method == method else None
        if found:
            return route, {name: unquote(value) for name, value in found.groupdict().items()}
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
        try:
            body = await request.read()
        except ConnectionResetError:  # whoever asked was killed meanwhile
            raise web.HTTPBadRequest from None
        path = request.rel_url.raw_path
        if path.startswith("/__"):
            return self._respond(self._control(request, path, body))
        route, respond = path, True
        answer: Answer | web.Response
        fault = self._site.plan.take(request.method, path, body)
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

    async def _answer(self, request: web.Request, path: str, body: bytes) -> tuple[str, Answer | web.Response]:
        limit = self._site.settings.proxy_limit
        if limit and len(body) > limit:
            return path, _page(413)
        name = path
        try:
            caller = identify(self._site.settings, self._site.store, request.headers.get("Authorization"))
            route, params = _route(request.method, path)
            name = route.template
            is_v4 = name.startswith("v4/")
            call = Call(self._site, caller, params, request.query, request.headers, body, is_v4)
            answer = await route.handler(call)
        except Refusal as refusal:
            return name, Answer(refusal.body(), refusal.status)
        self._compare(route, call, answer)
        return name, answer

    def _compare(self, route: _Route, call: Call, answer: Answer) -> None:
        """Note what is in the request or in our answer and not in what SciCat publishes."""
        contract, log = self._site.contract, self._site.log
        sent = json.loads(call.raw_body) if call.raw_body else None
        log.unpublished_requests.update(contract.request(route.method, route.published, sent))
        chosen = "fields" in call.query.get("filter", "")
        log.unpublished_answers.update(contract.answer(route.method, route.published, answer.body, partial=chosen))

    def _control(self, request: web.Request, path: str, body: bytes) -> Answer:
        try:
            return control.answer(self._site, request.method, path, dict(request.query), body)
        except Refusal as refusal:
            return Answer(refusal.body(), refusal.status)

    def _respond(self, answer: Answer) -> web.Response:
        if answer.body is None:
            return web.Response(status=answer.status)
        return web.json_response(answer.body, status=answer.status)


def _page(status: int) -> web.Response:
    return web.Response(
        text=_HTML.format(f"{status} {HTTPStatus(status).phrase}"), status=status, content_type="text/html"
    )


def _injected(fault: Fault) -> Answer | web.Response:
    if fault.action == Action.HTML:
        return _page(fault.status)
    return Answer({"statusCode": fault.status, "message": "injected fault"}, fault.status)
