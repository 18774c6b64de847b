"""What every mover has to keep, whichever way it carries files: tests to be inherited, and the hop they run on.

A subclass gives the fixture ``hop``. Not here: what only mounted endpoints can show (links, full disks, kills).
"""

import hashlib
import os
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import from_ns, same_time, to_ns
from dichroism_operator.movers.base import CopyState, CopyToVerify, Item, Mover, Progress, Task, TaskState
from dichroism_operator.movers.errors import NotARegularFileError

MOMENT = datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)
PATH = "2026/261122/TrajScan31914-1_0001.txt"
DEADLINE_SECONDS = 120
"""Only ends a test that hangs."""

AWKWARD_NAMES = [
    "a b  c.txt",
    " leading and trailing ",
    "-rf",
    "--help",
    "*.txt",
    "$(id)`id`;'\"",
    "Probe_Fe₃O₄_Übergang_試料.txt",
    "e\u0301 not normalised.txt",
    "u2028\u2028line.txt",
    "ü" * 127 + "x",
    "n" * 255,
    "MANIFEST.tsv",
    "..hidden",
    "...",
]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(root: Path, path: str, content: bytes, modified_at: datetime = MOMENT) -> Item:
    """Write a file; the item that describes it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(to_ns(modified_at), to_ns(modified_at) + 789))
    return Item(path, len(content), modified_at)


def prepared_endpoint(name: str, root: Path) -> Endpoint:
    """An endpoint whose folder exists and was prepared."""
    (root / ".dichroism").mkdir(parents=True, exist_ok=True)
    return Endpoint(name=name, root_path=f"/site/{name}", mount=root)


def settled(mover: Mover, submission_id: str) -> Progress:
    """Wait until the task has ended."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        progress = mover.poll([submission_id])[submission_id]
        if progress.state is not TaskState.ACTIVE:
            return progress
        time.sleep(0.002)
    raise AssertionError(f"task {submission_id} did not end")


@dataclass(frozen=True)
class Hop:
    """A mover between two endpoints, and the folders behind them."""

    mover: Mover
    source: Endpoint
    destination: Endpoint
    source_root: Path
    destination_root: Path

    def task(self, *items: Item, submission_id: str | None = None, bundle: str | None = None) -> Task:
        return Task(
            submission_id or self.mover.new_submission_id(), "a test", self.source, self.destination, items, bundle
        )

    def run(self, *items: Item, bundle: str | None = None) -> Progress:
        """Carry the items; the final state."""
        task = self.task(*items, bundle=bundle)
        self.mover.start(task)
        return settled(self.mover, task.submission_id)

    def verify(self, copies: Sequence[CopyToVerify]) -> dict[CopyToVerify, CopyState]:
        """Prove copies at the destination again, from what is stored there."""
        return dict(self.mover.verify(self.destination, copies))

    def put(self, path: str, content: bytes, modified_at: datetime = MOMENT) -> Item:
        return put(self.source_root, path, content, modified_at)

    def at_destination(self, path: str) -> Path:
        return self.destination_root / path

    def superseded(self) -> list[Path]:
        return files_in(self.destination_root / ".dichroism/superseded")

    def incoming(self) -> list[Path]:
        return files_in(self.destination_root / ".dichroism/incoming")


def hop_in(base: Path, mover: Mover) -> Hop:
    """A hop between two fresh folders."""
    source, destination = base / "source", base / "destination"
    return Hop(
        mover, prepared_endpoint("data402", source), prepared_endpoint("nersc402", destination), source, destination
    )


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def written_at(file: Path) -> tuple[int, int, int]:
    """What tells a file that was written anew; reading it changes none of these."""
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def reasons(progress: Progress) -> dict[str, Reason]:
    """Reason of each item of a task that must be done; verified exactly with the two good reasons."""
    assert progress.state is TaskState.DONE, progress
    for result in progress.results:
        assert result.verified == (result.reason in (Reason.COPIED, Reason.ALREADY_THERE)), result
        assert result.verified or result.message, result
    return {result.path: result.reason for result in progress.results}


class MoverContract:
    """Copies between two endpoints on disk, and the calls about single files."""

    never_writes_final_names = True
    """Whether what stands at a final name can't be a half-written copy of this mover."""
    resolution = timedelta(microseconds=1)
    """Of the times that the mover keeps and compares."""
    compares_before_superseding = True
    """Whether the mover reads a file of another time before it decides that its content is another one."""

    def test_a_copy_has_the_bytes_time_and_checksum_of_its_source(self, hop: Hop) -> None:
        item = hop.put(PATH, b"energy\tsignal\n" * 5000)
        progress = hop.run(item)
        assert reasons(progress) == {PATH: Reason.COPIED}
        copy = hop.at_destination(PATH)
        assert copy.read_bytes() == b"energy\tsignal\n" * 5000
        assert same_time(from_ns(copy.stat().st_mtime_ns), MOMENT, self.resolution)
        assert progress.results[0].sha256 == sha256(copy.read_bytes())
        assert (progress.files, progress.bytes, progress.faults) == (1, item.size, 0)
        assert hop.incoming() == []

    @pytest.mark.parametrize("name", AWKWARD_NAMES)
    def test_any_legal_name_arrives_under_the_same_name(self, hop: Hop, name: str) -> None:
        item = hop.put(f"{name}/{name}", name.encode())
        assert reasons(hop.run(item)) == {item.path: Reason.COPIED}
        assert hop.at_destination(item.path).read_bytes() == name.encode()

    def test_an_empty_file_is_copied(self, hop: Hop) -> None:
        item = hop.put(PATH, b"")
        assert reasons(hop.run(item)) == {PATH: Reason.COPIED}
        assert hop.at_destination(PATH).read_bytes() == b""

    def test_a_file_changed_before_the_task_is_not_copied(self, hop: Hop) -> None:
        grown = hop.put("grown.txt", b"one")
        (hop.source_root / "grown.txt").write_bytes(b"one two")
        touched = hop.put("touched.txt", b"one")
        hop.put("touched.txt", b"one", MOMENT + self.resolution)
        assert set(reasons(hop.run(grown, touched)).values()) == {Reason.SOURCE_CHANGED}
        assert not hop.at_destination("grown.txt").exists()
        assert not hop.at_destination("touched.txt").exists()

    def test_one_bad_file_does_not_hold_up_the_others(self, hop: Hop) -> None:
        good = [hop.put(f"good{number}.txt", b"x" * number) for number in range(3)]
        gone = Item("gone/gone.txt", 3, MOMENT)
        folder = Item("folder", 3, MOMENT)
        (hop.source_root / "folder").mkdir()
        progress = hop.run(good[0], gone, good[1], folder, good[2])
        assert reasons(progress) == {
            "good0.txt": Reason.COPIED,
            "good1.txt": Reason.COPIED,
            "good2.txt": Reason.COPIED,
            "gone/gone.txt": Reason.SOURCE_MISSING,
            "folder": Reason.SOURCE_UNREADABLE,
        }
        assert (progress.files, progress.faults) == (3, 2)

    def test_a_file_that_differs_from_its_checksum_of_record_is_not_copied(self, hop: Hop) -> None:
        item = hop.put(PATH, b"rotten")
        expected = Item(PATH, item.size, item.modified_at, sha256=sha256(b"intact"))
        assert reasons(hop.run(expected)) == {PATH: Reason.CHECKSUM_MISMATCH}
        assert not (self.never_writes_final_names and hop.at_destination(PATH).exists())

    def test_an_equal_file_at_the_destination_is_the_copy(self, hop: Hop) -> None:
        item = hop.put(PATH, b"same")
        put(hop.destination_root, PATH, b"same")
        before = hop.at_destination(PATH).stat().st_ino
        progress = hop.run(item)
        assert reasons(progress) == {PATH: Reason.ALREADY_THERE}
        assert progress.results[0].sha256 == sha256(b"same")
        assert hop.at_destination(PATH).stat().st_ino == before
        assert hop.superseded() == []

    def test_an_equal_file_with_another_time_gets_the_time_of_the_source(self, hop: Hop) -> None:
        item = hop.put(PATH, b"same")
        put(hop.destination_root, PATH, b"same", MOMENT - timedelta(days=1))
        expected = Reason.ALREADY_THERE if self.compares_before_superseding else Reason.COPIED
        assert reasons(hop.run(item)) == {PATH: expected}
        assert same_time(from_ns(hop.at_destination(PATH).stat().st_mtime_ns), MOMENT, self.resolution)

    @pytest.mark.parametrize("own_partial", [False, True], ids=["", "own_partial"])
    @pytest.mark.parametrize("older", [b"old!", b"a longer, older content"], ids=["same_size", "other_size"])
    def test_another_content_at_the_destination_is_kept_as_superseded(
        self, hop: Hop, older: bytes, own_partial: bool
    ) -> None:
        if own_partial and not self.never_writes_final_names:
            pytest.skip("this mover replaces its own partial copies")
        put(hop.destination_root, PATH, older)
        item = hop.put(PATH, b"new!", MOMENT + timedelta(hours=1))
        item = Item(item.path, item.size, item.modified_at, own_partial=own_partial)
        assert reasons(hop.run(item)) == {PATH: Reason.COPIED}
        assert hop.at_destination(PATH).read_bytes() == b"new!"
        assert [file.read_bytes() for file in hop.superseded()] == [older]

    def test_two_superseded_files_of_one_name_are_both_kept(self, hop: Hop) -> None:
        name = "ü" * 127 + "x"
        for number in range(3):
            item = hop.put(name, b"content %d" % number, MOMENT + timedelta(hours=number))
            assert reasons(hop.run(item)) == {name: Reason.COPIED}
        assert sorted(file.read_bytes() for file in hop.superseded()) == [b"content 0", b"content 1"]

    def test_a_failed_copy_leaves_the_older_one_in_place(self, hop: Hop) -> None:
        if not self.never_writes_final_names:
            pytest.skip("this mover moves the older copy away first: it is kept as superseded")
        put(hop.destination_root, PATH, b"old and verified")
        item = hop.put(PATH, b"new")
        wrong = Item(PATH, item.size, item.modified_at, sha256=sha256(b"xxx"), own_partial=True)
        assert reasons(hop.run(wrong)) == {PATH: Reason.CHECKSUM_MISMATCH}
        assert hop.at_destination(PATH).read_bytes() == b"old and verified"

    def test_a_path_that_no_scan_may_have_is_refused_alone(self, hop: Hop) -> None:
        good = hop.put("good.txt", b"good")
        (hop.source_root.parent / "outside.txt").write_bytes(b"secret")
        bad = [Item(path, 6, MOMENT) for path in ("../outside.txt", "/etc/passwd", ".dichroism/x", "a//b", "a\nb", "")]
        found = reasons(hop.run(good, *bad))
        assert found.pop("good.txt") is Reason.COPIED
        assert set(found.values()) == {Reason.INVALID_PATH}

    def test_the_same_submission_is_joined_not_repeated(self, hop: Hop) -> None:
        task = hop.task(hop.put(PATH, b"once"))
        assert hop.mover.start(task) == hop.mover.start(task)
        assert reasons(settled(hop.mover, task.submission_id)) == {PATH: Reason.COPIED}
        hop.mover.start(task)
        assert reasons(settled(hop.mover, task.submission_id)) == {PATH: Reason.COPIED}

    def test_a_task_asked_for_again_finds_what_it_copied(self, hop: Hop) -> None:
        task = hop.task(hop.put(PATH, b"once"), hop.put("b.txt", b"b"))
        hop.mover.start(task)
        settled(hop.mover, task.submission_id)
        again = hop.run(*task.items)
        assert set(reasons(again).values()) == {Reason.ALREADY_THERE}
        assert hop.superseded() == []

    def test_an_unknown_or_forgotten_task_is_lost(self, hop: Hop) -> None:
        task = hop.task(hop.put(PATH, b"x"))
        hop.mover.start(task)
        settled(hop.mover, task.submission_id)
        hop.mover.forget(task.submission_id)
        hop.mover.forget("never-seen")
        hop.mover.cancel("never-seen")
        states = {one: progress.state for one, progress in hop.mover.poll([task.submission_id, "never-seen"]).items()}
        assert states["never-seen"] is TaskState.LOST
        assert states[task.submission_id] in (TaskState.LOST, TaskState.DONE)

    def test_submission_ids_are_never_repeated(self, hop: Hop) -> None:
        assert len({hop.mover.new_submission_id() for _ in range(100)}) == 100

    def test_stat_tells_regular_files_from_everything_else(self, hop: Hop) -> None:
        item = hop.put("a/file", b"12345")
        (hop.source_root / "link").symlink_to("a/file")
        (hop.source_root / "loop").symlink_to("a")
        found = dict(
            hop.mover.stat(hop.source, ["a/file", "a", "link", "loop/file", "gone", "a/file/below", "gone/gone"])
        )
        regular = found.pop("a/file")
        assert regular is not None
        assert regular.size == 5
        assert same_time(regular.modified_at, item.modified_at, self.resolution)
        assert set(found.values()) == {None}

    def test_verify_reads_every_byte_again(self, hop: Hop) -> None:
        content = b"a" * 3_000_000
        for name in ("good", "rotten", "short", "touched"):
            put(hop.destination_root, name, content)
        put(hop.destination_root, "rotten", content[:-1] + b"b")
        put(hop.destination_root, "short", content[:-1])
        put(hop.destination_root, "touched", content, MOMENT + timedelta(seconds=1))
        (hop.destination_root / "link").symlink_to("good")
        names = ["good", "rotten", "short", "touched", "gone", "link"]
        copies = {name: CopyToVerify(name, len(content), sha256(content), modified_at=MOMENT) for name in names}
        states = hop.mover.verify(hop.destination, list(copies.values()))
        assert {name: states[copy] for name, copy in copies.items()} == {
            "good": CopyState.VERIFIED,
            "rotten": CopyState.DIFFERS,
            "short": CopyState.DIFFERS,
            "touched": CopyState.DIFFERS,
            "gone": CopyState.MISSING,
            "link": CopyState.DIFFERS,
        }

    def test_rename_moves_into_the_trash_and_back(self, hop: Hop) -> None:
        hop.put(PATH, b"precious")
        trashed = ".dichroism/trash/data402-20270521-0001/0-ab12-x.txt"
        hop.mover.rename(hop.source, PATH, trashed)
        assert not (hop.source_root / PATH).exists()
        assert (hop.source_root / trashed).read_bytes() == b"precious"
        hop.mover.rename(hop.source, trashed, PATH)
        assert (hop.source_root / PATH).read_bytes() == b"precious"

    def test_rename_never_replaces(self, hop: Hop) -> None:
        hop.put(PATH, b"precious")
        hop.put(".dichroism/trash/p/x", b"trashed before")
        for old, new in ((PATH, ".dichroism/trash/p/x"), (".dichroism/trash/p/x", PATH)):
            with pytest.raises(FileExistsError):
                hop.mover.rename(hop.source, old, new)
        assert (hop.source_root / PATH).read_bytes() == b"precious"
        assert (hop.source_root / ".dichroism/trash/p/x").read_bytes() == b"trashed before"

    def test_rename_takes_regular_files_only(self, hop: Hop) -> None:
        hop.put("folder/file", b"x")
        (hop.source_root / "link").symlink_to("folder/file")
        for old in ("folder", "link"):
            with pytest.raises(NotARegularFileError):
                hop.mover.rename(hop.source, old, ".dichroism/trash/p/x")
        with pytest.raises(FileNotFoundError):
            hop.mover.rename(hop.source, "gone", ".dichroism/trash/p/x")
        assert (hop.source_root / "folder/file").exists()
        assert (hop.source_root / "link").is_symlink()

    def test_rename_makes_no_folder_outside_the_private_one(self, hop: Hop) -> None:
        hop.put(".dichroism/trash/p/x", b"x")
        with pytest.raises(NotADirectoryError):
            hop.mover.rename(hop.source, ".dichroism/trash/p/x", "new/folder/x")
        with pytest.raises(ValueError, match="users"):
            hop.mover.rename(hop.source, "a", "b")
        assert not (hop.source_root / "new").exists()

    def test_private_folders_list_regular_files_only(self, hop: Hop) -> None:
        hop.put(".dichroism/trash/p/x", b"123")
        (hop.source_root / ".dichroism/trash/p/below").mkdir()
        (hop.source_root / ".dichroism/trash/p/link").symlink_to("x")
        listed = hop.mover.list_private(hop.source, ".dichroism/trash/p")
        assert {name: found.size for name, found in listed.items()} == {"x": 3}
        assert same_time(listed["x"].modified_at, MOMENT, self.resolution)
        assert hop.mover.list_private(hop.source, ".dichroism/trash/none") == {}

    def test_only_private_files_are_deleted(self, hop: Hop) -> None:
        hop.put(PATH, b"precious")
        hop.put(".dichroism/trash/p/x", b"123")
        hop.put(".dichroism/trash/p/y", b"456")
        for bad in (PATH, ".dichroism/../" + PATH, "x/.dichroism/y", ".dichroism", "/etc/hostname", ".dichroismus/x"):
            with pytest.raises(ValueError, match="path"):
                hop.mover.delete_private(hop.source, [".dichroism/trash/p/x", bad])
            with pytest.raises(ValueError, match="path"):
                hop.mover.list_private(hop.source, bad)
        assert (hop.source_root / ".dichroism/trash/p/x").exists()
        hop.mover.delete_private(hop.source, [".dichroism/trash/p/x", ".dichroism/trash/p/gone", ".dichroism/q/gone"])
        assert files_in(hop.source_root / ".dichroism/trash/p") == [hop.source_root / ".dichroism/trash/p/y"]
        assert (hop.source_root / PATH).read_bytes() == b"precious"

    def test_deleting_a_folder_or_link_deletes_nothing(self, hop: Hop) -> None:
        hop.put(".dichroism/trash/p/x", b"123")
        (hop.source_root / ".dichroism/trash/link").symlink_to("p/x")
        for bad in (".dichroism/trash/p", ".dichroism/trash/link"):
            with pytest.raises(NotARegularFileError):
                hop.mover.delete_private(hop.source, [".dichroism/trash/p/x", bad])
        assert (hop.source_root / ".dichroism/trash/p/x").read_bytes() == b"123"


BUNDLE = "BL402/raw/BL402-20261122-20261122-0123456789ab-01234567.tar"
MANIFEST = ".dichroism/manifests/BL402-20261122-20261122-0123456789ab-01234567.tar.tsv"


class TapeContract:
    """A hop to tape: one task is one bundle, whose members are verified where it is stored."""

    def test_a_bundle_holds_its_members_and_its_manifest_is_kept_at_the_source(self, hop: Hop) -> None:
        items = [hop.put(f"2026/{name}", name.encode() * 100) for name in AWKWARD_NAMES]
        progress = hop.run(*items, bundle=BUNDLE)
        assert set(reasons(progress).values()) == {Reason.COPIED}
        stored = hop.at_destination(BUNDLE).read_bytes()
        assert (progress.bundle_sha256, progress.bundle_size) == (sha256(stored), len(stored))
        checksums = {result.path: result.sha256 for result in progress.results}
        assert checksums == {item.path: sha256((hop.source_root / item.path).read_bytes()) for item in items}
        with tarfile.open(hop.at_destination(BUNDLE)) as tar:
            first = tar.next()
            assert first is not None
            content = tar.extractfile(first)
            assert content is not None
            assert content.read() == (hop.source_root / MANIFEST).read_bytes()
            assert [member.name for member in tar][1:] == [item.path for item in items]

    def test_members_that_cannot_go_are_left_out_and_the_rest_goes_on(self, hop: Hop) -> None:
        good = hop.put("good.txt", b"good")
        of_record = hop.put("of record.txt", b"right")
        of_record = Item(of_record.path, 5, MOMENT, sha256(b"right"))
        changed = hop.put("changed.txt", b"one")
        hop.put("changed.txt", b"three")
        rotten = hop.put("rotten.txt", b"rotten")
        rotten = Item(rotten.path, 6, MOMENT, sha256(b"intact"))
        progress = hop.run(
            Item("gone.txt", 1, MOMENT), good, changed, rotten, of_record, Item("../x", 1, MOMENT), bundle=BUNDLE
        )
        assert reasons(progress) == {
            "good.txt": Reason.COPIED,
            "of record.txt": Reason.COPIED,
            "gone.txt": Reason.SOURCE_MISSING,
            "changed.txt": Reason.SOURCE_CHANGED,
            "rotten.txt": Reason.CHECKSUM_MISMATCH,
            "../x": Reason.INVALID_PATH,
        }
        with tarfile.open(hop.at_destination(BUNDLE)) as tar:
            assert tar.getnames()[1:] == ["good.txt", "of record.txt"]

    def test_a_copy_of_record_whose_time_was_cut_to_whole_seconds_is_bundled(self, hop: Hop) -> None:
        item = put(hop.source_root, PATH, b"content", MOMENT.replace(microsecond=0))
        of_record = replace(item, modified_at=MOMENT, sha256=sha256(b"content"))
        (result,) = hop.run(of_record, bundle=BUNDLE).results
        assert (result.reason, result.sha256) == (Reason.COPIED, sha256(b"content"))

    def test_a_bundle_without_members_is_not_made(self, hop: Hop) -> None:
        progress = hop.run(Item("gone.txt", 1, MOMENT), bundle=BUNDLE)
        assert reasons(progress) == {"gone.txt": Reason.SOURCE_MISSING}
        assert (progress.bundle_sha256, progress.bundle_size) == (None, None)
        assert not hop.at_destination(BUNDLE).exists()
        assert not (hop.source_root / MANIFEST).exists()

    def test_a_task_asked_for_again_uses_the_bundle_it_made(self, hop: Hop) -> None:
        items = [hop.put("a.txt", b"a"), hop.put("b.txt", b"b"), Item("late.txt", 4, MOMENT), hop.put("c.txt", b"c")]
        first = hop.run(*items, bundle=BUNDLE)
        stored = written_at(hop.at_destination(BUNDLE))
        (hop.source_root / MANIFEST).unlink()
        hop.put("late.txt", b"late")
        hop.put("c.txt", b"C")
        (hop.source_root / "c.txt").write_bytes(b"changed since")
        again = hop.run(*items, bundle=BUNDLE)
        assert reasons(again) == {
            "a.txt": Reason.ALREADY_THERE,
            "b.txt": Reason.ALREADY_THERE,
            "late.txt": Reason.SOURCE_CHANGED,
            "c.txt": Reason.SOURCE_CHANGED,
        }
        assert (again.bundle_sha256, again.bundle_size) == (first.bundle_sha256, first.bundle_size)
        assert written_at(hop.at_destination(BUNDLE)) == stored
        assert (hop.source_root / MANIFEST).exists()

    @pytest.mark.parametrize("standing", [b"no tar at all", b"", None], ids=["strange", "empty", "another_plan"])
    def test_a_bundle_of_the_same_name_is_never_overwritten(self, hop: Hop, standing: bytes | None) -> None:
        if standing is None:
            hop.run(hop.put("other.txt", b"other"), bundle=BUNDLE)
            standing = hop.at_destination(BUNDLE).read_bytes()
        else:
            put(hop.destination_root, BUNDLE, standing)
        progress = hop.run(hop.put("mine.txt", b"mine"), bundle=BUNDLE)
        assert (progress.state, progress.reason) == (TaskState.FAILED, None)
        assert BUNDLE in progress.message
        assert hop.at_destination(BUNDLE).read_bytes() == standing

    def test_a_damaged_bundle_is_not_used_again(self, hop: Hop) -> None:
        item = hop.put("a.txt", b"a" * 5000)
        hop.run(item, bundle=BUNDLE)
        stored = bytearray(hop.at_destination(BUNDLE).read_bytes())
        stored[stored.rindex(b"aaaa")] ^= 1
        hop.at_destination(BUNDLE).write_bytes(stored)
        assert hop.run(item, bundle=BUNDLE).state is TaskState.FAILED

    def test_members_are_verified_in_their_bundles(self, hop: Hop) -> None:
        good = [hop.put(f"{number}.txt", b"%d" % number * 2000) for number in range(3)]
        hop.run(*good[:2], bundle="one.tar")
        hop.run(good[2], bundle="two.tar")
        put(hop.destination_root, "two.tar", hop.at_destination("two.tar").read_bytes().replace(b"2222", b"2223", 1))
        copies = [
            CopyToVerify("0.txt", 2000, sha256(b"0" * 2000), bundle="one.tar"),
            CopyToVerify("1.txt", 2000, sha256(b"x"), bundle="one.tar"),
            CopyToVerify("1.txt", 2000, sha256(b"1" * 2000), bundle="one.tar"),
            CopyToVerify("1.txt", 2000, sha256(b"y"), bundle="one.tar"),
            CopyToVerify("5.txt", 2000, sha256(b"5" * 2000), bundle="one.tar"),
            CopyToVerify("2.txt", 2000, sha256(b"2" * 2000), bundle="two.tar"),
            CopyToVerify("3.txt", 2000, sha256(b"3" * 2000), bundle="three.tar"),
        ]
        states = hop.verify(copies)
        assert [states[copy] for copy in copies] == [
            CopyState.VERIFIED,
            CopyState.DIFFERS,
            CopyState.VERIFIED,
            CopyState.DIFFERS,
            CopyState.MISSING,
            CopyState.DIFFERS,
            CopyState.MISSING,
        ]

    @pytest.mark.parametrize("path", ["../x.tar", "/x.tar", ".dichroism/x.tar", "x" * 252])
    def test_a_bundle_name_that_cannot_be_kept_is_refused(self, hop: Hop, path: str) -> None:
        progress = hop.run(hop.put("a.txt", b"a"), bundle=path)
        assert (progress.state, progress.reason) == (TaskState.FAILED, None)
        assert progress.message
