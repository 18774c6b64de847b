"""Outages on demand, and a record of what was asked."""

import re
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

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
    """The faults that are still to happen, in the order in which they were asked for."""

    faults: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any; spent ones are forgotten."""
        hit = next((fault for fault in self.faults if fault.hits(method, path)), None)
        self.faults = [fault for fault in self.faults if fault.times > 0]
        return hit


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
