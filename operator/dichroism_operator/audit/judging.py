"""What is wrong with one path: pure, given everything that the places say of it and which places were seen.

A file that is young, or whose trouble only follows from another one, is no finding. What was not seen is never missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dichroism_crds.config import Beamline, Config
from dichroism_crds.names import scan_name
from dichroism_operator.audit.facts import Case, Dataset, Member, OnDisk, microseconds_of, moment_of, same_moment
from dichroism_operator.audit.findings import Finding, Kind, Place, Sight

COPIED_WITHIN = timedelta(hours=1)
"""After this a finished file has its copy and its dataset, unless something is wrong."""
ARCHIVED_WITHIN = timedelta(days=2)
"""Past the age at which a bundle closes: tape may be down for a day."""
PRUNED_WITHIN = timedelta(days=30)
"""Past the retention: prune jobs come daily, and outages are no reason for an alarm here."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the paths of one beamline.

    ``at_least_age`` replaces the ages from which a missing copy, dataset or tape copy counts; retention is not touched.
    ``moved_from`` finds a copy of a content under the path that its file had before.
    """

    config: Config
    beamline: Beamline
    sight: Sight
    moment: datetime
    at_least_age: timedelta | None = None
    moved_from: Callable[[str, OnDisk], str | None] = lambda *_: None

    def findings(self, case: Case) -> Iterator[Finding]:
        """Everything that is wrong with the path."""
        if case.scan and case.scan.export_controlled:
            return
        source = case.source if case.source and self._counts(case.source, case) else None
        disk = case.disk if case.disk and case.disk.is_scan else None
        trouble = self._copy(case, source) if source else None
        if trouble or (disk and (trouble := self._unlike_tape(case, disk))):
            yield trouble
        else:
            yield from self._datasets_without_file(case)
            yield from self._records(case, disk or source)
        yield from self._past_retention(case)

    def is_ignored(self, case: Case) -> str | None:
        """Why a file on the source is none of ours, in a word; None where it is."""
        source = case.source
        if source is None or self._counts(source, case):
            return None
        if not source.is_scan:
            return "excluded"
        return "empty" if not source.size else "from before the day from which files count"

    def _counts(self, source: OnDisk, case: Case) -> bool:
        """Whether a file on the source is a scan; one from before ``since`` is when somebody had it carried."""
        known = case.disk or case.datasets or case.members
        since_us = microseconds_of(self.beamline.watch.since)
        return source.is_scan and source.size > 0 and (source.modified_us >= since_us or bool(known))

    def _is_older(self, since_us: int, grace: timedelta) -> bool:
        return since_us + _us(grace if self.at_least_age is None else self.at_least_age) <= microseconds_of(self.moment)

    # the copy

    def _copy(self, case: Case, source: OnDisk) -> Finding | None:
        if not self.sight.sees(Place.DISK, case.path) or not self._is_older(source.since_us, COPIED_WITHIN):
            return None
        disk = self.beamline.transfer.destination
        if case.disk is None:
            if self.moved_from(case.path, source) or self._was_pruned(case, disk, source):
                return None
            tape = "; it is on tape" if _on_tape(case, source) else ""
            return self._finding(
                Kind.NOT_COPIED, self.beamline.watch.root, case, source, f"there is no copy on {disk}{tape}"
            )
        if case.disk.size != source.size:
            text = f"the file on {self.beamline.watch.root} has {source.size} bytes, its copy {case.disk.size}"
            return self._finding(Kind.COPY_DIFFERS, disk, case, case.disk, text)
        return None

    def _was_pruned(self, case: Case, endpoint: str, file: OnDisk) -> bool:
        """Whether the copy was deleted as it should be: the catalogue says so, or its retention is over."""
        if any(endpoint in one.removed_from for one in case.datasets):
            return True
        rule = self.beamline.prune.get(endpoint)
        made = [one.made_us for one in case.members if _is(one, file)]
        return bool(rule and made and max(made) + _us(rule.after) <= microseconds_of(self.moment))

    def _unlike_tape(self, case: Case, disk: OnDisk) -> Finding | None:
        """Whether a copy is on tape with another size, although it has the same modification time."""
        same_time = [one for one in case.members if same_moment(one.modified_us, disk.modified_us)]
        if not same_time or any(one.size == disk.size for one in same_time):
            return None
        text = f"it has {disk.size} bytes; the manifest of {same_time[0].bundle} says {same_time[0].size}"
        return self._finding(Kind.COPY_DIFFERS, self.beamline.transfer.destination, case, disk, text)

    # dataset and tape

    def _records(self, case: Case, file: OnDisk | None) -> Iterator[Finding]:
        """What is not known of a file that is where it should be."""
        if file is None:
            return
        endpoint = self.beamline.transfer.destination if file is case.disk else self.beamline.watch.root
        gone = "" if case.source else f"; {self.beamline.watch.root} holds it no more"
        if (
            self.beamline.ingest
            and not case.datasets
            and self.sight.sees(Place.CATALOGUE)
            and self._is_older(file.since_us, COPIED_WITHIN)
            and not self.moved_from(case.path, file)
        ):
            yield self._finding(Kind.NOT_CATALOGUED, endpoint, case, file, f"the catalogue has no dataset of it{gone}")
        if (
            self.beamline.archive
            and self.sight.sees(Place.MANIFESTS)
            and not _on_tape(case, file)
            and self._is_older(file.since_us, ARCHIVED_WITHIN + self.beamline.archive.bundle.max_age)
            and not self.moved_from(case.path, file)
        ):
            older = "; an older content of it is" if case.members else ""
            yield self._finding(Kind.NOT_ARCHIVED, endpoint, case, file, f"no manifest names this content{older}{gone}")

    def _datasets_without_file(self, case: Case) -> Iterator[Finding]:
        for dataset in case.datasets:
            if not self._is_older(dataset.changed_us, COPIED_WITHIN):
                continue
            missing = self._missing_of(case, dataset)
            if missing:
                file = OnDisk(dataset.size, dataset.modified_us, dataset.changed_us)
                text = f"dataset {dataset.pid} {missing}"
                yield self._finding(Kind.DATASET_WITHOUT_FILE, self.beamline.transfer.destination, case, file, text)

    def _missing_of(self, case: Case, dataset: Dataset) -> str:
        disk = self.beamline.transfer.destination
        elsewhere = f"; it is on {self.beamline.watch.root}" if case.source else ""
        if case.members or dataset.bundle:
            elsewhere += "; it is on tape"
        if dataset.on_disk:
            if case.disk or not self.sight.sees(Place.DISK, case.path):
                return ""
            return f"says that it is on {disk}, where it is not{elsewhere or ', and nowhere else'}"
        seen = (Place.DISK, Place.SOURCE, *([Place.MANIFESTS] if self.beamline.archive else ()))
        if case.disk or elsewhere or not all(self.sight.sees(place, case.path) for place in seen):
            return ""
        return "is left, and its file is nowhere"

    # retention

    def _past_retention(self, case: Case) -> Iterator[Finding]:
        if not self.sight.sees(Place.KUBERNETES) or (case.scan and case.scan.suspended):
            return
        ends = {self.beamline.watch.root: case.source, self.beamline.transfer.destination: case.disk}
        for endpoint, file in ends.items():
            if file is None or not file.is_scan or endpoint not in self.beamline.prune:
                continue
            ended_us = self._retention_ended_us(case, endpoint, file)
            if ended_us is None or ended_us + _us(PRUNED_WITHIN) > microseconds_of(self.moment):
                continue
            if _is_planned(case, endpoint, file) or self._is_held(case):
                continue
            text = f"its retention ended on {moment_of(ended_us):%Y-%m-%d}, and no Prune names it"
            yield self._finding(Kind.PAST_RETENTION, endpoint, case, file, text)

    def _retention_ended_us(self, case: Case, endpoint: str, file: OnDisk) -> int | None:
        """When it ended at the latest; None for a file that lacks a needed copy, which is never due.

        When a copy was verified is known to Scans alone, which are collected. Dataset, inode and bundle are not older.
        """
        rule = self.beamline.prune[endpoint]
        known = [file.modified_us, *(one.modified_us for one in case.datasets)]
        for need in rule.needs:
            if need == self.beamline.transfer.destination:
                if case.disk is None or case.disk.size != file.size:
                    return None
                known.append(case.disk.since_us)
            elif made := [one.made_us for one in case.members if _is(one, file)]:
                known.append(max(made))
            else:
                return None
        proposals = [one.proposal for one in case.datasets]
        kept = rule.retention(*(proposals or [None]))
        if not proposals and rule.proposals:
            kept = max(kept, *rule.proposals.values())
        return max(known) + _us(kept)

    def _is_held(self, case: Case) -> bool:
        name = scan_name(self.beamline.name, self.beamline.watch.root, case.path)
        proposals = {one.proposal for one in case.datasets} or {None}
        return any(
            hold.covers(beamline=self.beamline.name, path=case.path, scan=name, proposal=one, at=self.moment)
            for hold in self.config.holds
            for one in proposals
        )

    def _finding(self, kind: Kind, endpoint: str, case: Case, file: OnDisk, message: str) -> Finding:
        return Finding(self.beamline.name, kind, endpoint, case.path, file.size, moment_of(file.since_us), message)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _is(member: Member, file: OnDisk) -> bool:
    return member.size == file.size and same_moment(member.modified_us, file.modified_us)


def _on_tape(case: Case, file: OnDisk) -> bool:
    """Whether this very content is in a bundle, by a manifest or by what a dataset says."""
    if any(_is(member, file) for member in case.members):
        return True
    return any(
        one.bundle is not None and one.size == file.size and same_moment(one.modified_us, file.modified_us)
        for one in case.datasets
    )


def _is_planned(case: Case, endpoint: str, file: OnDisk) -> bool:
    return any(
        one.endpoint == endpoint and one.size == file.size and same_moment(one.modified_us, file.modified_us)
        for one in case.planned
    )
