"""Leaves word in the cluster that the folders are watched: the Lease of each beamline, renewed for as long as we run.

When this stops, the operator raises the alarm, because nobody looks at the log of a host that is down.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from dichroism_crds import timestamps
from dichroism_crds.client import Api, ApiError
from dichroism_crds.heartbeat import Heartbeat, lease_name, leave

FIRST_S, EVERY_S = 1.0, 30.0
"""Between two words, s: the first after the start, then twice as long each time, up to the second."""
TOKEN_LEFT = timedelta(days=14)
"""A token that ends sooner is told of: somebody has to make another, on another host."""

log = logging.getLogger(__name__)


class Heart:
    """Writes the Leases; nothing else waits for it, and its failures hold nothing up."""

    def __init__(self, api: Api, every_s: float = EVERY_S) -> None:
        self._api = api
        self._every_s = every_s
        self._failing: set[str] = set()

    def token_trouble(self) -> str | None:
        """That our token ends soon, for people."""
        end = self._api.credentials_end
        if end is None or end - timestamps.now() > TOKEN_LEFT:
            return None
        return f"its token ends at {end:%Y-%m-%d %H:%M} UTC: renew it with `dichroism watcher kubeconfig`"

    async def beat(self, words: Callable[[], Mapping[str, Heartbeat]]) -> None:
        """Write the word of each beamline, by name, again and again until cancelled."""
        pause = min(FIRST_S, self._every_s)  # soon after the start the first pass is news
        while True:
            for beamline, word in words().items():
                await self._write(beamline, word)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._every_s)

    async def _write(self, beamline: str, word: Heartbeat) -> None:
        name = lease_name(beamline)
        try:
            await leave(self._api, name, word.to_lease())
        except ApiError as error:
            if beamline not in self._failing:
                log.warning(
                    "no word can be left in the cluster that this folder is watched; an alarm follows there",
                    extra={"beamline": beamline, "reason": f"Lease {name}: {type(error).__name__}: {error}"},
                )
            self._failing.add(beamline)
        else:
            self._failing.discard(beamline)
