"""Which Scans, Transfers and flight checks have changed since they were last shown. No I/O: names and times only.

The lanes tell of every object they see anyway; that is cheap and waits for nothing. What does not fit is dropped and
counted: the sweep tells of every Scan again. The *watermark* is the moment up to which every change has been shown. It
outlives the process on the operator's Lease, so that a new process looks only at what changed since.
"""

import asyncio
import heapq
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from dichroism_crds.kinds import Scan, Transfer
from dichroism_crds.names import GROUP
from dichroism_crds.timestamps import EPOCH, format_time
from dichroism_operator.metrics import MIRROR_DROPPED
from dichroism_operator.mirror.states import Run, changed_at, transfer_run

SCANS_WATERMARK = f"{GROUP}/prefect-scans-shown-until"
TRANSFERS_WATERMARK = f"{GROUP}/prefect-transfers-shown-until"
MOST_SCANS = 20_000
"""Names that wait; about 400 bytes each."""
MOST_TRANSFERS = 2_000
MOST_FLIGHTS = 100
FLIGHTS_LOOK_BACK = timedelta(days=7)
"""Flight checks have no watermark: after a restart the last one of each beamline is told of again, if not older."""
MARGIN = timedelta(minutes=10)
"""A transition is stamped before it is written, and the clocks of two nodes differ: so much before the watermark is
looked at once more, which costs a request and shows nothing twice."""

TIDY_APART = timedelta(minutes=1)
"""Of the watermark, between two times at which what was shown long ago is forgotten."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Due(Generic[T]):
    """One object that has to be shown: when it changed, its uid, and what is needed to look at it."""

    changed: datetime
    uid: str
    what: T


class Backlog(Generic[T]):
    """What waits to be shown, oldest change first, each object once, at most ``most``."""

    def __init__(self, kind: str, most: int) -> None:
        self._kind = kind
        self._most = most
        self._due: dict[str, Due[T]] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._shown: dict[str, datetime] = {}
        self._tidied = EPOCH
        self._taken: Due[T] | None = None
        self._dropped: datetime | None = None
        self._dropped_before: datetime | None = None
        self.floor = EPOCH
        """Changes up to here have been shown, without :data:`MARGIN`."""

    def __len__(self) -> int:
        return len(self._due) + (self._taken is not None)

    def put(self, due: Due[T]) -> bool:
        """Note a change, unless it has been shown; says whether it waits now."""
        if due.changed <= self.floor - MARGIN or self._shown.get(due.uid, EPOCH) >= due.changed:
            return False
        known = self._due.get(due.uid)
        if known is None and len(self._due) >= self._most:
            self._dropped = min(self._dropped or due.changed, due.changed)
            MIRROR_DROPPED.labels(self._kind).inc()
            return False
        if known is None or known.changed < due.changed:
            # A later change of one that waits keeps its place: what is shown is what is true when its turn comes.
            if known is None:
                heapq.heappush(self._heap, (due.changed, due.uid))
            self._due[due.uid] = due
        return True

    def take(self) -> Due[T] | None:
        """The oldest; it must be given back with :meth:`done` or :meth:`again` before the next is taken."""
        if not self._heap:
            return None
        self._taken = self._due.pop(heapq.heappop(self._heap)[1])
        return self._taken

    def done(self, due: Due[T], changed: datetime) -> None:
        """It was shown as it was at ``changed``."""
        self._taken = None
        if changed > self.floor - MARGIN:
            self._shown[due.uid] = max(changed, self._shown.get(due.uid, EPOCH))

    def again(self, due: Due[T]) -> None:
        """It could not be shown now."""
        self._taken = None
        self.put(due)

    def begin_round(self) -> None:
        """Everything is about to be told again: what was dropped before counts until that is complete."""
        self._dropped_before = min(filter(None, (self._dropped, self._dropped_before)), default=None)
        self._dropped = None

    def end_round(self) -> None:
        """Everything was told again."""
        self._dropped_before = None

    def oldest(self) -> datetime | None:
        """When the oldest change was made that has not been shown; None when all was."""
        waiting = [self._heap[0][0]] if self._heap else []
        waiting += [self._taken.changed] if self._taken else []
        waiting += filter(None, (self._dropped, self._dropped_before))
        return min(waiting, default=None)

    def raise_floor(self, moment: datetime) -> None:
        """All changes up to a moment have been shown."""
        self.floor = max(self.floor, moment)
        if self.floor - self._tidied > TIDY_APART:
            # Only what the margin lets through again has to be remembered. Not at every step of a long backlog.
            self._tidied = self.floor
            self._shown = {uid: changed for uid, changed in self._shown.items() if changed > moment - MARGIN}


class Feed:
    """What the operator sees of all that is shown, for the mirror. ``wake`` is set when something waits."""

    def __init__(self, namespace: str, *, batches: bool) -> None:
        """``batches``: whether Transfers are shown at all."""
        self.wake = asyncio.Event()
        self.scans: Backlog[str] = Backlog("Scan", MOST_SCANS)
        self.transfers: Backlog[Run] = Backlog("Transfer", MOST_TRANSFERS)
        self.flights: Backlog[Run] = Backlog("FlightCheck", MOST_FLIGHTS)
        self._namespace = namespace
        self._batches = batches
        self._open_transfers: dict[str, datetime] = {}
        self._listing_from: datetime | None = None
        self._listed_until: datetime | None = None
        self._transfers_known = False
        self._begun = False

    def begin(self, kept: Mapping[str, str]) -> None:
        """Start to take note, from the watermarks that an earlier process left."""
        self.scans.floor = _moment(kept.get(SCANS_WATERMARK))
        self.transfers.floor = _moment(kept.get(TRANSFERS_WATERMARK))
        self._begun = True

    def observe(self, scan: Scan) -> None:
        """The operator saw a Scan, by watch or LIST; stale news does no harm."""
        if self._begun and self.scans.put(Due(changed_at(scan), scan.metadata.uid or "", scan.name)):
            self.wake.set()

    def listing(self, moment: datetime) -> None:
        """The operator begins to LIST all Scans."""
        self._listing_from = moment
        self.scans.begin_round()

    def listed(self) -> None:
        """The LIST is complete: every Scan has been seen since it began."""
        if self._begun:
            self._listed_until = self._listing_from
            self.scans.end_round()

    def observe_transfer(self, transfer: Transfer) -> None:
        """A lane made or changed a Transfer. Only its run is kept: a Transfer may have thousands of items."""
        if not self._begun or not self._batches:
            return
        uid, created = transfer.metadata.uid or "", transfer.metadata.creation_timestamp or EPOCH
        self._open_transfers.setdefault(uid, created)
        run = transfer_run(transfer, self._namespace)
        if self.transfers.put(Due(run.states[-1].at, uid, run)):
            self.wake.set()
        elif transfer.finished:
            self._open_transfers.pop(uid, None)

    def observe_flight(self, run: Run) -> None:
        """A flight check has ended."""
        if self._begun and self.flights.put(Due(run.latest.at, run.key, run)):
            self.wake.set()

    def transfer_shown(self, due: Due[Run]) -> None:
        """A Transfer was shown; a finished one no longer holds the watermark."""
        if due.what.states[-1].ended:
            self._open_transfers.pop(due.uid, None)

    def transfers_known(self, uids: Collection[str] | None = None) -> None:
        """Every Transfer made since the watermark was looked at; of those that are open, only ``uids`` still exist."""
        self._transfers_known = True
        if uids is not None:
            self._open_transfers = {uid: made for uid, made in self._open_transfers.items() if uid in uids}

    def advance(self, kept: MutableMapping[str, str], now: datetime) -> None:
        """Move the watermarks as far as what waits allows, and note them in ``kept``."""
        self.flights.raise_floor(now - FLIGHTS_LOOK_BACK)
        if self._listed_until:
            self.scans.raise_floor(min(self.scans.oldest() or self._listed_until, self._listed_until))
            kept[SCANS_WATERMARK] = format_time(self.scans.floor)
        if self._transfers_known:
            # By creation: one that ends while nobody looks must be found again by when it was made.
            self.transfers.raise_floor(min(self._open_transfers.values(), default=now))
            kept[TRANSFERS_WATERMARK] = format_time(self.transfers.floor)

    def lag_s(self, now: datetime) -> float:
        """Seconds since the oldest change that has not been shown; 0 when all was.

        Before the first LIST nobody knows, and everything since the watermark of an earlier process counts.
        """
        backlogs = (self.scans, self.transfers, self.flights)
        moments = [moment for one in backlogs if (moment := one.oldest())]
        if self._begun and not self._listed_until and self.scans.floor > EPOCH:
            moments.append(self.scans.floor)
        return max(0.0, (now - min(moments)).total_seconds()) if moments else 0.0


def _moment(text: str | None) -> datetime:
    """A watermark as it was kept; one that cannot be read means that everything is looked at again."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return EPOCH
    return moment if moment.tzinfo else EPOCH
