"""What all lanes share: the loop that never dies, the pause while an outside system is in trouble, the heartbeat."""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dichroism_crds.client import Api, ApiError, NotFound
from dichroism_crds.config import Beamline, Config
from dichroism_crds.kinds import Resource, Scan, Step, Transfer
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.timestamps import now
from dichroism_operator import admission, lifecycle, planning
from dichroism_operator.board import Board, Card
from dichroism_operator.metrics import LANE_ERRORS, LANE_PAUSED, LANE_TURN
from dichroism_operator.mirror.feed import Feed
from dichroism_operator.recorder import About, Recorder
from dichroism_operator.statuswriter import Change, StatusWriter

PAUSE_FIRST_S = 1.0
PAUSE_LONGEST_S = 300.0
READS_AT_ONCE = 16
LISTED_FOR_A_READ = 20
"""Scans in a LIST that cost the API server and us about as much as one request for a single Scan."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Context:
    """What every lane is given. ``pauses`` is shared: it puts a paused lane's reason into the Scans' messages."""

    api: Api
    config: Config
    board: Board
    writer: StatusWriter
    recorder: Recorder
    pauses: dict[tuple[str, Step], str]
    feed: Feed | None = None
    """What is shown in Prefect is told to it in passing; None: nothing is shown."""

    def show(self, transfer: Transfer) -> None:
        """A Transfer is in this state now."""
        if self.feed:
            self.feed.observe_transfer(transfer)


class Lane(ABC):
    """A loop of turns. A turn that raises is logged, counted and tried again; it never ends the lane."""

    idle_s = 5.0
    """Seconds between turns when nothing wakes the lane."""

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.context = context
        self.last_turn = time.monotonic()
        self.wake = asyncio.Event()

    @abstractmethod
    async def turn(self) -> float:
        """Do what can be done now; returns the seconds after which to look again without a wake-up."""

    async def run(self) -> None:
        """Make turns until cancelled."""
        failures = 0
        while True:
            self.wake.clear()
            try:
                pause = await self.turn()
                failures = 0
            except ApiError as error:
                failures += 1
                log.warning("lane %s: %s", self.name, error, extra={"lane": self.name})
                pause = backoff_s(failures)
            except Exception:
                failures += 1
                LANE_ERRORS.labels(self.name).inc()
                log.exception("lane %s: a turn failed, it is tried again", self.name, extra={"lane": self.name})
                pause = backoff_s(failures)
            self.beat()
            # Not wait_for: before Python 3.12 it loses a cancellation that meets the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.wake.wait()

    def beat(self) -> None:
        """Note that the lane is alive; liveness looks at it."""
        self.last_turn = time.monotonic()
        LANE_TURN.labels(self.name).set_to_current_time()


class StepLane(Lane):
    """A lane that does one step of one beamline's Scans, with the pause for outages of its outside system."""

    def __init__(self, name: str, context: Context, beamline: Beamline, step: Step) -> None:
        super().__init__(name, context)
        self.beamline = beamline
        self.step = step
        self.wake = context.board.waker(beamline.name, step)
        self.pauses_in_a_row = 0
        self.paused_until = 0.0
        self._reason: Reason | None = None

    @property
    def paused(self) -> bool:
        """Whether the lane waits for its outside system."""
        return time.monotonic() < self.paused_until

    def pause(self, reason: Reason, message: str, about: Resource | About | None) -> None:
        """Stop for a while, longer each time in a row, and say why in one event, the metric and the Scans' messages."""
        self.pauses_in_a_row += 1
        wait = backoff_s(self.pauses_in_a_row)
        self.paused_until = time.monotonic() + wait
        if self._reason and self._reason != reason:
            LANE_PAUSED.labels(self.name, self._reason).set(0)
        self._reason = reason
        LANE_PAUSED.labels(self.name, reason).set(1)
        self.context.pauses[self.beamline.name, self.step] = f"{self.step} waits: {reason}, {message}"
        log.warning("lane %s is paused for %.0f s: %s: %s", self.name, wait, reason, message, extra={"lane": self.name})
        if about:
            self.context.recorder.event(about, EventReason.LANE_PAUSED, f"{reason}: {message}")

    def resume(self, about: Resource | About | None = None) -> None:
        """The outside system works again."""
        if self._reason:
            LANE_PAUSED.labels(self.name, self._reason).set(0)
            log.info("lane %s goes on", self.name, extra={"lane": self.name})
            if about:
                self.context.recorder.event(about, EventReason.LANE_RESUMED, f"{self.name} goes on")
        self._reason = None
        self.pauses_in_a_row = 0
        self.paused_until = 0.0
        self.context.pauses.pop((self.beamline.name, self.step), None)

    def candidates(self, taken: Collection[str] = (), most: int | None = None) -> list[Card]:
        """The first cards whose Scan may be read now: not taken, and no write under way that a read would miss."""
        cards = planning.ready(self.context.board.waiting(self.beamline.name, self.step), taken, now())
        return list(itertools.islice((card for card in cards if not self.context.writer.is_open(card.name)), most))

    def may_work(self, scan: Scan) -> bool:
        """Whether a freshly read Scan still waits for this step; tells the board what it waits for in truth."""
        steps = lifecycle.configured_steps(self.beamline)
        waiting = lifecycle.open_steps(scan, steps, self.context.config.attempts)
        if admission.refusal(scan, self.context.config):
            waiting = frozenset()
        if self.step in waiting:
            return True
        if not self.context.writer.is_open(scan.name):
            self.context.board.put(scan, waiting)
        return False

    async def read_scans(self, names: Sequence[str]) -> list[Scan]:
        """Scans read from the API itself, never from the board; those that are gone are forgotten and left out."""
        listed = await self.listed(names)
        slots = asyncio.Semaphore(READS_AT_ONCE)

        async def one(name: str) -> Scan | None:
            if scan := listed.get(name):
                return scan
            async with slots:
                try:
                    return await self.context.api.get(Scan, name)
                except NotFound:
                    self.context.board.drop(name)
                    return None

        return [scan for scan in await asyncio.gather(*map(one, names)) if scan]

    async def listed(self, names: Collection[str]) -> dict[str, Scan]:
        """Those of many Scans which one LIST of what waits for this step shows; none where a LIST is not worth it.

        A LIST is as fresh as a read. A Scan that waits for the step out of turn is in another phase and not in it.
        """
        waiting = self.context.board.counts().get((self.beamline.name, self.step), 0)
        if len(names) < LISTED_FOR_A_READ or len(names) * LISTED_FOR_A_READ < waiting:
            return {}
        wanted = set(names)
        phase = lifecycle.phase_before(self.step, lifecycle.configured_steps(self.beamline))
        selector = f"spec.beamline={self.beamline.name},status.phase={phase}"
        pages = self.context.api.list_pages(self.context.api.path(Scan), field_selector=selector)
        return {name: Scan.parse(one) async for one in pages if (name := one["metadata"]["name"]) in wanted}


def unless_changed(seen: Scan, change: Callable[[Scan], None]) -> Change:
    """``change`` as a status write, for as long as the Scan's content is the one that was worked with."""

    def apply(fresh: Scan) -> bool:
        if fresh.content != seen.content or lifecycle.content_changed(fresh):
            return False
        change(fresh)
        return True

    return apply


def backoff_s(count: int) -> float:
    """1 s doubling to 5 minutes, jittered by a quarter so that lanes do not come back all at once."""
    longest: float = min(PAUSE_FIRST_S * 2 ** min(count - 1, 10), PAUSE_LONGEST_S)
    return longest * random.uniform(0.75, 1.25)  # noqa: S311
