"""Which files to look at next, and when. Pure logic and one thread-safe set; no disk.

Both are hints. What falls out of them is found by the next pass, so both are bounded.
"""

import heapq
import threading
from collections.abc import Callable, Iterable

MOST_HINTS = 10_000
"""Paths that may wait for a look. When more come, a pass over the changed folders is cheaper than single looks."""
MOST_DUE = 200_000


class Agenda:
    """Moments (s, monotonic) at which files may be finished."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []

    def add(self, entries: Iterable[tuple[float, str]]) -> bool:
        """Note files to look at; whether one of them is due before all others."""
        before = self.next()
        for entry in entries:
            if len(self._heap) < MOST_DUE:
                heapq.heappush(self._heap, entry)
        return self.next() != before

    def next(self) -> float | None:
        """When the next file is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, most: int) -> list[str]:
        """Take out the files that are due, at most so many."""
        paths: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now and len(paths) < most:
            paths[heapq.heappop(self._heap)[1]] = None
        return list(paths)


class Hints:
    """Paths below the root of which something was heard. Filled by any thread; ``wake`` is called once per filling."""

    def __init__(self, wake: Callable[[], None], most: int = MOST_HINTS) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._paths: dict[str, None] = {}
        self._flooded = False

    def add(self, path: str) -> None:
        """Something happened to that path."""
        with self._lock:
            first = not self._paths and not self._flooded
            if len(self._paths) < self._most:
                self._paths[path] = None
            else:
                self._flooded = True
        if first:
            self._wake()

    def flood(self) -> None:
        """Something was missed: only a pass can tell what."""
        with self._lock:
            self._flooded = True
        self._wake()

    def take(self, most: int) -> tuple[list[str], bool]:
        """Take out paths, at most so many, and whether a pass is needed now."""
        with self._lock:
            paths = list(self._paths)[:most]
            for path in paths:
                del self._paths[path]
            flooded, self._flooded = self._flooded, False
        return paths, flooded

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, path: str) -> bool:
        return path in self._paths
