"""Telling the catalogue which files pruning removed or put back: best effort, but never forgotten.

What is told is what lies at the paths at this moment, so it can be told any number of times, by any run. The condition
``CatalogueTold`` of a Prune is False from before its first rename until all its datasets say so. Later runs try again.
Nothing here keeps a file, fails a run or holds a Lease.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dichroism_crds.client import ApiError, NotFound
from dichroism_crds.kinds import Prune, PruneItem, find_condition
from dichroism_crds.reasons import EventReason, KeptReason, Reason
from dichroism_crds.timestamps import now
from dichroism_operator import wording
from dichroism_operator.catalogue.base import Catalogue, Presence
from dichroism_operator.catalogue.errors import CatalogueError, CatalogueUnavailable, DatasetGone
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.prune import decision, outcome
from dichroism_operator.prune.decision import Case
from dichroism_operator.prune.record import OvertakenError, Record, StatusNotKeptError
from dichroism_operator.prune.run import Run
from dichroism_operator.prune.trash import Trash

AT_ONCE = 8
"""Datasets at a time: each takes three requests when something is to be changed, one when not."""
BATCH = 100
"""Files between two looks at the clock and at the signal to end."""
LONGEST_S = 900.0
"""For all of a run: a slow catalogue must not keep the next hourly run from starting."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Told:
    """What came of one Prune. ``gone`` are datasets that somebody removed: there is nothing to be told any more.

    ``trouble`` is the first reason why it did not come to an end, ``outage`` says that the others need not be tried.
    """

    done: int = 0
    gone: int = 0
    trouble: tuple[Reason, str] | None = None
    outage: bool = False
    failed: list[str] = field(default_factory=list)

    def hinder(self, reason: Reason, text: str, *, outage: bool = False) -> None:
        """Note why something was not told; an outage weighs more than one dataset."""
        if self.trouble is None or (outage and not self.outage):
            self.trouble = (reason, text)
        self.outage = self.outage or outage


async def tell_catalogue(run: Run) -> None:
    """Tell of every Prune that the run found untold, until an outage; the account is in ``run.summary``."""
    until = time.monotonic() + LONGEST_S
    given_up = False
    for name in run.untold:
        try:
            prune = await run.api.get(Prune, name)
            if not outcome.is_untold(prune.status):
                continue
            if given_up or run.gate.signalled or time.monotonic() > until:
                run.summary.untold += 1
                continue
            told = await _Telling(run, prune, until).do()
            given_up = told.outage
            await _write(run, prune, told)
        except NotFound:
            continue
        except (ApiError, StatusNotKeptError) as error:
            log.warning("%s: that the catalogue was told can't be written, a later run does: %s", name, error)
            run.summary.untold += 1
            return
        finally:
            await run.recorder.drain()


class _Telling:
    """One Prune, once."""

    def __init__(self, run: Run, prune: Prune, until: float) -> None:
        self.run = run
        self.prune = prune
        self.until = until
        self.told = Told()
        self.slots = asyncio.Semaphore(AT_ONCE)

    async def do(self) -> Told:
        """Tell each dataset."""
        items = [item for item in self.prune.spec.items if item.dataset]
        catalogue = self.run.catalogue
        if catalogue is None:
            self.told.hinder(Reason.NOT_CONFIGURED, "the configuration names no catalogue: put scicat back")
            return self.told
        if decision.endpoint_changed(Case(self.run.config, self.prune, self.prune.spec.items[0], None, now())):
            text = f"what lies on {self.prune.spec.endpoint.name} can't be told: it is not the recorded endpoint"
            self.told.hinder(Reason.ENDPOINT_UNAVAILABLE, text)
            return self.told
        for start in range(0, len(items), BATCH):
            if self.told.outage:
                break
            if self.run.gate.signalled or time.monotonic() > self.until:
                self.told.hinder(Reason.IN_PROGRESS, "this run has no more time")
                break
            await self._batch(catalogue, items[start : start + BATCH])
        return self.told

    async def _batch(self, catalogue: Catalogue, items: Sequence[PruneItem]) -> None:
        trash = Trash(self.run.mover_of(self.run.endpoint.name), self.run.endpoint, self.prune)
        try:
            found = await trash.look([item.path for item in items])
        except MoverUnavailable as outage:
            self.told.hinder(Reason.ENDPOINT_UNAVAILABLE, str(outage))
            return
        looked = [(item, found[item.path]) for item in items]
        await asyncio.gather(*(self._one(catalogue, item, there) for item, there in looked))

    async def _one(self, catalogue: Catalogue, item: PruneItem, found: object) -> None:
        async with self.slots:
            if self.told.outage or item.dataset is None:
                return
            if isinstance(found, KeptReason):
                self.told.hinder(Reason.SOURCE_UNREADABLE, f"{item.path} can't be looked at")
                return
            try:
                await asyncio.to_thread(catalogue.record_presence, item.dataset, self._presence(present=bool(found)))
            except DatasetGone:
                self.told.gone += 1
            except CatalogueUnavailable as outage:
                self.told.hinder(outage.reason, str(outage), outage=True)
            except CatalogueError as refusal:
                self.told.failed.append(item.dataset)
                self.told.hinder(Reason.REFUSED_BY_CATALOGUE, str(refusal))
            else:
                self.told.done += 1

    def _presence(self, *, present: bool) -> Presence:
        spec = self.prune.spec
        beamline = self.run.config.beamlines.get(spec.beamline)
        return Presence(
            endpoint=spec.endpoint.name,
            present=present,
            is_disk=beamline is not None and beamline.transfer.destination == spec.endpoint.name,
            removed_at=self.prune.status.trashed_at or now(),
            copies_on=tuple(need.name for need in spec.needs),
        )


async def _write(run: Run, prune: Prune, told: Told) -> None:
    """Set the condition, unless the files were worked on meanwhile: then what was told may be outdated."""
    count = len([item for item in prune.spec.items if item.dataset])
    gone = f", {told.gone} are not there any more" if told.gone else ""
    reason, said = told.trouble or (Reason.TOLD, "")
    message = f"{told.done} of {wording.count(count, 'dataset')} told{gone}" + (f": {said}" if said else "")
    before = find_condition(prune.status.conditions, outcome.CATALOGUE_TOLD)
    try:
        await Record(run.api, prune, dry_run=False).write(lambda fresh: outcome.told(fresh, reason, message, now()))
    except OvertakenError:
        run.summary.untold += 1
        return
    if reason == Reason.TOLD:
        run.summary.told += 1
        log.info("%s: the catalogue: %s", prune.name, message, extra={"prune": prune.name})
        return
    run.summary.untold += 1
    log.warning("%s: the catalogue: %s", prune.name, message, extra={"prune": prune.name, "datasets": told.failed[:20]})
    if before.reason != reason:
        run.recorder.event(prune, EventReason.CATALOGUE_NOT_TOLD, message)
