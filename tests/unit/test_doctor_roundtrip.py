"""A round trip on an endpoint touches nothing but its own folder, and takes everything away again."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_operator.doctor.leftovers import Heap, survey
from dichroism_operator.doctor.roundtrip import CONTENT, DOCTOR, MTIME_NS, RoundTripError, make_round_trip
from dichroism_operator.movers.incoming import Incoming
from dichroism_operator.movers.mount import Mount

HOUR = 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared endpoint with a file of a user."""
    (tmp_path / ".dichroism").mkdir()
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "scan.txt").write_text("measured")
    return tmp_path


@pytest.fixture
def mount(root: Path) -> Iterator[Mount]:
    with Mount(Endpoint(name="nersc402", root_path="/cfs", mount=root)) as opened:
        yield opened


def everything(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every path but those of the doctor, with inode, size and time."""
    ours = root / DOCTOR
    found = {path: path.lstat() for path in root.rglob("*") if ours not in (path, *path.parents)}
    return {
        str(path): (one.st_ino, one.st_size, one.st_mtime_ns)
        for path, one in found.items()
        if path.name != ".dichroism"
    }


def test_it_sees_what_a_mover_needs_and_leaves_nothing(root: Path, mount: Mount) -> None:
    before = everything(root)
    trip = make_round_trip(mount)
    assert trip.intact
    assert trip.one_step
    assert not trip.replaced
    assert trip.kept_mtime_ns == MTIME_NS
    assert everything(root) == before
    assert not (root / DOCTOR).exists()


def test_what_a_killed_run_left_is_taken_away_and_nothing_else(root: Path, mount: Mount) -> None:
    left = root / DOCTOR / ("0" * 16)
    fresh = root / DOCTOR / ("1" * 16)
    strange = root / DOCTOR / "notes"
    for folder in (left, fresh, strange):
        folder.mkdir(parents=True)
        (folder / "written").write_bytes(CONTENT)
    old = time.time() - 2 * HOUR
    os.utime(left, (old, old))
    os.utime(strange, (old, old))
    make_round_trip(mount)
    assert sorted(path.name for path in (root / DOCTOR).iterdir()) == ["1" * 16, "notes"]


def test_a_file_of_somebody_in_an_old_folder_of_ours_is_not_deleted(root: Path, mount: Mount) -> None:
    left = root / DOCTOR / ("0" * 16)
    left.mkdir(parents=True)
    (left / "precious").write_text("x")
    old = time.time() - 2 * HOUR
    os.utime(left, (old, old))
    make_round_trip(mount)
    assert (left / "precious").read_text() == "x"


def test_a_link_in_place_of_its_folder_is_not_followed(
    root: Path, mount: Mount, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / DOCTOR).symlink_to(elsewhere)
    with pytest.raises(RoundTripError, match="make a folder"):
        make_round_trip(mount)
    assert list(elsewhere.iterdir()) == []


def test_leftovers_are_counted_and_stay(root: Path, mount: Mount) -> None:
    for path, body in {
        "trash/data402-20270521-0001/0-abcdef01-scan.txt": b"12345",
        "trash/empty-folder": None,
        "superseded/0123-scan.txt": b"123",
    }.items():
        place = root / ".dichroism" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if body is None else place.write_bytes(body)
    before = everything(root)
    left = survey(mount, time.time() + HOUR)
    assert left.trash == {"data402-20270521-0001": Heap(1, 5), "empty-folder": Heap()}
    assert left.superseded == Heap(1, 3)
    assert left.partials == Heap()
    assert everything(root) == before


def test_a_copy_on_the_way_is_a_leftover_only_when_nobody_holds_it(root: Path, mount: Mount) -> None:
    with Incoming(mount, "submission") as incoming, incoming.file() as held:
        os.write(held.fd, b"half")
        (root / ".dichroism" / "incoming" / "dead.0123456789abcdef.part").write_bytes(b"123456")
        assert survey(mount, time.time()).partials == Heap()
        assert survey(mount, time.time() + HOUR).partials == Heap(1, 6)


def test_runs_at_the_same_time_do_not_disturb_each_other(root: Path) -> None:
    over = threading.Event()

    def run(_: int) -> bool:
        with Mount(Endpoint(name="nersc402", root_path="/cfs", mount=root)) as mount:
            return make_round_trip(mount).intact

    def take_away_the_folder_above() -> None:
        while not over.wait(0.001):  # a run that ends takes it away once; whoever never pauses wins in the end
            with suppress(OSError):
                (root / DOCTOR).rmdir()

    with ThreadPoolExecutor(4) as pool:
        pool.submit(take_away_the_folder_above)
        try:
            assert all(pool.map(run, range(150)))
        finally:
            over.set()
    assert not (root / DOCTOR).exists()
