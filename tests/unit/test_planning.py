"""Which Scans go together: turns, limits, halving after a failure, names of bundles, days of deletion."""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.config import BundleLimits
from dichroism_crds.kinds import Condition, ConditionStatus, Metadata, Scan, Step, Transfer, TransferPhase, TransferSpec
from dichroism_crds.names import transfer_name
from dichroism_crds.paths import MAX_PATH, check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_crds.schema_size import stored_bytes
from dichroism_operator import planning
from dichroism_operator.board import Board, Card
from tests.unit.scan_cases import NOW, WRITTEN, scan

SMALL = planning.Limits(items=5, spec_bytes=4_000, file_bytes=1_000)


def card(number: int = 0, *, size: int = 10, path_length: int = 40, live: bool = True, age: float = 0) -> Card:
    since = NOW - timedelta(seconds=age)
    return Card(f"scan-{number:04d}", "", "BL402", size, path_length, live, since, since, None, frozenset(Step))


CARDS = st.lists(
    st.builds(card, size=st.integers(0, 1_200), path_length=st.integers(1, 1_024), live=st.booleans()), max_size=12
).map(lambda cards: [replace(one, name=f"scan-{number}") for number, one in enumerate(cards)])


def test_taken_scans_and_those_that_back_off_are_left_out() -> None:
    cards = [
        card(0),
        card(1),
        replace(card(2), retry_at=NOW + timedelta(microseconds=1)),
        replace(card(3), retry_at=NOW),
    ]
    assert [one.name for one in planning.ready(cards, {"scan-0001"}, NOW)] == ["scan-0000", "scan-0003"]


@given(CARDS)
def test_a_batch_is_a_first_part_within_every_limit_unless_one_file_alone_exceeds_them(cards: list[Card]) -> None:
    chosen = planning.take(cards, SMALL)
    assert chosen == cards[: len(chosen)]
    assert bool(chosen) == bool(cards)
    assert len(chosen) <= SMALL.items
    assert len(chosen) == 1 or sum(one.size for one in chosen) <= SMALL.file_bytes or not chosen


@given(CARDS)
def test_a_batch_is_as_large_as_the_limits_allow(cards: list[Card]) -> None:
    chosen = planning.take(cards, SMALL)
    if len(chosen) < len(cards):
        more = cards[: len(chosen) + 1]
        spec = sum(planning.ITEM_OVERHEAD_BYTES + 2 * one.path_length for one in more)
        size = sum(one.size for one in more)
        assert len(more) > SMALL.items or spec > SMALL.spec_bytes or size > SMALL.file_bytes


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/."), min_size=1), max_size=9)
)
def test_the_items_of_a_batch_fit_into_the_object_whatever_their_paths_are_made_of(names: list[str]) -> None:
    scans = [scan(f"{number}/{name}"[:200], number=number) for number, name in enumerate(names)]
    items = planning.items_of(scans)
    limits = planning.Limits(items=100, spec_bytes=1_500, file_bytes=10**12)
    chosen = planning.fitting(items, limits)
    assert chosen == items[: len(chosen)]
    assert bool(chosen) == bool(items)
    assert len(chosen) <= 1 or sum(stored_bytes(one.wire()) + 1 for one in chosen) <= limits.spec_bytes
    assert [one.path for one in items] == sorted(one.path for one in items)


def test_the_largest_batches_keep_the_agreed_limits() -> None:
    assert (planning.DISK_LIMITS.items, planning.DISK_LIMITS.spec_bytes) == (1000, 512 * 1024)
    tape = planning.tape_limits(BundleLimits())
    assert (tape.items, tape.spec_bytes, tape.file_bytes) == (4000, 1024 * 1024, 100 * 10**9)
    assert planning.tape_limits(BundleLimits(max_files=7)).items == 7


# halving


def numbered(numbers: Iterable[int]) -> list[Scan]:
    return [scan(f"{number:03d}.txt", number=number) for number in numbers]


def failed(number: int, scans: list[Scan], reason: Reason = Reason.TASK_FAILED) -> Transfer:
    items = planning.items_of(scans)
    spec = TransferSpec(beamline="BL402", source="data402", destination="nersc402", submission_id="an-id", items=items)
    one = Transfer(metadata=Metadata(name=transfer_name("BL402", "data402", "nersc402", number)), spec=spec)
    one.status.phase = TransferPhase.FAILED
    one.status.conditions = [Condition(type="Succeeded", status=ConditionStatus.FALSE, reason=reason.value)]
    return one


@given(st.integers(1, 40), st.data())
def test_a_bad_file_soon_stands_alone_and_all_others_get_through(count: int, data: st.DataObject) -> None:
    waiting = numbered(range(count))
    bad = data.draw(st.sampled_from(waiting))
    broken: list[Transfer] = []
    good = 0
    while waiting:
        batch = planning.halves(waiting, broken)
        assert batch, "somebody always goes"
        if bad not in batch:
            waiting = [one for one in waiting if one not in batch]
            good += 1
        elif batch == [bad]:
            waiting.remove(bad)  # it backs off; the others are planned meanwhile
        else:
            broken.append(failed(len(broken) + 1, batch))
        assert len(broken) <= math.ceil(math.log2(count))
        assert good <= len(broken), "of each batch that failed one half is good"


@given(st.integers(1, 60), st.data())
def test_bad_files_cost_two_tasks_for_each_halving_and_no_more(count: int, data: st.DataObject) -> None:
    waiting = numbered(range(count))
    bad = data.draw(st.lists(st.sampled_from(waiting), unique_by=lambda one: one.name, min_size=1))
    broken: list[Transfer] = []
    tasks = 0
    while waiting:
        batch = planning.halves(waiting, broken)
        tasks += 1
        if len(batch) > 1 and any(one in batch for one in bad):
            broken.append(failed(len(broken) + 1, batch))
        else:
            waiting = [one for one in waiting if one not in batch]
    assert tasks == 2 * len(broken) + 1
    assert len(broken) <= min(count - 1, len(bad) * math.ceil(math.log2(count)))


def test_a_transfer_of_which_some_files_failed_is_not_halved() -> None:
    waiting = numbered(range(6))
    assert planning.halves(waiting, [failed(1, waiting, Reason.SOME_ITEMS_FAILED)]) == waiting


def test_suspects_never_travel_with_files_that_were_not_in_the_failed_transfer() -> None:
    waiting = numbered([9, 1, 2, 8])
    assert planning.halves(waiting, [failed(1, numbered(range(4)))]) == [waiting[0], waiting[3]]


def test_the_newest_failure_decides_also_beyond_a_million_transfers() -> None:
    waiting = numbered(range(8))
    older, newer = failed(999_999, waiting), failed(1_000_000, waiting[:4])
    assert planning.halves(waiting, [older, newer]) == waiting[:2]


# names and days


def test_equal_plans_have_equal_digests_and_other_contents_other_ones() -> None:
    items = planning.items_of([scan("a.txt"), scan("b.txt", number=1)])
    assert planning.plan_sha256(items) == planning.plan_sha256(reversed(items))
    other = [items[0], items[1].model_copy(update={"size": items[1].size + 1})]
    assert planning.plan_sha256(other) != planning.plan_sha256(items)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)), st.integers(0, 10**7))
def test_a_bundle_has_a_legal_path_that_tells_its_first_and_last_day(first: datetime, span: int) -> None:
    last = first + timedelta(seconds=span)
    items = planning.items_of([scan("b.txt", modified_at=last), scan("a.txt", modified_at=first)])
    path = planning.bundle_path("BL402", items, "0123456789ab" + "c" * 52, "12345678-9abc-def0")
    check_relative_path(path)
    assert path == f"{first:%Y}/bl402-{first:%Y%m%d}-{last:%Y%m%d}-0123456789ab-12345678.tar"
    assert len(path) < MAX_PATH
    named = planning.bundle_of_manifest(f"{path.rpartition('/')[2]}.tsv")
    assert named == ("bl402", path, first.date(), last.date())


@pytest.mark.parametrize("name", ["notes.tsv", "bl402-20261322-20261123-0123-89ab.tar.tsv", "bl402-20261122.tar.tsv"])
def test_what_is_not_called_like_a_manifest_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"not the name|month must be"):
        planning.bundle_of_manifest(name)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(days=1), timedelta(days=3650)),
)
def test_a_file_is_due_at_the_first_midnight_after_its_retention_and_never_earlier(
    anchor: datetime, after: timedelta
) -> None:
    due = planning.not_before(anchor, after)
    assert timedelta(0) <= due - anchor - after < timedelta(days=1)
    assert due.time() == datetime.min.time()


@given(st.datetimes(datetime(2026, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(1, 86_399_999))
def test_a_retention_below_a_day_is_kept_to_the_second(anchor: datetime, milliseconds: int) -> None:
    after = timedelta(milliseconds=milliseconds)
    assert timedelta(0) <= planning.not_before(anchor, after) - anchor - after < timedelta(seconds=1)


def test_the_cards_of_a_board_are_what_is_planned_from() -> None:
    board = Board()
    board.put(scan("a/b.txt"), frozenset({Step.TRANSFERRED}))
    (one,) = board.waiting("BL402", Step.TRANSFERRED)
    assert planning.take([one], planning.DISK_LIMITS) == [one]
    assert (one.size, one.path_length) == (scan().spec.size, len("a/b.txt"))
    assert one.since == NOW != WRITTEN


INSTALLATION = "0b8f6f3e-6f0e-4c53-9a0e-0123456789ab"
SUBMISSION = "5d3a2c1e-0000-4000-8000-000000000001"


def test_a_task_label_names_installation_transfer_and_submission() -> None:
    label = planning.task_label(INSTALLATION, "bl402-data402-nersc402-000123", SUBMISSION)
    assert label == f"dichroism {INSTALLATION} bl402-data402-nersc402-000123 {SUBMISSION}"
    assert label.startswith(planning.label_prefix(INSTALLATION))
    assert planning.lane_of_label(label) == "bl402-data402-nersc402"


@given(st.text("ab0-", min_size=1, max_size=63), st.integers(1, 999_999))
def test_a_label_of_any_lane_fits_and_tells_its_lane(lane: str, number: int) -> None:
    first = planning.task_label(INSTALLATION, f"{lane}-000000", "-")
    label = planning.task_label(INSTALLATION, f"{lane}-{number:06d}", SUBMISSION)
    assert len(label) <= 128
    assert label == label.strip()
    assert planning.lane_of_label(label) == planning.lane_of_label(first)


def test_only_a_task_that_was_started_can_have_left_half_a_file() -> None:
    started, never = failed_transfer(1, [scan()], "task-1"), failed_transfer(2, [scan()], None)
    content = (scan().spec.path, scan().spec.size, scan().spec.modified_at)
    assert planning.own_contents([never]) == frozenset()
    assert planning.own_contents([never, started]) == {content}


def failed_transfer(number: int, scans: list[Scan], task_id: str | None) -> Transfer:
    transfer = Transfer(
        metadata=Metadata(name=transfer_name("BL402", "data402", "nersc402", number)),
        spec=TransferSpec(
            beamline="BL402",
            source="data402",
            destination="nersc402",
            submission_id=SUBMISSION,
            items=planning.items_of(scans),
        ),
    )
    transfer.status.phase = TransferPhase.FAILED
    transfer.status.task_id = task_id
    return transfer
