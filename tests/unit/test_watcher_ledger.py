"""Single decisions of the ledger that the model test does not spell out."""

from dichroism_crds import timestamps
from dichroism_crds.config.quantities import parse_moment
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.records import Changes, FileContent, Held, KnownScan, Missing
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


def glance(ledger: Ledger, at: float, files: dict[str, Seen], told: frozenset[str] = frozenset()) -> Changes:
    return ledger.glance(Listing("day", Look(at, at), list(files.items()), told=told))


def test_a_glance_says_when_the_file_may_be_finished_and_forgets_nobody() -> None:
    ledger = Ledger(QUIET, SINCE)
    look(ledger, 0, {"a.txt": FILE, "b.txt": FILE})
    assert glance(ledger, 3, {"c.txt": FILE}).due == [(13, "day/c.txt")]
    assert glance(ledger, 12, {"c.txt": FILE}).due == [(13, "day/c.txt")]
    changes = glance(ledger, 13, {"c.txt": FILE})
    assert (changes.to_submit, changes.due) == (["day/c.txt"], [])
    assert look(ledger, 20, {"a.txt": FILE, "b.txt": FILE, "c.txt": FILE}).to_submit == ["day/a.txt", "day/b.txt"]


def test_a_pass_that_began_before_a_glance_undoes_nothing_that_the_glance_saw() -> None:
    ledger = Ledger(QUIET, SINCE)
    glance(ledger, 5, {"new.txt": FILE, "grown.txt": FILE._replace(size=101)})
    stale = Listing("day", Look(4, 4.5), [("grown.txt", FILE)])
    ledger.begin_pass()
    assert ledger.observe(stale).vanished == []
    assert ledger.end_pass().vanished == []
    changes = glance(ledger, 15, {"new.txt": FILE, "grown.txt": FILE._replace(size=101)})
    assert changes.to_submit == ["day/new.txt", "day/grown.txt"]


def test_a_file_whose_end_was_told_waits_for_a_second_only() -> None:
    ledger = Ledger(QUIET, SINCE)
    told = frozenset({"a.txt"})
    assert glance(ledger, 0, {"a.txt": FILE}, told).due == [(1, "day/a.txt")]
    assert glance(ledger, 1, {"a.txt": FILE}, told).to_submit == ["day/a.txt"]
    longer = {"a.txt": FILE._replace(size=101)}
    assert glance(ledger, 2, longer).due == [(12, "day/a.txt")]


def restored(*, safe: bool, scan_path: str | None = None, seen: Seen = FILE) -> Ledger:
    ledger = Ledger(QUIET, SINCE)
    ledger.restore("day/a.txt", Held(FileContent.of(seen), 1, seen.inode, safe, scan_path))
    return ledger


def test_what_the_journal_calls_safe_is_not_looked_at_again() -> None:
    ledger = restored(safe=True)
    ledger.relisted({}, 0)
    look(ledger, 0, {"a.txt": FILE})
    assert look(ledger, QUIET, {"a.txt": FILE}) == Changes()


def test_what_the_journal_calls_accepted_is_submitted_when_its_scan_is_gone_however_old_it_is() -> None:
    old = FILE._replace(mtime_ns=SINCE - 1000)
    ledger = restored(safe=False, seen=old)
    ledger.relisted({}, 0)
    look(ledger, 0, {"a.txt": old})
    assert look(ledger, QUIET, {"a.txt": old}).to_submit == ["day/a.txt"]


def test_files_of_the_journal_that_went_are_told() -> None:
    assert look(restored(safe=True), 0, {}).missing == {"day": Missing()}
    ledger = restored(safe=False)
    ledger.begin_pass()
    ledger.observe(Listing("", Look(0, 0)))
    assert ledger.end_pass().gone == ["day/a.txt"]
    assert ledger.end_pass().gone == []


def test_files_of_the_journal_that_cannot_be_looked_at_are_not_called_gone() -> None:
    ledger = restored(safe=False)
    ledger.begin_pass()
    ledger.observe(Listing("", Look(0, 0), unreadable={"day": "Stale file handle"}))
    assert ledger.end_pass().gone == []


def test_an_old_file_that_had_a_scan_under_another_content_counts_when_it_is_tracked() -> None:
    old = FILE._replace(mtime_ns=SINCE - 1000)
    ledger = restored(safe=True, seen=old)
    ledger.relisted({}, 0)
    changed = {"a.txt": old._replace(size=7)}
    assert look(ledger, 0, changed).missing == {"day": Missing(frozenset({"a.txt"}), frozenset({"a.txt"}))}
    ledger.track("day/a.txt")
    look(ledger, 1, changed)
    assert look(ledger, 1 + QUIET, changed).to_submit == ["day/a.txt"]


def test_a_moved_file_is_held_by_the_scan_of_its_old_path_until_it_changes() -> None:
    ledger = finished()
    before = KnownScan(CONTENT, succeeded=False, transferred=True)
    ledger.relisted({"old.txt": before}, 0)
    changes = ledger.moved("day/a.txt", "old.txt", CONTENT, at=12)
    assert changes.held == {"day/a.txt": Held(CONTENT, 0, FILE.inode, safe=False, scan_path="old.txt")}
    changes = ledger.told("old.txt", before._replace(succeeded=True, moved_to="day/a.txt"))
    assert changes.held == {"day/a.txt": Held(CONTENT, 0, FILE.inode, safe=True, scan_path="old.txt")}
    assert ledger.counts().settled == 1


def test_a_moved_file_gets_its_own_scan_when_the_one_of_its_old_path_goes_or_it_changes() -> None:
    ledger = finished()
    ledger.relisted({"old.txt": KnownScan(CONTENT, succeeded=False, transferred=True)}, 0)
    ledger.moved("day/a.txt", "old.txt", CONTENT, at=12)
    assert ledger.told("old.txt", None).to_submit == ["day/a.txt"]


def test_without_a_journal_the_scan_that_names_the_place_of_a_moved_file_stands_for_it() -> None:
    ledger = finished()
    named = KnownScan(CONTENT, succeeded=False, transferred=True, moved_to="day/a.txt")
    ledger.relisted({"old.txt": named}, 0)
    assert ledger.standing_for("day/a.txt", CONTENT) == "old.txt"
    assert ledger.standing_for("day/a.txt", CONTENT._replace(size=1)) is None
    assert ledger.standing_for("day/b.txt", CONTENT) is None
    ledger.told("old.txt", named._replace(transferred=False))
    assert ledger.standing_for("day/a.txt", CONTENT) is None, "what was not copied from its old path never will be"


def test_a_file_with_a_scan_of_its_own_follows_that_whatever_it_was_linked_to_before() -> None:
    ledger = finished()
    before = KnownScan(CONTENT, succeeded=False, transferred=True)
    ledger.relisted({"old.txt": before}, 0)
    ledger.moved("day/a.txt", "old.txt", CONTENT, at=12)
    changes = ledger.relisted({"old.txt": before, "day/a.txt": KnownScan(CONTENT, succeeded=True)}, 13)
    assert changes.held == {"day/a.txt": Held(CONTENT, 0, FILE.inode, safe=True)}


def test_a_scan_stands_for_one_place_of_its_file_the_last() -> None:
    ledger = finished()
    before = KnownScan(CONTENT, succeeded=False, transferred=True)
    ledger.relisted({"old.txt": before}, 0)
    ledger.moved("day/a.txt", "old.txt", CONTENT, at=12)
    look(ledger, 13, {"b.txt": FILE})
    look(ledger, 13 + QUIET, {"b.txt": FILE})
    ledger.moved("day/b.txt", "old.txt", CONTENT, at=24)
    look(ledger, 25, {"a.txt": FILE, "b.txt": FILE})
    assert look(ledger, 25 + QUIET, {"a.txt": FILE, "b.txt": FILE}).to_submit == ["day/a.txt"]
    changes = ledger.told("old.txt", before._replace(succeeded=True, moved_to="day/b.txt"))
    assert changes.held.keys() == {"day/b.txt"}


def test_what_the_journal_proves_safe_is_held_by_the_scan_that_the_journal_names() -> None:
    ledger = finished()
    ledger.relisted({"old.txt": KnownScan(CONTENT, succeeded=False, transferred=True)}, 0)
    ledger.moved("day/a.txt", "old.txt", CONTENT, at=12)
    look(ledger, 13, {})
    other = FILE._replace(size=7)
    look(ledger, 14, {"a.txt": other})
    look(ledger, 14 + QUIET, {"a.txt": other})
    changes = ledger.proven_safe("day/a.txt", FileContent.of(other))
    assert changes.held == {"day/a.txt": Held(FileContent.of(other), 0, FILE.inode, safe=True)}


def test_a_file_that_is_back_at_the_path_of_its_scan_has_its_scan_told() -> None:
    ledger = Ledger(QUIET, SINCE)
    ledger.relisted({"day/a.txt": KnownScan(CONTENT, succeeded=False, transferred=True, moved_to="b.txt")}, 0)
    look(ledger, 0, {"a.txt": FILE})
    assert look(ledger, QUIET, {"a.txt": FILE}).to_submit == ["day/a.txt"]
    ledger.accepted("day/a.txt", CONTENT, at=12)
    assert ledger.counts().accepted == 1
    assert ledger.known("day/a.txt") == KnownScan(CONTENT, succeeded=False, transferred=True)


def test_a_scan_that_the_watch_says_is_deleted_or_changed_is_submitted_again() -> None:
    ledger = accepted()
    assert ledger.told("day/a.txt", None).to_submit == ["day/a.txt"]
    ledger = accepted()
    assert ledger.told("day/a.txt", KnownScan(CONTENT._replace(size=1), succeeded=True)).to_submit == ["day/a.txt"]


def test_the_success_of_a_scan_whose_file_is_gone_is_told_once() -> None:
    ledger = Ledger(QUIET, SINCE)
    done = KnownScan(CONTENT, succeeded=True)
    assert ledger.relisted({"day/a.txt": done}, 0).succeeded == {"day/a.txt": CONTENT}
    assert ledger.relisted({"day/a.txt": done}, 1).succeeded == {}
    assert ledger.told("day/a.txt", done).succeeded == {}
    assert ledger.told("day/b.txt", done).succeeded == {"day/b.txt": CONTENT}
