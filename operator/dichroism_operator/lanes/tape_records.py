"""Who may know that a file of one beamline is on tape: the catalogue, and the manifests where they are mounted.

A record is a hint. Whether the member is there is proven by whoever asks.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath

from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.kinds import Scan
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.timestamps import from_ns, same_time
from dichroism_operator import planning
from dichroism_operator.catalogue.base import Catalogue, TapeRecord
from dichroism_operator.movers.manifests import manifests_on

ASKING = 8
"""Questions to the catalogue at the same time."""
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Record:
    """A place on tape where a file may be: path of the bundle below the tape endpoint, digest of the member."""

    bundle: str
    sha256: str
    source: str
    """Who told it, in words."""


class TapeRecords:
    """Reads both for one beamline. Without a catalogue only the manifests count, without a mount only the catalogue."""

    def __init__(
        self, beamline: Beamline, source: Endpoint, destination: Endpoint, catalogue: Catalogue | None
    ) -> None:
        self._beamline = beamline
        self._source = source
        self._destination = destination
        self._catalogue = catalogue if beamline.ingest else None
        self._asking = asyncio.Semaphore(ASKING)

    async def catalogued(self, scan: Scan) -> list[Record]:
        """What the dataset of a Scan records of its present content.

        Raises:
            CatalogueUnavailable: it can't be asked now.
            EntryRefused: our account may not ask.
        """
        catalogue = self._catalogue
        if catalogue is None:
            return []
        async with self._asking:
            told = await asyncio.to_thread(catalogue.tape_copies, catalogue.pid(scan.name))
        return [found for record in told if (found := self._record(scan, record))]

    def _record(self, scan: Scan, told: TapeRecord) -> Record | None:
        where, root = PurePosixPath(told.bundle), PurePosixPath(self._destination.root_path)
        same = self._same_content(scan, told.size, told.sha256, told.modified_at, _MILLISECOND)
        if told.sha256 is None or told.member != scan.spec.path or not same or not where.is_relative_to(root):
            return None
        try:
            return Record(check_relative_path(str(where.relative_to(root))), told.sha256, "the catalogue")
        except PathError:
            return None

    def _same_content(
        self, scan: Scan, size: int, sha256: str | None, modified_at: datetime, resolution: timedelta
    ) -> bool:
        """By the digest of the copy on disk; where that is not known by the time, as exactly as it was recorded."""
        if size != scan.spec.size:
            return False
        disk = scan.copy_on(self._source.name)
        if disk and disk.sha256:
            return disk.sha256 == sha256
        return same_time(modified_at, scan.spec.modified_at, resolution)

    def listed(self, scans: Sequence[Scan]) -> Mapping[str, list[Record]]:
        """What the manifests record of each Scan's content, by the Scan's name. Blocks.

        Only manifests are read whose days can hold one of the files.

        Raises:
            MoverUnavailable: the endpoint with the manifests does not answer.
        """
        found: dict[str, list[Record]] = defaultdict(list)
        if self._source.mount is None:
            return found
        by_path = {scan.spec.path: scan for scan in scans}
        days = {scan.spec.modified_at.date() for scan in scans}
        for name, members in manifests_on(self._source, lambda name: self._may_hold(name, days)):
            bundle = planning.bundle_of_manifest(name).path
            for member in members:
                scan = by_path.get(member.path)
                moment = from_ns(member.modified_us * 1000)
                if scan is None or member.sha256 is None:
                    continue
                if self._same_content(scan, member.size, member.sha256, moment, _MICROSECOND):
                    found[scan.name].append(Record(bundle, member.sha256, "its manifest"))
        return found

    def _may_hold(self, name: str, days: set[date]) -> bool:
        try:
            named = planning.bundle_of_manifest(name)
        except ValueError:
            return False
        return named.beamline == self._beamline.name.lower() and any(named.first <= day <= named.last for day in days)
