"""How full the next tape bundle of a beamline is, when it closes and why: pure functions over cards.

The operator decides with them, and ``dichroism due --archive`` shows what it will decide. Which files go into a bundle
is said in ``planning``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dichroism_crds.config import BundleLimits
from dichroism_crds.timestamps import format_time
from dichroism_operator import planning
from dichroism_operator.board import Card


class Cause(StrEnum):
    """Why a bundle closes."""

    SIZE = "Size"
    """The files reach ``bundle.target``."""
    COUNT = "Count"
    """As many files as ``bundle.max_files`` wait."""
    LIST = "List"
    """The names are so long that no more fit into one Transfer."""
    AGE = "Age"
    """The oldest file has waited for ``bundle.max_age``."""
    REQUEST = "Request"
    """A person asked for it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A person's word that whatever waited for tape ``at`` that moment shall not wait longer."""

    by: str
    at: datetime

    def __str__(self) -> str:
        """Who asked, and when."""
        return f"{self.by} at {format_time(self.at)}"


@dataclass(frozen=True, slots=True)
class Filling:
    """The files that wait for the next bundle: how many, their bytes, since when, and when it closes."""

    files: int
    bytes: int
    oldest: datetime | None
    closes_by: datetime | None
    """The latest moment, by age; the other limits may close it sooner. None when nothing waits."""
    cause: Cause | None
    """Why it closes now; None while it still fills."""


def filling(cards: Sequence[Card], bundle: BundleLimits, now: datetime, request: Request | None = None) -> Filling:
    """What waits, and whether the bundle closes now: the first limit that is reached closes it."""
    if not cards:
        return Filling(0, 0, None, None, None)
    size = sum(card.size for card in cards)
    oldest = min(card.since for card in cards)
    limits = planning.tape_limits(bundle)
    cause = None
    if size >= bundle.target:
        cause = Cause.SIZE
    elif len(cards) >= limits.items:
        cause = Cause.COUNT
    elif len(planning.take(cards, limits)) < len(cards):
        cause = Cause.LIST
    elif now - oldest >= bundle.max_age:
        cause = Cause.AGE
    elif request and oldest <= request.at:
        cause = Cause.REQUEST
    return Filling(len(cards), size, oldest, oldest + bundle.max_age, cause)
