"""The lane that attaches quick-look plots to datasets, after the phase and never in its way.

Which Scans wait for one is seen from the Scans themselves (catalogued, and nothing said of a plot yet), so a restart
loses nothing. What became of a plot is written together with the step Ingested; only a plot that comes later costs a
status write of its own. Outages are waited for; anything else is tried a few times and then told.
"""

import asyncio
import logging
import os
import time
from dataclasses import dataclass, field
from itertools import islice

from dichroism_crds.client import ApiError, NotFound
from dichroism_crds.kinds import Content, Scan, ScanPhase, Step
from dichroism_crds.names import LABEL_ORIGIN, Origin
from dichroism_operator import entries, killpoints, lifecycle
from dichroism_operator.catalogue.base import ADDING, REMOVING, Catalogue, Picture
from dichroism_operator.catalogue.errors import CatalogueUnavailable, DatasetGone, EntryRefused
from dichroism_operator.lanes.base import Context, Lane, backoff_s
from dichroism_operator.lease import LeaseLostError
from dichroism_operator.metrics import PICTURES
from dichroism_operator.previews.describer import Describer

ATTACHED = "attached"
NO_PICTURE = "none: "
OUTDATED = "outdated: "
"""The plot of an older content is still there."""
AT_ONCE = max(1, (os.cpu_count() or 2) // 2)
"""Plots under way: as many as there are worker processes for them."""
TRIES = 5
_AGAIN_S = 60.0
_MOST_WAITING = 50_000
_MOST_SETTLED = 20_000
_LONGEST = 256

log = logging.getLogger(__name__)


class _LaterError(Exception):
    """Not now; tried again, a few times."""


@dataclass(slots=True)
class _Wanted:
    """A Scan that waits for its plot. ``fresh``: its dataset was made just now, so it has none."""

    fresh: bool
    tries: int = 0
    not_before: float = 0.0
    """On the monotonic clock."""


@dataclass(frozen=True, slots=True)
class _Settled:
    uid: str
    content: Content
    text: str


@dataclass(slots=True)
class _Queues:
    """Waiting Scans by name, those of the running experiment first."""

    live: dict[str, _Wanted] = field(default_factory=dict)
    others: dict[str, _Wanted] = field(default_factory=dict)


class PictureLane(Lane):
    """One for all beamlines."""

    def __init__(self, context: Context, catalogue: Catalogue, describer: Describer) -> None:
        super().__init__("pictures", context)
        self._catalogue = catalogue
        self._describer = describer
        self._queues = _Queues()
        self._settled: dict[str, _Settled] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._outages = 0
        self._paused_until = 0.0

    def want(self, scan: Scan, *, fresh: bool = False, at_once: bool = False) -> None:
        """Take note of a Scan, whatever it needs; cheap, and called for every Scan that is seen.

        Args:
            scan: as it is now.
            fresh: its dataset was made just now, so it has no picture.
            at_once: its catalogue step was done just now; whatever an earlier try waits for may be over.
        """
        if not self._needs(scan) or scan.name in self._working:
            return
        if self.settled(scan) and self._is_written_along(scan):
            return
        live = scan.metadata.labels.get(LABEL_ORIGIN, Origin.LIVE) == Origin.LIVE
        queue = self._queues.live if live else self._queues.others
        if (at_once and scan.name in queue) or (scan.name not in queue and len(queue) < _MOST_WAITING):
            queue[scan.name] = _Wanted(fresh)
            self.wake.set()

    def settled(self, scan: Scan) -> str | None:
        """What became of the plot of this content and is not in the status yet."""
        known = self._settled.get(scan.name)
        same = known and known.uid == scan.metadata.uid and known.content == scan.content
        return known.text if known and same else None

    def _needs(self, scan: Scan) -> bool:
        dataset = scan.status.dataset
        return (
            dataset is not None
            and dataset.quick_look is None
            and lifecycle.is_done(scan, Step.CATALOGUED)
            and not lifecycle.content_changed(scan)
            and scan.status.phase != ScanPhase.REFUSED
            and not scan.spec.suspend
            and scan.metadata.deletion_timestamp is None
            and self._describer.can_read(scan.spec.beamline)
        )

    def _is_written_along(self, scan: Scan) -> bool:
        """Whether a step is still to come that writes the Scan anyway."""
        return not lifecycle.is_done(scan, Step.INGESTED)

    async def turn(self) -> float:
        """Begin what is due while there is room."""
        moment = time.monotonic()
        if moment < self._paused_until:
            return min(self._paused_until - moment, self.idle_s)
        room = (1 if self._outages else AT_ONCE) - len(self._working)
        for queue in (self._queues.live, self._queues.others):
            due = list(islice((name for name, one in queue.items() if one.not_before <= moment), max(room, 0)))
            room -= len(due)
            for name in due:
                task = asyncio.create_task(self._work(name, queue, queue.pop(name)), name=f"picture {name}")
                self._working[name] = task
        return self.idle_s

    async def _work(self, name: str, queue: dict[str, _Wanted], wanted: _Wanted) -> None:
        try:
            scan = self.context.writer.preview(name) or await self.context.api.get(Scan, name)
            if self._needs(scan):
                await self._settle(scan, self.settled(scan) or await self._attach(scan, wanted))
            self._outages = 0
        except NotFound:
            self._settled.pop(name, None)
        except (ApiError, LeaseLostError) as error:
            log.warning("the plot of Scan %s waits: %s", name, error, extra={"scan": name})
            queue[name] = _Wanted(False, wanted.tries, time.monotonic() + _AGAIN_S)
        except CatalogueUnavailable as outage:
            self._pause(outage)
            queue[name] = _Wanted(fresh=False, tries=wanted.tries)
        except _LaterError as error:
            log.info("the plot of Scan %s waits: %s", name, error, extra={"scan": name})
            wait = _AGAIN_S * 4**wanted.tries
            queue[name] = _Wanted(False, wanted.tries + 1, time.monotonic() + wait)
        except Exception:
            log.exception("the plot of Scan %s: unexpected error, tried again", name, extra={"scan": name})
            queue[name] = _Wanted(False, wanted.tries + 1, time.monotonic() + _AGAIN_S * 4**wanted.tries)
        finally:
            self._working.pop(name, None)
            self.wake.set()

    def _pause(self, outage: CatalogueUnavailable) -> None:
        self._outages += 1
        wait = backoff_s(self._outages)
        self._paused_until = time.monotonic() + wait
        log.warning("no plot is attached for %.0f s: %s", wait, outage)

    async def _attach(self, scan: Scan, wanted: _Wanted) -> str:
        """Make sure of the plot; the text says what became of it."""
        last = wanted.tries + 1 >= TRIES
        try:
            return await asyncio.to_thread(self._make, scan, wanted.fresh)
        except EntryRefused as refusal:
            return f"{OUTDATED if refusal.operation == REMOVING else NO_PICTURE}{refusal}"
        except DatasetGone as gone:
            return f"{NO_PICTURE}{gone}; annotate with retry={Step.CATALOGUED}@<anything new> to make it again"
        except _LaterError as error:
            if last:
                return f"{NO_PICTURE}{error}"
            raise
        except CatalogueUnavailable as outage:
            # Some servers answer 500 to what is too large for them, and that is no outage.
            if outage.http_status is None or outage.http_status < 500 or outage.operation != ADDING:
                raise
            if last:
                return f"{NO_PICTURE}{outage}"
            raise _LaterError(str(outage)) from outage

    def _make(self, scan: Scan, fresh: bool) -> str:
        """Draw and attach; blocks."""
        beamline = self.context.config.beamlines[scan.spec.beamline]
        disk = scan.copy_on(beamline.transfer.destination)
        if disk is None or beamline.ingest is None:
            return f"{NO_PICTURE}no copy on {beamline.transfer.destination} is recorded"
        entry = entries.dataset_entry(scan, disk, beamline, beamline.ingest, self.context.config, None)
        if not fresh and self._catalogue.has_picture(entry):
            return ATTACHED
        described = self._describer.draw(scan, disk)
        told = described.description
        if told is None:
            raise _LaterError(described.unread or "not read")
        if told.png is None:
            return f"{NO_PICTURE}{told.problem or 'there is no plot of such a file'}"
        self._catalogue.ensure_picture(entry, Picture(told.png, told.headline, entry.file.content))
        killpoints.reach("picture-attached")
        return ATTACHED

    async def _settle(self, scan: Scan, text: str) -> None:
        text = text[:_LONGEST]
        if self.settled(scan) is None:
            PICTURES.labels("attached" if text == ATTACHED else "none").inc()
            if text != ATTACHED:
                log.warning("no plot for Scan %s: %s", scan.name, text, extra={"scan": scan.name})
            while len(self._settled) >= _MOST_SETTLED:
                self._settled.pop(next(iter(self._settled)))
            self._settled[scan.name] = _Settled(scan.metadata.uid or "", scan.content, text)
        if self._is_written_along(scan):
            return

        def change(fresh: Scan) -> bool:
            if fresh.content != scan.content or fresh.status.dataset is None:
                return False
            fresh.status.dataset = fresh.status.dataset.model_copy(update={"quick_look": text})
            return True

        await self.context.writer.update(scan, change)
        self._settled.pop(scan.name, None)
