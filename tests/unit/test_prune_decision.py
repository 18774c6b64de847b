"""No file goes when any one of the conditions for its deletion is missing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.config import Hold
from dichroism_crds.kinds import Checksum, Content, Scan
from dichroism_crds.names import ANNOTATION_MOVED_TO
from dichroism_crds.reasons import KeptReason
from dichroism_operator import calendar
from dichroism_operator.movers.base import CopyState, CopyToVerify, FileStat
from dichroism_operator.prune.decision import backoff, due_at, needed_copies
from tests.unit.prune_cases import (
    AFTER,
    DIGEST,
    DUE,
    NAME,
    PATH,
    SIZE,
    WRITTEN,
    World,
    config,
    prune,
    scan,
    with_archive,
    with_endpoint,
    with_rule,
    without_rule,
)
from tests.unit.scan_cases import change_copy

Change = Callable[[World], World]
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


def held(**selectors: object) -> Change:
    hold = Hold.model_validate({"by": "J. Doe", "reason": "paper under review"} | selectors)
    return lambda world: world.but(config=world.config.model_copy(update={"holds": (hold,)}))


def states(**changed: CopyState) -> Change:
    return lambda world: world.but(states=world.states | changed)


REMOVED: dict[str, tuple[Change, KeptReason]] = {
    "not due": (lambda w: w.but(moment=DUE - MICROSECOND), KeptReason.NOT_DUE),
    "retention longer today": (lambda w: w.but(config=with_rule(w.config, after=2 * AFTER)), KeptReason.NOT_DUE),
    "pruned no more": (lambda w: w.but(config=without_rule(w.config)), KeptReason.NOT_DUE),
    "beamline gone": (lambda w: w.with_spec(beamline="BL999"), KeptReason.NOT_DUE),
    "Prune suspended": (lambda w: w.with_spec(suspend=True), KeptReason.SUSPENDED),
    "Scan suspended": (lambda w: w.but(scan=scan(suspend=True)), KeptReason.SUSPENDED),
    "held by path": (held(path="2026/261122"), KeptReason.HELD),
    "held by pattern": (held(path="2026/*/TrajScan*"), KeptReason.HELD),
    "held by Scan": (held(scan=NAME), KeptReason.HELD),
    "held by beamline": (held(beamline="BL402"), KeptReason.HELD),
    "held by recorded proposal": (lambda w: held(proposal="als-12345")(w.but(scan=None)), KeptReason.HELD),
    "held by later proposal": (
        lambda w: held(proposal="ALS-777")(w.but(scan=scan(proposal="ALS-777"))),
        KeptReason.HELD,
    ),
    "held until later": (held(path="2026", until="2027-05-23"), KeptReason.HELD),
    "root moved": (
        lambda w: w.but(config=with_endpoint(w.config, "data402", root_path="/other")),
        KeptReason.ENDPOINT_CHANGED,
    ),
    "uuid changed": (
        lambda w: w.but(config=with_endpoint(w.config, "data402", uuid="1b2c3d4e-0000-4000-8000-1234567890ab")),
        KeptReason.ENDPOINT_CHANGED,
    ),
    "endpoint gone": (
        lambda w: w.with_spec(endpoint=w.prune.spec.endpoint.model_copy(update={"name": "data999"})),
        KeptReason.ENDPOINT_CHANGED,
    ),
    "needed root moved": (
        lambda w: w.but(config=with_endpoint(w.config, "hpss402", root_path="/other")),
        KeptReason.ENDPOINT_CHANGED,
    ),
    "needed uuid gone": (
        lambda w: w.but(config=with_endpoint(w.config, "nersc402", uuid=None)),
        KeptReason.ENDPOINT_CHANGED,
    ),
    "no checksum recorded": (lambda w: w.with_item(checksum=None), KeptReason.AWAITING_VERIFICATION),
    "no bundle recorded": (lambda w: w.with_item(bundle=None), KeptReason.NO_COPY_RECORDED),
    "bundle of nowhere": (lambda w: w.with_item(bundle=7), KeptReason.NO_COPY_RECORDED),
    "needs itself": (
        lambda w: w.with_spec(needs=[*w.prune.spec.needs, w.prune.spec.endpoint]),
        KeptReason.NO_COPY_RECORDED,
    ),
    "new need, Scan gone": (
        lambda w: w.but(scan=None).with_spec(needs=[n for n in w.prune.spec.needs if n.name == "nersc402"]),
        KeptReason.NO_COPY_RECORDED,
    ),
    "CFS copy missing": (states(nersc402=CopyState.MISSING), KeptReason.COPY_MISSING),
    "CFS copy differs": (states(nersc402=CopyState.DIFFERS), KeptReason.COPY_DIFFERS),
    "CFS copy unknown": (states(nersc402=CopyState.UNKNOWN), KeptReason.AWAITING_VERIFICATION),
    "tape copy missing": (states(hpss402=CopyState.MISSING), KeptReason.COPY_MISSING),
    "tape copy differs": (states(hpss402=CopyState.DIFFERS), KeptReason.COPY_DIFFERS),
    "tape copy unknown": (states(hpss402=CopyState.UNKNOWN), KeptReason.AWAITING_VERIFICATION),
    "tape copy not asked for": (
        lambda w: w.but(states={"nersc402": CopyState.VERIFIED}),
        KeptReason.AWAITING_VERIFICATION,
    ),
    "nothing verified": (lambda w: w.but(states={}), KeptReason.AWAITING_VERIFICATION),
    "gone": (lambda w: w.but(found=None), KeptReason.ALREADY_GONE),
    "moved": (lambda w: w.but(found=None, scan=moved(scan())), KeptReason.SOURCE_MOVED),
    "another size": (lambda w: w.but(found=FileStat(SIZE + 1, WRITTEN)), KeptReason.SOURCE_CHANGED),
    "another time": (lambda w: w.but(found=FileStat(SIZE, WRITTEN + MICROSECOND)), KeptReason.SOURCE_CHANGED),
    "path in the private folder": (lambda w: w.with_item(path=".dichroism/trash/x/0-a"), KeptReason.UNREADABLE),
    "path that climbs": (lambda w: w.with_item(path="2026/../../etc/passwd"), KeptReason.UNREADABLE),
    "absolute path": (lambda w: w.with_item(path="/etc/passwd"), KeptReason.UNREADABLE),
}


def moved(one: Scan) -> Scan:
    one.metadata.annotations[ANNOTATION_MOVED_TO] = "sorted/a.txt"
    return one


def test_a_copy_elsewhere_is_gone_and_not_moved_when_the_source_was_moved() -> None:
    today = config()
    on_cfs = calendar.build_prune([scan()], today.beamlines["BL402"], "nersc402", today, 1)
    assert World(prune=on_cfs, found=None, scan=moved(scan())).decide() == KeptReason.ALREADY_GONE


def test_a_due_file_with_proven_copies_may_go() -> None:
    assert World().decide() is None


def test_a_copy_whose_time_was_cut_to_whole_seconds_may_go() -> None:
    assert World().but(found=FileStat(SIZE, WRITTEN.replace(microsecond=0))).decide() is None


@pytest.mark.parametrize("name", REMOVED)
def test_taking_away_any_single_condition_keeps_the_file(name: str) -> None:
    change, reason = REMOVED[name]
    assert change(World()).decide() == reason


@given(st.sets(st.sampled_from(sorted(REMOVED)), min_size=1))
def test_taking_away_any_number_of_conditions_keeps_the_file(names: set[str]) -> None:
    world = World()
    for name in sorted(names):
        world = REMOVED[name][0](world)
    assert world.decide() is not None


@given(
    days=st.integers(-400, 400),
    today=st.integers(1, 400),
    found=st.sampled_from([None, FileStat(SIZE, WRITTEN), FileStat(1, WRITTEN)]),
    one=st.sampled_from(CopyState),
    other=st.sampled_from(CopyState),
    suspended=st.booleans(),
)
def test_a_file_goes_exactly_when_everything_holds(
    days: int, today: int, found: FileStat | None, one: CopyState, other: CopyState, suspended: bool
) -> None:
    world = World(
        config=with_rule(config(), after=timedelta(days=today)),
        moment=DUE + timedelta(days=days),
        found=found,
        states={"nersc402": one, "hpss402": other},
        scan=scan(suspend=suspended),
    )
    due = days >= 0 and world.moment >= world.prune.spec.items[0].anchor + timedelta(days=today)
    right = found == FileStat(SIZE, WRITTEN) and {one, other} == {CopyState.VERIFIED} and not suspended
    assert (world.decide() is None) == (due and right)


def test_a_scan_that_is_gone_or_has_a_newer_content_forbids_nothing() -> None:
    assert World(scan=None).decide() is None
    assert World(scan=scan(size=SIZE * 2)).decide() is None


def test_a_newer_content_at_the_path_is_told_from_a_stranger() -> None:
    newer = World(scan=scan(size=SIZE * 2), found=FileStat(SIZE * 2, WRITTEN))
    assert newer.decide() == KeptReason.SUPERSEDED


def test_a_hold_that_ended_holds_nothing() -> None:
    assert held(path="2026", until="2027-05-22")(World()).decide() is None


def test_a_longer_retention_of_today_counts_from_the_last_needed_copy() -> None:
    world = World(config=with_rule(config(), after=2 * AFTER))
    due = world.prune.spec.items[0].anchor + 2 * AFTER
    assert world.but(moment=due - SECOND).decide() == KeptReason.NOT_DUE
    assert world.but(moment=due).decide() is None


def test_a_shorter_retention_of_today_does_not_bring_the_day_forward() -> None:
    world = World(config=with_rule(config(), after=timedelta(days=1)))
    assert world.but(moment=DUE - SECOND).decide() == KeptReason.NOT_DUE


def only_cfs_recorded() -> World:
    """A Prune from a time when tape was not among the needs."""
    world = World().with_item(bundle=None)
    return world.with_spec(needs=[need for need in world.prune.spec.needs if need.name == "nersc402"], bundles=[])


def test_a_need_of_today_takes_its_copy_from_the_scan_and_must_be_proven() -> None:
    world = only_cfs_recorded()
    assert needed_copies(world.case)["hpss402"] == CopyToVerify(PATH, SIZE, DIGEST, "2026/one.tar")
    assert world.decide() is None
    assert world.but(states={"nersc402": CopyState.VERIFIED}).decide() == KeptReason.AWAITING_VERIFICATION


def test_a_need_of_today_delays_the_day_by_its_own_copy() -> None:
    world = only_cfs_recorded()
    later = scan()
    copy = change_copy(later, 1, verified_at=later.status.copies[1].verified_at + timedelta(days=100))
    due = due_at(world.but(scan=later).case)
    assert due == copy.verified_at + AFTER


def test_a_need_of_today_is_not_met_by_a_copy_of_another_content() -> None:
    other = scan()
    other.status.content = Content(size=SIZE + 1, modified_at=WRITTEN)
    assert only_cfs_recorded().but(scan=other).decide() == KeptReason.NO_COPY_RECORDED


def test_a_need_of_today_must_have_the_checksum_of_record() -> None:
    other = scan()
    change_copy(other, 1, checksum=Checksum(value="f" * 64))
    asked = needed_copies(only_cfs_recorded().but(scan=other).case)["hpss402"]
    assert asked is not None
    assert asked.sha256 == DIGEST


def test_a_recorded_need_stays_one_when_today_asks_for_less() -> None:
    world = World(config=with_rule(config(), needs=("nersc402",)))
    assert world.but(states={"nersc402": CopyState.VERIFIED}).decide() == KeptReason.AWAITING_VERIFICATION


def test_copies_are_looked_for_where_the_calendar_recorded_them() -> None:
    assert needed_copies(World(prune=prune()).case) == {
        "nersc402": CopyToVerify(PATH, SIZE, DIGEST),
        "hpss402": CopyToVerify(PATH, SIZE, DIGEST, "2026/one.tar"),
    }


def test_waiting_doubles_from_an_hour_to_a_week() -> None:
    assert [backoff(attempts) for attempts in (1, 2, 3)] == [timedelta(hours=hours) for hours in (1, 2, 4)]
    assert backoff(10_000) == timedelta(days=7)


def test_a_bundle_is_read_back_before_the_files_go_that_it_was_made_of() -> None:
    today = config()
    only_stored = with_archive(today, verify="stored")
    for asked, endpoint, read_back in (
        (today, "nersc402", True),
        (today, "data402", False),
        (only_stored, "nersc402", False),
    ):
        built = calendar.build_prune([scan()], today.beamlines["BL402"], endpoint, today, 1)
        copy = needed_copies(World(config=asked, prune=built).case)["hpss402"]
        assert copy is not None
        assert copy.read_back == read_back
