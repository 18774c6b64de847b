"""When a tape bundle closes, and why."""

from datetime import timedelta

import pytest

from dichroism_crds.config import BundleLimits
from dichroism_crds.kinds import Scan, Step
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from dichroism_operator.board import Board, Card
from dichroism_operator.filling import Cause, Request, filling
from tests.unit.scan_cases import ATTEMPTS, NOW, beamline, done, scan

LIMITS = BundleLimits(target=1_000, max_files=5, max_age=timedelta(seconds=60))


def card(number: int = 0, *, size: int = 10, path_length: int = 40, age: float = 0) -> Card:
    since = NOW - timedelta(seconds=age)
    return Card(f"scan-{number:04d}", "", "BL402", size, path_length, True, since, since, None, frozenset(Step))


@pytest.mark.parametrize(
    ("cards", "cause"),
    [
        ([], None),
        ([card(age=59)], None),
        ([card(age=60)], Cause.AGE),
        ([card(0, age=1), card(1, age=61)], Cause.AGE),
        ([card(number) for number in range(4)], None),
        ([card(number) for number in range(5)], Cause.COUNT),
        ([card(0, size=999)], None),
        ([card(0, size=600), card(1, size=400)], Cause.SIZE),
        ([card(0, size=5_000)], Cause.SIZE),
    ],
)
def test_the_first_limit_that_is_reached_closes_a_bundle(cards: list[Card], cause: Cause | None) -> None:
    assert filling(cards, LIMITS, NOW).cause == cause


def test_names_that_fill_a_transfer_close_a_bundle() -> None:
    cards = [card(number, path_length=1_024) for number in range(600)]
    assert filling(cards, BundleLimits(), NOW).cause == Cause.LIST


@pytest.mark.parametrize(("asked", "cause"), [(-1, None), (0, Cause.REQUEST), (5, Cause.REQUEST)])
def test_a_request_closes_what_waited_when_it_was_made_and_nothing_later(asked: int, cause: Cause | None) -> None:
    waits = [card(0, age=0), card(1, age=0)]
    request = Request("J. Doe", NOW + timedelta(seconds=asked))
    assert filling(waits, LIMITS, NOW, request).cause == cause
    assert filling([], LIMITS, NOW, request).cause is None


def test_how_full_and_how_old_a_bundle_is_can_be_told() -> None:
    state = filling([card(0, size=3, age=10), card(1, size=4, age=20)], LIMITS, NOW)
    assert (state.files, state.bytes) == (2, 7)
    assert state.oldest == NOW - timedelta(seconds=20)
    assert state.closes_by == NOW + timedelta(seconds=40)


def waits_since(one: Scan) -> object:
    board = Board()
    board.put(one, frozenset({Step.ARCHIVED}))
    (shown,) = board.waiting("BL402", Step.ARCHIVED)
    return shown.since


def test_trouble_with_the_catalogue_makes_a_waiting_file_no_younger() -> None:
    one = done(scan(), Step.TRANSFERRED)
    lifecycle.derive(one, beamline(), ATTEMPTS, NOW, {})
    for minutes in range(1, 5):
        moment = NOW + timedelta(minutes=minutes)
        lifecycle.fail(one, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "no", moment)
        lifecycle.wait(one, Step.CATALOGUED, Reason.CATALOGUE_UNAVAILABLE, "down", moment)
    assert waits_since(one) == NOW


def test_a_file_that_was_left_out_waits_for_company_again() -> None:
    one = done(scan(), Step.TRANSFERRED)
    lifecycle.fail(one, Step.ARCHIVED, Reason.SOURCE_UNREADABLE, "no", NOW + timedelta(hours=9))
    assert waits_since(one) == NOW + timedelta(hours=9)


def test_a_scan_says_when_its_bundle_closes_at_the_latest() -> None:
    one = done(scan(), Step.TRANSFERRED, Step.CATALOGUED)
    lifecycle.derive(one, beamline(), ATTEMPTS, NOW, {})
    assert "waits for the tape bundle to hpss402, closed by 2026-11-23 18:00 UTC at the latest" in one.status.message
