"""What one pass sees of a real tree, and when the root may not be believed."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.scan_files import Rules, join
from dichroism_watcher.root import Root, RootUnavailableError
from dichroism_watcher.stability import Seen
from dichroism_watcher.walk import Listing, glance, walk

NOBODY = 65534


def files(root: Path, *patterns: str) -> set[str]:
    return files_of(walk(root, Rules(patterns)))


def files_of(listings: Iterator[Listing]) -> set[str]:
    return {join(one.folder, name) for one in listings for name, _ in one.files}


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_regular_file_is_seen_with_its_attributes(tmp_path: Path) -> None:
    deep = write(tmp_path / "2026/261122/Trajectory Scan 000206 01.txt", "12345")
    write(tmp_path / "top.txt")
    seen = {join(one.folder, name): look for one in walk(tmp_path, Rules()) for name, look in one.files}
    assert set(seen) == {"2026/261122/Trajectory Scan 000206 01.txt", "top.txt"}
    found = deep.stat()
    name = "2026/261122/Trajectory Scan 000206 01.txt"
    assert seen[name] == Seen(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def test_links_and_special_files_are_counted_and_never_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside/secret.txt")
    root = tmp_path / "root"
    write(root / "scan.txt")
    (root / "file-link").symlink_to(tmp_path / "outside/secret.txt")
    (root / "folder-link").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert files(root) == {"scan.txt"}
    assert sum(one.skipped for one in walk(root, Rules())) == 4


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
    listings = list(walk(tmp_path, Rules()))
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
    errors = {one.folder: one.error for one in walk(unprivileged, Rules())}
    assert errors == {"": None, "locked": "Permission denied", "open": None}


def test_a_file_whose_attributes_cannot_be_read_is_told_by_name(unprivileged: Path) -> None:
    write(unprivileged / "listed/scan.txt")
    (unprivileged / "listed").chmod(stat.S_IRUSR)
    listing = next(one for one in walk(unprivileged, Rules()) if one.folder == "listed")
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
    listings = list(walk(tmp_path, Rules()))
    assert max(len(one.folder) for one in listings) <= 1024
    assert [len(path) > 1024 for one in listings for path in one.illegal_folders] == [True]


def test_a_folder_removed_during_the_pass_is_just_gone(tmp_path: Path) -> None:
    write(tmp_path / "gone/scan.txt")
    seen: list[Listing] = []
    for listing in walk(tmp_path, Rules()):
        seen.append(listing)
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    assert [one.folder for one in seen] == [""]
    assert seen[0].error is None


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A root with its mark."""
    (tmp_path / "data" / PRIVATE_DIR).mkdir(parents=True)
    return tmp_path / "data"


def test_a_missing_root_is_an_error_and_believed_again_when_it_is_back(marked: Path) -> None:
    root = Root(marked)
    away = marked.rename(marked.with_name("away"))
    with pytest.raises(RootUnavailableError, match="mount it"):
        root.check()
    away.rename(marked)
    root.check()


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RootUnavailableError, match=r"[Nn]ot a (folder|directory)"):
        Root(write(tmp_path / "data")).check()


def test_an_empty_mount_point_is_an_error_and_not_an_empty_root(marked: Path) -> None:
    root = Root(marked)
    root.check()
    (marked / PRIVATE_DIR).rmdir()
    with pytest.raises(RootUnavailableError, match="probably not mounted"):
        root.check()


def test_a_mark_that_is_a_link_is_none(marked: Path) -> None:
    (marked / PRIVATE_DIR).rmdir()
    (marked / PRIVATE_DIR).symlink_to("/tmp")
    with pytest.raises(RootUnavailableError, match="has no folder"):
        Root(marked).check()


def test_a_root_on_another_device_than_before_is_an_error(marked: Path, tmp_path: Path) -> None:
    root = Root(marked)
    root.check()
    other = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        (other / PRIVATE_DIR).mkdir()
        marked.rename(marked.with_name("away"))
        marked.symlink_to(other)
        with pytest.raises(RootUnavailableError, match="another device"):
            root.check()
    finally:
        shutil.rmtree(other)


def test_a_sentinel_tells_the_end_of_its_file_unless_the_file_is_newer(tmp_path: Path) -> None:
    rules = Rules(sentinel="{stem}.done")
    for name in ("told.txt", "told.done", "rewritten.txt", "rewritten.done", "untold.txt", "linked.txt"):
        write(tmp_path / name)
    os.utime(tmp_path / "told.done", (2e9, 2e9))
    os.utime(tmp_path / "rewritten.txt", (2e9, 2e9))
    (tmp_path / "linked.done").symlink_to(tmp_path / "told.done")
    (listing,) = walk(tmp_path, rules)
    assert listing.told == {"told.txt"}
    assert {name for name, _ in listing.files} == {"told.txt", "rewritten.txt", "untold.txt", "linked.txt"}
    seen, _ = glance(tmp_path, rules, "", ["told.txt", "rewritten.txt", "untold.txt", "linked.txt"])
    assert seen.told == {"told.txt"}


def test_a_glance_sees_files_and_folders_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "day/scan.txt", "12345")
    (tmp_path / "day/below").mkdir()
    (tmp_path / "day/link").symlink_to("scan.txt")
    (tmp_path / "day/new\nline").mkdir()
    listing, below = glance(tmp_path, Rules(), "day", ["scan.txt", "below", "link", "gone", "new\nline", "n\0l"])
    found = (tmp_path / "day/scan.txt").stat()
    assert listing.files == [("scan.txt", Seen(5, found.st_mtime_ns, found.st_ino, found.st_ctime_ns))]
    assert below == ["day/below"]


def test_new_folders_are_told_before_they_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "a/b/scan.txt")

    def add(folder: str) -> None:
        write(tmp_path / folder / "came-then.txt")

    assert files_of(walk(tmp_path, Rules(), "a", add)) == {"a/came-then.txt", "a/b/scan.txt", "a/b/came-then.txt"}
