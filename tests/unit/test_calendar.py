"""The prune calendar: which Scans share a Prune, when it is due, and that it fits into its object."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import Dataset, Prune, Scan, Step
from dichroism_crds.paths import MAX_PATH
from dichroism_crds.schema_size import MAX_SPEC_BYTES, stored_bytes
from dichroism_operator import calendar
from tests.unit.scan_cases import NOW, beamline, change_copy, config, copy, done, scan

BEAMLINE = beamline()
DAY = timedelta(days=1)


def finished(number: int = 0, path: str | None = None, bundle: str = "2026/bundle.tar", **verified: timedelta) -> Scan:
    """A Scan whose copies were verified so long after NOW, on nersc402 and hpss402."""
    one = done(scan(path or f"2026/{number:05d}.txt", number=number), *list(Step)[:4])
    on_disk = copy("nersc402", one.spec.path, NOW + verified.get("disk", timedelta(0)))
    on_tape = copy("hpss402", one.spec.path, NOW + verified.get("tape", timedelta(0)))
    one.status.copies = [on_disk, on_tape.model_copy(update={"path": bundle})]
    one.status.dataset = Dataset(pid="a-dataset")
    return one


def prune_of(scans: list[Scan], endpoint: str = "data402") -> Prune:
    return calendar.build_prune(scans, BEAMLINE, endpoint, config(), 1)


def test_a_scan_misses_the_prunes_that_it_does_not_name_yet() -> None:
    one = finished()
    assert calendar.missing_prunes(one, BEAMLINE, set()) == ["data402", "nersc402"]
    made = prune_of([one])
    one.status.prune = [calendar.entry_of(made)]
    assert calendar.missing_prunes(one, BEAMLINE, {made.name}) == ["nersc402"]
    assert calendar.missing_prunes(one, beamline("prune"), set()) == []


def test_a_prune_that_somebody_deleted_is_missing_though_the_scan_names_it() -> None:
    one = finished()
    one.status.prune = [calendar.entry_of(prune_of([one]))]
    assert calendar.missing_prunes(one, BEAMLINE, set()) == ["data402", "nersc402"]


def test_a_file_is_scheduled_only_with_every_copy_that_its_deletion_needs() -> None:
    one = done(scan(), Step.TRANSFERRED)
    assert calendar.missing_copies(one, BEAMLINE, "data402") == ["hpss402"]
    assert calendar.missing_copies(done(one, Step.ARCHIVED), BEAMLINE, "data402") == []


@given(st.timedeltas(-3 * DAY, 3 * DAY), st.timedeltas(-3 * DAY, 3 * DAY))
def test_retention_counts_from_the_last_of_the_needed_copies(disk: timedelta, tape: timedelta) -> None:
    one = finished(disk=disk, tape=tape)
    assert calendar.anchor_of(one, BEAMLINE, "data402") == NOW + max(disk, tape)
    assert calendar.anchor_of(one, BEAMLINE, "nersc402") == NOW + tape
    for endpoint in BEAMLINE.prune:
        early = calendar.due_at(one, BEAMLINE, endpoint) - calendar.anchor_of(one, BEAMLINE, endpoint)
        assert early >= BEAMLINE.prune[endpoint].after


@given(st.lists(st.integers(0, 5 * 24), min_size=1, max_size=30))
def test_every_scan_is_in_one_group_and_none_is_due_before_its_time(hours: list[int]) -> None:
    scans = [finished(number, tape=timedelta(hours=one)) for number, one in enumerate(hours)]
    groups = calendar.by_due_day(scans, BEAMLINE, "data402")
    assert sorted(one.name for group in groups for one in group) == sorted(one.name for one in scans)
    moments = []
    for group in groups:
        made = prune_of(group)
        assert all(made.spec.not_before >= calendar.due_at(one, BEAMLINE, "data402") for one in group)
        assert made.spec.not_before == max(calendar.due_at(one, BEAMLINE, "data402") for one in group)
        assert len({calendar.due_at(one, BEAMLINE, "data402").date() for one in group}) == 1
        moments.append(made.spec.not_before)
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    ("count", "path", "bundles"),
    [
        (calendar.MAX_ITEMS, "2026/{:05d}.txt", 1),
        (calendar.MAX_ITEMS + 1, "2026/{:05d}.txt", 1),
        (700, "p" * (MAX_PATH - 5) + "{:05d}", 1),
        (700, "2026/{:05d}.txt", 700),
        (400, "\U0001f52c" * 200 + "{:05d}", 400),
    ],
)
def test_the_prunes_of_a_day_fit_into_their_objects_and_are_well_filled(count: int, path: str, bundles: int) -> None:
    scans = [finished(number, path.format(number), "b" * 200 + f"{number % bundles}.tar") for number in range(count)]
    groups = calendar.by_due_day(scans, BEAMLINE, "data402")
    for group in groups:
        made = prune_of(group)
        assert stored_bytes(made.spec.wire()) <= MAX_SPEC_BYTES
        assert len(made.spec.items) <= calendar.MAX_ITEMS
    for group in groups[:-1]:
        # A bundle is counted with each item, so a Prune of files with long bundle names closes early.
        assert len(group) == calendar.MAX_ITEMS or stored_bytes(prune_of(group).spec.wire()) > MAX_SPEC_BYTES / 2
    assert sum(map(len, groups)) == count


def test_a_prune_records_all_that_the_day_of_deletion_is_compared_with() -> None:
    first, second, third = finished(1), finished(2), finished(3, bundle="2026/other.tar")
    made = prune_of([first, second, third])
    assert made.name == f"data402-{made.spec.not_before:%Y%m%d}-0001"
    assert (made.spec.endpoint.name, made.spec.endpoint.root_path) == ("data402", "/site/data402")
    assert [one.name for one in made.spec.needs] == ["nersc402", "hpss402"]
    assert [one.path for one in made.spec.bundles] == ["2026/bundle.tar", "2026/other.tar"]
    assert [one.bundle for one in made.spec.items] == [0, 0, 1]
    for item, one in zip(made.spec.items, (first, second, third), strict=True):
        assert (item.scan, item.path, item.size) == (one.name, one.spec.path, one.spec.size)
        assert item.modified_at == one.spec.modified_at
        assert item.checksum == one.status.copies[0].checksum
        assert item.dataset == "a-dataset"
        assert item.anchor == NOW
        assert item.member is None
        assert calendar.describes(item, one)
    assert Prune.parse(made.to_wire()) == made


def test_the_name_in_the_bundle_is_recorded_where_it_is_not_the_path() -> None:
    one = finished()
    change_copy(one, 1, member="as/packed.txt")
    assert prune_of([one]).spec.items[0].member == "as/packed.txt"


@pytest.mark.parametrize("field", ["size", "modified_at", "path"])
def test_an_item_does_not_describe_another_content_of_its_scan(field: str) -> None:
    one = finished()
    item = prune_of([one]).spec.items[0]
    others = {"size": one.spec.size + 1, "modified_at": one.spec.modified_at + timedelta(microseconds=1), "path": "x"}
    setattr(one.spec, field, others[field])
    assert not calendar.describes(item, one)
