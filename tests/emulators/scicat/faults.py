"""Outages on demand, and a record of what was asked."""

import itertools
import re
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

_IN_PATH = re.compile(r"/datasets/([^/]+)", re.IGNORECASE)
_IN_BODY = re.compile(rb'"(?:pid|datasetId)": ?"([^"]+)"')
_LOG_LENGTH = 20_000


class Action(StrEnum):
    """What happens to a request that a fault hits."""

    STATUS = "status"
    """Answered with ``status`` and a JSON body; nothing is done."""
    HTML = "html"
    """Answered with ``status`` and a page of HTML, as a proxy in front of a dead backend does; nothing is done."""
    DROP_BEFORE = "drop_before"
    """The connection is cut before anything is done."""
    DROP_AFTER = "drop_after"
    """All is done, then the connection is cut without an answer."""
    DELAY = "delay"
    """Nothing happens for ``seconds``, then the request is served."""
    EXPIRE = "expire"
    """Every token expires, then the request is served."""


@dataclass(slots=True)
class Fault:
    """Hits the next ``times`` requests that match, after letting ``skip`` of them pass. Patterns are searched for."""

    action: Action
    method: str = ""
    path: str = ""
    pid: str = ""
    """Only requests about this dataset; empty: about any."""
    times: int = 1
    skip: int = 0
    status: int = 500
    seconds: float = 0.0

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Fault":
        """A fault as it was posted to the control route."""
        return cls(**(document | {"action": Action(document["action"])}))

    def to_json(self) -> dict[str, Any]:
        """The document that :meth:`from_json` reads."""
        return asdict(self)

    def hits(self, method: str, path: str) -> bool:
        """Whether it hits this request; counts down."""
        if self.times <= 0 or not re.search(self.method, method) or not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(slots=True)
class FaultPlan:
    """The faults that are still to happen; those of one dataset come before those of any, older before newer."""

    _of_any: list[Fault] = field(default_factory=list)
    _of_one: dict[str, list[Fault]] = field(default_factory=dict)

    @property
    def faults(self) -> list[Fault]:
        """All of them."""
        return [*itertools.chain(*self._of_one.values()), *self._of_any]

    def add(self, fault: Fault) -> None:
        """Ask for one more."""
        (self._of_one.setdefault(fault.pid, []) if fault.pid else self._of_any).append(fault)

    def clear(self) -> None:
        """Ask for none."""
        self._of_any.clear()
        self._of_one.clear()

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        """The fault that hits this request, if any; spent ones are forgotten."""
        pid = _about(path, body) if self._of_one else ""
        for faults in (self._of_one.get(pid, []), self._of_any):
            hit = next((fault for fault in faults if fault.hits(method, path)), None)
            if hit is not None:
                faults[:] = [fault for fault in faults if fault.times > 0]
                return hit
        return None


def _about(path: str, body: bytes) -> str:
    """The pid of the dataset that a request is about: in its path, or in the body that makes it."""
    named = _IN_PATH.search(path)
    if named:
        return unquote(named[1])
    found = _IN_BODY.search(body)
    return found[1].decode() if found else ""


@dataclass(slots=True)
class RequestLog:
    """What an access log would hold: the URL as it was sent, query included, and the status of the answer."""

    entries: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_LOG_LENGTH))
    counts: Counter[str] = field(default_factory=Counter)
    secrets_in_urls: int = 0
    unpublished_requests: set[str] = field(default_factory=set)
    """What was sent to us and is not in what SciCat publishes, each fault once."""
    unpublished_answers: set[str] = field(default_factory=set)
    """The same of what we answered."""

    def add(self, method: str, url: str, route: str, status: int | None, secrets: set[str]) -> None:
        """Record one request; ``status`` is None when it got no answer."""
        self.entries.append({"method": method, "url": url, "status": status})
        self.counts[f"{method} {route} {status or 'lost'}"] += 1
        if any(secret in url for secret in secrets):
            self.secrets_in_urls += 1
