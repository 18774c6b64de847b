"""What one pass sees of a real tree, and when the root may not be believed."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_watcher.walk import Excludes, Listing, Root, RootUnavailableError, join, walk

NOBODY = 65534


def files(root: Path, *patterns: str) -> set[str]:
    return {join(one.folder, name) for one in walk(root, Excludes(patterns)) for name, _ in one.files}


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_regular_file_is_seen_with_its_attributes(tmp_path: Path) -> None:
    deep = write(tmp_path / "2026/261122/Trajectory Scan 000206 01.txt", "12345")
    write(tmp_path / "top.txt")
    seen = {join(one.folder, name): look for one in walk(tmp_path, Excludes()) for name, look in one.files}
    assert set(seen) == {"2026/261122/Trajectory Scan 000206 01.txt", "top.txt"}
    found = deep.stat()
    assert seen["2026/261122/Trajectory Scan 000206 01.txt"] == (found.st_size, found.st_mtime_ns, found.st_ino)


def test_links_and_special_files_are_counted_and_never_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside/secret.txt")
    root = tmp_path / "root"
    write(root / "scan.txt")
    (root / "file-link").symlink_to(tmp_path / "outside/secret.txt")
    (root / "folder-link").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert files(root) == {"scan.txt"}
    assert sum(one.skipped for one in walk(root, Excludes())) == 4


def test_our_own_folder_is_never_entered(tmp_path: Path) -> None:
    write(tmp_path / ".dichroism/trash/p/scan.txt")
    write(tmp_path / "scan.txt")
    assert files(tmp_path) == {"scan.txt"}


def test_a_pattern_without_slash_is_for_names_and_one_with_slash_for_the_path(tmp_path: Path) -> None:
    for path in ("a.tmp", "day/b.tmp", "~c/d.txt", "align/e.txt", "day/align/f.txt", "g.txt"):
        write(tmp_path / path)
    assert files(tmp_path, "*.tmp", "~*", "align/*") == {"day/align/f.txt", "g.txt"}
    assert files(tmp_path, "align") == {"a.tmp", "day/b.tmp", "~c/d.txt", "g.txt"}


def test_a_name_that_is_not_utf8_is_seen_and_does_not_hide_others(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "w"):
        pass
    write(tmp_path / "scan.txt")
    assert files(tmp_path) == {"caf\udce9.txt", "scan.txt"}


def test_a_folder_through_which_no_legal_path_leads_is_told_and_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "new\nline/scan.txt")
    write(tmp_path / "ok/scan.txt")
    listings = list(walk(tmp_path, Excludes()))
    assert [list(one.illegal_folders) for one in listings if one.illegal_folders] == [["new\nline"]]
    assert files(tmp_path) == {"ok/scan.txt"}


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of an ordinary user, as which the test runs: root could read every folder."""
    root = Path(tempfile.mkdtemp())
    me = os.geteuid()
    if me == 0:
        os.chown(root, NOBODY, -1)
        os.seteuid(NOBODY)
    try:
        yield root
    finally:
        for folder in root.iterdir():
            folder.chmod(stat.S_IRWXU)
        os.seteuid(me)
        shutil.rmtree(root)


def test_a_folder_that_cannot_be_read_is_an_error_and_not_empty(unprivileged: Path) -> None:
    write(unprivileged / "locked/scan.txt")
    write(unprivileged / "open/scan.txt")
    (unprivileged / "locked").chmod(0)
    errors = {one.folder: one.error for one in walk(unprivileged, Excludes())}
    assert errors == {"": None, "locked": "Permission denied", "open": None}


def test_a_file_whose_attributes_cannot_be_read_is_told_by_name(unprivileged: Path) -> None:
    write(unprivileged / "listed/scan.txt")
    (unprivileged / "listed").chmod(stat.S_IRUSR)
    listing = next(one for one in walk(unprivileged, Excludes()) if one.folder == "listed")
    assert (listing.error, listing.files) == (None, [])
    assert listing.problems() == {"listed/scan.txt": "Permission denied"}


def test_folders_nested_without_end_are_not_followed_beyond_the_longest_legal_path(tmp_path: Path) -> None:
    here, depth = os.open(tmp_path, os.O_RDONLY), 0
    while len(str(tmp_path)) + depth * 201 < 4096:
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, depth = below, depth + 1
    os.close(here)
    listings = list(walk(tmp_path, Excludes()))
    assert max(len(one.folder) for one in listings) <= 1024
    assert [len(path) > 1024 for one in listings for path in one.illegal_folders] == [True]


def test_a_folder_removed_during_the_pass_is_just_gone(tmp_path: Path) -> None:
    write(tmp_path / "gone/scan.txt")
    seen: list[Listing] = []
    for listing in walk(tmp_path, Excludes()):
        seen.append(listing)
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    assert [one.folder for one in seen] == [""]
    assert seen[0].error is None


def test_a_missing_root_is_an_error_and_believed_again_when_it_is_back(tmp_path: Path) -> None:
    root = Root(tmp_path / "data")
    with pytest.raises(RootUnavailableError, match="mount it"):
        root.check(had_files=False)
    (tmp_path / "data").mkdir()
    root.check(had_files=False)


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RootUnavailableError, match=r"[Nn]ot a (folder|directory)"):
        Root(write(tmp_path / "data")).check(had_files=False)


def test_a_root_that_turns_empty_is_an_error_but_a_new_empty_one_is_not(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.check(had_files=False)
    with pytest.raises(RootUnavailableError, match="empty where files had been"):
        root.check(had_files=True)


def test_a_root_on_another_device_than_before_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.symlink_to("/proc")
    root = Root(place)
    root.check(had_files=False)
    place.unlink()
    place.mkdir()
    with pytest.raises(RootUnavailableError, match="another device"):
        root.check(had_files=False)
