"""How fast we may ask: requests are spread so that a burst never meets the service's limit of 20 a second."""

import threading
import time

OPERATOR_RATE = 12.0
"""Requests a second of the operator. With 5 for prune runs, 3 are left of the identity's 20 for people."""
PRUNE_RATE = 5.0
"""Requests a second of all prune runs together with what they verify."""
BURST = 10.0
"""Requests that may go at once after a rest; the service counts over 10 s."""


class Pace:
    """A token bucket for all threads of a process."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = BURST
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when one more request may go."""
        time.sleep(self._reserve(time.monotonic()))

    def _reserve(self, moment: float) -> float:
        """Take one token; the seconds until it is there."""
        with self._lock:
            self._tokens = min(BURST, self._tokens + (moment - self._filled) * self._per_second) - 1
            self._filled = moment
            return max(0.0, -self._tokens / self._per_second)
