"""What a Prune says after a run: phases, counts and sentences."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import PrunePhase, PruneStatus
from dichroism_crds.reasons import KeptReason
from dichroism_operator.prune.budget import Budget
from dichroism_operator.prune.outcome import (
    Tally,
    conclude,
    corrected,
    emptying,
    is_emptying,
    running,
    settled_before,
)
from tests.unit.prune_cases import DUE, prune, scan

KEEP = timedelta(days=7)
SCANS = [scan(path=f"2026/{number:04d}.txt") for number in range(415)]
RUNNING = PruneStatus(phase=PrunePhase.RUNNING)


def concluded(tally: Tally, before: PruneStatus = RUNNING) -> PruneStatus:
    return conclude(prune(SCANS, before), tally, KEEP, DUE)


def kept(**counts: int) -> dict[str, KeptReason]:
    by_name = {reason.value: reason for reason in KeptReason}
    reasons = [by_name[name] for name, count in counts.items() for _ in range(count)]
    return {f"2026/{number:04d}.txt": reason for number, reason in enumerate(reasons)}


@pytest.mark.parametrize(
    ("tally", "phase"),
    [
        (Tally(in_trash=5, trashed_at=DUE), PrunePhase.TRASHED),
        (Tally(in_trash=5, trashed_at=DUE, kept=kept(AlreadyGone=1, SourceChanged=1)), PrunePhase.TRASHED),
        (Tally(in_trash=5, trashed_at=DUE, kept=kept(Held=1, CopyMissing=1)), PrunePhase.INCOMPLETE),
        (Tally(in_trash=5, trashed_at=DUE, kept=kept(Held=1, Suspended=1, AlreadyGone=1)), PrunePhase.HELD),
        (Tally(deleted=5), PrunePhase.PRUNED),
        (Tally(kept=kept(AlreadyGone=5)), PrunePhase.PRUNED),
        (Tally(deleted=5, kept=kept(CopyMissing=1)), PrunePhase.INCOMPLETE),
        (Tally(deleted=5, strangers=1), PrunePhase.INCOMPLETE),
        (Tally(in_trash=5, trashed_at=DUE, unfinished=True, worked=True), PrunePhase.RUNNING),
    ],
)
def test_the_phase_says_what_is_left(tally: Tally, phase: PrunePhase) -> None:
    assert concluded(tally).phase == phase


def test_people_read_how_many_files_lie_where_and_why_others_stay() -> None:
    status = concluded(Tally(in_trash=412, trashed_at=DUE, kept=kept(CopyMissing=1, Held=2)))
    assert status.message == "412 files in the trash until 2027-05-30; 3 kept (2 Held, 1 CopyMissing)"
    assert (status.trashed, status.kept_count) == (412, 3)
    assert status.conditions[0].reason == KeptReason.HELD


def test_an_incomplete_prune_waits_longer_each_time_and_begins_anew_after_success() -> None:
    tally = Tally(kept=kept(CopyMissing=1))
    first = concluded(tally)
    second = concluded(tally, first)
    assert (first.attempts, second.attempts) == (1, 2)
    assert first.retry_at == DUE + timedelta(hours=1)
    assert second.retry_at == DUE + timedelta(hours=2)
    done = concluded(Tally(deleted=415), second)
    assert (done.attempts, done.retry_at) == (0, None)


def test_an_incomplete_prune_does_not_sleep_through_the_day_on_which_its_trash_is_emptied() -> None:
    before = PruneStatus(phase=PrunePhase.INCOMPLETE, attempts=20)
    trashed_at = DUE - KEEP + timedelta(minutes=5)
    status = concluded(Tally(in_trash=1, trashed_at=trashed_at, kept=kept(CopyMissing=1)), before)
    assert status.retry_at == DUE + timedelta(minutes=5)


def test_only_some_kept_files_are_named_and_open_ones_come_first() -> None:
    status = concluded(Tally(kept=kept(AlreadyGone=150, CopyMissing=50)))
    assert status.kept_count == 200
    assert [item.reason for item in status.kept] == ["CopyMissing"] * 50 + ["AlreadyGone"] * 50
    assert set(settled_before(status).values()) == {KeptReason.ALREADY_GONE}


def test_the_date_is_open_while_files_go_into_the_trash() -> None:
    before = PruneStatus(phase=PrunePhase.INCOMPLETE, trashed=3, trashed_at=DUE - KEEP, deleted=4)
    status = running(prune(SCANS, before), DUE)
    assert (status.phase, status.trashed_at, status.deleted) == (PrunePhase.RUNNING, None, 4)


@given(
    deleted=st.integers(0, 100),
    lay=st.lists(st.integers(0, 10**9), min_size=1, max_size=50),
    gone=st.integers(0, 50),
)
def test_counts_are_right_wherever_the_emptying_of_the_trash_was_cut(deleted: int, lay: list[int], gone: int) -> None:
    """Whichever files a killed run deleted, the next one finds the numbers from what is left."""
    before = PruneStatus(phase=PrunePhase.TRASHED, trashed=len(lay), deleted=deleted, bytes_freed=7)
    cut = emptying(prune(SCANS, before), len(lay), sum(lay), DUE)
    assert is_emptying(cut)
    left = lay[gone:]
    after = corrected(prune(SCANS, cut), len(left), sum(left))
    assert not is_emptying(after)
    assert after.deleted == deleted + len(lay) - len(left)
    assert after.bytes_freed == 7 + sum(lay) - sum(left)
    assert corrected(prune(SCANS, after), 0, 0) == after


def test_a_budget_never_spends_more_than_it_has() -> None:
    budget = Budget(2, 100)
    assert budget.fitting([60, 50, 30, 10]) == [0, 2]
    assert [budget.take(size) for size in (60, 50, 30, 1)] == [True, False, True, False]


def test_who_waits_for_a_proof_comes_back_while_it_holds() -> None:
    before = PruneStatus(phase=PrunePhase.INCOMPLETE, attempts=9)
    waiting = concluded(Tally(kept=kept(AwaitingVerification=1, CopyDiffers=1)), before)
    assert waiting.retry_at == DUE + timedelta(hours=8)
    assert concluded(Tally(kept=kept(CopyDiffers=1)), before).retry_at == DUE + timedelta(days=7)
