"""What the Globus mover concludes from what a task says: never more than was seen."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import FileStat, Item
from dichroism_operator.movers.globus.documents import FAILED, SUCCEEDED, Entry, Sent, Skipped, TaskDocument
from dichroism_operator.movers.globus.errors import MalformedAnswerError
from dichroism_operator.movers.globus.reactions import Do, react, reason_of
from dichroism_operator.movers.globus.results import Claim, account, copy_trouble, source_trouble, verified
from tests.unit.mover_contract import MOMENT

DIGEST = "a" * 64
SEEN = FileStat(10, MOMENT.replace(microsecond=0))
ENDED = TaskDocument.from_wire({"task_id": "t", "status": SUCCEEDED})


def task(status: str, **wire: object) -> TaskDocument:
    return TaskDocument.from_wire({"task_id": "t", "status": status, **wire})


def fatal(code: str, **wire: object) -> TaskDocument:
    return task(FAILED, fatal_error={"code": code, "description": "because"}, **wire)


def item(name: str = "a") -> Item:
    return Item(name, 10, MOMENT)


FATES = st.lists(st.sampled_from(["sent", "skipped", "unlisted", "not given"]), max_size=12)


@given(FATES, st.sampled_from([SUCCEEDED, FAILED]), st.booleans(), st.integers(-1, 1))
def test_an_item_is_claimed_only_when_the_task_vouches_for_it(
    fates: list[str], status: str, complete: bool, error: int
) -> None:
    """``error``: how far the task's own count of files that were right before is off."""
    if complete:
        fates = [fate for fate in fates if fate != "not given"]
    items = [item(str(number)) for number in range(len(fates))]
    names = {one.path: f"/collection/{one.path}" for one in items}
    by_fate = {fate: [one for one, its in zip(items, fates, strict=True) if its == fate] for fate in set(fates)}
    count = max(0, len(by_fate.get("unlisted", [])) + error)
    found = account(
        replace(ENDED, status=status, files_skipped=count),
        items,
        names,
        [Sent(names[one.path], 10, DIGEST) for one in by_fate.get("sent", [])],
        [Skipped(names[one.path], "FILE_NOT_FOUND", "") for one in by_fate.get("skipped", [])],
        complete=complete,
    )
    assert {claim.item for claim in found.claims if claim.sent} == set(by_fate.get("sent", []))
    assert {one.path for one in found.troubles} == {one.path for one in by_fate.get("skipped", [])}
    rest = {*by_fate.get("unlisted", []), *by_fate.get("not given", [])}
    right_before = {claim.item for claim in found.claims if not claim.sent}
    assert right_before | set(found.unreached) == rest
    assert not (right_before and found.unreached)
    vouched = status == SUCCEEDED and (complete or len(rest) == count)
    assert right_before == (rest if vouched else set())


def test_a_copy_counts_with_the_right_size_and_second_alone() -> None:
    good = Entry("a", False, SEEN)
    assert copy_trouble(item(), good) is None
    cases = {
        None: Reason.COPY_MISSING,
        Entry("a", True, None): Reason.DESTINATION_OBSTRUCTED,
        Entry("a", False, replace(SEEN, size=9)): Reason.COPY_DIFFERS,
        Entry("a", False, replace(SEEN, modified_at=SEEN.modified_at + timedelta(seconds=1))): Reason.COPY_DIFFERS,
    }
    for found, reason in cases.items():
        trouble = copy_trouble(item(), found)
        assert trouble is not None
        assert trouble.reason is reason


def test_a_source_must_still_be_the_file_that_was_asked_for() -> None:
    assert source_trouble(item(), SEEN) is None
    gone, grown = source_trouble(item(), None), source_trouble(item(), replace(SEEN, size=11))
    assert gone is not None
    assert grown is not None
    assert (gone.reason, grown.reason) == (Reason.SOURCE_MISSING, Reason.SOURCE_CHANGED)


def test_what_differs_from_the_checksum_of_record_is_never_verified() -> None:
    of_record = replace(item(), sha256="b" * 64)
    assert verified(Claim(of_record, False, None), DIGEST).reason is Reason.CHECKSUM_MISMATCH
    assert verified(Claim(of_record, True, None), "b" * 64).verified


@pytest.mark.parametrize(
    ("algorithm", "checksum", "known"),
    [("SHA256", DIGEST, True), ("sha-256", DIGEST.upper(), True), ("MD5", "a" * 32, False), ("SHA256", "zz", False)],
)
def test_only_a_real_sha256_is_taken_for_one(algorithm: str, checksum: str, known: bool) -> None:
    row = {"destination_path": "/a", "checksum": checksum, "checksum_algorithm": algorithm}
    assert Sent.from_wire(row).sha256 == (DIGEST if known else None)


@pytest.mark.parametrize(
    "wire", [{}, {"type": "file", "name": "a", "size": 1}, {"type": "file", "name": "a", "last_modified": "soon"}]
)
def test_half_a_document_is_no_answer(wire: dict[str, object]) -> None:
    with pytest.raises(MalformedAnswerError):
        Entry.from_wire(wire)


def test_a_link_is_no_file_wherever_it_leads() -> None:
    wire = {"name": "a", "type": "file", "size": 1, "last_modified": "2026-11-22 17:03:11+00:00", "link_target": "b"}
    assert Entry.from_wire(wire) == Entry("a", False, None)
    assert Entry.from_wire(wire | {"type": "dir"}) == Entry("a", False, None)


RUNNING = {
    "fine": (task("ACTIVE", nice_status="OK"), Do.WAIT, None),
    "queued": (task("ACTIVE", nice_status="Queued"), Do.WAIT, None),
    "unreachable": (task("ACTIVE", nice_status="CONNECT_FAILED"), Do.WAIT, Reason.ENDPOINT_UNAVAILABLE),
    "personal endpoint off": (task("ACTIVE", nice_status="GC_NOT_CONNECTED"), Do.WAIT, Reason.ENDPOINT_UNAVAILABLE),
    "paused": (task("ACTIVE", is_paused=True), Do.WAIT, Reason.ENDPOINT_PAUSED),
    "personal endpoint paused": (task("ACTIVE", nice_status="GC_PAUSED"), Do.WAIT, Reason.ENDPOINT_PAUSED),
    "inactive": (task("INACTIVE"), Do.REVIVE, Reason.CREDENTIALS_REFUSED),
    "no login": (task("ACTIVE", nice_status="NO_CREDENTIALS"), Do.REVIVE, Reason.CREDENTIALS_REFUSED),
    "file missing": (task("ACTIVE", nice_status="FILE_NOT_FOUND"), Do.CANCEL, None),
    "file refused": (task("ACTIVE", nice_status="PERMISSION_DENIED"), Do.CANCEL, None),
    "full": (task("ACTIVE", nice_status="QUOTA_EXCEEDED"), Do.CANCEL, Reason.DESTINATION_FULL),
    "a new word": (task("ACTIVE", nice_status="SOMETHING_NEW"), Do.WAIT, None),
}
ENDS = {
    "succeeded": (task(SUCCEEDED), Do.SETTLE, None),
    "history gone": (task(SUCCEEDED, history_deleted=True), Do.LOST, Reason.RESULTS_LOST),
    "expired": (fatal("EXPIRED"), Do.SETTLE, Reason.TASK_EXPIRED),
    "canceled": (fatal("CANCELED"), Do.SETTLE, Reason.TASK_CANCELED),
    "full": (fatal("NO_SPACE_LEFT"), Do.SETTLE, Reason.DESTINATION_FULL),
    "login": (fatal("AUTH"), Do.SETTLE, Reason.CREDENTIALS_REFUSED),
    "unreachable": (fatal("CONNECT_FAILED"), Do.SETTLE, Reason.ENDPOINT_UNAVAILABLE),
    "one wrong file": (fatal("EXTERNAL_CHECKSUM_MISMATCH"), Do.BISECT, None),
    "a new word": (fatal("SOMETHING_NEW"), Do.BISECT, None),
}


@pytest.mark.parametrize("case", RUNNING)
def test_the_table_of_running_tasks(case: str) -> None:
    seen, do, reason = RUNNING[case]
    reaction = react(seen)
    assert (reaction.do, reaction.reason) == (do, reason)


@pytest.mark.parametrize("case", ENDS)
def test_the_table_of_ends(case: str) -> None:
    seen, do, reason = ENDS[case]
    reaction = react(seen)
    assert (reaction.do, reaction.reason) == (do, reason)
    assert reaction.message or do is Do.SETTLE


def test_an_administrators_words_are_passed_on() -> None:
    seen = fatal("CANCELED", canceled_by_admin=True, canceled_by_admin_message="too many small files")
    assert "too many small files" in react(seen).message


def test_our_own_cancellation_is_nobody_elses() -> None:
    assert react(fatal("CANCELED"), canceled_for=Reason.TASK_FAILED).do is Do.BISECT
    full = react(fatal("CANCELED"), canceled_for=Reason.DESTINATION_FULL)
    assert (full.do, full.reason) == (Do.SETTLE, Reason.DESTINATION_FULL)
    assert react(task(SUCCEEDED), canceled_for=Reason.TASK_FAILED).do is Do.SETTLE


@given(st.text(max_size=20))
def test_any_code_means_something_for_a_file(code: str) -> None:
    assert isinstance(reason_of(code), Reason)
    assert reason_of(None) is Reason.TASK_FAILED
