"""The service's own time: real, faster than real, or standing still until it is advanced."""

import asyncio
import time
from datetime import UTC, datetime

from tests.emulators.globus.store import Store

_KEY = "clock"


class Clock:
    """Virtual time in seconds since the epoch. It survives a restart, and goes on while the service is down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        known = store.setting(_KEY)
        wall = time.time()
        self._anchor: tuple[float, float, float] = tuple(known) if known else (wall, wall, 1.0)
        self._changed = asyncio.Event()

    def now(self) -> float:
        """The virtual time; may be asked from any thread."""
        wall, virtual, rate = self._anchor
        return virtual + (time.time() - wall) * rate

    @property
    def rate(self) -> float:
        """Virtual seconds in a real one; 0 when it stands still."""
        return self._anchor[2]

    @property
    def ahead(self) -> float:
        """Seconds by which virtual time is ahead of real time."""
        return self.now() - time.time()

    def set(self, *, rate: float | None = None, advance: float = 0.0) -> None:
        """Change its speed (1 real, 0 stands still), or jump forward by ``advance`` seconds."""
        self._anchor = (time.time(), self.now() + advance, self.rate if rate is None else rate)
        self._store.put_setting(_KEY, self._anchor)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def sleep_until(self, moment: float) -> None:
        """Wait for a virtual time."""
        while (left := moment - self.now()) > 0:
            changed = self._changed
            try:
                async with asyncio.timeout(left / self.rate if self.rate else None):
                    await changed.wait()
            except TimeoutError:
                continue


def stamp(moment: float | None) -> str | None:
    """A time as the Transfer API writes it."""
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def parsed(text: str) -> float:
    """A time as a client writes it; without an offset it is UTC.

    Raises:
        ValueError: no time.
    """
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
