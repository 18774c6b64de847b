"""What makes the watcher look sooner: the kernel's notices on real folders, hints, the agenda, hot folders."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dichroism_crds.scan_files import Rules
from dichroism_watcher.agenda import Agenda, Hints
from dichroism_watcher.folders import Folders
from dichroism_watcher.notices import Notices

DEADLINE_S = 30


class Told:
    """What was told so far, by any thread."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.missed = 0

    def miss(self) -> None:
        self.missed += 1

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not what():
            assert time.monotonic() < deadline, f"told: {self.paths}, missed: {self.missed}"
            time.sleep(0.01)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def notices(tmp_path: Path, told: Told) -> Iterator[Notices]:
    made = Notices(tmp_path, Rules(["*.tmp"], "{stem}.done"), told.paths.add, told.miss, most=4)
    made.tend()
    made.watch("")
    yield made
    made.close()


def test_closed_renamed_and_new_entries_are_told_and_excluded_ones_are_not(
    tmp_path: Path, notices: Notices, told: Told
) -> None:
    (tmp_path / "a.tmp").write_text("1")
    (tmp_path / "a.tmp").rename(tmp_path / "a.txt")
    (tmp_path / "day").mkdir()
    (tmp_path / "caf\udce9.txt").write_text("1")
    told.until(lambda: told.paths >= {"a.txt", "day", "caf\udce9.txt"})
    assert "a.tmp" not in told.paths


def test_a_sentinel_is_told_as_its_folder(tmp_path: Path, notices: Notices, told: Told) -> None:
    (tmp_path / "day").mkdir()
    notices.watch("day")
    (tmp_path / "day/a.done").touch()
    told.until(lambda: "day" in told.paths)
    assert "day/a.done" not in told.paths


def test_looking_and_reading_tells_nothing(tmp_path: Path, notices: Notices, told: Told) -> None:
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "last.txt").write_text("1")
    told.until(lambda: "last.txt" in told.paths)  # notices come in order, so all of the other file were told
    told.paths.clear()
    list(tmp_path.iterdir())
    (tmp_path / "a.txt").read_text()
    (tmp_path / "b.txt").write_text("1")
    told.until(lambda: "b.txt" in told.paths)
    assert "a.txt" not in told.paths


def test_only_so_many_folders_are_watched_and_those_that_are_to_be_kept(
    tmp_path: Path, notices: Notices, told: Told
) -> None:
    days = [f"day{number}" for number in range(6)]
    for day in days:
        (tmp_path / day).mkdir()
        notices.watch(day)
    assert notices.watched == 4
    notices.keep(["", *reversed(days)])
    assert notices.watched == 4
    told.paths.clear()
    (tmp_path / "day0/a.txt").write_text("1")
    (tmp_path / "day5/a.txt").write_text("1")
    told.until(lambda: "day5/a.txt" in told.paths)
    assert "day0/a.txt" not in told.paths


def test_a_folder_that_took_the_place_of_another_is_watched_anew(tmp_path: Path, notices: Notices, told: Told) -> None:
    (tmp_path / "day").mkdir()
    notices.watch("day")
    (tmp_path / "day").rename(tmp_path / "old")
    (tmp_path / "day").mkdir()
    notices.watch("day")
    (tmp_path / "day/a.txt").write_text("1")
    told.until(lambda: "day/a.txt" in told.paths)


def test_a_removed_folder_asks_for_a_pass_and_can_be_watched_again(
    tmp_path: Path, notices: Notices, told: Told
) -> None:
    (tmp_path / "day").mkdir()
    notices.watch("day")
    (tmp_path / "day").rmdir()
    told.until(lambda: told.missed == 1)
    (tmp_path / "day").mkdir()
    notices.watch("day")
    (tmp_path / "day/a.txt").write_text("1")
    told.until(lambda: "day/a.txt" in told.paths)


def test_a_reader_that_died_is_started_again_and_folders_are_watched_again(
    tmp_path: Path, notices: Notices, told: Told
) -> None:
    assert notices._reader is not None
    notices._reader.stop()
    notices._reader.join(DEADLINE_S)
    notices._start_at = 0
    notices.tend()
    notices.keep([""])
    (tmp_path / "a.txt").write_text("1")
    told.until(lambda: "a.txt" in told.paths)


def test_an_overflow_of_the_kernels_queue_asks_for_a_pass_and_notices_go_on(
    tmp_path: Path, notices: Notices, told: Told
) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    busy = threading.Event()

    def slowly(path: str) -> None:
        busy.wait(DEADLINE_S)
        told.paths.add(path)

    notices._tell_path = slowly
    for number in range(limit // 2 + 3000):  # two notices each, less what the reader takes at once
        (tmp_path / f"{number}.txt").touch()
    busy.set()
    told.until(lambda: told.missed > 0)
    assert notices.overflows > 0
    (tmp_path / "later.txt").write_text("1")
    told.until(lambda: "later.txt" in told.paths)


def test_hints_beyond_the_bound_ask_for_a_pass_and_wake_once() -> None:
    woken: list[None] = []
    hints = Hints(lambda: woken.append(None), most=3)
    for path in ("a", "b", "a", "c", "d", "e"):
        hints.add(path)
    assert len(woken) == 1
    assert "d" not in hints
    assert hints.take(2) == (["a", "b"], True)
    assert hints.take(2) == (["c"], False)
    hints.flood()
    assert len(woken) == 2
    assert hints.take(2) == ([], True)


def test_the_agenda_gives_what_is_due_and_each_file_once() -> None:
    agenda = Agenda()
    assert agenda.add([(5.0, "b"), (3.0, "a"), (4.0, "a")])
    assert not agenda.add([(9.0, "c")])
    assert agenda.next() == 3.0
    assert agenda.due(5.0, most=10) == ["a", "b"]
    assert agenda.due(5.0, most=10) == []
    assert agenda.next() == 9.0


def test_changed_folders_and_the_newest_are_hot_and_others_are_not() -> None:
    folders = Folders()
    for number in range(100):
        folders.seen(f"day{number:03}", number)
    times = {name: number for number, name in enumerate(folders.names())}
    hot = folders.hot({**times, "day007": 8})
    assert hot[0] == "day007"
    assert "day099" in hot
    assert "day050" not in hot
    folders.keep({"day001"})
    assert folders.hot({"day001": 1}) == ["day001"]
