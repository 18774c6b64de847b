"""The journal on a real disk: what survives a crash, a full disk, damage, and two watchers."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_watcher.journal import Journal, JournalLockedError
from dichroism_watcher.journal_file import KEPT_ASIDE, JournalError, JournalFile, Row
from dichroism_watcher.records import FileContent

ROW = Row("BL402", "2026/261122/a.txt", FileContent(100, 1795366991123456), 2049, 77, safe=False)
BIG = 2**64 - 5


def write(journal: Journal) -> None:
    """One turn of the journal's own loop."""
    batch = journal._batch()
    journal._commit(*batch)
    journal._written(*batch)


OPENED: list[Journal] = []


def opened(path: Path) -> Journal:
    """A journal that is closed at the end of the test."""
    OPENED.append(Journal.open(path))
    return OPENED[-1]


def reopened(journal: Journal) -> Journal:
    """As after a crash: what was not committed is gone."""
    crash(journal)
    return opened(journal.path)


def crash(journal: Journal) -> None:
    journal._close_files()
    if journal._lock is not None:
        journal._lock.close()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state" / "journal.db"
    while OPENED:
        crash(OPENED.pop())


def test_what_was_committed_is_there_after_a_crash_and_what_was_put_is_known_before(path: Path) -> None:
    journal = opened(path)
    journal.put(ROW)
    assert journal.row("BL402", ROW.path) == ROW
    write(journal)
    journal.put(ROW._replace(safe=True))
    assert journal.row("BL402", ROW.path) == ROW._replace(safe=True)
    assert list(reopened(journal).rows("BL402")) == [ROW]


def test_what_was_there_before_the_journal_is_settled_once_for_each_root(path: Path) -> None:
    journal = opened(path)
    assert journal.met_until("BL402", "data402") is None
    journal.met_all("BL402", "data402", 1000)
    write(journal)
    journal = reopened(journal)
    journal.met_all("BL402", "data402", 2000)
    assert journal.met_until("BL402", "data402") == 1000
    assert journal.met_until("BL402", "elsewhere") is None
    assert journal.met_until("BL631", "data402") is None


def test_a_file_is_found_by_its_inode_with_its_content_only(path: Path) -> None:
    journal = opened(path)
    journal.put(ROW)
    for _ in range(2):
        assert journal.rows_of("BL402", 2049, 77, ROW.content) == [ROW]
        assert journal.rows_of("BL402", 2050, 77, ROW.content) == []
        assert journal.rows_of("BL631", 2049, 77, ROW.content) == []
        assert journal.rows_of("BL402", 2049, 77, ROW.content._replace(size=1)) == []
        write(journal)
    journal.remove("BL402", ROW.path)
    assert journal.rows_of("BL402", 2049, 77, ROW.content) == []


def test_inodes_of_64_bits_are_kept(path: Path) -> None:
    journal = opened(path)
    row = ROW._replace(device=BIG, inode=BIG - 1)
    journal.put(row)
    write(journal)
    assert reopened(journal).rows_of("BL402", BIG, BIG - 1, row.content) == [row]


def test_rows_of_a_folder_are_not_those_below_it(path: Path) -> None:
    journal = opened(path)
    for name in ("2026/261122/b.txt", "2026/261122/below/c.txt", "top.txt"):
        journal.put(ROW._replace(path=name))
    write(journal)
    journal.put(ROW._replace(path="2026/261122/d.txt"))
    journal.remove("BL402", "2026/261122/b.txt")
    assert [row.path for row in journal.rows_in("BL402", "2026/261122")] == ["2026/261122/d.txt"]
    assert [row.path for row in journal.rows_in("BL402", "")] == ["top.txt"]


def test_a_second_watcher_is_kept_away_until_the_first_has_ended(path: Path) -> None:
    first = opened(path)
    with pytest.raises(JournalLockedError, match="--journal"):
        Journal.open(path)
    first.close()
    Journal.open(path).close()


@pytest.mark.parametrize("damage", [b"this is no database at all", b""])
def test_a_journal_that_is_none_is_set_aside_and_a_new_one_knows_nothing(path: Path, damage: bytes) -> None:
    journal = opened(path)
    journal.put(ROW)
    journal.close()
    path.write_bytes(damage)
    journal = opened(path)
    assert journal.row("BL402", ROW.path) is None
    kept = [one.read_bytes() for one in path.parent.glob("*.broken-*")]
    assert kept == ([damage] if damage else [])
    journal.close()


def test_damage_in_the_middle_of_the_file_is_found_at_the_start(path: Path) -> None:
    journal = opened(path)
    for number in range(2000):
        journal.put(ROW._replace(path=f"day/{number}.txt"))
    write(journal)
    journal.close()
    with open(path, "r+b") as file:
        file.seek(8192)
        file.write(os.urandom(8192))
    journal = opened(path)
    assert list(journal.rows("BL402")) == []
    assert len(list(path.parent.glob("*.broken-*"))) == 1
    journal.close()


def test_few_broken_journals_are_kept(path: Path) -> None:
    for number in range(2 * KEPT_ASIDE):
        Journal.open(path).close()
        path.write_bytes(b"broken")
        for one in list(path.parent.glob("*.broken-*")):
            one.rename(path.parent / f"{path.name}.broken-20261122T0000{number:02}")
    Journal.open(path).close()
    assert 1 <= len(list(path.parent.glob("*.broken-*"))) <= KEPT_ASIDE


def test_a_journal_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    Journal.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="newer version"):
        Journal.open(path)
    assert not list(path.parent.glob("*.broken-*"))


def full(journal: Journal, *, disk_is_full: bool) -> None:
    """Let the database take no more pages, as on a full disk."""
    assert journal._writer is not None
    list(journal._writer._execute(f"PRAGMA max_page_count = {10 if disk_is_full else 10**9}"))


def test_with_a_full_disk_it_answers_from_memory_and_writes_all_once_there_is_room(path: Path) -> None:
    journal = opened(path)
    full(journal, disk_is_full=True)
    rows = [ROW._replace(path=f"day/{number}.txt", inode=number) for number in range(3000)]
    for row in rows:
        journal.put(row)
    with pytest.raises(JournalError, match="look after the disk"):
        write(journal)
    assert journal.row("BL402", "day/7.txt") == rows[7]
    assert journal.rows_of("BL402", 2049, 8, ROW.content) == [rows[8]]
    full(journal, disk_is_full=False)
    write(journal)
    assert sorted(reopened(journal).rows("BL402")) == sorted(rows)


def test_what_was_put_while_a_batch_was_written_is_not_forgotten(path: Path) -> None:
    journal = opened(path)
    journal.put(ROW)
    batch = journal._batch()
    journal._commit(*batch)
    journal.put(ROW._replace(safe=True))
    journal._written(*batch)
    write(journal)
    assert list(reopened(journal).rows("BL402")) == [ROW._replace(safe=True)]


def test_a_journal_can_be_read_when_the_disk_has_no_room_for_its_index(path: Path) -> None:
    journal = opened(path)
    journal.put(ROW)
    write(journal)
    crash(journal)
    reader = JournalFile.open_without_writing(path)
    assert list(reader.rows("BL402")) == [ROW]
    reader.close()


def test_rows_of_files_long_gone_are_forgotten_once_they_are_safe_or_have_no_scan(path: Path) -> None:
    journal = opened(path)
    for name, safe in (("safe", True), ("waits", False), ("without-scan", False)):
        journal.put(ROW._replace(path=name, safe=safe, gone_at=1000))
    journal.put(ROW._replace(path="there", safe=True))
    write(journal)
    journal.forget_gone("BL402", {"waits"})
    write(journal)
    assert sorted(row.path for row in reopened(journal).rows("BL402")) == ["there", "waits"]
