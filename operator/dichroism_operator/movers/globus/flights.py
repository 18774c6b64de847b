"""Tasks under way: one request polls them all, less often the older they are; what each one needs next."""

import threading
import time
from collections.abc import Callable
from collections.abc import Collection as AbstractCollection
from concurrent.futures import Future
from dataclasses import dataclass, field

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, ItemResult, Progress, Task, TaskState
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.documents import TaskDocument
from dichroism_operator.movers.globus.reactions import Reaction

FIRST_POLL_S = 8.0
"""A task takes several seconds to start, and one that carries a few files has ended by then."""
LONGEST_POLL_S = 60.0
GROWTH = 0.4
"""The next poll comes after this part of the task's age: a task of a day is polled some twenty times and then once a
minute."""


@dataclass(slots=True)
class Flight:
    """One submission from its preparation to its results."""

    task: Task
    ends: tuple[Collection, Collection]
    items: tuple[Item, ...]
    """What was posted, or all that can have been."""
    complete: bool
    """Whether ``items`` is exactly what was posted."""
    troubles: tuple[ItemResult, ...] = ()
    """Of items that were not posted."""
    task_id: str | None = None
    document: TaskDocument | None = None
    started: float = field(default_factory=time.monotonic)
    due: float = 0.0
    held_since: float | None = None
    code: str | None = None
    """The trouble that held it up when it was canceled, or ended it."""
    canceled_for: Reason | None = None
    reaction: Reaction | None = None
    settling: Future[Progress] | None = None
    end: Progress | None = None

    def progress(self) -> Progress:
        """The state now."""
        if self.end:
            return self.end
        seen, reaction = self.document, self.reaction
        return Progress(
            TaskState.ACTIVE,
            files=seen.files_transferred if seen else 0,
            bytes=seen.bytes_transferred if seen else 0,
            faults=seen.faults if seen else 0,
            message=reaction.message if reaction else "",
            reason=reaction.reason if reaction else None,
        )


class Flights:
    """All submissions of this process, and when they are to be polled."""

    def __init__(
        self,
        read: Callable[[AbstractCollection[str]], dict[str, TaskDocument]],
        first_poll_s: float,
    ) -> None:
        """``read`` gives tasks by id in one request."""
        self._read = read
        self._first_poll_s = first_poll_s
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def get(self, submission_id: str) -> Flight | None:
        """The flight of that submission."""
        with self._lock:
            return self._flights.get(submission_id)

    def put(self, flight: Flight) -> Flight:
        """Remember a flight."""
        with self._lock:
            self._flights[flight.task.submission_id] = flight
        return flight

    def drop(self, submission_id: str) -> None:
        """Forget a flight."""
        with self._lock:
            self._flights.pop(submission_id, None)

    def posted(self, flight: Flight, task_id: str) -> None:
        """The service has the task: from now on it is polled."""
        flight.started = time.monotonic()
        flight.due = flight.started + self._first_poll_s
        flight.task_id = task_id

    def refresh(self) -> list[Flight]:
        """Read every unfinished task when one of them is due; the flights that were read.

        Whoever comes while another thread reads is given nothing, and sees the answer the next time.

        Raises:
            MoverUnavailable: the service does not answer.
        """
        with self._lock:
            waiting = [one for one in self._flights.values() if one.task_id and not one.end and not one.settling]
        if not any(one.due <= time.monotonic() for one in waiting) or not self._reading.acquire(blocking=False):
            return []
        try:
            found = self._read({one.task_id for one in waiting if one.task_id})
            for one in waiting:
                one.document = found.get(one.task_id or "")
                one.due = self._next(one)
            return waiting
        finally:
            self._reading.release()

    def _next(self, flight: Flight) -> float:
        moment = time.monotonic()
        wait = max(self._first_poll_s * GROWTH, min((moment - flight.started) * GROWTH, LONGEST_POLL_S))
        return moment + wait
