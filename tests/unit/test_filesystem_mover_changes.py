"""Sources that change while they are copied, leftovers of dead processes, renames without help from the file system."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers.base import Item, TaskState
from dichroism_operator.movers.errors import FileTrouble
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.movers.hashing import no_checkpoint
from dichroism_operator.movers.incoming import Incoming
from dichroism_operator.movers.mount import Mount
from dichroism_operator.movers.noreplace import link_and_unlink, rename_noreplace, rename_to_private
from dichroism_operator.movers.placing import Content, place, supersede, superseded_name
from tests.unit.mover_contract import Hop, files_in, hop_in, put, reasons, settled, sha256

LARGE = 64 * 1024 * 1024


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    with FilesystemMover(leftover_age=timedelta(0)) as mover:
        yield hop_in(tmp_path, mover)


def large(hop: Hop, path: str) -> Item:
    """A sparse file that takes some time to copy, last written before the test."""
    file = hop.source_root / path
    with file.open("wb") as sparse:
        sparse.truncate(LARGE)
    os.utime(file, ns=(0, 1_700_000_000_000_000_000))
    return Item(path, LARGE, from_ns(1_700_000_000_000_000_000))


def when(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.0005)


def written(hop: Hop) -> int:
    """Bytes that the file on its way has now."""
    sizes = []
    for file in hop.incoming():
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:
            sizes.append(0)
    return max(sizes, default=0)


def overwrite(file: Path, offset: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"late")


def append(file: Path, _offset: int) -> None:
    with file.open("ab") as opened:
        opened.write(b"late")


def cut(file: Path, offset: int) -> None:
    os.truncate(file, offset)


def exchange(file: Path, _offset: int) -> None:
    put(file.parent, "newer", b"another file")
    (file.parent / "newer").rename(file)


def remove(file: Path, _offset: int) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (overwrite, Reason.SOURCE_CHANGED),
        (append, Reason.SOURCE_CHANGED),
        (cut, Reason.SOURCE_CHANGED),
        (exchange, Reason.SOURCE_CHANGED),
        (remove, Reason.SOURCE_MISSING),
    ],
)
@pytest.mark.parametrize("bundle", [None, "tapes/x.tar"], ids=["copy", "bundle"])
def test_a_source_that_changes_during_the_copy_gives_no_copy(
    hop: Hop, change: Callable[[Path, int], None], reason: Reason, bundle: str | None
) -> None:
    item = large(hop, "scan.txt")
    other = hop.put("other.txt", b"unchanged")
    task = hop.task(item, other, bundle=bundle)
    hop.mover.start(task)
    when(lambda: written(hop) > 0)
    change(hop.source_root / "scan.txt", LARGE - 1000)
    found = reasons(settled(hop.mover, task.submission_id))
    assert found == {"scan.txt": reason, "other.txt": Reason.COPIED}
    assert not hop.at_destination("scan.txt").exists()
    assert hop.incoming() == []


def test_a_source_that_changes_after_its_copy_was_placed_has_no_verified_copy(hop: Hop) -> None:
    first, second = hop.put("first.txt", b"first content"), large(hop, "second.txt")
    task = hop.task(first, second)
    hop.mover.start(task)
    when(hop.at_destination("first.txt").exists)
    newer = hop.put("first.txt", b"rewritten!!!!", first.modified_at + timedelta(seconds=1))
    assert reasons(settled(hop.mover, task.submission_id)) == {
        "first.txt": Reason.SOURCE_CHANGED,
        "second.txt": Reason.COPIED,
    }
    assert hop.at_destination("first.txt").read_bytes() == b"first content"
    assert reasons(hop.run(newer)) == {"first.txt": Reason.COPIED}
    assert hop.at_destination("first.txt").read_bytes() == b"rewritten!!!!"
    assert [file.read_bytes() for file in hop.superseded()] == [b"first content"]


def test_a_file_that_is_written_all_the_time_is_never_verified(hop: Hop) -> None:
    item = large(hop, "scan.txt")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            overwrite(hop.source_root / "scan.txt", 0)

    writer = threading.Thread(target=write)
    task = hop.task(item)
    hop.mover.start(task)
    writer.start()
    try:
        progress = settled(hop.mover, task.submission_id)
    finally:
        stop.set()
        writer.join()
    assert reasons(progress) == {"scan.txt": Reason.SOURCE_CHANGED}


@pytest.mark.parametrize("bundle", [None, "tapes/x.tar"], ids=["copy", "bundle"])
def test_a_copy_that_the_storage_damages_is_never_placed(hop: Hop, bundle: str | None) -> None:
    """One byte of the incoming file is changed behind the mover's back, after it was written."""
    task = hop.task(large(hop, "scan.txt"), bundle=bundle)
    hop.mover.start(task)
    when(lambda: written(hop) >= LARGE)
    overwrite(hop.incoming()[0], LARGE - 100_000)
    progress = settled(hop.mover, task.submission_id)
    if bundle:
        assert (progress.state, progress.reason) == (TaskState.FAILED, None)
    else:
        assert reasons(progress) == {"scan.txt": Reason.CHECKSUM_MISMATCH}
    assert [path.name for path in hop.destination_root.iterdir()] == [".dichroism"]
    assert hop.incoming() == []


def leftover(root: Path, name: str) -> Path:
    put(root, f".dichroism/incoming/{name}", b"half")
    return root / ".dichroism/incoming" / name


def test_leftovers_of_dead_processes_go_and_everything_else_stays(hop: Hop) -> None:
    dead = leftover(hop.destination_root, f"{'a' * 8}-bbbb.{'0' * 16}.part")
    living = leftover(hop.destination_root, f"other.{'1' * 16}.part")
    strange = [leftover(hop.destination_root, name) for name in ("notes.txt", "x.part", f"y.{'g' * 16}.part")]
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        reasons(hop.run(hop.put("file", b"x")))
        assert not dead.exists()
        assert living.exists()
    reasons(hop.run(hop.put("file2", b"x")))
    assert hop.incoming() == sorted(strange)


def test_a_young_leftover_is_left_for_its_owner(hop: Hop) -> None:
    young = leftover(hop.destination_root, f"other.{'1' * 16}.part")
    with FilesystemMover(leftover_age=timedelta(hours=1)) as mover:
        patient = Hop(mover, hop.source, hop.destination, hop.source_root, hop.destination_root)
        reasons(patient.run(patient.put("file", b"x")))
    assert young.exists()


def test_a_copy_on_its_way_is_not_taken_for_a_leftover(hop: Hop) -> None:
    with (
        Mount(hop.destination) as mount,
        Incoming(mount, "one") as one,
        Incoming(mount, "two") as two,
        one.file() as copy,
    ):
        two.sweep(timedelta(0))
        assert [file.name for file in hop.incoming()] == [copy.name]
    assert hop.incoming() == []


def test_a_file_placed_in_the_last_moment_is_not_superseded(hop: Hop) -> None:
    """Between the look at the old file and its move, another process puts the right one there."""
    put(hop.destination_root, "scan.txt", b"old")
    old = (hop.destination_root / "scan.txt").stat()
    (hop.destination_root / "scan.txt").unlink()
    put(hop.destination_root, "scan.txt", b"new")
    if (hop.destination_root / "scan.txt").stat().st_ino == old.st_ino:
        put(hop.destination_root, "scan.tmp", b"new")
        (hop.destination_root / "scan.tmp").rename(hop.destination_root / "scan.txt")
    with Mount(hop.destination) as mount, mount.folder("") as folder:
        supersede(mount, folder, "scan.txt", old)
    assert hop.at_destination("scan.txt").read_bytes() == b"new"
    assert hop.superseded() == []


def test_an_equal_file_placed_meanwhile_is_taken_and_a_link_is_not(hop: Hop) -> None:
    with Mount(hop.destination) as mount, Incoming(mount, "one") as incoming:
        content = Content(3, sha256(b"new"))
        put(hop.destination_root, "scan.txt", b"new")
        with incoming.file() as copy:
            os.write(copy.fd, b"new")
            assert not place(mount, copy, "scan.txt", content, no_checkpoint)
        (hop.destination_root / "link").symlink_to("scan.txt")
        with incoming.file() as copy, pytest.raises(FileTrouble):
            place(mount, copy, "link", content, no_checkpoint)
    assert (hop.destination_root / "link").is_symlink()


@pytest.mark.parametrize("name", ["x", "n" * 255, "ü" * 127 + "x", "試" * 85])
def test_superseded_names_fit_and_are_never_the_same(name: str) -> None:
    names = {superseded_name(name) for _ in range(50)}
    assert len(names) == 50
    assert all(len(one.encode()) <= 255 for one in names)
    assert all(name.startswith(one.partition("-")[2]) for one in names)


Rename = Callable[[int, str, int, str], None]


def _native(old_folder: int, old: str, new_folder: int, new: str) -> None:
    rename_noreplace(old_folder, old, new_folder, new, private_old=True)


@pytest.mark.parametrize("rename", [_native, link_and_unlink, rename_to_private])
def test_no_way_of_renaming_replaces_anything(tmp_path: Path, rename: Rename) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    put(tmp_path, "from/ü", b"moved")
    put(tmp_path, "to/taken", b"stays")
    (tmp_path / "to/dangling").symlink_to("nowhere")
    old, new = (os.open(tmp_path / name, os.O_RDONLY) for name in ("from", "to"))
    try:
        for taken in ("taken", "dangling"):
            with pytest.raises(FileExistsError):
                rename(old, "ü", new, taken)
        with pytest.raises(FileNotFoundError):
            rename(old, "gone", new, "free")
        rename(old, "ü", new, "free")
    finally:
        os.close(old)
        os.close(new)
    assert files_in(tmp_path / "from") == []
    assert (tmp_path / "to/free").read_bytes() == b"moved"
    assert (tmp_path / "to/taken").read_bytes() == b"stays"


def test_a_link_made_by_a_repeated_request_counts_as_made(tmp_path: Path) -> None:
    put(tmp_path, "old", b"x")
    os.link(tmp_path / "old", tmp_path / "new")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        link_and_unlink(folder, "old", folder, "new")
    finally:
        os.close(folder)
    assert [file.name for file in files_in(tmp_path)] == ["new"]


def test_closing_the_mover_stops_its_tasks(hop: Hop) -> None:
    mover = FilesystemMover()
    running = Hop(mover, hop.source, hop.destination, hop.source_root, hop.destination_root)
    task = running.task(*(large(hop, f"{number}.txt") for number in range(50)))
    mover.start(task)
    mover.close()
    assert mover.poll([task.submission_id])[task.submission_id].state is TaskState.FAILED
    assert hop.incoming() == []
