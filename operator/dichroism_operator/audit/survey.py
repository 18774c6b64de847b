"""One audit from its first look to its findings.

The claims are read before what they are about: a dataset that is made while the folders are listed is not judged, and
its file is. What an absence rests on is asked about once more at the end, because the files go on meanwhile.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from dichroism_crds.config import Beamline, Config
from dichroism_crds.names import scan_name
from dichroism_crds.timestamps import EPOCH, now
from dichroism_operator import planning, wording
from dichroism_operator.audit import planned
from dichroism_operator.audit.checksums import Checksums
from dichroism_operator.audit.findings import Disk, Finding, Kind, Place, Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.judging import Judge
from dichroism_operator.audit.looking import TOLD_EVERY, Looking, Progress, claim_of
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.catalogue.errors import CatalogueError
from dichroism_operator.entries import location_of
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.mount import MANIFESTS, Mount

MOST_ASKED_AGAIN = 500
"""Findings of one kind about which it is asked once more; beyond that, something large is wrong."""


@dataclass(slots=True)
class Audited:
    """What is known of one beamline afterwards; its findings are in the index."""

    beamline: str
    started: datetime
    ended: datetime
    sight: Sight
    disks: list[Disk] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    """Files on the source that are none of ours, by why."""
    moved: int = 0
    """Files that were renamed on the source after they had been copied."""


@dataclass(frozen=True)
class Survey:
    """An audit of some beamlines.

    Args:
        config: the whole configuration.
        beamlines: those to look at.
        mover_of: the mover of an endpoint that is not mounted here.
        catalogue: None where the configuration has none.
        index: an empty one.
        left_out: places that the person who asked does not want to be looked at.
        at_least_age: replaces the ages from which a missing copy, dataset or tape copy counts.
        checksums: read the copies on mounted disks and compare them with the checksums on record.
    """

    config: Config
    beamlines: Sequence[Beamline]
    mover_of: Callable[[str], Mover]
    catalogue: Catalogue | None
    index: Index
    left_out: Collection[Place] = ()
    at_least_age: timedelta | None = None
    checksums: bool = False
    progress: Progress = lambda *_: None

    async def run(self, namespace: str | None) -> list[Audited]:
        """Look at everything, then judge. Nothing is changed anywhere but in the index."""
        sights = {one.name: Sight(one.name) for one in self.beamlines}
        audited = [Audited(one.name, now(), now(), sights[one.name]) for one in self.beamlines]
        for place in self.left_out:
            for sight in sights.values():
                sight.miss(place, "left out as asked", by_choice=True)
        if Place.KUBERNETES not in self.left_out:
            # Which files are export-controlled is worth asking everywhere; it is missed only where something is pruned.
            pruned = any(one.prune for one in self.beamlines)
            await planned.look_from(namespace, self.index, sights if pruned else {name: Sight(name) for name in sights})
        for beamline, one in zip(self.beamlines, audited, strict=True):
            await asyncio.to_thread(self._look, beamline, one)
        await asyncio.to_thread(self.index.complete)
        for beamline, one in zip(self.beamlines, audited, strict=True):
            await asyncio.to_thread(self._judge, beamline, one)
            one.ended = now()
        return audited

    def _look(self, beamline: Beamline, audited: Audited) -> None:
        looking = Looking(self.config, beamline, self.mover_of, self.index, audited.sight, self.progress)
        if beamline.ingest and Place.CATALOGUE not in self.left_out:
            looking.at_catalogue(self.catalogue, location_of(beamline, beamline.ingest))
        looking.at_manifests()
        if Place.TAPE not in self.left_out:
            looking.at_tape()
        audited.disks = [looking.at_disk(), looking.at_source()]
        audited.disks.reverse()

    def _judge(self, beamline: Beamline, audited: Audited) -> None:
        judge = Judge(
            self.config,
            beamline,
            audited.sight,
            audited.started,
            self.at_least_age,
            partial(self.index.moved_from, beamline.name),
        )
        for seen, case in enumerate(self.index.cases(beamline.name)):
            self.index.keep(list(judge.findings(case)))
            if word := judge.is_ignored(case):
                audited.ignored[word] = audited.ignored.get(word, 0) + 1
            elif case.source and not case.disk and self.index.moved_from(beamline.name, case.path, case.source):
                audited.moved += 1
            if seen % TOLD_EVERY == 0:
                self.progress(f"{beamline.name} compared", seen)
        self.index.keep(list(bundle_findings(beamline, audited.sight, self.index)))
        self._ask_again(beamline)
        if self.checksums:
            differing = Checksums(self.config, beamline, self.index, audited.sight, self.catalogue, self.progress)
            self.index.keep(differing.findings())

    def _ask_again(self, beamline: Beamline) -> None:
        """Drop what is explained by a file that went on meanwhile, or by a dataset that people renamed."""
        if self.catalogue is None:
            return
        try:
            for one in list(self.index.findings(Kind.NOT_CATALOGUED, MOST_ASKED_AGAIN, beamline.name)):
                name = scan_name(beamline.name, beamline.watch.root, one.path)
                if self.catalogue.dataset(self.catalogue.pid(name)):
                    self.index.drop(one)
            for one in list(self.index.findings(Kind.DATASET_WITHOUT_FILE, MOST_ASKED_AGAIN, beamline.name)):
                if not any(self._is_without_file(pid, beamline) for pid in self.index.pids(beamline.name, one.path)):
                    self.index.drop(one)
        except (CatalogueError, MoverUnavailable, OSError):
            return  # What was seen first stands.

    def _is_without_file(self, pid: str, beamline: Beamline) -> bool:
        assert self.catalogue
        record = self.catalogue.dataset(pid)
        claim = claim_of(record, self.config, beamline) if record else None
        if claim is None:
            return False
        path, dataset = claim
        if not dataset.on_disk:
            return not (dataset.bundle or dataset.removed_from)
        disk = self.config.endpoints[beamline.transfer.destination]
        if disk.mount:
            with Mount(disk) as mount:
                return mount.regular(path) is None
        return self.mover_of(disk.name).stat(disk, [path])[path] is None


def bundle_findings(beamline: Beamline, sight: Sight, index: Index) -> Iterator[Finding]:
    """Bundles that somebody names and that are not there, or of which only the catalogue knows."""
    archive = beamline.archive
    if archive is None:
        return
    for one in index.named_bundles(beamline.name):
        name = one.path.rpartition("/")[2]
        since, held = _day_of(name), wording.files(one.files)
        if not one.on_tape and sight.sees(Place.TAPE):
            by = "its manifest" if one.by_manifest else "the catalogue"
            text = f"it is not there; it holds {held} by {by}"
            yield Finding(beamline.name, Kind.BUNDLE_MISSING, archive.destination, one.path, one.size, since, text)
        elif not one.by_manifest and sight.sees(Place.MANIFESTS, f"{MANIFESTS}/{name}.tsv"):
            text = f"{archive.source} has no manifest of it; the catalogue names it for {held}"
            yield Finding(beamline.name, Kind.MANIFEST_MISSING, archive.destination, one.path, one.size, since, text)


def _day_of(bundle: str) -> datetime:
    """The last day of its files, which its name tells."""
    try:
        last = planning.bundle_of_manifest(f"{bundle}.tsv").last
    except ValueError:
        return EPOCH
    return datetime(last.year, last.month, last.day, tzinfo=UTC)
