"""Puts the parts together and runs them: the informer, the Lease, the lanes, health, a clean end.

Order: checks (config, CRDs, API) -> informer -> Lease -> LIST sweep -> lanes. Whoever has no Lease watches and waits.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline, Config
from dichroism_crds.kinds import Scan, Step
from dichroism_crds.names import ANNOTATION_PAUSED, OPERATOR_LEASE
from dichroism_crds.reasons import EventReason
from dichroism_operator import pauses, served
from dichroism_operator.board import Board
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.catalogue.choice import build_catalogue
from dichroism_operator.handlers import Informer
from dichroism_operator.health import Health
from dichroism_operator.lanes.audits import AuditResults
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.lanes.calendar_gauges import CalendarGauges
from dichroism_operator.lanes.catalogue import CataloguedLane, IngestedLane
from dichroism_operator.lanes.flights import FlightResults
from dichroism_operator.lanes.heartbeats import Heartbeats
from dichroism_operator.lanes.intake import Intake
from dichroism_operator.lanes.pictures import AT_ONCE, PictureLane
from dichroism_operator.lanes.prefect import PrefectLane
from dichroism_operator.lanes.schedule import ScheduleLane
from dichroism_operator.lanes.sweep import EVERY_S, Sweep
from dichroism_operator.lanes.transfer import TransferLane
from dichroism_operator.lease import DURATION_S, Lease, identity
from dichroism_operator.metrics import API_REQUESTS, LEADER
from dichroism_operator.mirror.feed import Feed
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.choice import build_movers, build_slots
from dichroism_operator.previews.describer import Describer
from dichroism_operator.previews.places import readers_of
from dichroism_operator.previews.workers import Workers
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter

COMPONENT = "dichroism-operator"
THREADS = 32
"""Blocking calls at once: movers, catalogue, file reads."""
HEADER_WORKERS = 1
"""One describes 200 files a second, more than the catalogue takes."""
PICTURE_NICE = 10
"""Plots use what processor time is left."""
CHECK_AGAIN_S = 10.0
FLUSH_S = 10.0

log = logging.getLogger(__name__)


class Operator:
    """One process of the operator, from start to SIGTERM."""

    def __init__(
        self, config: Config, api: Api, health: Health, *, lease_s: int = DURATION_S, sweep_s: float = EVERY_S
    ) -> None:
        """``lease_s``: when another process may take over from one that died; ``sweep_s``: time between LIST sweeps."""
        self.config = config
        self.api = api
        self.lease = Lease(api, OPERATOR_LEASE, identity(), lease_s)
        self.health = health
        self.failed = False
        self.board = Board()
        self.recorder = Recorder(api, COMPONENT)
        paused: dict[tuple[str, Step], str] = {}
        self.writer = StatusWriter(api, config, self.board, paused, self._tell_failed)
        api.on_answer = lambda method, status: API_REQUESTS.labels(method, str(status)).inc()
        self.feed = Feed(api.namespace, batches=config.prefect.batches) if config.prefect.enabled else None
        self.context = Context(api, config, self.board, self.writer, self.recorder, paused, self.feed)
        movers = build_movers(config)
        self._slots = build_slots(config)
        catalogue = build_catalogue(self.config, self.lease.check_held)
        self.transfer_lanes = [
            lane for beamline in config.beamlines.values() for lane in self._transfer_lanes(beamline, movers, catalogue)
        ]
        carriers = {(lane.beamline.name, lane.step): lane.mover for lane in self.transfer_lanes}
        self.describer = self._describer(movers)
        self.pictures = PictureLane(self.context, catalogue, self.describer) if catalogue else None
        also = self.pictures.want if self.pictures else lambda _: None
        self.intake = Intake(self.context, carriers, self._in_flight, self.describer.can_read, also)
        self.sweep = Sweep(self.context, self.intake, sweep_s)
        self.lanes: list[Lane] = [self.intake, *self.transfer_lanes, *self._other_lanes(catalogue)]
        health.watch_stale_since = lambda: self.sweep.stale_since
        self.mirror = PrefectLane(self.context, self.feed) if self.feed else None
        health.remarks = self._remarks

    def _remarks(self) -> list[str]:
        return [f"the Prefect mirror is off: {self.mirror.off}"] if self.mirror and self.mirror.off else []

    def _tell_failed(self, scan: Scan) -> None:
        self.recorder.event(scan, EventReason.FAILED, scan.status.message)

    def _in_flight(self, name: str) -> bool:
        return any(lane.in_flight(name) for lane in self.transfer_lanes)

    def _transfer_lanes(
        self, beamline: Beamline, movers: Mapping[str, Mover], catalogue: Catalogue | None
    ) -> list[TransferLane]:
        hops = [(Step.TRANSFERRED, beamline.transfer)]
        if beamline.archive:
            hops.append((Step.ARCHIVED, beamline.archive))
        ends = self.config.endpoints
        return [
            TransferLane(
                self.context,
                beamline,
                step,
                ends[hop.source],
                ends[hop.destination],
                movers[hop.mover],
                self._slots[hop.mover],
                catalogue,
            )
            for step, hop in hops
        ]

    def _describer(self, movers: Mapping[str, Mover]) -> Describer:
        readers = {name: readers_of(one, self.config, movers) for name, one in self.config.beamlines.items()}
        return Describer(readers, Workers(HEADER_WORKERS), Workers(AT_ONCE, nice=PICTURE_NICE))

    def _other_lanes(self, catalogue: Catalogue | None) -> list[Lane]:
        lanes: list[Lane] = [CalendarGauges(self.context)]
        for beamline in self.config.beamlines.values():
            if beamline.ingest and catalogue and self.pictures:
                shared = (self.context, beamline, beamline.ingest, catalogue, self.describer, self.pictures)
                lanes += [CataloguedLane(*shared), IngestedLane(*shared)]
            if beamline.prune:
                lanes.append(ScheduleLane(self.context, beamline))
        lanes += [Heartbeats(self.context), FlightResults(self.context), AuditResults(self.context)]
        return [*lanes, self.pictures] if self.pictures else lanes

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set or the Lease is lost.

        Raises:
            LeaseLostError: somebody else may be working: the process must end.
        """
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="blocking"))
        await self._check_schema(stop)
        if stop.is_set():
            return
        background = [
            asyncio.create_task(self._watch(stop), name="watch"),
            asyncio.create_task(self.recorder.run(), name="events"),
        ]
        self.lease.say = lambda: {ANNOTATION_PAUSED: pauses.word(self.context.pauses)}
        try:
            await self._lead(stop, background)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._end()
            LEADER.set(0)
            await self.lease.release()

    async def _check_schema(self, stop: asyncio.Event) -> None:
        """Wait until the CRDs are new enough: with older ones nothing is done, and the message says why."""
        while not stop.is_set():
            try:
                problem = await served.too_old(self.api)
            except ApiError as error:
                problem = f"the Kubernetes API does not answer: {error}"
            self.health.not_ready = problem
            if problem is None:
                return
            log.error("not ready: %s", problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_AGAIN_S):
                    await stop.wait()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Run the informer; when it ends by itself, so does the process, to be started anew."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        informer = Informer(
            self.api.namespace,
            seen=lambda scan: loop.call_soon_threadsafe(self._seen, scan),
            gone=lambda name: loop.call_soon_threadsafe(self.sweep.forget, name),
            ended=lambda: loop.call_soon_threadsafe(ended.set),
        )
        informer.start()
        try:
            await ended.wait()
            self.failed = True
            log.error("the watch ended; this process ends, to be started anew")
            stop.set()
        finally:
            informer.stop()

    def _seen(self, scan: Scan) -> None:
        self.sweep.delivered(scan.metadata)
        self.intake.observe(scan)
        if self.feed:
            self.feed.observe(scan)

    async def _lead(self, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
        ending = asyncio.create_task(stop.wait(), name="stop")
        acquiring = asyncio.create_task(self.lease.acquire(), name="lease")
        await asyncio.wait([ending, acquiring], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            acquiring.cancel()
            return
        LEADER.set(1)
        holding = asyncio.create_task(self.lease.hold(), name="lease")
        # The first LIST shows everything; lanes that start with it plan nothing twice.
        self.health.lanes = {lane.name: lane for lane in (self.sweep, *self.lanes)}
        lanes = [asyncio.create_task(lane.run(), name=lane.name) for lane in (self.sweep, *self.lanes)]
        if self.mirror:
            self.mirror.begin(self.lease.annotations)
            lanes.append(asyncio.create_task(self.mirror.run(), name=self.mirror.name))
        background.extend(lanes)
        log.info("working on namespace %s with %d lanes", self.api.namespace, len(lanes))
        await asyncio.wait([ending, holding], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if holding.done() and (lost := holding.exception()):
            raise lost
        holding.cancel()

    async def _end(self) -> None:
        await self.writer.flush()
        await self.recorder.drain()
