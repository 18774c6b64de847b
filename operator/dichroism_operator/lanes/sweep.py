"""The periodic LIST that is the truth: repairs the board, notices a dead watch, collects what is past its time."""

import logging
import time
from collections import Counter, defaultdict
from datetime import timedelta

from dichroism_crds.client import ApiError, Gone
from dichroism_crds.config.models import MINIMUM_HISTORY
from dichroism_crds.kinds import (
    SUCCEEDED,
    ConditionStatus,
    Metadata,
    Prune,
    PrunePhase,
    Scan,
    ScanPhase,
    Transfer,
    TransferPhase,
)
from dichroism_crds.names import ANNOTATION_ABANDON, LABEL_LANE, number_of
from dichroism_crds.timestamps import now
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.lanes.intake import Intake
from dichroism_operator.metrics import SCANS, SWEEP_SECONDS, UNREADABLE, WAITING, WATCH_STALE

EVERY_S = 60.0
COLLECT_EVERY_S = 6 * 3600.0
"""Finished Transfers and Prunes are large objects that change no more; Scans are collected with every sweep."""
ABANDONED_SWEEPS = 3
SUCCEEDED_TRANSFERS = timedelta(days=3)
FAILED_TRANSFERS = timedelta(days=30)
SUCCEEDED_TRANSFERS_KEPT = 100
PRUNED_KEPT = timedelta(days=90)

log = logging.getLogger(__name__)


class Sweep(Lane):
    """Every minute all Scans are listed. ``stale_since`` is set while the watch misses changes that LIST shows."""

    def __init__(self, context: Context, intake: Intake, every_s: float = EVERY_S) -> None:
        super().__init__("sweep", context)
        self._every_s = every_s
        self._intake = intake
        self._delivered: dict[str, str] = {}
        self._missed: dict[str, str] = {}
        self._abandoned: dict[str, int] = {}
        self._collect_next = 0.0
        self.stale_since: float | None = None

    def delivered(self, metadata: Metadata) -> None:
        """The watch told of this version of a Scan."""
        self._delivered[metadata.name] = metadata.resource_version or ""

    def forget(self, name: str) -> None:
        """The watch told that a Scan is gone."""
        self._delivered.pop(name, None)
        self.context.board.drop(name)

    async def turn(self) -> float:
        """List, compare, repair, collect."""
        with SWEEP_SECONDS.time():
            try:
                scans = await self._list()
            except Gone:
                return 1.0
            self._compare_with_watch(scans)
            self._count(scans)
            await self._collect_scans(scans)
            if time.monotonic() >= self._collect_next:
                await self._collect_transfers()
                await self._collect_prunes()
                self._collect_next = time.monotonic() + COLLECT_EVERY_S
        return self._every_s

    async def _list(self) -> dict[str, "_Seen"]:
        unreadable = 0

        def note(name: str, problem: str) -> None:
            nonlocal unreadable
            unreadable += 1
            log.error("Scan %s cannot be read by this version, it is left alone: %s", name, problem)

        feed = self.context.feed
        if feed:
            feed.listing(now())
        known = set(self.context.board.names())
        seen: dict[str, _Seen] = {}
        async for scan in self.context.api.list(Scan, on_unreadable=note):
            self._intake.observe(scan)
            if feed:
                feed.observe(scan)
            seen[scan.name] = _Seen(scan)
        for name in known - seen.keys():
            self.context.board.drop(name)
        if feed:
            feed.listed()
        UNREADABLE.labels("Scan").set(unreadable)
        return seen

    def _compare_with_watch(self, scans: dict[str, "_Seen"]) -> None:
        """A version that LIST showed a whole sweep ago and the watch has not delivered by now was missed."""
        stale = [
            name
            for name, version in self._missed.items()
            if name in scans and scans[name].version == version and self._delivered.get(name) != version
        ]
        WATCH_STALE.set(len(stale))
        if not stale:
            self.stale_since = None
        elif self.stale_since is None:
            self.stale_since = time.monotonic()
            log.error(
                "the watch is dead or behind: %d Scans changed without an event, such as %s", len(stale), stale[0]
            )
        self._missed = {name: one.version for name, one in scans.items() if self._delivered.get(name) != one.version}
        self._delivered = {name: version for name, version in self._delivered.items() if name in scans}

    def _count(self, scans: dict[str, "_Seen"]) -> None:
        """The gauges of Scans, derived anew each time: after a restart they say at once what is so."""
        for (beamline, step), waiting in self.context.board.counts().items():
            WAITING.labels(beamline, step).set(waiting)
        known = self.context.config.beamlines
        # A Scan may name any beamline; labels may not grow with what somebody writes.
        phases = Counter((one.beamline if one.beamline in known else "unknown", one.phase) for one in scans.values())
        SCANS.clear()
        for beamline in (*known, "unknown"):
            for phase in ScanPhase:
                SCANS.labels(beamline, phase).set(phases[beamline, phase])

    async def _collect_scans(self, scans: dict[str, "_Seen"]) -> None:
        """Succeeded Scans past their time or beyond the newest so many, never within a day; abandoned ones."""
        history = self.context.config.history
        moment = now()
        done = sorted((one for one in scans.values() if one.succeeded), key=lambda one: one.changed, reverse=True)
        old = [
            one
            for rank, one in enumerate(done)
            if moment - one.changed > (history.scans if rank < history.keep else MINIMUM_HISTORY)
        ]
        # Only the third sweep collects: the watcher must have seen the annotation, or it would create the Scan again.
        self._abandoned = {one.name: self._abandoned.get(one.name, 0) + 1 for one in scans.values() if one.abandoned}
        abandoned = [scans[name] for name, sweeps in self._abandoned.items() if sweeps >= ABANDONED_SWEEPS]
        for one in (*old, *abandoned):
            await self._delete(Scan, one.name, one.uid)

    async def _collect_transfers(self) -> None:
        """Succeeded ones 3 days, at most 100 a lane, failed ones 30 days. The newest stays: no number is reused."""
        ended: dict[str, TransferPhase] = {}
        for phase in (TransferPhase.SUCCEEDED, TransferPhase.FAILED):
            async for one in self.context.api.list_metadata(Transfer, field_selector=f"status.phase={phase}"):
                ended[one.name] = phase
        lanes: dict[str, list[Metadata]] = defaultdict(list)
        async for one in self.context.api.list_metadata(Transfer):
            lanes[one.labels.get(LABEL_LANE, "")].append(one)
        moment = now()
        for transfers in lanes.values():
            transfers.sort(key=lambda one: number_of(one.name), reverse=True)
            succeeded = 0
            for one in transfers[1:]:
                if one.name not in ended or one.creation_timestamp is None:
                    continue
                good = ended[one.name] == TransferPhase.SUCCEEDED
                succeeded += good
                age = moment - one.creation_timestamp
                if age > (SUCCEEDED_TRANSFERS if good else FAILED_TRANSFERS) or succeeded > SUCCEEDED_TRANSFERS_KEPT:
                    await self._delete(Transfer, one.name, one.uid)

    async def _collect_prunes(self) -> None:
        """Pruned ones stay 90 days; every other stays until it is pruned or a person acts."""
        moment = now()
        listed = self.context.api.list(
            Prune, field_selector=f"status.phase={PrunePhase.PRUNED}", limit=50, on_unreadable=lambda *_: None
        )
        async for prune in listed:
            moments = [one.last_transition_time for one in prune.status.conditions if one.last_transition_time]
            if moments and moment - max(moments) > PRUNED_KEPT:
                await self._delete(Prune, prune.name, prune.metadata.uid)

    async def _delete(self, kind: type[Scan] | type[Transfer] | type[Prune], name: str, uid: str | None) -> None:
        try:
            await self.context.api.delete(kind, name, uid=uid)
            log.info("%s %s is past its time and was collected; files are never touched by this", kind.kind, name)
        except ApiError as error:
            log.warning("%s %s could not be collected: %s", kind.kind, name, error)


class _Seen:
    """What the sweep keeps of a Scan while it runs."""

    __slots__ = ("abandoned", "beamline", "changed", "name", "phase", "succeeded", "uid", "version")

    def __init__(self, scan: Scan) -> None:
        self.name = scan.name
        self.uid = scan.metadata.uid
        self.beamline = scan.spec.beamline
        self.phase = scan.status.phase
        self.version = scan.metadata.resource_version or ""
        self.succeeded = scan.condition(SUCCEEDED).status == ConditionStatus.TRUE
        moments = [one.last_transition_time for one in scan.status.conditions if one.last_transition_time]
        self.changed = max(moments, default=scan.metadata.creation_timestamp or now())
        ended = scan.status.phase in (ScanPhase.FAILED, ScanPhase.REFUSED)
        self.abandoned = ended and bool(scan.metadata.annotations.get(ANNOTATION_ABANDON))
