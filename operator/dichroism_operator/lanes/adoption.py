"""Files that may be on tape already: found through the catalogue and the manifests, proven, and not packed again.

Only Scans that are not live are looked up: the others are new by what the watcher knows. While the catalogue does not
answer they wait, and live ones are packed meanwhile. A copy counts only when the mover proved the member in its bundle,
so a wrong record costs time and nothing else. Where records come from is said in ``tape_records``.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dichroism_crds.client import ApiError
from dichroism_crds.config import Endpoint
from dichroism_crds.kinds import Checksum, ConditionStatus, Copy, Scan, Step
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import lifecycle
from dichroism_operator.board import Card
from dichroism_operator.catalogue.errors import CatalogueUnavailable, EntryRefused
from dichroism_operator.lanes.base import StepLane, unless_changed
from dichroism_operator.lanes.tape_records import Record, TapeRecords
from dichroism_operator.movers.base import CopyState, CopyToVerify, Mover
from dichroism_operator.movers.errors import MoverUnavailable

AT_ONCE = 200
"""Scans looked up together: a bundle is then read once for all of them."""
AGAIN_S = 30.0
"""A Scan whose copies could not be looked up or proven is looked at again after this."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Search:
    """One Scan with the records that may be its tape copy, those that were disproven taken away."""

    scan: Scan
    records: list[Record]

    def wanted(self) -> CopyToVerify:
        """The copy that is to be proven next."""
        first = self.records[0]
        return CopyToVerify(self.scan.spec.path, self.scan.spec.size, first.sha256, first.bundle)


class TapeAdoption:
    """For the archive lane of one beamline; looks in the background, so that nothing else waits for it."""

    def __init__(self, lane: StepLane, destination: Endpoint, mover: Mover, records: TapeRecords) -> None:
        self._lane = lane
        self._destination = destination
        self._mover = mover
        self._records = records
        self._cleared: set[tuple[str, int]] = set()
        """Uid and size of those that are not on tape."""
        self._later: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None

    def concerns(self, card: Card) -> bool:
        """Whether the Scan must not go into a bundle before it was looked up."""
        return not card.live and (card.uid, card.size) not in self._cleared

    def look(self, waiting: Sequence[Card]) -> None:
        """Begin to look up some of the Scans that wait, unless that is under way."""
        if self._looking and not self._looking.done():
            return
        moment = time.monotonic()
        self._cleared &= {(card.uid, card.size) for card in waiting}
        self._later = {name: then for name, then in self._later.items() if then > moment}
        names = [card.name for card in waiting if self.concerns(card) and card.name not in self._later]
        if names:
            self._looking = asyncio.create_task(self._work(names[:AT_ONCE]), name=f"adopt {self._lane.name}")

    async def _work(self, names: Sequence[str]) -> None:
        try:
            scans = [scan for scan in await self._lane.read_scans(names) if self._lane.may_work(scan)]
            searches = await self._find(scans)
            await asyncio.gather(*(self._clear(one.scan) for one in searches if not one.records))
            await self._prove([one for one in searches if one.records])
        except ApiError as error:
            log.warning("lane %s: earlier tape copies wait for the Kubernetes API: %s", self._lane.name, error)
            self._later |= dict.fromkeys(names, time.monotonic() + AGAIN_S)
        except Exception:
            log.exception("lane %s: earlier tape copies could not be looked up, tried again", self._lane.name)
            self._later |= dict.fromkeys(names, time.monotonic() + AGAIN_S)
        finally:
            self._lane.wake.set()

    async def _find(self, scans: Sequence[Scan]) -> list[_Search]:
        """The records of each Scan; one of which they can't be read now waits and is not in the answer."""
        try:
            listed = await asyncio.to_thread(self._records.listed, scans)
        except MoverUnavailable as outage:
            await asyncio.gather(*(self._wait(scan, outage.reason, str(outage)) for scan in scans))
            return []
        found = await asyncio.gather(*(self._catalogued(scan) for scan in scans))
        return [
            _Search(scan, list(dict.fromkeys([*records, *listed[scan.name]])))
            for scan, records in zip(scans, found, strict=True)
            if records is not None
        ]

    async def _catalogued(self, scan: Scan) -> list[Record] | None:
        try:
            return await self._records.catalogued(scan)
        except (CatalogueUnavailable, EntryRefused) as error:
            await self._wait(scan, error.reason, str(error))
            return None

    async def _prove(self, searches: Sequence[_Search]) -> None:
        """Read what is recorded, one record of each Scan after the other, until one holds or none is left."""
        while searches:
            try:
                states = await asyncio.to_thread(
                    self._mover.verify, self._destination, [one.wanted() for one in searches]
                )
            except MoverUnavailable as outage:
                await asyncio.gather(*(self._wait(one.scan, outage.reason, str(outage)) for one in searches))
                return
            await asyncio.gather(*(self._judge(one, states) for one in searches))
            searches = [one for one in searches if one.records]

    async def _judge(self, search: _Search, states: Mapping[CopyToVerify, CopyState]) -> None:
        wanted, record, scan = search.wanted(), search.records.pop(0), search.scan
        match states[wanted]:
            case CopyState.VERIFIED:
                search.records.clear()
                await self._submit(scan, lambda fresh: self._adopt(fresh, record))
            case CopyState.UNKNOWN:
                search.records.clear()
                await self._wait(
                    scan, Reason.IN_PROGRESS, f"{record.bundle}, named by {record.source}, is not proven yet"
                )
            case state:
                log.warning(
                    "Scan %s: %s names it in %s on tape, where it is %s",
                    scan.name,
                    record.source,
                    record.bundle,
                    state,
                    extra={"scan": scan.name},
                )
                if not search.records:
                    await self._clear(scan)

    def _adopt(self, scan: Scan, record: Record) -> None:
        copy = Copy(
            endpoint=self._destination.name,
            path=record.bundle,
            member=scan.spec.path,
            size=scan.spec.size,
            checksum=Checksum(value=record.sha256),
            verified_at=now(),
        )
        lifecycle.add_copy(scan, copy)
        text = f"on {copy.endpoint} already, as {record.source} told; proven there"
        lifecycle.succeed(scan, Step.ARCHIVED, Reason.ADOPTED, text, now())

    async def _clear(self, scan: Scan) -> None:
        """It is on tape nowhere that is known of: it goes into the next bundle."""
        self._cleared.add((scan.metadata.uid or "", scan.spec.size))
        known = scan.condition(Step.ARCHIVED)
        if known.status == ConditionStatus.UNKNOWN and known.reason != Reason.AWAITING_BUNDLE:
            await self._submit(
                scan, lambda fresh: lifecycle.wait(fresh, Step.ARCHIVED, Reason.AWAITING_BUNDLE, "", now())
            )

    async def _wait(self, scan: Scan, reason: Reason, text: str) -> None:
        """It goes into no bundle until it is known whether it is on tape."""
        self._later[scan.name] = time.monotonic() + AGAIN_S
        message = f"is looked up on tape before it is packed, which can't be done now: {text}"
        await self._submit(scan, lambda fresh: lifecycle.wait(fresh, Step.ARCHIVED, reason, message, now()))

    async def _submit(self, scan: Scan, change: Callable[[Scan], None]) -> None:
        await self._lane.context.writer.update(scan, unless_changed(scan, change))
