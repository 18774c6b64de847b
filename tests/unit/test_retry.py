"""The retry annotation: what is asked for, and what becomes of the Scan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Scan, Step
from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator import lifecycle, retry
from tests.unit.scan_cases import ATTEMPTS, HAPPENINGS, NOW, SIZE, Happening, beamline, done, happen, scan

ALL = frozenset(Step)
TOKENS = st.text(max_size=400)


def annotated(one: Scan, value: str) -> Scan:
    one.metadata.annotations[ANNOTATION_RETRY] = value
    return one


def test_a_token_is_pending_until_it_was_handled() -> None:
    assert retry.pending_token(scan()) is None
    assert retry.pending_token(annotated(scan(), "")) is None
    one = annotated(scan(), "please")
    assert retry.pending_token(one) == "please"
    retry.apply(one, retry.parse("please"), ALL, NOW)
    assert retry.pending_token(one) is None
    assert retry.pending_token(annotated(one, "once more")) == "once more"


@given(TOKENS)
def test_whatever_stands_in_the_annotation_is_answered_and_can_be_written(value: str) -> None:
    one = annotated(done(scan(), *Step), value)
    token = retry.pending_token(one)
    if token is None:
        assert not value
        return
    names_no_step = "@" in token and token.partition("@")[0] not in set(Step)
    if names_no_step:
        with pytest.raises(retry.RetryError, match="PruneScheduled"):
            retry.parse(token)
        return
    retry.apply(one, retry.parse(token), ALL, NOW)
    assert retry.pending_token(one) is None
    Scan.parse(one.to_wire())


@pytest.mark.parametrize("step", Step)
def test_a_named_step_and_all_after_it_are_done_again(step: Step) -> None:
    one = done(scan(), *Step)
    event, text = retry.apply(one, retry.parse(f"{step}@now"), ALL, NOW)
    again = list(Step)[list(Step).index(step) :]
    assert event == EventReason.RETRYING
    assert text == f"again: {', '.join(again)}"
    assert [kind for kind in Step if not lifecycle.is_done(one, kind)] == again
    assert len(one.status.copies) == 2, "the copies stay on record: they are verified before anything is made again"


def test_steps_that_are_not_configured_are_not_done_again() -> None:
    configured = lifecycle.configured_steps(beamline("archive", "prune"))
    assert retry.steps_to_redo(scan(), retry.parse("Transferred@x"), configured) == [
        Step.TRANSFERRED,
        Step.CATALOGUED,
        Step.INGESTED,
    ]


@pytest.mark.parametrize("value", ["Pruned@x", "@x", "transferred@x", "Succeeded@x", " Archived@x"])
def test_a_step_that_does_not_exist_is_answered_with_those_that_do(value: str) -> None:
    with pytest.raises(retry.RetryError, match="Transferred, Catalogued, Archived, Ingested, PruneScheduled"):
        retry.parse(value)


def test_a_plain_token_resumes_the_failed_steps_alone_with_fresh_attempts() -> None:
    one = done(scan(), Step.TRANSFERRED, Step.ARCHIVED)
    for _ in range(ATTEMPTS):
        lifecycle.fail(one, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "no", NOW)
    assert not lifecycle.open_steps(one, ALL, ATTEMPTS)
    event, _ = retry.apply(one, retry.parse("mended"), ALL, NOW)
    assert event == EventReason.RETRYING
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.CATALOGUED}
    assert one.status.attempts.retry_at is None
    assert lifecycle.is_done(one, Step.ARCHIVED)


def test_a_plain_token_resumes_a_step_that_has_no_attempts_left_while_it_waits() -> None:
    one = scan()
    for _ in range(ATTEMPTS):
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "gone", NOW)
    lifecycle.wait(one, Step.TRANSFERRED, Reason.ENDPOINT_UNAVAILABLE, "it does not answer", NOW)
    assert retry.apply(one, retry.parse("again"), ALL, NOW) == (EventReason.RETRYING, "again: Transferred")
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}


def test_a_plain_token_changes_nothing_where_nothing_failed() -> None:
    one = done(scan(), *Step)
    before = one.status.model_copy(deep=True)
    event, _ = retry.apply(one, retry.parse("again"), ALL, NOW)
    assert event == EventReason.RETRY_NOTHING_TO_DO
    assert one.status == before.model_copy(update={"last_handled_retry": "again"})


@pytest.mark.parametrize("value", ["yes", "Archived@x"])
def test_any_retry_of_a_file_that_shrank_takes_its_new_content(value: str) -> None:
    one = done(scan(), *Step)
    one.spec.size = SIZE // 10
    event, _ = retry.apply(one, retry.parse(value), ALL, NOW)
    assert event == EventReason.RETRYING
    assert not lifecycle.content_changed(one)
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}


@given(HAPPENINGS)
def test_after_a_retry_no_scan_is_failed(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    if lifecycle.content_changed(one) or one.status.phase == "Refused":
        return
    retry.apply(one, retry.parse("again"), ALL, NOW)
    lifecycle.derive(one, beamline(), ATTEMPTS, NOW, {})
    assert one.condition(SUCCEEDED).status != ConditionStatus.FALSE


# what a command foresees


def test_what_is_foreseen_is_what_happens() -> None:
    one = scan()
    for _ in range(ATTEMPTS):
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "gone", NOW)
    will, text = retry.foresee(one, retry.parse("again"), ALL)
    assert (will, text) == (True, "Transferred")
    assert retry.apply(one, retry.parse("again"), ALL, NOW) == (EventReason.RETRYING, f"again: {text}")


def test_nothing_is_foreseen_where_nothing_failed_or_may_be_done() -> None:
    request = retry.parse("again")
    assert retry.foresee(done(scan(), *Step), request, ALL) == (False, "no step has failed")
    refused = scan()
    lifecycle.refuse(refused, Reason.EXPORT_CONTROLLED, "not to be moved", NOW)
    assert retry.foresee(refused, request, ALL) == (False, "it is refused: not to be moved")
    assert not retry.foresee(annotated(scan(), "earlier"), request, ALL)[0]
    assert not retry.foresee(done(scan(), *Step), retry.parse("Archived@1"), {Step.TRANSFERRED})[0]


def test_a_suspended_scan_is_foreseen_to_start_when_it_is_released() -> None:
    one = scan(suspend=True)
    lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "gone", NOW)
    will, text = retry.foresee(one, retry.parse("again"), ALL)
    assert will
    assert "when it is released" in text
