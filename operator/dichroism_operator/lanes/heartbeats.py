"""Listens for the watchers: the age of each one's last completed pass as a metric, and an Event when one is silent.

A watcher runs on another host, whose clock may be wrong. So the age is measured with our own clock from the moment at
which we saw the Lease change; its own time counts for the first look alone. A beamline that never had a watcher ages
from our start.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dichroism_crds.heartbeat import STATES, Heartbeat, lease_name
from dichroism_crds.reasons import EventReason
from dichroism_crds.timestamps import now
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.lanes.leased import last_result
from dichroism_operator.metrics import WATCHER_AGE, WATCHER_FILES, WATCHER_SILENT, WATCHER_TROUBLE
from dichroism_operator.recorder import About

EVERY_S = 30.0
FIRST_S = 600
"""Seconds that a watcher has to be heard of for the first time."""


@dataclass(slots=True)
class _Heard:
    """What was last heard of a beamline's watcher: its last pass, which we know since ``at`` (s, monotonic)."""

    at: float
    completed: datetime | None = None
    within_s: float = FIRST_S
    silent: bool = False

    def hear(self, word: Heartbeat, moment: float) -> None:
        """Take in what the Lease says at ``moment`` (s, monotonic)."""
        if word.completed is None or word.completed == self.completed:
            return
        known = self.completed is not None
        self.at = moment if known else moment - max((now() - word.completed).total_seconds(), 0.0)
        self.completed, self.within_s = word.completed, word.within_s


class Heartbeats(Lane):
    """One lane for all beamlines."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("heartbeats", context)
        self._clock = clock
        self._heard = {name: _Heard(clock()) for name in context.config.beamlines}

    async def turn(self) -> float:
        """Read every Lease."""
        for beamline, heard in self._heard.items():
            about, word = await last_result(self.context.api, lease_name(beamline), Heartbeat.from_lease)
            moment = self._clock()
            if word is not None:
                heard.hear(word, moment)
            self._tell(beamline, heard, moment - heard.at, about, word)
        return EVERY_S

    def _tell(self, beamline: str, heard: _Heard, age: float, about: About, word: Heartbeat | None) -> None:
        silent = age > heard.within_s
        WATCHER_AGE.labels(beamline).set(age)
        WATCHER_SILENT.labels(beamline).set(silent)
        trouble = word.trouble if word else ""
        WATCHER_TROUBLE.labels(beamline).set(bool(trouble))
        for state in STATES:
            WATCHER_FILES.labels(beamline, state).set(word.files.get(state, 0) if word else 0)
        if silent:
            why = (trouble or f"no word from {word.holder}") if word else "no watcher has left word"
            message = (
                f"no pass over the folder of {beamline} ended within {heard.within_s:.0f} s, new files wait: {why}"
            )
            self.context.recorder.event(about, EventReason.WATCHER_SILENT, message)
        elif trouble:
            self.context.recorder.event(
                about, EventReason.WATCHER_TROUBLE, f"the watcher of {beamline} says: {trouble}"
            )
        elif heard.silent:
            self.context.recorder.event(about, EventReason.WATCHER_BACK, f"the folder of {beamline} is watched again")
        heard.silent = silent
