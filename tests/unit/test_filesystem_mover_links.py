"""No component of a path is ever a link that is followed, on either side, in our own folders too."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import CopyState, CopyToVerify, Item, TaskState
from dichroism_operator.movers.errors import MoverUnavailable, NotARegularFileError
from dichroism_operator.movers.filesystem import FilesystemMover
from tests.unit.mover_contract import MOMENT, Hop, hop_in, prepared_endpoint, put, reasons, sha256

DEEP = "one/two/three/file.txt"
COMPONENTS = ["one", "one/two", "one/two/three", "one/two/three/file.txt"]
ELSEWHERE = b"somebody else's file"


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    with FilesystemMover(leftover_age=timedelta(0)) as mover:
        yield hop_in(tmp_path, mover)


def redirect(root: Path, component: str) -> Path:
    """Move a component of the deep path out of the root and leave a link to it there."""
    outside = root.parent / f"outside-{root.name}"
    (root / component).rename(outside)
    (root / component).symlink_to(outside)
    return outside


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_link_in_the_source_path_is_not_followed(hop: Hop, component: str) -> None:
    item = hop.put(DEEP, ELSEWHERE)
    redirect(hop.source_root, component)
    assert reasons(hop.run(item)) == {DEEP: Reason.SOURCE_UNREADABLE}
    assert not hop.at_destination("one").exists()
    assert hop.mover.stat(hop.source, [DEEP]) == {DEEP: None}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_link_in_the_destination_path_is_neither_followed_nor_replaced(hop: Hop, component: str) -> None:
    put(hop.destination_root, DEEP, ELSEWHERE)
    outside = redirect(hop.destination_root, component)
    item = hop.put(DEEP, b"new content of a scan")
    before = sorted(path.relative_to(outside) for path in outside.rglob("*")) if outside.is_dir() else None
    progress = hop.run(item)
    assert reasons(progress) == {DEEP: Reason.DESTINATION_OBSTRUCTED}
    assert (hop.destination_root / component).is_symlink()
    assert hop.at_destination(DEEP).read_bytes() == ELSEWHERE
    assert hop.superseded() == []
    assert before is None or before == sorted(path.relative_to(outside) for path in outside.rglob("*"))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_what_is_no_file_at_the_destination_stays(hop: Hop, make: Callable[[Path], None]) -> None:
    item, other = hop.put("taken", b"x"), hop.put("other", b"y")
    make(hop.destination_root / "taken")
    assert reasons(hop.run(item, other)) == {"taken": Reason.DESTINATION_OBSTRUCTED, "other": Reason.COPIED}
    assert not hop.at_destination("taken").is_file()


def test_a_fifo_at_the_source_does_not_stop_the_task(hop: Hop) -> None:
    os.mkfifo(hop.source_root / "pipe")
    other = hop.put("other", b"y")
    assert reasons(hop.run(Item("pipe", 0, MOMENT), other)) == {
        "pipe": Reason.SOURCE_UNREADABLE,
        "other": Reason.COPIED,
    }


@pytest.mark.parametrize("folder", ["incoming", "superseded"])
def test_private_folders_that_are_links_are_not_used(hop: Hop, tmp_path: Path, folder: str) -> None:
    put(hop.destination_root, "file", b"old")
    item = hop.put("file", b"newer")
    (tmp_path / "elsewhere").mkdir()
    (hop.destination_root / ".dichroism" / folder).symlink_to(tmp_path / "elsewhere")
    progress = hop.run(item)
    assert progress.state is TaskState.FAILED or not progress.results[0].verified
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert hop.at_destination("file").read_bytes() == b"old"


def test_an_endpoint_whose_private_folder_is_a_link_is_not_used(hop: Hop, tmp_path: Path) -> None:
    (hop.destination_root / ".dichroism").rename(tmp_path / "elsewhere")
    (hop.destination_root / ".dichroism").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MoverUnavailable) as refused:
        hop.mover.start(hop.task(hop.put("file", b"x")))
    assert refused.value.reason is Reason.ENDPOINT_UNAVAILABLE


@pytest.mark.parametrize("component", ["trash", "trash/p", "trash/p/x"])
def test_nothing_is_deleted_through_a_link(hop: Hop, component: str) -> None:
    put(hop.source_root, ".dichroism/trash/p/x", ELSEWHERE)
    redirect(hop.source_root / ".dichroism", component)
    with pytest.raises(NotARegularFileError):
        hop.mover.delete_private(hop.source, [".dichroism/trash/p/x"])
    assert (hop.source_root / ".dichroism/trash/p/x").read_bytes() == ELSEWHERE


@pytest.mark.parametrize("component", COMPONENTS)
def test_nothing_is_renamed_through_a_link(hop: Hop, component: str) -> None:
    hop.put(DEEP, ELSEWHERE)
    redirect(hop.source_root, component)
    with pytest.raises(NotARegularFileError):
        hop.mover.rename(hop.source, DEEP, ".dichroism/trash/p/x")
    assert (hop.source_root / DEEP).read_bytes() == ELSEWHERE


def test_a_trash_that_is_a_link_receives_nothing(hop: Hop, tmp_path: Path) -> None:
    hop.put("file", b"precious")
    (tmp_path / "elsewhere").mkdir()
    (hop.source_root / ".dichroism/trash").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotARegularFileError):
        hop.mover.rename(hop.source, "file", ".dichroism/trash/p/x")
    assert (hop.source_root / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_copy_reached_through_a_link_does_not_verify(hop: Hop, component: str) -> None:
    put(hop.destination_root, DEEP, ELSEWHERE)
    redirect(hop.destination_root, component)
    copy = CopyToVerify(DEEP, len(ELSEWHERE), sha256(ELSEWHERE))
    assert hop.mover.verify(hop.destination, [copy]) == {copy: CopyState.DIFFERS}


def test_a_second_name_of_the_source_file_is_not_a_copy(hop: Hop) -> None:
    item = hop.put("file", b"the only bytes there are")
    os.link(hop.source_root / "file", hop.destination_root / "file")
    assert reasons(hop.run(item)) == {"file": Reason.COPIED}
    assert not os.path.samefile(hop.source_root / "file", hop.destination_root / "file")
    assert hop.at_destination("file").read_bytes() == b"the only bytes there are"


@pytest.mark.parametrize("inner", ["", "below", "below/deeper"])
def test_two_endpoints_in_one_folder_are_refused(tmp_path: Path, inner: str) -> None:
    outer = prepared_endpoint("data402", tmp_path / "root")
    nested = prepared_endpoint("nersc402", tmp_path / "root" / inner)
    put(tmp_path / "root", "file", b"x")
    with FilesystemMover() as mover:
        for source, destination in ((outer, nested), (nested, outer)):
            hop = Hop(mover, source, destination, tmp_path / "root", tmp_path / "root")
            progress = hop.run(Item("file", 1, MOMENT))
            assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.ENDPOINT_UNAVAILABLE)
            assert progress.results == ()
