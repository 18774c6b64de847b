"""Folders of users on a mounted endpoint: removed only when they are empty, made anew, never through a link."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_crds.paths import PathError
from dichroism_operator.movers.base import KeepsFolders
from dichroism_operator.movers.errors import MoverUnavailable, NotARegularFileError
from dichroism_operator.movers.filesystem import FilesystemMover
from tests.unit.mover_contract import MOMENT, prepared_endpoint

NO_FOLDERS = ("", ".", "..", "2026/..", "/2026", "2026/", ".dichroism", ".dichroism/trash")


@pytest.fixture
def mover() -> Iterator[FilesystemMover]:
    with FilesystemMover() as made:
        assert isinstance(made, KeepsFolders)
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data402"
    (folder / "2026/261122").mkdir(parents=True)
    return folder


@pytest.fixture
def endpoint(root: Path) -> Endpoint:
    return prepared_endpoint("data402", root)


def test_an_empty_folder_is_removed_alone(mover: FilesystemMover, endpoint: Endpoint, root: Path) -> None:
    assert mover.remove_folder(endpoint, "2026/261122")
    assert (root / "2026").is_dir()
    assert mover.remove_folder(endpoint, "2026")
    assert [entry.name for entry in root.iterdir()] == [".dichroism"]


@pytest.mark.parametrize("name", ["scan.txt", ".hidden", "folder/"])
def test_a_folder_that_is_not_empty_stays(mover: FilesystemMover, endpoint: Endpoint, root: Path, name: str) -> None:
    inner = root / "2026/261122" / name
    inner.mkdir() if name.endswith("/") else inner.write_bytes(b"kept")
    assert not mover.remove_folder(endpoint, "2026/261122")
    assert not mover.remove_folder(endpoint, "2026")
    assert inner.exists()


def test_what_is_no_folder_or_not_there_is_not_removed(mover: FilesystemMover, endpoint: Endpoint, root: Path) -> None:
    (root / "file").write_bytes(b"kept")
    for path in ("file", "gone", "gone/deeper", "file/deeper"):
        assert not mover.remove_folder(endpoint, path)
    assert (root / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("link", ["2026", "2026/261122"])
def test_no_folder_is_removed_or_made_through_a_link(
    mover: FilesystemMover, endpoint: Endpoint, root: Path, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    (root / "2026").rename(outside)
    target = outside if link == "2026" else outside / "261122"
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(target)
    assert not mover.remove_folder(endpoint, "2026/261122")
    assert mover.folders_changed(endpoint, [link, "2026/261122"]) == {}
    with pytest.raises(NotARegularFileError):
        mover.make_folder(endpoint, f"{link}/new")
    assert (outside / "261122").is_dir()
    assert not (target / "new").exists()
    assert (root / link).is_symlink()


@pytest.mark.parametrize("path", NO_FOLDERS)
def test_neither_the_root_nor_our_own_folder_is_touched(
    mover: FilesystemMover, endpoint: Endpoint, root: Path, path: str
) -> None:
    (root / ".dichroism/trash").mkdir()
    for call in (mover.remove_folder, mover.make_folder):
        with pytest.raises(PathError):
            call(endpoint, path)
    with pytest.raises(PathError):
        mover.folders_changed(endpoint, [path])
    assert (root / ".dichroism/trash").is_dir()


def test_the_last_change_of_a_folder_is_told_and_of_what_is_none_nothing(
    mover: FilesystemMover, endpoint: Endpoint, root: Path
) -> None:
    (root / "file").write_bytes(b"")
    os.utime(root / "2026", (MOMENT.timestamp(), MOMENT.timestamp()))
    changed = mover.folders_changed(endpoint, ["2026", "2026/261122", "file", "gone"])
    assert changed.keys() == {"2026", "2026/261122"}
    assert changed["2026"] == datetime.fromtimestamp(MOMENT.timestamp(), UTC)


def test_a_folder_is_made_with_those_above_it_and_again_without_harm(
    mover: FilesystemMover, endpoint: Endpoint, root: Path
) -> None:
    for _ in range(2):
        mover.make_folder(endpoint, "2027/270101/a")
    assert (root / "2027/270101/a").is_dir()


def test_a_file_in_the_way_of_a_folder_stays(mover: FilesystemMover, endpoint: Endpoint, root: Path) -> None:
    (root / "2027").write_bytes(b"kept")
    with pytest.raises(NotARegularFileError):
        mover.make_folder(endpoint, "2027/270101")
    assert (root / "2027").read_bytes() == b"kept"


def test_folders_of_an_endpoint_that_is_not_mounted_are_not_looked_at(
    mover: FilesystemMover, endpoint: Endpoint, root: Path
) -> None:
    (root / ".dichroism").rmdir()
    for call in (mover.remove_folder, mover.make_folder):
        with pytest.raises(MoverUnavailable):
            call(endpoint, "2026/261122")
    with pytest.raises(MoverUnavailable):
        mover.folders_changed(endpoint, ["2026"])
    assert (root / "2026/261122").is_dir()
