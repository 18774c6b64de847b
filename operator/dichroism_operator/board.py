"""What the operator remembers of each unfinished Scan: a card of a few hundred bytes, and who waits for which step.

The board is a hint, never the truth: it is fed by watch events, by the LIST sweep and by our own writes, and a lane
reads the Scan from the API before it acts. Not in here: any I/O.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from dichroism_crds.kinds import ConditionStatus, Scan, Step
from dichroism_crds.names import LABEL_ORIGIN, Origin


@dataclass(frozen=True, slots=True)
class Card:
    """One Scan that still waits for something. ``since`` is when its first waiting step could have begun.

    ``retry_at`` is set where the step that is waited for has failed: it is not tried again before.
    """

    name: str
    uid: str
    beamline: str
    size: int
    path_length: int
    live: bool
    created: datetime
    since: datetime
    retry_at: datetime | None
    steps: frozenset[Step]
    copies: frozenset[str] = frozenset()
    """Endpoints on which the Scan records a verified copy."""

    @property
    def turn(self) -> tuple[bool, datetime, str]:
        """Sorts cards: live before backfill, oldest first."""
        return not self.live, self.created, self.name


class _Queue:
    """Cards of one step, always in turn: a lane looks at the first ones often, however many wait behind them."""

    def __init__(self) -> None:
        self._cards: dict[str, Card] = {}
        self._turns: list[tuple[bool, datetime, str]] = []

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[Card]:
        return (self._cards[name] for _, _, name in self._turns)

    def put(self, card: Card) -> None:
        known = self._cards.get(card.name)
        if known is None or known.turn != card.turn:
            self.drop(card.name)
            insort(self._turns, card.turn)
        self._cards[card.name] = card

    def drop(self, name: str) -> None:
        if card := self._cards.pop(name, None):
            del self._turns[bisect_left(self._turns, card.turn)]


class Board:
    """Cards by (beamline, step), and one wake-up per lane."""

    def __init__(self) -> None:
        self._cards: dict[str, Card] = {}
        self._waiting: dict[tuple[str, Step], _Queue] = {}
        self._wakers: dict[tuple[str, Step], asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._cards)

    def waker(self, beamline: str, step: Step) -> asyncio.Event:
        """The event that is set when a Scan of that beamline begins to wait for that step."""
        return self._wakers.setdefault((beamline, step), asyncio.Event())

    def waiting(self, beamline: str, step: Step) -> Iterable[Card]:
        """Scans that wait for a step, live before backfill, oldest first; read it before the board changes."""
        return self._waiting.get((beamline, step), ())

    def put(self, scan: Scan, steps: frozenset[Step]) -> None:
        """Note which steps a Scan waits for; none: forget it."""
        known = self._cards.get(scan.name)
        if known:
            for step in known.steps - steps:
                self._waiting[known.beamline, step].drop(scan.name)
        if not steps:
            self._cards.pop(scan.name, None)
            return
        created = scan.metadata.creation_timestamp or scan.spec.modified_at
        moments = [one.last_transition_time for one in scan.status.conditions if one.last_transition_time]
        card = Card(
            name=scan.name,
            uid=scan.metadata.uid or "",
            beamline=scan.spec.beamline,
            size=scan.spec.size,
            path_length=len(scan.spec.path.encode()),
            live=scan.metadata.labels.get(LABEL_ORIGIN, Origin.LIVE) == Origin.LIVE,
            created=created,
            since=max(moments, default=created),
            retry_at=scan.status.attempts.retry_at,
            steps=steps,
            copies=frozenset(copy.endpoint for copy in scan.status.copies),
        )
        self._cards[card.name] = card
        # The back-off of a step that failed holds up no other step.
        rested = replace(card, retry_at=None) if card.retry_at else card
        for step in steps:
            failed = scan.condition(step).status == ConditionStatus.FALSE
            shown = card if failed else rested
            if step == Step.ARCHIVED and (since := scan.waits_for_tape_since):
                shown = replace(shown, since=since)
            self._waiting.setdefault((card.beamline, step), _Queue()).put(shown)
            self.waker(card.beamline, step).set()

    def drop(self, name: str) -> None:
        """Forget a Scan."""
        card = self._cards.pop(name, None)
        if card:
            for step in card.steps:
                self._waiting[card.beamline, step].drop(name)

    def names(self) -> list[str]:
        """Names of all cards."""
        return list(self._cards)

    def counts(self) -> dict[tuple[str, Step], int]:
        """How many Scans wait, by beamline and step."""
        return {key: len(queue) for key, queue in self._waiting.items()}
