"""Trouble of an endpoint as a whole blames no file; trouble of one file stops no other. On real mounts."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers.base import CopyState, CopyToVerify, Item, TaskState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.movers.mount import Mount
from tests.unit.mover_contract import MOMENT, Hop, files_in, hop_in, put, reasons, settled, sha256

pytestmark = pytest.mark.fault
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs, which needs root")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    with FilesystemMover(leftover_age=timedelta(0)) as mover:
        yield hop_in(tmp_path, mover)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture
def small(hop: Hop) -> Iterator[Hop]:
    """The destination is a file system of 1 MiB."""
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", hop.destination_root)
    try:
        (hop.destination_root / ".dichroism").mkdir()
        yield hop
    finally:
        # Lazily: a test that failed may have left a task that still holds it.
        subprocess.run(["umount", "--lazy", hop.destination_root], check=True)


@needs_root
def test_a_full_destination_pauses_and_the_same_task_goes_on_later(small: Hop) -> None:
    items = [small.put(f"{number}.txt", bytes([number]) * 300_000) for number in range(5)]
    task = small.task(*items)
    small.mover.start(task)
    progress = settled(small.mover, task.submission_id)
    assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.DESTINATION_FULL)
    assert "Free space" in progress.message
    assert [result.path for result in progress.results if result.verified] == ["0.txt", "1.txt", "2.txt"]
    assert (progress.files, progress.bytes) == (3, 900_000)
    assert sorted(file.name for file in small.destination_root.iterdir()) == [".dichroism", "0.txt", "1.txt", "2.txt"]
    assert small.incoming() == []

    mount("-o", "remount,size=4m", small.destination_root)
    small.mover.start(task)
    again = reasons(settled(small.mover, task.submission_id))
    assert sorted(again.values()) == [Reason.ALREADY_THERE] * 3 + [Reason.COPIED] * 2


@needs_root
def test_a_full_destination_leaves_the_older_copy_where_it_is(small: Hop) -> None:
    put(small.destination_root, "scan.txt", b"o" * 600_000)
    item = small.put("scan.txt", b"n" * 600_000)
    assert small.run(item).reason is Reason.DESTINATION_FULL
    assert small.at_destination("scan.txt").read_bytes() == b"o" * 600_000


@needs_root
def test_a_destination_without_inodes_for_a_folder_is_full_too(small: Hop) -> None:
    """The copy on its way takes the last one, so only the folder of its final name can't be made."""
    mount("-o", "remount,nr_inodes=4", small.destination_root)
    progress = small.run(small.put("folder/file", b"x"))
    assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.DESTINATION_FULL)
    assert progress.results == ()


@needs_root
def test_a_full_tape_endpoint_leaves_no_bundle(small: Hop) -> None:
    items = [small.put(f"{number}.txt", bytes([number]) * 300_000) for number in range(5)]
    progress = small.run(*items, bundle="tapes/BL402-x.tar")
    assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.DESTINATION_FULL)
    assert not (small.destination_root / "tapes").exists()
    assert small.incoming() == []
    assert files_in(small.source_root / ".dichroism/manifests") == []


@needs_root
def test_a_destination_that_became_read_only_is_an_outage(small: Hop) -> None:
    mount("-o", "remount,ro", small.destination_root)
    progress = small.run(small.put("file", b"x"))
    assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.ENDPOINT_UNAVAILABLE)
    assert progress.results == ()


@needs_root
def test_an_unmounted_endpoint_is_not_an_empty_one(hop: Hop, tmp_path: Path) -> None:
    mount_point = tmp_path / "mounted"
    mount_point.mkdir()
    endpoint = Endpoint(name="nersc402", root_path="/site", mount=mount_point)
    mount("-t", "tmpfs", "tmpfs", mount_point)
    try:
        Mount.prepare(endpoint)
        put(mount_point, "file", b"x")
        assert hop.mover.stat(endpoint, ["file"])["file"] is not None
    finally:
        subprocess.run(["umount", mount_point], check=True)
    copy = CopyToVerify("file", 1, sha256(b"x"))
    calls: list[Callable[[], object]] = [
        lambda: hop.mover.stat(endpoint, ["file"]),
        lambda: hop.mover.verify(endpoint, [copy]),
        lambda: hop.mover.list_private(endpoint, ".dichroism/trash"),
        lambda: hop.mover.delete_private(endpoint, [".dichroism/trash/x"]),
        lambda: hop.mover.rename(endpoint, "file", ".dichroism/trash/x"),
        lambda: hop.mover.start(Hop(hop.mover, endpoint, hop.destination, tmp_path, tmp_path).task()),
        lambda: hop.mover.start(Hop(hop.mover, hop.source, endpoint, tmp_path, tmp_path).task()),
    ]
    for call in calls:
        with pytest.raises(MoverUnavailable) as outage:
            call()
        assert outage.value.reason is Reason.ENDPOINT_UNAVAILABLE
    assert list(mount_point.iterdir()) == []


@pytest.mark.parametrize("mounted", [None, Path("/nonexistent/mount")])
def test_an_endpoint_without_mount_says_what_to_set(hop: Hop, mounted: Path | None) -> None:
    endpoint = Endpoint(name="hpss-402", root_path="/site", mount=mounted)
    with pytest.raises(MoverUnavailable, match=r"hpss-402.*DICHROISM_MOUNT_HPSS_402") as outage:
        hop.mover.stat(endpoint, ["file"])
    assert outage.value.reason is Reason.ENDPOINT_UNAVAILABLE


def test_the_private_folder_is_made_only_when_asked(tmp_path: Path, hop: Hop) -> None:
    (tmp_path / "fresh").mkdir()
    endpoint = Endpoint(name="fresh", root_path="/site", mount=tmp_path / "fresh")
    with pytest.raises(MoverUnavailable, match="mkdir"):
        hop.mover.stat(endpoint, [])
    assert list((tmp_path / "fresh").iterdir()) == []
    with FilesystemMover() as mover:
        mover.prepare(endpoint)
        mover.prepare(endpoint)
    assert hop.mover.stat(endpoint, ["file"]) == {"file": None}


@needs_root
def test_an_unreadable_disk_sector_blames_one_file(hop: Hop) -> None:
    """Reading a process's memory at address 0 fails with EIO; bound over a file it stands for a bad sector."""
    good = hop.put("good.txt", b"good")
    bad = hop.source_root / "bad.txt"
    bad.touch()
    mount("--bind", f"/proc/{os.getpid()}/mem", bad)
    try:
        found = bad.stat()
        item = Item("bad.txt", found.st_size, from_ns(found.st_mtime_ns))
        assert reasons(hop.run(item, good)) == {"bad.txt": Reason.SOURCE_UNREADABLE, "good.txt": Reason.COPIED}
        packed = hop.run(item, good, bundle="tapes/x.tar")
        assert reasons(packed) == {"bad.txt": Reason.SOURCE_UNREADABLE, "good.txt": Reason.COPIED}
        copy = CopyToVerify("bad.txt", found.st_size, sha256(b""))
        assert hop.mover.verify(hop.source, [copy]) == {copy: CopyState.UNKNOWN}
    finally:
        subprocess.run(["umount", bad], check=True)


def unprivileged(world: Path) -> None:
    """Runs in a process of its own, without root's power over permissions."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    source, destination = world / "source", world / "destination"
    with FilesystemMover() as mover:
        hop = hop_in(world, mover)
        items = [hop.put(path, b"x" * 10) for path in ("good", "secret", "locked/file", "closed/file", "later")]
        (destination / "closed").mkdir()
        for path, mode in ((source / "secret", 0), (source / "locked", 0), (destination / "closed", 0o500)):
            path.chmod(mode)
        found = reasons(hop.run(*items))
        assert found == {
            "good": Reason.COPIED,
            "secret": Reason.SOURCE_UNREADABLE,
            "locked/file": Reason.SOURCE_UNREADABLE,
            "closed/file": Reason.DESTINATION_OBSTRUCTED,
            "later": Reason.COPIED,
        }, found
        with pytest.raises(MoverUnavailable) as outage:
            mover.stat(hop.source, ["locked/file"])
        assert outage.value.reason is Reason.PERMISSION_DENIED
        packed = hop.run(*items[:3], bundle="tapes/x.tar")
        assert reasons(packed)["secret"] is Reason.SOURCE_UNREADABLE
        (destination / ".dichroism/incoming").chmod(0o500)
        refused = hop.run(hop.put("another", b"x"))
        assert (refused.state, refused.reason) == (TaskState.FAILED, Reason.PERMISSION_DENIED), refused
        for path in (source / "locked", destination / "closed", destination / ".dichroism/incoming"):
            path.chmod(0o700)


def test_permissions_of_one_file_blame_one_file_and_of_the_endpoint_nobody() -> None:
    # Not tmp_path: only root may enter that when root runs the tests.
    world = Path(tempfile.mkdtemp())
    try:
        world.chmod(0o777)
        script = "import sys, pathlib; from tests.unit.test_filesystem_mover_outages import unprivileged as f; "
        done = subprocess.run(
            [sys.executable, "-c", script + "f(pathlib.Path(sys.argv[1]))", str(world)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(world)


def test_a_cancelled_task_keeps_what_it_finished(hop: Hop) -> None:
    first = hop.put("first.txt", b"first")
    size = 2_000_000_000
    with (hop.source_root / "huge").open("wb") as sparse:
        sparse.truncate(size)
    item = Item("huge", size, from_ns((hop.source_root / "huge").stat().st_mtime_ns))
    task = hop.task(first, item)
    hop.mover.start(task)
    while not hop.at_destination("first.txt").exists():
        time.sleep(0.001)
    hop.mover.cancel(task.submission_id)
    progress = settled(hop.mover, task.submission_id)
    assert (progress.state, progress.reason) == (TaskState.FAILED, None)
    assert [result.path for result in progress.results] == ["first.txt"]
    assert not hop.at_destination("huge").exists()
    assert hop.incoming() == []
    assert from_ns(hop.at_destination("first.txt").stat().st_mtime_ns) == MOMENT
