"""How fast the API may be asked: few requests at once, a steady rate, and less while it does not answer.

One throttle serves all beamlines. Its waiters are served in the order in which they came, and every beamline has the
same number of workers, so a burst of one beamline delays another's file by a few requests only.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

IN_FLIGHT = 8
"""Requests at once: enough to hide the round trip, few for an API server that has other users."""
RATE = 300.0
"""Scans per second at most: a backlog of 20,000 files is worked off in some minutes, whatever the API server takes."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 60.0


def backoff(failures: int, retry_after: float | None = None, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait after that many failures in a row: exponential with full jitter, but at least ``retry_after``.

    ``draw`` gives a number from 0 to 1. Full jitter spreads many waiters evenly, so they do not come back together.
    """
    most = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 20))
    return max(most * draw(), retry_after or 0.0)


class Throttle:
    """Holds requests back. ``failing`` is true while the API as a whole does not serve us."""

    def __init__(self, in_flight: int = IN_FLIGHT, rate: float = RATE) -> None:
        self.in_flight = in_flight
        self._slots = asyncio.Semaphore(in_flight)
        self._interval = 1 / rate
        self._next = 0.0
        self._shut_until = 0.0
        self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether the last answer was that the API as a whole does not serve us."""
        return self._failures > 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free slot and for the next moment at which a request may start."""
        async with self._slots:
            clock = asyncio.get_running_loop().time
            while (wait := max(self._next, self._shut_until) - clock()) > 0:  # noqa: ASYNC110 - both may move meanwhile
                await asyncio.sleep(wait)
            self._next = clock() + self._interval
            yield

    def answered(self) -> bool:
        """The API served a request; true when it had not before."""
        recovered, self._failures = self.failing, 0
        return recovered

    def failed(self, retry_after: float | None = None) -> None:
        """The API as a whole does not serve us: nobody asks for a while.

        Requests that were under way together fail together; they count as one failure.
        """
        now = asyncio.get_running_loop().time()
        if now < self._shut_until:
            return
        self._failures += 1
        self._shut_until = now + backoff(self._failures, retry_after)
