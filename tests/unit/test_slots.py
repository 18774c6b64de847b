"""Tasks of all beamlines together: never more than the service works on, and no beamline waits for another."""

from hypothesis import given
from hypothesis import strategies as st

from dichroism_operator.movers.slots import PER_LANE, Slots

TOGETHER = 3


def busy(**tasks: int) -> Slots:
    slots = Slots(TOGETHER)
    for lane, count in tasks.items():
        slots.note(lane, count)
    return slots


def test_two_tasks_run_unless_a_beamline_would_wait() -> None:
    assert busy(a=1).may_start("a")
    assert not busy(a=2).may_start("a")
    assert busy(a=2).may_start("b")
    assert not busy(a=2, b=1).may_start("b")
    assert not busy(a=1, b=1).may_start("a")


def test_without_a_limit_lanes_do_not_see_each_other() -> None:
    slots = Slots(None)
    for lane in "abcde":
        slots.note(lane, 1)
    assert all(slots.may_start(lane) for lane in "abcde")
    slots.note("a", PER_LANE)
    assert not slots.may_start("a")


def test_who_waited_longest_is_next() -> None:
    slots = busy(a=1, b=1, c=1)
    assert not slots.may_start("d")
    assert not slots.may_start("e")
    slots.note("a", 0)
    assert not slots.may_start("a")
    assert not slots.may_start("e")
    assert slots.may_start("d")
    slots.note("d", 1)
    slots.note("b", 0)
    slots.withdraw("e")
    slots.withdraw("a")
    assert slots.may_start("b")


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_never_more_than_the_service_works_on_and_nobody_starves(steps: list[tuple[str, bool]]) -> None:
    slots = Slots(TOGETHER)
    tasks = dict.fromkeys("abcd", 0)
    refused: dict[str, int] = {}
    for lane, ends in steps:
        if ends:
            tasks[lane] = max(0, tasks[lane] - 1)
        elif slots.may_start(lane):
            tasks[lane] += 1
            refused.pop(lane, None)
        elif not tasks[lane]:
            refused[lane] = len(refused)
        slots.note(lane, tasks[lane])
        assert sum(tasks.values()) <= TOGETHER
        assert all(count <= PER_LANE for count in tasks.values())
    # Once everybody has ended, those who wait start in turn, whatever came before.
    for lane in tasks:
        slots.note(lane, 0)
    waiting = [lane for lane in "abcd" if not tasks[lane] and lane in refused]
    assert all(slots.may_start(lane) for lane in sorted(waiting, key=lambda one: refused[one])[:1])
