"""What a finished file is taken for, and when a backfill may go on."""

from typing import Any

import pytest

from dichroism_crds.names import Origin
from dichroism_watcher.backfill import LIVE_PATIENCE_S, MOST_UNSAFE, MOST_WAITING, Gate
from dichroism_watcher.journal_file import Row
from dichroism_watcher.recognise import is_safe, origin_of, places_before, row_of
from dichroism_watcher.records import FileContent, Held, KnownScan, Submission

CONTENT = FileContent(100, 1795366991123456)
OTHER = CONTENT._replace(size=101)
FILE = Submission(CONTENT, device=1, inode=7, changed_ns=1000)
ROW = Row("BL402", "old.txt", CONTENT, 1, 7, safe=False)
COPIED = KnownScan(CONTENT, succeeded=False, transferred=True)


@pytest.mark.parametrize(
    ("row", "safe"), [(None, False), (ROW, False), (ROW._replace(safe=True), True)], ids=["unknown", "accepted", "safe"]
)
def test_only_a_row_that_saw_this_content_succeed_proves_it_safe(row: Row | None, safe: bool) -> None:
    assert is_safe(FILE, row) is safe
    assert not is_safe(FILE._replace(content=OTHER), row)


@pytest.mark.parametrize(
    ("row", "met_until_ns", "origin"),
    [
        (None, 999, Origin.LIVE),
        (None, 1000, Origin.RECOVERED),
        (None, None, Origin.RECOVERED),
        (ROW, 999, Origin.RECOVERED),
        (ROW._replace(content=OTHER), 999, Origin.LIVE),
    ],
    ids=["new", "older than the journal", "not every file was met yet", "had a Scan", "another content"],
)
def test_a_file_that_may_have_been_carried_is_recovered(
    row: Row | None, met_until_ns: int | None, origin: Origin
) -> None:
    assert origin_of(FILE, row, met_until_ns) is origin


@pytest.mark.parametrize(
    ("row", "scan", "moved"),
    [
        (ROW, COPIED, True),
        (ROW, None, False),
        (ROW, COPIED._replace(transferred=False), False),
        (ROW, COPIED._replace(content=OTHER), False),
        (ROW._replace(safe=True), None, True),
        (ROW._replace(path="new.txt"), COPIED, False),
    ],
    ids=["copied", "no Scan", "not copied", "another content copied", "safe, Scan collected", "the same path"],
)
def test_a_file_counts_as_moved_only_when_its_content_was_copied_from_its_old_path(
    row: Row, scan: KnownScan | None, moved: bool
) -> None:
    scans = {"old.txt": scan, "new.txt": scan}
    assert places_before("new.txt", [row], scans.get) == ([row] if moved else [])


def test_what_was_safe_stays_safe_with_its_scan_until_the_content_changes() -> None:
    before = ROW._replace(safe=True, scan_path="first.txt", gone_at=5)
    again = row_of("BL402", "old.txt", Held(CONTENT, 1, 7, safe=False), before)
    assert again == before._replace(gone_at=None)
    changed = row_of("BL402", "old.txt", Held(OTHER, 1, 7, safe=False), before)
    assert changed == Row("BL402", "old.txt", OTHER, 1, 7, safe=False)


def scans(number: int, *, live: bool = False, **state: Any) -> dict[str, KnownScan]:
    one = KnownScan(CONTENT, succeeded=False, live=live)._replace(**state)
    return {f"{sorted(state)}{index}": one for index in range(number)}


def test_a_backfill_waits_for_copies_and_for_safety_and_not_for_what_ended() -> None:
    gate = Gate()
    assert gate.closed(scans(MOST_WAITING - 1), 0) == ""
    assert "wait for their first copy" in gate.closed(scans(MOST_WAITING), 0)
    assert gate.closed(scans(MOST_WAITING, ended=True) | scans(MOST_WAITING, succeeded=True), 0) == ""
    assert gate.closed(scans(MOST_UNSAFE - 1, transferred=True), 0) == ""
    assert "not safe yet" in gate.closed(scans(MOST_UNSAFE, transferred=True), 0)


def test_a_backfill_lets_live_files_go_first_but_not_one_that_is_stuck() -> None:
    gate = Gate()
    stuck = {"stuck.txt": KnownScan(CONTENT, succeeded=False)}
    assert gate.closed(stuck, 0) == "live files go first"
    assert gate.closed(stuck, LIVE_PATIENCE_S) == ""
    assert gate.closed({**stuck, "new.txt": stuck["stuck.txt"]}, LIVE_PATIENCE_S + 1) == "live files go first"
    assert gate.closed(scans(1, live=True, transferred=True), LIVE_PATIENCE_S + 2) == ""
