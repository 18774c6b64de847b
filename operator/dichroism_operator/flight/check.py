"""One whole flight check: the legs in their order, each bounded in time, and everything taken away again."""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from dichroism_crds.config import Beamline, Config, Endpoint, Hop
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.catalogue.errors import CatalogueUnavailable, EntryRefused
from dichroism_operator.flight import field, hop
from dichroism_operator.flight.catalogue import read_catalogue
from dichroism_operator.flight.field import FLIGHT, KEPT_MANIFESTS, STANDING
from dichroism_operator.flight.hop import GRACE_S, Patience, Way
from dichroism_operator.flight.result import CATALOGUE, CLEANUP, MOST_WORDS, FlightResult, Leg, Outcome, leg_names
from dichroism_operator.movers.base import Item, Mover
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable
from dichroism_operator.threads import in_daemon_thread

HANG_S = 180.0
"""Beyond a leg's own limit: then it hangs, in a mount whose server is gone, say."""
CATALOGUE_S = 120.0
CLEANUP_S = 300.0

log = logging.getLogger(__name__)


class FlightCheck:
    """A check of one beamline; :meth:`fly` is called once."""

    def __init__(
        self,
        config: Config,
        beamline: Beamline,
        movers: Mapping[str, Mover],
        *,
        tape: bool = False,
        limit_s: float,
        grace_s: float = GRACE_S,
    ) -> None:
        """Begin nothing yet.

        Args:
            config: the whole document.
            beamline: whose hops are tried.
            movers: by name, as the configuration uses them.
            tape: store a bundle on tape too, where the hop is otherwise tried without a file.
            limit_s: seconds that a hop may take.
            grace_s: seconds for which something may hold up a hop.
        """
        self._config = config
        self._beamline = beamline
        self._movers = movers
        self._tape = tape
        self._stop = threading.Event()
        self._patience = Patience(limit_s, grace_s, self._stop)
        self._id = str(uuid.uuid4())
        self._started = now()
        self._name = field.new_name(beamline.name, self._started)
        self._item: Item | None = None
        self._arrived = False
        self._touched: dict[str, tuple[Mover, Endpoint]] = {}

    async def fly(self) -> FlightResult:
        """Try every leg, then clean up; what goes wrong is in the result.

        Being cancelled stops the leg in hand and cleans up all the same.
        """
        first, *others = leg_names(self._beamline)
        legs: list[Leg] = []
        try:
            legs.append(await self._leg(first, self._first_hop, self._patience.limit_s))
            for name in others:
                if name == CATALOGUE:
                    legs.append(await self._leg(name, self._catalogue, CATALOGUE_S))
                elif name != CLEANUP:
                    legs.append(await self._archive_leg(name))
        finally:
            self._stop.set()
            legs.append(await self._leg(CLEANUP, self._clean_up, CLEANUP_S))
        return FlightResult(
            id=self._id, beamline=self._beamline.name, started=self._started, ended=now(), legs=tuple(legs)
        )

    async def _archive_leg(self, name: str) -> Leg:
        archive = self._beamline.archive
        assert archive is not None  # only then the leg has a name
        way = self._way(archive)
        if not self._tape:
            return await self._leg(name, partial(hop.rehearse, way), self._patience.limit_s)
        if not self._arrived:
            text = f"there is no file on {way.source.name} to store"
            return Leg(name=name, outcome=Outcome.SKIPPED, seconds=0, message=text)
        return await self._leg(name, partial(self._store, way), self._patience.limit_s)

    async def _leg(self, name: str, call: Callable[[], str], limit_s: float) -> Leg:
        """Run a leg in a thread of its own; a thread that never comes back is left behind."""
        start = time.monotonic()
        task = asyncio.ensure_future(in_daemon_thread(call))
        reason: Reason | None = None
        try:
            done, _ = await asyncio.wait([task], timeout=limit_s + HANG_S)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([task], timeout=hop.CANCEL_S + HANG_S)
            raise
        if not done:
            message = f"no answer within {limit_s + HANG_S:.0f} s: something hangs, a mount or a server"
            reason = Reason.CATALOGUE_UNAVAILABLE if name == CATALOGUE else Reason.ENDPOINT_UNAVAILABLE
        else:
            message, reason = _outcome(task)
        seconds = round(time.monotonic() - start, 3)
        outcome = Outcome.FAILED if reason else Outcome.PASSED
        message = " ".join(message.split())[:MOST_WORDS]
        return Leg(name=name, outcome=outcome, seconds=seconds, message=message, reason=reason)

    # the legs, each in a thread

    def _way(self, one: Hop) -> Way:
        ends = self._config.endpoints
        return Way(self._movers[one.mover], ends[one.source], ends[one.destination], one.mover == "filesystem")

    def _first_hop(self) -> str:
        way = self._way(self._beamline.transfer)
        self._item = item = hop.provide(way, self._name)
        hop.prepare(way.mover, way.destination)
        self._touched[way.destination.name] = (way.mover, way.destination)
        said = self._send_standing(way, item) if item.path == STANDING else self._send(way, item)
        self._arrived = True
        return said

    def _send(self, way: Way, item: Item) -> str:
        return hop.send(way, item, self._id, self._patience)

    def _send_standing(self, way: Way, item: Item) -> str:
        """Send the file whose name is the same each time; with an earlier copy in its place nothing would be sent."""
        way.mover.delete_private(way.destination, [f"{FLIGHT}/{STANDING}"])
        try:
            return self._send(way, item)
        except FileTrouble as trouble:
            if trouble.reason != Reason.DESTINATION_OBSTRUCTED:
                raise
            # The task of a check that was killed went on, and ended meanwhile.
            way.mover.delete_private(way.destination, [f"{FLIGHT}/{STANDING}"])
            return self._send(way, item)

    def _store(self, way: Way) -> str:
        assert self._item is not None
        path = self._item.path
        hop.prepare(way.mover, way.source)
        hop.prepare(way.mover, way.destination)
        self._touched[way.destination.name] = (way.mover, way.destination)
        copy = way.mover.stat(field.field_of(way.source), [path])[path]
        if copy is None:
            raise FileTrouble(Reason.COPY_MISSING, f"{FLIGHT}/{path} is not on {way.source.name} any more")
        item = Item(path, copy.size, copy.modified_at, self._item.sha256)
        return hop.send(way, item, self._id, self._patience, bundle=self._bundle)

    @property
    def _bundle(self) -> str:
        return f"{self._name}.tar"

    def _catalogue(self) -> str:
        assert self._config.scicat is not None  # where a beamline is catalogued, the configuration demands it
        return read_catalogue(self._config.scicat)

    def _clean_up(self) -> str:
        """Delete what this check made, and what killed ones left more than a day ago, at the ends it got to."""
        source = self._config.endpoints[self._beamline.transfer.source]
        ours = {self._item.path if self._item else self._name, self._name, self._bundle, f"{self._bundle}.tsv"}
        old = 0
        for mover, endpoint in self._touched.values():
            for folder in (FLIGHT, KEPT_MANIFESTS):
                there = mover.list_private(endpoint, folder)
                left = field.left_behind(there, now())
                old += len(left)
                mover.delete_private(endpoint, [f"{folder}/{name}" for name in sorted({*left, *(ours & there.keys())})])
        if self._item and self._item.path != STANDING:
            old += field.clear(source, self._item.path, now())
        return "everything was taken away" + (f", and {old} files that killed checks left" if old else "")


def _outcome(task: "asyncio.Future[str]") -> tuple[str, Reason | None]:
    """What a leg said, and the reason when it failed."""
    try:
        return task.result(), None
    except (MoverUnavailable, FileTrouble, CatalogueUnavailable, EntryRefused) as error:
        return str(error), error.reason
    except Exception as error:
        log.exception("a leg of the flight check failed in an unexpected way")
        return f"unexpected {type(error).__name__}: {error}", Reason.TASK_FAILED
