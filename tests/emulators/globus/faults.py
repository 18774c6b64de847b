"""Trouble on demand: rules that hit requests, files, or the process itself. They survive a restart."""

import json
import os
import random
import re
import signal
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tests.emulators.globus.clock import Clock
from tests.emulators.globus.store import Store


class Action(StrEnum):
    """What happens. The first group hits requests, the second files of a task, the last one kills the process."""

    STATUS = "status"
    """The request is answered with ``status``, ``code``, ``message`` and ``headers``; nothing is done."""
    HTML = "html"
    """Answered with ``status`` and a page of HTML, as a proxy in front of a dead service does; nothing is done."""
    TRUNCATED = "truncated"
    """All is done, and the answer's JSON ends in the middle."""
    DROP_BEFORE = "drop_before"
    """The connection is cut before anything is done."""
    DROP_AFTER = "drop_after"
    """All is done, then the connection is cut without an answer."""
    DELAY = "delay"
    """The request is served after ``seconds`` of real time."""
    EXPIRE_TOKENS = "expire_tokens"
    """Every token expires, then the request is served."""

    ERROR = "error"
    """The attempt fails with the event ``code`` on the side ``side``, before a byte is moved."""
    CORRUPT_READ = "corrupt_read"
    """One bit is wrong in what is read from the source, for the copy and for its checksum."""
    CORRUPT_WRITE = "corrupt_write"
    """One bit is wrong at the destination before it is verified."""
    CORRUPT_LATER = "corrupt_later"
    """One bit goes wrong at the destination after all checks."""
    SHORT_WRITE = "short_write"
    """Half of the file is written, then the attempt fails with the event ``code``."""
    GROW = "grow"
    """The source gets longer while it is copied."""
    REPLACE_SOURCE = "replace_source"
    """The source gets other content of the same size after its copy was checked."""
    LOSE_COPY = "lose_copy"
    """The destination is deleted after all checks."""

    KILL = "kill"
    """SIGKILL at ``point``."""


ON_REQUESTS = frozenset(
    {
        Action.STATUS,
        Action.HTML,
        Action.TRUNCATED,
        Action.DROP_BEFORE,
        Action.DROP_AFTER,
        Action.DELAY,
        Action.EXPIRE_TOKENS,
    }
)
ON_FILES = frozenset(
    {
        Action.ERROR,
        Action.CORRUPT_READ,
        Action.CORRUPT_WRITE,
        Action.CORRUPT_LATER,
        Action.SHORT_WRITE,
        Action.GROW,
        Action.REPLACE_SOURCE,
        Action.LOSE_COPY,
    }
)


class Point(StrEnum):
    """Where the process can be killed. ``path`` is that of the request for the first two, that of the file after."""

    BEFORE_INSERT = "before_insert"
    """A submission passed all checks, nothing is stored."""
    AFTER_INSERT = "after_insert_before_reply"
    """A task is stored, its answer is not sent."""
    MID_COPY = "mid_copy"
    """Half of a file is at its destination, under its final name."""
    AFTER_COPY = "after_copy_before_record"
    """A file is at its destination, and nothing says so."""


@dataclass(slots=True)
class Fault:
    """Hits the next ``times`` events that match, after letting ``skip`` of them pass.

    ``method`` and ``path`` are patterns that are searched for; a file matches by its source or its destination path.
    """

    action: Action
    method: str = ""
    path: str = ""
    times: int | None = 1
    """None: without end."""
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    lasting: float | None = None
    """Virtual seconds after which the fault is over; None: no such end."""
    status: int = 503
    code: str = "ServiceUnavailable"
    message: str = "injected fault"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    side: str = "source"
    point: str = ""
    fault_id: int = 0
    """Given by the service."""
    seen: int = 0
    """How many matching events it has looked at."""
    ends: float | None = None
    """Virtual time at which it is over."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Fault":
        """A fault as it was posted to the control route, or as it was kept."""
        fault = cls(**(document | {"action": Action(document["action"])}))
        if fault.action == Action.KILL:
            fault.point = Point(fault.point)
        for pattern in (fault.method, fault.path):
            re.compile(pattern)
        return fault

    def to_json(self) -> dict[str, Any]:
        """The document that :meth:`from_json` reads."""
        return asdict(self)

    def matches(self, method: str, *paths: str) -> bool:
        """Whether it is about this event."""
        return bool(re.search(self.method, method)) and any(re.search(self.path, path) for path in paths)

    def strikes(self) -> bool:
        """Whether it hits this matching event; counts down."""
        self.seen += 1
        if self.probability < 1 and random.Random(f"{self.seed}:{self.seen}").random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultPlan:
    """The faults that are still to happen, oldest first."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._faults = [
            Fault.from_json(json.loads(row["doc"])) for row in store.rows("SELECT doc FROM fault ORDER BY id")
        ]

    def add(self, fault: Fault) -> Fault:
        """Plan one more."""
        if fault.lasting is not None:
            fault.ends = self._clock.now() + fault.lasting
        fault.fault_id = self._store.write("INSERT INTO fault (doc) VALUES ('{}')")
        self._faults.append(fault)
        self._keep(fault)
        return fault

    def clear(self) -> None:
        """Forget them all."""
        self._faults.clear()
        self._store.write("DELETE FROM fault")

    def pending(self) -> list[dict[str, Any]]:
        """What is still to happen."""
        self._forget_the_past()
        return [fault.to_json() for fault in self._faults]

    def on_request(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any."""
        return self._take(lambda fault: fault.action in ON_REQUESTS and fault.matches(method, path))

    def on_file(self, task_type: str, *paths: str) -> Fault | None:
        """The fault that hits this attempt at one file, if any; ``method`` matches the type of the task."""
        return self._take(lambda fault: fault.action in ON_FILES and fault.matches(task_type, *paths))

    def dies_at(self, point: Point, *paths: str) -> bool:
        """Whether the process is to be killed at this point; that it was is durable before it happens."""
        hit = self._take(lambda fault: fault.point == point and fault.matches("", *paths))
        if hit:
            self._store.commit()
        return hit is not None

    def _take(self, wanted: Any) -> Fault | None:
        if not self._faults:
            return None
        self._forget_the_past()
        for fault in self._faults:
            if wanted(fault):
                struck = fault.strikes()
                self._keep(fault)
                if struck:
                    return fault
        return None

    def _forget_the_past(self) -> None:
        now = self._clock.now()
        over = [fault for fault in self._faults if fault.times == 0 or (fault.ends is not None and fault.ends <= now)]
        for fault in over:
            self._faults.remove(fault)
            self._store.write("DELETE FROM fault WHERE id = ?", (fault.fault_id,))

    def _keep(self, fault: Fault) -> None:
        values = (json.dumps(fault.to_json()), fault.fault_id)
        self._store.write("UPDATE fault SET doc = ? WHERE id = ?", values)


def die() -> None:
    """End this process as SIGKILL does."""
    os.kill(os.getpid(), signal.SIGKILL)
