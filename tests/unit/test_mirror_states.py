"""What a Scan has been through, as the states of a flow run: right order, true times, nothing for a worker."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Dataset, Scan, Step
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from dichroism_operator.mirror.names import layout, number_of
from dichroism_operator.mirror.states import (
    Run,
    RunState,
    StateType,
    changed_at,
    missing,
    scan_run,
    shown_state,
)
from tests.unit.scan_cases import ATTEMPTS, HAPPENINGS, NOW, Happening, beamline, config, done, happen, scan

BL402 = beamline()


def at(seconds: int, one: Scan, *steps: Step) -> Scan:
    """Steps done so many seconds after NOW."""
    moment = NOW + timedelta(seconds=seconds)
    done(one, *steps, now=moment)
    lifecycle.derive(one, BL402, ATTEMPTS, moment, {})
    return one


def names(run: Run) -> list[str]:
    return [state.name for state in run.states]


def follow(histories: list[Run], *, briefly: bool = False) -> list[RunState]:
    """All states that a run is told when it is shown after each change."""
    told = [histories[0].states[0]]
    for run in histories:
        told += missing(run, told[-1], briefly=briefly)
    return told


def test_the_names_of_the_beamline_are_kept() -> None:
    made = layout(config())
    assert {(one.name, one.pool, one.queue) for one in made.deployments} == {
        ("run_dichroism_dispatcher", "dispatcher_dichroism_pool", "dispatcher_402_queue"),
        ("new_file_402", "new_file_dichroism_pool", "new_file_402_queue"),
        ("test_transfers_dichroism", "new_file_dichroism_pool", "test_transfers_dichroism_queue"),
    }
    assert [number_of(name) for name in ("BL402", "BL631", "BL7011", "COSMIC", "BL")] == [
        "402",
        "631",
        "7011",
        "cosmic",
        "bl",
    ]


def test_a_whole_life_is_shown_in_the_order_in_which_it_happened() -> None:
    one = scan()
    at(1, one, Step.TRANSFERRED)
    at(3, one, Step.ARCHIVED)
    at(4, one, Step.CATALOGUED)
    at(5, one, Step.INGESTED)
    at(6, one, Step.PRUNE_SCHEDULED)
    run = scan_run(one, "als")
    assert names(run) == [
        "Pending", "Transferred", "Archived", "Catalogued", "Ingested", "PruneScheduled", "Completed",
    ]  # fmt: skip
    assert run.states[2].message.startswith("2026-11-22T18:00:03.000000Z")
    assert run.parameters == {"file_path": one.spec.path, "beamline": "BL402", "is_export_control": False}


def test_a_failed_scan_that_is_tried_again_goes_on_from_retrying() -> None:
    one = scan()
    histories = [scan_run(at(0, one), "als")]
    for second in range(1, ATTEMPTS + 1):
        moment = NOW + timedelta(seconds=second)
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "it is not there", moment)
        lifecycle.derive(one, BL402, ATTEMPTS, moment, {})
        histories.append(scan_run(one, "als"))
    lifecycle.redo(one, [Step.TRANSFERRED], NOW + timedelta(seconds=10))
    histories.append(scan_run(at(10, one), "als"))
    histories.append(scan_run(at(11, one, Step.TRANSFERRED), "als"))
    told = [(state.type.value, state.name) for state in follow(histories)]
    assert told == [
        ("PENDING", "Pending"),
        ("RUNNING", "Retrying"),
        ("FAILED", "Failed"),
        ("RUNNING", "Retrying"),
        ("RUNNING", "Transferred"),
    ]


def test_a_backlog_shows_the_newest_state_with_the_times_of_all_before_it() -> None:
    one = at(3, at(1, scan(), Step.TRANSFERRED), Step.CATALOGUED)
    run = scan_run(one, "als")
    (only,) = missing(run, run.states[0], briefly=True)
    assert only.name == "Catalogued"
    assert "Transferred 2026-11-22T18:00:01.000000Z" in only.message
    assert missing(run, only, briefly=True) == missing(run, only, briefly=False) == []


@given(HAPPENINGS, st.booleans())
def test_whatever_happens_states_are_told_in_order_once_and_the_last_one_is_true(
    happenings: list[Happening], briefly: bool
) -> None:
    histories = [happen(scan(), happenings[:count], BL402) for count in range(len(happenings) + 1)]
    told = follow([scan_run(one, "als") for one in histories], briefly=briefly)
    orders = [state.order for state in told]
    assert orders == sorted(set(orders))
    assert {state.type for state in told} <= {"PENDING", "RUNNING", "COMPLETED", "FAILED"}
    summary = histories[-1].condition(SUCCEEDED).status
    expected = {ConditionStatus.TRUE: StateType.COMPLETED, ConditionStatus.FALSE: StateType.FAILED}.get(summary)
    assert (told[-1].type if told[-1].ended else None) == expected
    assert all(state.name == state.type.value.capitalize() for state in told if state.ended)


@given(HAPPENINGS)
def test_whatever_is_to_be_told_makes_the_scan_look_changed(happenings: list[Happening]) -> None:
    before: Scan | None = None
    for count in range(len(happenings) + 1):
        one = happen(scan(), happenings[:count], BL402)
        if before and missing(scan_run(one, "als"), scan_run(before, "als").states[-1], briefly=False):
            assert changed_at(one) > changed_at(before)
        before = one


@given(HAPPENINGS)
def test_a_run_tells_by_its_message_alone_how_far_it_was_shown(happenings: list[Happening]) -> None:
    for state in scan_run(happen(scan(), happenings, BL402), "als").states:
        read = shown_state(state.wire())
        assert read is not None
        assert read.order == state.order


def test_states_that_somebody_else_set_are_not_taken_for_ours() -> None:
    for message in (None, "", "Run cancelled by Jane", "2026 was a good year"):
        assert shown_state({"type": "CANCELLED", "name": "Cancelled", "message": message}) is None
    assert shown_state({"type": "SCHEDULED", "name": "AwaitingRetry", "message": "2026-11-22T18:00:00Z x"}) is None
    assert shown_state(None) is None


def test_a_refused_scan_has_failed_and_says_why() -> None:
    one = scan(export_controlled=True)
    lifecycle.refuse(one, Reason.EXPORT_CONTROLLED, "not to be moved", NOW)
    run = scan_run(one, "als")
    assert names(run) == ["Pending", "Failed"]
    assert "ExportControlled" in run.states[-1].message
    assert run.parameters["is_export_control"] is True


def test_the_page_names_the_commands_and_lets_no_file_name_write_markdown() -> None:
    one = at(9, scan("a`|<b>[x](javascript:y).txt"), *Step)
    one.status.dataset = Dataset(pid="p/1", url="javascript:alert(1)")
    page = scan_run(one, "als").artifact
    assert page is not None
    assert f"kubectl annotate scan {one.name} -n als --overwrite dichroism.als.lbl.gov/retry=" in page.text
    assert "](javascript:alert" not in page.text
    assert "`a'❘<b>[x](javascript:y).txt`" in page.text
    assert set(page.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
