"""The life of a Scan: phases, failures, back-off, new contents, and what a person reads of it."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import (
    MAX_SUPERSEDED,
    SCAN_CONDITIONS,
    SUCCEEDED,
    ConditionStatus,
    Dataset,
    Scan,
    ScanPhase,
    Step,
)
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from tests.unit.scan_cases import (
    ATTEMPTS,
    HAPPENINGS,
    NOW,
    SIZE,
    WRITTEN,
    Happening,
    beamline,
    copy,
    done,
    happen,
    scan,
)

ALL = frozenset(Step)
LATER = NOW + timedelta(hours=1)


def derived(one: Scan, *without: str, pauses: dict[Step, str] | None = None) -> Scan:
    lifecycle.derive(one, beamline(*without), ATTEMPTS, NOW, pauses or {})
    return one


def exhausted(one: Scan, step: Step) -> Scan:
    for _ in range(ATTEMPTS):
        lifecycle.fail(one, step, Reason.SOURCE_MISSING, f"{one.spec.path} is not there", NOW)
    return one


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ((), set(Step)),
        (("ingest",), {Step.TRANSFERRED, Step.ARCHIVED, Step.PRUNE_SCHEDULED}),
        (("archive", "prune"), {Step.TRANSFERRED, Step.CATALOGUED, Step.INGESTED}),
        (("ingest", "archive", "prune"), {Step.TRANSFERRED}),
    ],
)
def test_only_the_steps_that_the_configuration_names_are_done(without: tuple[str, ...], expected: set[Step]) -> None:
    assert lifecycle.configured_steps(beamline(*without)) == expected


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        ([], {Step.TRANSFERRED}),
        ([Step.TRANSFERRED], {Step.CATALOGUED, Step.ARCHIVED}),
        ([Step.TRANSFERRED, Step.CATALOGUED], {Step.ARCHIVED}),
        ([Step.TRANSFERRED, Step.ARCHIVED], {Step.CATALOGUED}),
        ([Step.TRANSFERRED, Step.CATALOGUED, Step.ARCHIVED], {Step.INGESTED}),
        ([Step.TRANSFERRED, Step.CATALOGUED, Step.ARCHIVED, Step.INGESTED], {Step.PRUNE_SCHEDULED}),
        (list(Step), set()),
    ],
)
def test_a_step_opens_when_what_it_needs_is_done(finished: list[Step], expected: set[Step]) -> None:
    assert lifecycle.open_steps(done(scan(), *finished), ALL, ATTEMPTS) == expected


def test_a_step_that_is_not_configured_holds_no_other_up() -> None:
    steps = lifecycle.configured_steps(beamline("ingest"))
    one = done(scan(), Step.TRANSFERRED, Step.ARCHIVED)
    assert lifecycle.open_steps(one, steps, ATTEMPTS) == {Step.PRUNE_SCHEDULED}


@pytest.mark.parametrize("finished", [[], [Step.TRANSFERRED], list(Step)[:4]])
def test_nothing_is_open_of_a_scan_that_is_suspended_refused_deleted_or_changed(finished: list[Step]) -> None:
    for hold in ("suspended", "refused", "deleted", "changed"):
        one = done(scan(), *finished)
        lifecycle.begin(one)
        match hold:
            case "suspended":
                one.spec.suspend = True
            case "refused":
                lifecycle.refuse(one, Reason.EXPORT_CONTROLLED, "no", NOW)
            case "deleted":
                one.metadata.deletion_timestamp = NOW
            case "changed":
                one.spec.size += 1
        assert not lifecycle.open_steps(one, ALL, ATTEMPTS), hold


@pytest.mark.parametrize(
    ("finished", "phase"),
    [
        ([], ScanPhase.PENDING),
        ([Step.TRANSFERRED], ScanPhase.TRANSFERRED),
        ([Step.TRANSFERRED, Step.CATALOGUED], ScanPhase.TRANSFERRED),
        ([Step.TRANSFERRED, Step.ARCHIVED], ScanPhase.ARCHIVED),
        ([Step.TRANSFERRED, Step.CATALOGUED, Step.ARCHIVED, Step.INGESTED], ScanPhase.INGESTED),
        (list(Step), ScanPhase.PRUNE_SCHEDULED),
        ([Step.ARCHIVED], ScanPhase.PENDING),
        ([Step.TRANSFERRED, Step.PRUNE_SCHEDULED], ScanPhase.TRANSFERRED),
    ],
)
def test_the_phase_is_the_last_step_that_is_done_without_a_gap(finished: list[Step], phase: ScanPhase) -> None:
    assert derived(done(scan(), *finished)).status.phase == phase


def test_without_tape_and_pruning_the_ingested_scan_has_succeeded() -> None:
    one = done(scan(), Step.TRANSFERRED, Step.CATALOGUED, Step.INGESTED)
    assert derived(one, "archive", "prune").condition(SUCCEEDED).status == ConditionStatus.TRUE
    assert one.status.phase == ScanPhase.INGESTED
    assert one.condition(Step.ARCHIVED).reason == Reason.NOT_CONFIGURED


@given(st.sampled_from([(), ("archive",), ("prune",), ("archive", "prune"), ("ingest", "archive", "prune")]))
def test_a_scan_that_waits_for_a_step_in_its_turn_is_in_the_phase_before_it(without: tuple[str, ...]) -> None:
    configured = lifecycle.configured_steps(beamline(*without))
    one = derived(scan(), *without)
    for step in (step for step in Step if step in configured):
        if step in lifecycle.open_steps(one, configured, ATTEMPTS):
            assert one.status.phase == lifecycle.phase_before(step, configured)
        one = derived(done(one, step), *without)


def test_a_scan_fails_only_when_nothing_of_it_can_progress() -> None:
    one = exhausted(done(scan(), Step.TRANSFERRED), Step.CATALOGUED)
    assert derived(one).status.phase == ScanPhase.TRANSFERRED
    assert one.condition(SUCCEEDED).status == ConditionStatus.UNKNOWN
    assert derived(done(one, Step.ARCHIVED)).status.phase == ScanPhase.FAILED
    assert one.condition(SUCCEEDED).reason == Reason.ATTEMPTS_EXHAUSTED
    assert one.status.message.startswith(f"Catalogued failed {ATTEMPTS} times (SourceMissing): {one.spec.path}")
    assert "safe on nersc402 and hpss402" in one.status.message


def test_a_suspended_scan_with_a_failed_step_waits_and_is_not_failed() -> None:
    one = exhausted(done(scan(suspend=True), Step.TRANSFERRED), Step.CATALOGUED)
    assert derived(one).status.phase == ScanPhase.TRANSFERRED
    assert "suspended" in one.status.message


def test_a_scan_without_any_copy_says_so_when_it_fails() -> None:
    assert "no copy was made" in derived(exhausted(scan(), Step.TRANSFERRED)).status.message


@given(st.integers(1, 60))
def test_the_back_off_doubles_from_5_seconds_to_an_hour(failures: int) -> None:
    one = scan()
    for _ in range(failures):
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "", NOW)
    assert one.status.attempts.retry_at == NOW + timedelta(seconds=min(5 * 2 ** (failures - 1), 3600))
    assert one.status.attempts.transferred == failures


@given(st.lists(st.integers(0, 600), max_size=20))
def test_a_changed_file_that_nobody_tells_is_tried_less_and_less(late: list[int]) -> None:
    """``late``: seconds from the moment at which it may be tried to the moment at which it was."""
    one, moment, pauses = scan(), NOW, []
    for seconds in late:
        lifecycle.put_off(one, Step.TRANSFERRED, Reason.SOURCE_CHANGED, "it is being written", moment)
        one = Scan.parse(one.to_wire())  # as another process reads it
        assert one.status.attempts.retry_at
        pauses.append(one.status.attempts.retry_at - moment)
        moment = one.status.attempts.retry_at + timedelta(seconds=seconds)
    hour = timedelta(hours=1)
    assert pauses[:1] in ([], [timedelta(seconds=5)])
    assert all(timedelta(seconds=5) <= pause <= hour for pause in pauses)
    assert all(later >= min(2 * before, hour) for before, later in itertools.pairwise(pauses[1:]))
    assert one.status.attempts.transferred == 0


def test_a_new_content_goes_at_once_however_long_the_old_one_was_put_off() -> None:
    one = scan()
    for hours in range(3):
        moment = NOW + timedelta(hours=hours)
        lifecycle.put_off(one, Step.TRANSFERRED, Reason.SOURCE_CHANGED, "it is being written", moment)
    assert one.status.attempts.retry_at == NOW + timedelta(hours=3)
    one.spec.size += 1
    lifecycle.restart_for_new_content(one, LATER)
    assert one.status.attempts.retry_at is None
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}
    lifecycle.put_off(one, Step.TRANSFERRED, Reason.SOURCE_CHANGED, "once more", LATER)
    assert one.status.attempts.retry_at == LATER + timedelta(seconds=5)


def test_what_is_not_the_files_fault_counts_no_attempt() -> None:
    one = scan()
    for _ in range(2 * ATTEMPTS):
        lifecycle.fail(one, Step.TRANSFERRED, Reason.TASK_FAILED, "its task failed", NOW, counts=False)
    lifecycle.wait(one, Step.CATALOGUED, Reason.CATALOGUE_UNAVAILABLE, "it is down", NOW)
    assert one.status.attempts.transferred == one.status.attempts.catalogued == 0
    assert derived(one).status.phase == ScanPhase.PENDING
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}


@pytest.mark.parametrize("step", Step)
def test_a_step_that_is_done_stays_done_whatever_a_late_process_says(step: Step) -> None:
    one = derived(done(scan(), *Step))
    before = one.model_copy(deep=True)
    lifecycle.fail(one, step, Reason.SOURCE_MISSING, "pruned since", LATER)
    lifecycle.wait(one, step, Reason.CATALOGUE_UNAVAILABLE, "it is down", LATER)
    assert one == before


def test_success_forgets_the_failures_of_its_step_alone() -> None:
    one = scan()
    lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "", NOW)
    lifecycle.fail(one, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "", NOW)
    lifecycle.succeed(one, Step.TRANSFERRED, Reason.COPIED, "", NOW)
    assert (one.status.attempts.transferred, one.status.attempts.catalogued) == (0, 1)


def test_the_transition_time_changes_with_the_status_only() -> None:
    one = scan()
    lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "gone", NOW)
    lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_UNREADABLE, "there, but secret", LATER)
    condition = one.condition(Step.TRANSFERRED)
    assert (condition.last_transition_time, condition.reason) == (NOW, Reason.SOURCE_UNREADABLE)
    lifecycle.succeed(one, Step.TRANSFERRED, Reason.COPIED, "", LATER)
    assert one.condition(Step.TRANSFERRED).last_transition_time == LATER


def test_a_new_content_starts_over_and_keeps_the_dataset() -> None:
    one = derived(done(scan(), *Step))
    one.status.dataset = dataset = Dataset(pid="a-dataset")
    lifecycle.fail(one, Step.INGESTED, Reason.REFUSED_BY_CATALOGUE, "", NOW)
    one.spec.size += 1
    assert lifecycle.content_changed(one)
    lifecycle.restart_for_new_content(one, LATER)
    assert derived(one).status.phase == ScanPhase.PENDING
    assert not lifecycle.content_changed(one)
    assert (one.status.copies, one.status.prune, one.status.dataset) == ([], [], dataset)
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}


@pytest.mark.parametrize(
    ("size", "suspicious"), [(0, True), (1, True), (SIZE // 2 - 1, True), (SIZE // 2, False), (SIZE + 1, False)]
)
def test_a_file_that_shrank_below_half_is_suspicious_once_it_was_copied(size: int, suspicious: bool) -> None:
    one = done(scan(), Step.TRANSFERRED)
    one.spec.size = size
    one.metadata.generation = 2
    assert lifecycle.suspicious_rewrite(one) is suspicious
    derived(one)
    assert (one.condition(SUCCEEDED).reason == Reason.SUSPICIOUS_REWRITE) is suspicious
    assert one.status.observed_generation == 2
    uncopied = scan()
    lifecycle.begin(uncopied)
    uncopied.spec.size = size
    assert not lifecycle.suspicious_rewrite(uncopied)


def test_a_file_that_got_its_old_content_back_is_as_it_was() -> None:
    one = derived(done(scan(), *Step))
    before = one.model_copy(deep=True)
    one.spec.size = 1
    derived(one)
    one.spec.size = SIZE
    assert derived(one).condition(SUCCEEDED).status == ConditionStatus.TRUE
    assert one.status.copies == before.status.copies
    assert one.status.phase == ScanPhase.PRUNE_SCHEDULED


def test_a_refused_scan_has_no_step_and_starts_as_new_when_it_is_legal() -> None:
    one = scan()
    lifecycle.refuse(one, Reason.EXPORT_CONTROLLED, "not to be moved", NOW)
    before = one.model_copy(deep=True)
    assert derived(one) == before, "nothing is derived for a Scan that is refused"
    assert one.status.observed_generation == 1
    lifecycle.reopen(one)
    assert derived(one).status.phase == ScanPhase.PENDING
    assert lifecycle.open_steps(one, ALL, ATTEMPTS) == {Step.TRANSFERRED}


@pytest.mark.parametrize(
    ("catalogued", "now", "outdated"),
    [(None, "ALS-1", True), ("ALS-1", "ALS-2", True), ("ALS-1", None, True), ("ALS-1", "ALS-1", False)],
)
def test_a_proposal_is_outdated_when_the_catalogue_has_another(
    catalogued: str | None, now: str | None, outdated: bool
) -> None:
    one = done(scan(proposal=now), Step.TRANSFERRED, Step.CATALOGUED)
    assert not lifecycle.proposal_outdated(one), "nothing is in the catalogue yet"
    one.status.dataset = Dataset(pid="a-dataset", proposal=catalogued)
    assert lifecycle.proposal_outdated(one) is outdated
    lifecycle.redo(one, [Step.CATALOGUED], NOW)
    assert not lifecycle.proposal_outdated(one), "it is under way"


def test_the_message_says_why_a_lane_is_paused() -> None:
    one = derived(done(scan(), Step.TRANSFERRED), pauses={Step.CATALOGUED: "Catalogued waits: CatalogueUnavailable"})
    assert one.status.message == "on nersc402; Catalogued waits: CatalogueUnavailable"


def test_messages_fit_into_the_object_however_long_the_reason_is() -> None:
    one = exhausted(scan(), Step.TRANSFERRED)
    lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_UNREADABLE, "x" * 5000, NOW)
    Scan.parse(derived(one).to_wire())
    lifecycle.refuse(one, Reason.INVALID_PATH, "y" * 5000, NOW)
    Scan.parse(one.to_wire())


# whatever happens, in any order


@given(HAPPENINGS)
def test_deriving_twice_changes_nothing(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    before = one.model_copy(deep=True)
    lifecycle.derive(one, beamline(), ATTEMPTS, LATER, {})
    assert one == before


@given(HAPPENINGS)
def test_succeeded_is_true_exactly_when_every_step_is_done_for_this_content(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    complete = all(lifecycle.is_done(one, step) for step in Step) and not lifecycle.suspicious_rewrite(one)
    assert (one.condition(SUCCEEDED).status == ConditionStatus.TRUE) == complete


@given(HAPPENINGS)
def test_a_scan_is_failed_exactly_when_only_a_person_can_help(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    if one.status.phase == ScanPhase.REFUSED or lifecycle.suspicious_rewrite(one):
        return
    unfinished = [step for step in Step if not lifecycle.is_done(one, step)]
    tired = [step for step in unfinished if lifecycle.attempts_of(one, step) >= ATTEMPTS]
    movable = lifecycle.open_steps_ignoring_suspend(one, ALL, ATTEMPTS)
    assert (one.status.phase == ScanPhase.FAILED) == bool(tired and not movable)


@given(HAPPENINGS)
def test_every_state_can_be_written_and_read(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    assert Scan.parse(one.to_wire()) == one
    assert [condition.type for condition in one.status.conditions] == list(SCAN_CONDITIONS)
    assert len({kept.endpoint for kept in one.status.copies}) == len(one.status.copies)
    assert all(condition.reason in set(Reason) for condition in one.status.conditions)


@given(HAPPENINGS)
def test_no_step_is_open_without_the_copies_and_steps_it_rests_on(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    for step in lifecycle.open_steps(one, ALL, ATTEMPTS):
        assert step == Step.TRANSFERRED or one.copy_on("nersc402") is not None
        assert step not in (Step.INGESTED, Step.PRUNE_SCHEDULED) or one.copy_on("hpss402") is not None


def test_a_newer_copy_on_an_endpoint_takes_the_older_ones_place() -> None:
    one = done(scan(), Step.TRANSFERRED, Step.ARCHIVED)
    newer = copy("nersc402", verified_at=LATER)
    lifecycle.add_copy(one, newer)
    assert one.copy_on("nersc402") == newer
    assert len(one.status.copies) == 2


def catalogued_without_header(tried: datetime) -> Scan:
    one = done(scan(), Step.TRANSFERRED)
    lifecycle.succeed(one, Step.CATALOGUED, Reason.HEADER_NOT_READ, "dataset x; its file was not read", tried)
    return one


@pytest.mark.parametrize(
    ("tried", "due"),
    [
        (timedelta(seconds=5), timedelta(minutes=10)),
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(days=9), timedelta(days=1)),
    ],
)
def test_a_header_is_read_again_after_as_long_as_it_waited_but_at_least_daily(tried: timedelta, due: timedelta) -> None:
    one = catalogued_without_header(NOW + tried)
    assert not lifecycle.header_due(one, NOW + tried + due - timedelta(seconds=1))
    assert lifecycle.header_due(one, NOW + tried + due)


def test_a_header_that_was_read_or_may_not_be_corrected_is_not_read_again() -> None:
    much_later = NOW + timedelta(days=3)
    for reason in (Reason.CATALOGUED, Reason.CATALOGUE_NEEDS_OWNER):
        one = catalogued_without_header(NOW)
        lifecycle.succeed(one, Step.CATALOGUED, reason, "", NOW)
        assert not lifecycle.header_due(one, much_later)
    one = catalogued_without_header(NOW)
    lifecycle.redo(one, [Step.CATALOGUED], NOW)
    assert not lifecycle.header_due(one, much_later)


@pytest.mark.parametrize("reason", [Reason.HEADER_NOT_READ, Reason.CATALOGUE_NEEDS_OWNER])
def test_people_see_that_something_is_wanting_in_the_catalogue(reason: Reason) -> None:
    one = done(scan(), *Step)
    lifecycle.succeed(one, Step.CATALOGUED, reason, "", NOW)
    one.status.dataset = Dataset(pid="x")
    lifecycle.derive(one, beamline(), ATTEMPTS, NOW, {})
    assert f"in the catalogue ({reason})" in one.status.message
    assert one.condition(SUCCEEDED).status == ConditionStatus.TRUE


def test_a_replaced_content_on_tape_is_named_as_superseded_the_newest_first_and_never_more_than_the_limit() -> None:
    one = scan()
    for number in range(MAX_SUPERSEDED + 2):
        done(one, Step.TRANSFERRED, Step.ARCHIVED)
        lifecycle.begin(one)
        before = one.content
        one.spec.size, one.spec.modified_at = SIZE + number + 1, WRITTEN + timedelta(minutes=number + 1)
        lifecycle.restart_for_new_content(one, LATER)
        assert one.status.copies == []
        newest = one.status.superseded[0]
        assert (newest.endpoint, newest.modified_at) == ("hpss402", before.modified_at)
    assert len(one.status.superseded) == MAX_SUPERSEDED


def test_a_content_that_never_reached_tape_leaves_nothing_behind() -> None:
    one = done(scan(), Step.TRANSFERRED)
    one.spec.size += 1
    lifecycle.restart_for_new_content(one, LATER)
    assert one.status.superseded == []
