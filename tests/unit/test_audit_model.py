"""A consistent world, and random mutations of it: an audit finds exactly what they did, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.config import Config, Hold
from dichroism_operator.audit.facts import Case, Dataset, Member, OnDisk, Planned, Steered, microseconds_of
from dichroism_operator.audit.findings import Kind, Place, Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.judging import Judge
from dichroism_operator.audit.result import DiskResult
from dichroism_operator.audit.survey import bundle_findings
from tests.unit.scan_cases import NOW, config

DAY_US = 86_400 * 10**6
NOW_US = microseconds_of(NOW)
OLD_US = NOW_US - 15 * DAY_US + 123_456
"""Before the model's month ends: copied, catalogued and archived long ago, pruned in half a year."""
LATER = NOW + timedelta(days=300)
"""When the retention on the source, 180 days, was over 30 days ago, and that on disk, 365 days, is not."""
DATA, DISK = "data402", "nersc402"


def test_a_file_system_of_a_site_may_be_as_large_as_it_likes() -> None:
    disk = DiskResult(endpoint=DISK, files=1, bytes=1, capacity=150 * 10**15, free=10**15)
    assert disk.capacity == 150 * 10**15


def bundle_of(number: int) -> str:
    """Three bundles take turns."""
    return f"2026/bl402-20261107-20261107-0123456789ab-0000000{number % 3}.tar"


@dataclass(frozen=True)
class World:
    """One file with all that is known of it, in a world at the moment ``at``."""

    case: Case
    at: datetime = NOW


def fine(number: int) -> Case:
    """A file that went its whole way."""
    size, modified_us = 1000 + number, OLD_US + number
    bundle = bundle_of(number)
    return Case(
        path=f"2026/day{number % 4}/scan{number}.txt",
        source=OnDisk(size, modified_us, modified_us + 5),
        disk=OnDisk(size, modified_us, modified_us + 60 * 10**6),
        datasets=(Dataset(f"pid-{number}", size, modified_us // 1000 * 1000, modified_us + 10**8, bundle=bundle),),
        members=(Member(bundle, size, modified_us, OLD_US + DAY_US, "ab" * 32),),
        planned=(Planned(DATA, size, modified_us),),
    )


def _whole_seconds(case: Case) -> Case:
    assert case.disk
    return replace(case, disk=replace(case.disk, modified_us=case.disk.modified_us // 10**6 * 10**6, changed_us=None))


def _untaped(case: Case) -> Case:
    return replace(case, members=(), datasets=tuple(replace(one, bundle=None) for one in case.datasets))


def _rewritten(case: Case) -> Case:
    """A new content went to disk and catalogue days ago, and not to tape."""
    later = OnDisk(5000, OLD_US + DAY_US)
    dataset = replace(case.datasets[0], size=5000, modified_us=later.modified_us, bundle=None)
    planned = (Planned(DATA, 5000, later.modified_us),)
    return replace(case, source=later, disk=later, datasets=(dataset,), planned=planned)


def _removed(case: Case, *places: str) -> Case:
    datasets = tuple(replace(one, on_disk=DISK not in places, removed_from=frozenset(places)) for one in case.datasets)
    source = None if DATA in places else case.source
    return replace(case, source=source, disk=None if DISK in places else case.disk, datasets=datasets)


def _only_source(case: Case, **changes: object) -> Case:
    assert case.source
    return Case(case.path, source=replace(case.source, **changes))  # type: ignore[arg-type]


def _young(case: Case) -> Case:
    return _only_source(case, changed_us=NOW_US - 10**6)


FINE: frozenset[Kind] = frozenset()
MUTATIONS: dict[str, tuple[Callable[[Case], Case], frozenset[Kind]]] = {
    "nothing": (lambda case: case, FINE),
    "times were cut to seconds on the way": (_whole_seconds, FINE),
    "the source was pruned": (lambda case: _removed(case, DATA), FINE),
    "both were pruned": (lambda case: _removed(case, DATA, DISK), FINE),
    "the disk was pruned alone": (lambda case: _removed(case, DISK), FINE),
    "just written": (_young, FINE),
    "from before the day from which files count": (lambda one: _only_source(one, modified_us=10**15), FINE),
    "empty": (lambda case: _only_source(case, size=0), FINE),
    "shut out by its name": (lambda case: _only_source(case, is_scan=False), FINE),
    "export controlled": (lambda case: replace(_only_source(case), scan=Steered(export_controlled=True)), FINE),
    "never copied": (_only_source, frozenset({Kind.NOT_COPIED})),
    "the copy was lost": (lambda case: replace(case, disk=None), frozenset({Kind.NOT_COPIED})),
    "the copy was cut": (
        lambda case: replace(case, disk=replace(case.disk, size=7), source=None),  # type: ignore[type-var]
        frozenset({Kind.COPY_DIFFERS}),
    ),
    "the copy is older than the source": (
        lambda case: replace(case, source=replace(case.source, size=9999)),  # type: ignore[type-var]
        frozenset({Kind.COPY_DIFFERS}),
    ),
    "the dataset was lost": (lambda case: replace(case, datasets=()), frozenset({Kind.NOT_CATALOGUED})),
    "it never went to tape": (_untaped, frozenset({Kind.NOT_ARCHIVED})),
    "its new content never went to tape": (_rewritten, frozenset({Kind.NOT_ARCHIVED})),
    "it is known to the disk alone": (
        lambda case: Case(case.path, disk=case.disk),
        frozenset({Kind.NOT_CATALOGUED, Kind.NOT_ARCHIVED}),
    ),
    "it vanished from both disks": (
        lambda case: replace(case, source=None, disk=None),
        frozenset({Kind.DATASET_WITHOUT_FILE}),
    ),
    "it was removed and is nowhere": (
        lambda case: _untaped(_removed(case, DATA, DISK)),
        frozenset({Kind.DATASET_WITHOUT_FILE}),
    ),
}


def audited(
    cases: list[Case],
    *,
    sight: Sight | None = None,
    at: datetime = NOW,
    on_tape: set[str] | None = None,
    settings: Config | None = None,
    at_least_age: timedelta | None = None,
) -> set[tuple[Kind, str]]:
    """Kind and path of everything that is found in these cases, after they went through the index."""
    chosen, seen = settings or config(), sight or Sight("BL402")
    beamline = chosen.beamlines["BL402"]
    with Index() as index:
        index.add_files("BL402", [(one.path, one.source) for one in cases if one.source], on_source=True)
        index.add_files("BL402", [(one.path, one.disk) for one in cases if one.disk], on_source=False)
        index.add_datasets("BL402", [(one.path, each) for one in cases for each in one.datasets])
        index.add_members("BL402", [(one.path, each) for one in cases for each in one.members])
        index.add_planned("BL402", [(one.path, "prune", each) for one in cases for each in one.planned])
        index.add_scans("BL402", [(one.path, one.scan) for one in cases if one.scan])
        bundles = on_tape if on_tape is not None else {bundle_of(number) for number in range(3)}
        index.add_bundles("BL402", [one.rpartition("/")[2] for one in bundles])
        index.complete()
        told = list(index.cases("BL402"))
        assert told == sorted((one for one in cases if one != Case(one.path)), key=lambda one: one.path)

        def moved_from(path: str, file: OnDisk) -> str | None:
            return index.moved_from("BL402", path, file)

        judge = Judge(chosen, beamline, seen, at, at_least_age, moved_from)
        index.keep([finding for case in told for finding in judge.findings(case)])
        index.keep(bundle_findings(beamline, seen, index))
        found = [(one.kind, one.path) for one in index.findings()]
    assert len(found) == len(set(found)), "nothing is told twice"
    return set(found)


names = st.sampled_from(sorted(MUTATIONS))


@given(st.lists(names, min_size=1, max_size=25), st.sets(st.integers(0, 2), max_size=3))
def test_exactly_what_was_mutated_is_found(mutations: list[str], lost: set[int]) -> None:
    cases = [MUTATIONS[name][0](fine(number)) for number, name in enumerate(mutations)]
    expected = {(kind, case.path) for case, name in zip(cases, mutations, strict=True) for kind in MUTATIONS[name][1]}
    named = {one.bundle for case in cases for one in case.members}
    named |= {one.bundle for case in cases for one in case.datasets if one.bundle}
    gone = {bundle_of(number) for number in lost}
    expected |= {(Kind.BUNDLE_MISSING, bundle) for bundle in named & gone}
    assert audited(cases, on_tape={bundle_of(number) for number in range(3)} - gone) == expected


@given(st.lists(names, min_size=1, max_size=25), st.sampled_from(["", "2026/day1"]))
def test_what_lies_where_the_disk_could_not_be_looked_at_is_not_called_missing(
    mutations: list[str], blind: str
) -> None:
    sight = Sight("BL402")
    sight.miss(Place.DISK, "no", blind)
    cases = [MUTATIONS[name][0](fine(number)) for number, name in enumerate(mutations)]
    for kind, path in audited(cases, sight=sight):
        if path.startswith(blind):
            assert kind not in (Kind.NOT_COPIED, Kind.DATASET_WITHOUT_FILE), path


@given(st.lists(names, min_size=1, max_size=25), st.sets(st.sampled_from(list(Place)), min_size=1))
def test_looking_at_less_never_finds_more(mutations: list[str], unseen: set[Place]) -> None:
    sight = Sight("BL402")
    for place in unseen:
        sight.miss(place, "no")
    cases = [MUTATIONS[name][0](fine(number)) for number, name in enumerate(mutations)]
    everything, less = audited(cases), audited(cases, sight=sight)
    troubled = {path for _, path in everything}
    assert {path for _, path in less} <= troubled
    if Place.TAPE in unseen:
        assert not any(kind == Kind.BUNDLE_MISSING for kind, _ in less)
    if Place.CATALOGUE in unseen:
        assert not any(kind == Kind.NOT_CATALOGUED for kind, _ in less)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_each_mutation_alone(name: str) -> None:
    mutate, kinds = MUTATIONS[name]
    case = mutate(fine(1))
    assert audited([case]) == {(kind, case.path) for kind in kinds}


def test_a_bundle_that_only_the_catalogue_names_lacks_its_manifest() -> None:
    case = replace(fine(1), members=())
    assert audited([case]) == {(Kind.MANIFEST_MISSING, bundle_of(1))}
    blind = Sight("BL402")
    blind.miss(Place.MANIFESTS, "damaged", f".dichroism/manifests/{bundle_of(1).rpartition('/')[2]}.tsv")
    assert audited([case], sight=blind) == set()


def test_a_file_renamed_after_its_copy_is_not_called_uncopied() -> None:
    before = fine(1)
    assert before.source
    renamed = Case("2026/elsewhere/better-name.txt", source=before.source)
    left = replace(before, source=None)
    assert audited([left, renamed]) == set()
    assert audited([before, renamed]) == {(Kind.NOT_COPIED, renamed.path)}, "a second file is no renamed one"


def test_only_the_time_to_the_microsecond_or_the_name_makes_a_file_the_renamed_one() -> None:
    before = fine(1)
    assert before.source
    assert before.disk
    second = before.source.modified_us // 10**6 * 10**6
    left = replace(before, source=None, disk=replace(before.disk, modified_us=second))
    moved, other = Case("2026/elsewhere/scan1.txt", before.source), Case("2026/elsewhere/scan2.txt", before.source)
    assert audited([left, moved]) == set()
    assert audited([left, other]) == {(Kind.NOT_COPIED, other.path)}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda case: case, False),
        (lambda case: replace(case, planned=()), True),
        (lambda case: replace(case, planned=(Planned(DATA, 7, OLD_US),)), True),
        (lambda case: replace(case, planned=(Planned(DISK, 1001, OLD_US + 1),)), True),
        (lambda case: replace(case, planned=(), scan=Steered(suspended=True)), False),
        (lambda case: replace(case, planned=(), datasets=(replace(case.datasets[0], proposal="ALS-1"),)), True),
        (lambda case: replace(case, planned=(), datasets=(replace(case.datasets[0], proposal="KEEP-1"),)), False),
        (lambda case: _untaped(replace(case, planned=())), False),
    ],
    ids=[
        *("planned", "unplanned", "planned for another content", "planned on another endpoint"),
        *("suspended", "of any proposal", "of a held proposal", "never due: not on tape"),
    ],
)
def test_files_past_their_retention_stand_in_a_prune(change: Callable[[Case], Case], found: bool) -> None:
    hold = Hold(proposal="KEEP-1", by="someone", reason="wanted")
    settings = config().model_copy(update={"holds": (hold,)})
    case = change(fine(1))
    past = {kind for kind, _ in audited([case], at=LATER, settings=settings)} & {Kind.PAST_RETENTION}
    assert bool(past) is found
    blind = Sight("BL402")
    blind.miss(Place.KUBERNETES, "no cluster")
    assert Kind.PAST_RETENTION not in {kind for kind, _ in audited([case], at=LATER, sight=blind)}


def test_a_retention_that_ended_a_month_ago_at_most_is_no_finding() -> None:
    case = replace(fine(1), planned=())
    last = NOW - timedelta(days=15) + timedelta(days=1 + 180 + 29)
    assert audited([case], at=last) == set()
    assert audited([case], at=last + timedelta(days=2)) == {(Kind.PAST_RETENTION, case.path)}


def test_a_person_can_ask_about_younger_and_about_older_files() -> None:
    young = _young(fine(1))
    assert audited([young]) == set()
    assert audited([young], at_least_age=timedelta(0)) == {(Kind.NOT_COPIED, young.path)}
    old = _only_source(fine(1))
    assert audited([old], at_least_age=timedelta(days=30)) == set()
