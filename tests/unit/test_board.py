"""The board: who waits for which step, and who is woken."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import Scan, Step
from dichroism_crds.names import LABEL_ORIGIN
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from dichroism_operator.board import Board
from tests.unit.scan_cases import ATTEMPTS, NOW, done, scan

STEPS = st.frozensets(st.sampled_from(Step))


def waiting(board: Board, step: Step) -> dict[str, object]:
    return {card.name: card.retry_at for card in board.waiting("BL402", step)}


@given(st.lists(st.tuples(st.integers(0, 4), STEPS), max_size=20))
def test_the_board_shows_of_every_scan_what_was_said_last(news: list[tuple[int, frozenset[Step]]]) -> None:
    board, last = Board(), {}
    for number, steps in news:
        one = scan(f"{number}.txt")
        board.put(one, steps)
        last[one.name] = steps
    expected = {name: steps for name, steps in last.items() if steps}
    assert set(board.names()) == expected.keys()
    assert len(board) == len(expected)
    for step in Step:
        assert waiting(board, step).keys() == {name for name, steps in expected.items() if step in steps}
    assert sum(board.counts().values()) == sum(map(len, expected.values()))
    for name in [*expected, "never-seen"]:
        board.drop(name)
    assert not len(board)
    assert not any(board.counts().values())


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.booleans(), STEPS), max_size=30))
def test_live_scans_go_first_then_the_oldest(news: list[tuple[int, int, bool, frozenset[Step]]]) -> None:
    """Also when a Scan was deleted and created again, or is not live any more."""
    board, last = Board(), {}
    for number, age, live, steps in news:
        one = scan(f"{number}.txt", number=-age)
        one.metadata.labels[LABEL_ORIGIN] = "live" if live else "backfill"
        board.put(one, steps)
        last[one.name] = (not live, one.metadata.creation_timestamp, one.name), steps
    for step in Step:
        expected = sorted(turn for turn, steps in last.values() if step in steps)
        assert [card.turn for card in board.waiting("BL402", step)] == expected


def test_the_lane_of_a_step_is_woken_by_a_scan_that_waits_for_it_and_no_other() -> None:
    board = Board()
    wakers = {step: board.waker("BL402", step) for step in Step}
    other = board.waker("BL631", Step.TRANSFERRED)
    board.put(scan(), frozenset({Step.TRANSFERRED}))
    assert [step for step, waker in wakers.items() if waker.is_set()] == [Step.TRANSFERRED]
    assert not other.is_set()


def test_the_back_off_of_a_failed_step_holds_no_other_step_up() -> None:
    one = done(scan(), Step.TRANSFERRED)
    lifecycle.fail(one, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "no", NOW)
    board = Board()
    board.put(one, lifecycle.open_steps(one, frozenset(Step), ATTEMPTS))
    assert waiting(board, Step.CATALOGUED) == {one.name: NOW + lifecycle.BACKOFF_FIRST}
    assert waiting(board, Step.ARCHIVED) == {one.name: None}


def test_a_scan_waits_since_its_last_step_was_done() -> None:
    one = done(scan(), Step.TRANSFERRED, now=NOW + timedelta(minutes=1))
    board = Board()
    board.put(one, frozenset({Step.ARCHIVED}))
    (card,) = board.waiting("BL402", Step.ARCHIVED)
    assert card.since == NOW + timedelta(minutes=1)


def test_what_is_not_called_live_is_not_live() -> None:
    def is_live(one: Scan) -> bool:
        board = Board()
        board.put(one, frozenset({Step.TRANSFERRED}))
        (card,) = board.waiting("BL402", Step.TRANSFERRED)
        return card.live

    backfill = scan()
    backfill.metadata.labels[LABEL_ORIGIN] = "backfill"
    assert is_live(scan())
    assert not is_live(backfill)
