"""What goes wrong with requests: scripted (the next two POSTs) or as weather (every tenth), and a count of it."""

import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What happens to a request that a fault hits."""

    REFUSE = "refuse"
    """Answered with ``status``, and Retry-After where ``retry_after`` is given; the server never hears of it."""
    LOSE_BEFORE = "lose before"
    """The connection is cut before the server hears of it."""
    LOSE_AFTER = "lose after"
    """The server does it, then the connection is cut without an answer."""
    CUT = "cut"
    """The server does it and half of the answer is sent; a watch is cut after ``seconds``."""
    DELAY = "delay"
    """Served after ``seconds``."""


@dataclass(slots=True)
class Fault:
    """Hits requests whose method and URL match (both are searched for), each with ``chance``, ``times`` in all.

    ``times`` None is for ever. Watches are hit by faults with ``watch`` alone, other requests by the others.
    """

    action: Action
    method: str = ""
    path: str = ""
    chance: float = 1.0
    times: int | None = 1
    status: int = 503
    retry_after: int | None = None
    seconds: float = 0.0
    watch: bool = False

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Fault":
        """A fault as it was posted to the control route."""
        return cls(**(document | {"action": Action(document["action"])}))

    def to_json(self) -> dict[str, Any]:
        """The document that :meth:`from_json` reads."""
        return asdict(self)

    def matches(self, method: str, url: str, *, watch: bool) -> bool:
        """Whether it may hit this request."""
        fits = re.search(self.method, method) and re.search(self.path, url)
        return bool(fits) and self.watch == watch and self.times != 0


@dataclass(slots=True)
class FaultPlan:
    """The faults that may still happen, asked in the order in which they were added; ``counts`` says what did."""

    seed: int = 0
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def take(self, method: str, url: str, *, watch: bool) -> Fault | None:
        """The fault that hits this request, if any."""
        for fault in self.faults:
            if not fault.matches(method, url, watch=watch) or self.rng.random() >= fault.chance:
                continue
            if fault.times is not None:
                fault.times -= 1
            self.counts[f"{fault.action} {fault.status}" if fault.action is Action.REFUSE else str(fault.action)] += 1
            return fault
        self.counts["served"] += 1
        return None
