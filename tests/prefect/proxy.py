"""Stands between the mirror and a real server, for what that does not show on demand: 429, lost answers, delays.

It also keeps a log of what passed, which the server does not.
"""

import http.client
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_NOT_PASSED_ON = frozenset({"host", "connection", "accept-encoding"})


@dataclass
class Rule:
    """What happens to the next ``times`` requests whose method and path contain ``path``."""

    path: str
    times: int = 1
    status: int | None = None
    """Answer this instead of passing the request on; None: pass it on and lose the answer."""
    headers: dict[str, str] = field(default_factory=dict)


class FaultyProxy:
    """A proxy on a port of its own, for one server."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._rules: deque[Rule] = deque()
        self._lock = threading.Lock()
        self.log: list[tuple[str, str, int]] = []
        """Method, path, status of every request; status 0 when the answer was lost."""
        self.headers: list[dict[str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def handle_one(self) -> None:
                proxy.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815 - the library's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Base of the API through this proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._target.path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, rule: Rule) -> None:
        """Ask for a fault."""
        with self._lock:
            self._rules.append(rule)

    def count(self, path: str) -> int:
        """Requests so far whose method and path contain ``path``."""
        return sum(path in f"{method} {asked}" for method, asked, _ in self.log)

    def _rule(self, line: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.path in line and rule.times > 0:
                    rule.times -= 1
                    return rule
        return None

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one request on, or do what a rule says."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        rule = self._rule(f"{request.command} {request.path}")
        self.headers.append(dict(request.headers))
        if rule and rule.status is not None:
            self._reply(request, rule.status, b'{"detail": "a fault of the test"}', rule.headers)
            return
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            headers = {key: value for key, value in request.headers.items() if key.lower() not in _NOT_PASSED_ON}
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            self._lose(request)
            return
        finally:
            connection.close()
        if rule:
            self._lose(request)
        else:
            self._reply(request, answer.status, content, {})

    def _reply(self, request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.log.append((request.command, request.path, status))
        request.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            request.send_header(key, value)
        request.end_headers()
        request.wfile.write(content)

    def _lose(self, request: BaseHTTPRequestHandler) -> None:
        self.log.append((request.command, request.path, 0))
        request.close_connection = True
