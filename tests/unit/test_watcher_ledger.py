"""Single decisions of the ledger that the model test does not spell out."""

from dichroism_crds import timestamps
from dichroism_crds.config.quantities import parse_moment
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.records import Changes, FileContent, KnownScan
from dichroism_watcher.stability import Look, Seen
from dichroism_watcher.walk import Listing

QUIET = 10.0
SINCE = timestamps.to_ns(parse_moment("2026-11-01"))
NEW = SINCE + 5_000_000_000
FILE = Seen(100, NEW, 7)
CONTENT = FileContent.of(FILE)


def look(
    ledger: Ledger, at: float, files: dict[str, Seen], *, unreadable: tuple[str, ...] = (), error: str | None = None
) -> Changes:
    """One pass over a tree with the single folder ``day``."""
    ledger.begin_pass()
    ledger.observe(Listing("", Look(at, at)))
    unread = dict.fromkeys(unreadable, "Input/output error")
    changes = ledger.observe(Listing("day", Look(at, at), list(files.items()), unread, error=error))
    changes.vanished += ledger.end_pass().vanished
    return changes


def finished(files: dict[str, Seen] | None = None) -> Ledger:
    """A ledger that has just asked for its files to be submitted."""
    ledger = Ledger(QUIET, SINCE)
    ledger.relisted({}, 0)
    look(ledger, 0, files or {"a.txt": FILE})
    look(ledger, QUIET, files or {"a.txt": FILE})
    return ledger


def accepted() -> Ledger:
    ledger = finished()
    ledger.accepted("day/a.txt", CONTENT, at=11)
    return ledger


def settled() -> Ledger:
    ledger = accepted()
    ledger.relisted({"day/a.txt": KnownScan(CONTENT, succeeded=True)}, 12)
    assert ledger.counts().settled == 1
    return ledger


def content_taken(ledger: Ledger) -> FileContent:
    submission = ledger.take("day/a.txt")
    assert submission is not None
    return submission.content


def test_a_file_is_submitted_once_it_was_seen_unchanged_over_the_quiet_period() -> None:
    ledger = Ledger(QUIET, SINCE)
    assert look(ledger, 0, {"a.txt": FILE}).to_submit == []
    assert look(ledger, QUIET - 0.1, {"a.txt": FILE}).to_submit == []
    assert look(ledger, QUIET, {"a.txt": FILE}).to_submit == ["day/a.txt"]
    assert content_taken(ledger) == CONTENT


def test_a_look_that_takes_long_counts_by_its_safe_ends() -> None:
    ledger = Ledger(QUIET, SINCE)
    ledger.observe(Listing("", Look(0, 5), [("a.txt", FILE)]))
    assert ledger.observe(Listing("", Look(14, 14.5), [("a.txt", FILE)])).to_submit == []
    assert ledger.observe(Listing("", Look(15, 16), [("a.txt", FILE)])).to_submit == ["a.txt"]


def test_another_inode_with_the_same_size_and_time_starts_the_quiet_period_anew() -> None:
    ledger = Ledger(QUIET, SINCE)
    look(ledger, 0, {"a.txt": FILE})
    assert look(ledger, QUIET, {"a.txt": FILE._replace(inode=8)}).to_submit == []
    assert look(ledger, 2 * QUIET, {"a.txt": FILE._replace(inode=8)}).to_submit == ["day/a.txt"]


def test_a_file_from_before_since_is_left_alone_unless_it_has_a_scan() -> None:
    old = FILE._replace(mtime_ns=SINCE - 1)
    ledger = Ledger(QUIET, SINCE)
    ledger.relisted({"day/b.txt": KnownScan(CONTENT, succeeded=True)}, 0)
    look(ledger, 0, {"a.txt": old, "b.txt": old})
    assert look(ledger, QUIET, {"a.txt": old, "b.txt": old}).to_submit == ["day/b.txt"]
    assert ledger.counts().observed == 0


def test_an_empty_file_is_held_and_reported_once_and_taken_when_it_has_content() -> None:
    ledger = Ledger(QUIET, SINCE)
    empty = {"a.txt": FILE._replace(size=0)}
    look(ledger, 0, empty)
    assert look(ledger, 5 * QUIET, empty) == Changes()
    assert look(ledger, 10 * QUIET, empty).empty == ["day/a.txt"]
    assert look(ledger, 20 * QUIET, empty) == Changes()
    look(ledger, 21 * QUIET, {"a.txt": FILE})
    assert look(ledger, 22 * QUIET, {"a.txt": FILE}).to_submit == ["day/a.txt"]


def test_a_file_that_had_a_scan_and_is_empty_now_is_passed_on() -> None:
    ledger = accepted()
    empty = {"a.txt": FILE._replace(size=0, mtime_ns=NEW + 10_000)}
    look(ledger, 20, empty)
    assert look(ledger, 30, empty).to_submit == ["day/a.txt"]


def test_a_rewritten_file_is_submitted_again_under_the_same_path() -> None:
    ledger = accepted()
    longer = FILE._replace(size=200, mtime_ns=NEW + 10_000)
    assert look(ledger, 20, {"a.txt": longer}).to_submit == []
    assert look(ledger, 30, {"a.txt": longer}).to_submit == ["day/a.txt"]
    assert content_taken(ledger) == FileContent.of(longer)


def test_a_change_below_a_microsecond_is_no_new_content() -> None:
    ledger = accepted()
    look(ledger, 20, {"a.txt": FILE._replace(mtime_ns=NEW + 999)})
    assert look(ledger, 30, {"a.txt": FILE._replace(mtime_ns=NEW + 999)}).to_submit == []


def test_a_content_that_changed_while_it_was_queued_is_not_submitted() -> None:
    ledger = finished()
    look(ledger, 11, {"a.txt": FILE._replace(size=101)})
    assert ledger.take("day/a.txt") is None
    assert look(ledger, 21, {"a.txt": FILE._replace(size=101)}).to_submit == ["day/a.txt"]


def test_a_content_that_changed_while_the_request_was_under_way_is_submitted_next() -> None:
    ledger = finished()
    assert content_taken(ledger) == CONTENT
    longer = FILE._replace(size=101)
    look(ledger, 11, {"a.txt": longer})
    assert look(ledger, 21, {"a.txt": longer}).to_submit == []
    assert ledger.accepted("day/a.txt", CONTENT, at=22).to_submit == ["day/a.txt"]
    assert content_taken(ledger) == FileContent.of(longer)


def test_a_refused_content_rests_until_the_file_changes() -> None:
    ledger = finished()
    assert ledger.refused("day/a.txt", CONTENT, "no").to_submit == []
    assert look(ledger, 100, {"a.txt": FILE}) == Changes()
    assert ledger.counts().quarantined == 1
    longer = {"a.txt": FILE._replace(size=101)}
    look(ledger, 101, longer)
    assert look(ledger, 111, longer).to_submit == ["day/a.txt"]


def test_names_that_no_mover_can_carry_are_quarantined_once_and_others_go_on() -> None:
    ledger = Ledger(QUIET, SINCE)
    tree = {"caf\udce9.txt": FILE, "new\nline.txt": FILE, "x" * 1100: FILE, "a.txt": FILE}
    assert set(look(ledger, 0, tree).quarantined) == {"day/caf\udce9.txt", "day/new\nline.txt", "day/" + "x" * 1100}
    changes = look(ledger, QUIET, {name: seen._replace(size=101) for name, seen in tree.items()} | {"a.txt": FILE})
    assert changes == Changes(to_submit=["day/a.txt"])
    assert ledger.counts().quarantined == 3


def test_a_file_whose_scan_was_deleted_before_it_succeeded_is_submitted_again() -> None:
    ledger = accepted()
    assert ledger.relisted({}, began=12).to_submit == ["day/a.txt"]


def test_a_list_begun_before_the_scan_was_accepted_does_not_mean_it_is_gone() -> None:
    ledger = accepted()
    assert ledger.relisted({}, began=10.5).to_submit == []
    assert ledger.counts().accepted == 1


def test_a_file_whose_scan_was_seen_to_succeed_is_not_submitted_again_when_the_scan_is_collected() -> None:
    ledger = settled()
    assert ledger.relisted({}, began=60) == Changes()
    assert look(ledger, 100, {"a.txt": FILE}) == Changes()
    assert look(ledger, 200, {"a.txt": FILE}) == Changes()


def test_a_settled_file_that_is_rewritten_is_submitted_again() -> None:
    ledger = settled()
    longer = {"a.txt": FILE._replace(size=101)}
    look(ledger, 100, longer)
    assert look(ledger, 110, longer).to_submit == ["day/a.txt"]


def test_success_of_another_content_does_not_settle_a_file() -> None:
    ledger = accepted()
    other = KnownScan(CONTENT._replace(size=1), succeeded=True)
    assert ledger.relisted({"day/a.txt": other}, began=12).to_submit == ["day/a.txt"]


def test_a_file_whose_scan_is_listed_with_its_content_needs_no_request() -> None:
    ledger = Ledger(QUIET, SINCE)
    ledger.relisted({"day/a.txt": KnownScan(CONTENT, succeeded=False)}, 0)
    look(ledger, 0, {"a.txt": FILE})
    assert look(ledger, QUIET, {"a.txt": FILE}).to_submit == []
    assert ledger.counts().accepted == 1


def test_a_folder_that_cannot_be_read_keeps_what_is_known_of_its_files() -> None:
    ledger = settled()
    assert look(ledger, 50, {}, error="Input/output error") == Changes()
    assert look(ledger, 60, {}, unreadable=("a.txt",)) == Changes()
    assert look(ledger, 70, {}, unreadable=("a.txt",)) == Changes()
    assert ledger.counts().settled == 1
    assert look(ledger, 100, {"a.txt": FILE}) == Changes()


def test_a_folder_whose_parent_cannot_be_read_keeps_what_is_known_of_its_files() -> None:
    ledger = settled()
    ledger.begin_pass()
    ledger.observe(Listing("", Look(50, 50), unreadable={"day": "Stale file handle"}))
    assert ledger.end_pass() == Changes()
    assert ledger.counts().settled == 1


def test_a_pass_that_is_broken_off_forgets_nothing() -> None:
    ledger = settled()
    ledger.begin_pass()
    ledger.observe(Listing("", Look(50, 50)))
    assert look(ledger, 100, {"a.txt": FILE}) == Changes()
    assert ledger.counts().settled == 1


def test_a_file_that_goes_before_it_was_accepted_is_told_and_one_that_was_accepted_is_not() -> None:
    assert look(finished(), 20, {}).vanished == ["day/a.txt"]
    assert look(accepted(), 20, {}).vanished == []


def test_a_removed_folder_is_forgotten() -> None:
    ledger = finished()
    ledger.begin_pass()
    ledger.observe(Listing("", Look(50, 50)))
    assert ledger.end_pass().vanished == ["day/a.txt"]
    assert sum(ledger.counts()) == 0
