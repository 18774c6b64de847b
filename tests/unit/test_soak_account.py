"""The soak's account can fail: every kind of falsehood in a small world is named, and an honest world adds up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dichroism_operator.catalogue.scicat_documents import dataset_pid
from tests.fault.instrument import Instrument
from tests.soak import evidence
from tests.soak.account import account
from tests.soak.records import Entry, Found, Place, Planned, Told, ToldCopy, World, Written

KEPT, PRUNED, AGAIN, LEFT_ALONE = "2026/kept.txt", "2026/pruned.txt", "2026/again.txt", "2026/link.target"
BUNDLE = "2026/bl402-1.tar"


def sha(text: str) -> str:
    """A digest that people can read."""
    return text.encode().hex().ljust(64, "0")


def told(path: str, sha256: str, **more: object) -> Told:
    copies = {"nersc402": ToldCopy(path, sha256), "hpss402": ToldCopy(BUNDLE, sha256)}
    return replace(Told(f"scan of {path}", "BL402", path, True, copies=copies, pid=f"pid of {path}"), **more)  # type: ignore[arg-type]


def found(place: Place, path: str, sha256: str, size: int) -> Found:
    return Found(place, "BL402", path, sha256, size, BUNDLE if place is Place.TAPE else "")


@pytest.fixture
def world() -> World:
    """One file that is kept, one that was pruned, one that was written again, one that is none of ours."""
    contents = {KEPT: (sha("kept"), 10), PRUNED: (sha("pruned"), 20), AGAIN: (sha("new"), 31)}
    old = (sha("old"), 30)
    lying = [found(place, path, *one) for path, one in contents.items() for place in (Place.DISK, Place.TAPE)]
    lying += [found(Place.SOURCE, path, *contents[path]) for path in (KEPT, AGAIN)]
    lying += [found(Place.DISK_SUPERSEDED, "x7-again.txt", *old), found(Place.SOURCE, LEFT_ALONE, sha("none"), 5)]
    written = [Written("BL402", path, (one,), at=100.0) for path, one in contents.items() if path != AGAIN]
    written += [Written("BL402", AGAIN, (old, contents[AGAIN]), at=100.0)]
    written += [Written("BL402", LEFT_ALONE, ((sha("none"), 5),), scan=False)]
    return World(
        written=written,
        found=lying,
        scans=[told(path, one[0]) for path, one in contents.items()],
        datasets=[Entry(f"pid of {path}", (one[0],), (one[0],)) for path, one in contents.items()],
        planned=[Planned("data402", path, one[0]) for path, one in contents.items()],
        deliveries=[("nersc402", AGAIN, 30, "then"), ("nersc402", AGAIN, 31, "now")],
        tasks=["dichroism ns t1 s1", "dichroism ns t2 s2"],
        restored=[(("BL402", PRUNED), sha("pruned"))],
        gone_since={("BL402", PRUNED): 130.0},
        retention_s=25.0,
    )


def test_an_honest_world_adds_up_to_the_byte(world: World) -> None:
    result = account(world)
    assert result.faults == {}
    assert result.created.bytes == 96 == sum(tally.bytes for tally in result.fates.values())
    assert {name: tally.files for name, tally in result.fates.items()} == {
        "safe, still at its source": 2,
        "safe, pruned at its source": 1,
        "replaced, kept on disk": 1,
        "no scan, left alone": 1,
    }
    assert (result.places[Place.TAPE].files, result.places[Place.TAPE].bytes) == (3, 61)


def drop(world: World, place: Place, path: str) -> None:
    world.found = [one for one in world.found if (one.place, one.path) != (place, path)]


def swap(world: World, place: Place, path: str, **change: object) -> None:
    world.found = [
        replace(one, **change) if (one.place, one.path) == (place, path) else one  # type: ignore[arg-type]
        for one in world.found
    ]


def scan(world: World, path: str, **change: object) -> None:
    world.scans = [replace(one, **change) if one.path == path else one for one in world.scans]  # type: ignore[arg-type]


def lose_on_tape(world: World) -> None:
    drop(world, Place.TAPE, PRUNED)


def lose_everywhere(world: World) -> None:
    for place in Place:
        drop(world, place, KEPT)


def lose_on_disk(world: World) -> None:
    drop(world, Place.DISK, KEPT)


def lose_what_was_superseded(world: World) -> None:
    drop(world, Place.DISK_SUPERSEDED, "x7-again.txt")


def flip_on_tape(world: World) -> None:
    swap(world, Place.TAPE, KEPT, sha256=sha("kepu"))


def flip_at_the_source(world: World) -> None:
    swap(world, Place.SOURCE, AGAIN, sha256=sha("nev"))


def touch_what_is_not_ours(world: World) -> None:
    drop(world, Place.SOURCE, LEFT_ALONE)


def delete_unplanned(world: World) -> None:
    world.planned = [one for one in world.planned if one.path != PRUNED]


def delete_early(world: World) -> None:
    world.gone_since["BL402", PRUNED] = 124.0


def tell_another_bundle(world: World) -> None:
    (one,) = [one for one in world.scans if one.path == KEPT]
    scan(world, KEPT, copies={**one.copies, "hpss402": ToldCopy("2026/other.tar", sha("kept"))})


def tell_an_older_content(world: World) -> None:
    world.scans = [one for one in world.scans if one.path != AGAIN] + [told(AGAIN, sha("old"))]


def tell_a_superseded_copy_that_is_nowhere(world: World) -> None:
    scan(world, AGAIN, superseded=(sha("old"),))


def leave_unfinished(world: World) -> None:
    scan(world, KEPT, done=False, reasons=("Waiting",), message="it waits")


def have_no_scan(world: World) -> None:
    world.scans = [one for one in world.scans if one.path != KEPT]


def pack_twice(world: World) -> None:
    world.found.append(replace(found(Place.TAPE, KEPT, sha("kept"), 10), bundle="2026/bl402-2.tar"))


def catalogue_twice(world: World) -> None:
    world.datasets.append(Entry("another pid", (sha("kept"),), (sha("kept"),)))


def catalogue_not(world: World) -> None:
    world.datasets = [one for one in world.datasets if one.pid != f"pid of {KEPT}"]


def catalogue_another_content(world: World) -> None:
    world.datasets = [
        replace(one, files=(sha("other"),)) if one.pid == f"pid of {KEPT}" else one for one in world.datasets
    ]


def list_the_tape_copy_twice(world: World) -> None:
    world.datasets = [replace(one, on_tape=one.on_tape * 2) for one in world.datasets]


def scan_twice(world: World) -> None:
    world.scans.append(told(KEPT, sha("kept"), name="a second one"))


def scan_of_nothing(world: World) -> None:
    world.scans.append(told("2026/nobody.txt", sha("kept"), pid=f"pid of {KEPT}"))


def scan_of_no_finished_file(world: World) -> None:
    world.scans.append(told(LEFT_ALONE, sha("none"), pid=f"pid of {KEPT}"))


def scan_at_both_paths_of_a_move(world: World) -> None:
    world.written = [replace(one, former="2026/before.txt") if one.path == KEPT else one for one in world.written]
    world.scans.append(told("2026/before.txt", sha("kept"), pid=f"pid of {KEPT}", moved_to=KEPT))


def gone_for_another_reason(world: World) -> None:
    world.written.append(Written("BL402", "2026/deleted.txt", ((sha("deleted"), 1),), False, True, hesitated=True))
    world.scans.append(Told("scan", "BL402", "2026/deleted.txt", False, ("Unreadable",)))


def carry_twice(world: World) -> None:
    world.deliveries.append(world.deliveries[0])


def post_twice(world: World) -> None:
    world.tasks.append(world.tasks[0])


def restore_other_bytes(world: World) -> None:
    world.restored.append((("BL402", KEPT), sha("other")))


def break_a_bundle(world: World) -> None:
    world.unreadable.append("2026/bl402-1.tar: unexpected end of data")


def ignore_a_hold(world: World) -> None:
    world.broken_words.append(f"{KEPT}: gone while it was held")


@pytest.mark.parametrize(
    ("falsify", "rule", "named"),
    [
        (lose_on_tape, "deleted without need or copy", PRUNED),
        (lose_everywhere, "lost or unfinished", KEPT),
        (lose_on_disk, "copies that are not there", KEPT),
        (lose_what_was_superseded, "verified and then lost", AGAIN),
        (flip_on_tape, "bytes that nobody wrote", KEPT),
        (flip_at_the_source, "bytes that nobody wrote", AGAIN),
        (touch_what_is_not_ours, "lost or unfinished", LEFT_ALONE),
        (delete_unplanned, "deleted without need or copy", PRUNED),
        (delete_early, "deleted too early", PRUNED),
        (tell_another_bundle, "copies that are not there", KEPT),
        (tell_an_older_content, "copies that are not there", AGAIN),
        (tell_a_superseded_copy_that_is_nowhere, "copies that are not there", AGAIN),
        (leave_unfinished, "lost or unfinished", "it waits"),
        (have_no_scan, "lost or unfinished", "no Scan"),
        (pack_twice, "double", KEPT),
        (catalogue_twice, "catalogue", "another pid"),
        (catalogue_not, "catalogue", KEPT),
        (catalogue_another_content, "catalogue", KEPT),
        (list_the_tape_copy_twice, "catalogue", KEPT),
        (scan_twice, "double", KEPT),
        (scan_of_nothing, "superfluous Scans", "nobody.txt"),
        (scan_of_no_finished_file, "superfluous Scans", LEFT_ALONE),
        (scan_at_both_paths_of_a_move, "double", "before.txt"),
        (gone_for_another_reason, "superfluous Scans", "deleted.txt"),
        (carry_twice, "double", AGAIN),
        (post_twice, "double", "t1"),
        (restore_other_bytes, "restored wrongly", KEPT),
        (break_a_bundle, "unreadable", BUNDLE),
        (ignore_a_hold, "done although forbidden", KEPT),
    ],
)
def test_every_falsehood_is_named(world: World, falsify: Callable[[World], None], rule: str, named: str) -> None:
    falsify(world)
    result = account(world)
    assert not result.adds_up
    assert any(named in said for said in result.faults[rule]), result.faults


def test_what_an_instrument_leaves_is_told_with_every_content(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    log = tmp_path / "log"
    with log.open("w") as lines:
        Instrument(root, outside, seed=3, quiet=0.001).run(120, 4, lines)
    read = evidence.read_outcomes(log, "BL402", quiet_s=1.0)
    places = {one.path: one for one in evidence.files_on(_marked(root), "BL402", evidence.SOURCE_PLACES)}
    assert len(read) >= 120
    for one in read:
        if one.deleted or not one.left:
            assert one.path not in places
        else:
            assert (places[one.path].sha256, places[one.path].size) == one.last
    assert any(len(one.left) > 1 for one in read)
    assert set(places) == {one.path for one in read if one.left and not one.deleted}


def _marked(root: Path) -> Path:
    (root / ".dichroism").mkdir()
    return root


def test_bundles_are_read_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(b"\0" * 100 + b"no tar")
    unreadable: list[str] = []
    assert list(evidence.members_on(tmp_path, "BL402", unreadable)) == []
    assert [text.partition(":")[0] for text in unreadable] == ["cut.tar"]


def test_a_dataset_that_a_dying_process_could_not_write_into_its_scan_is_that_scans(world: World) -> None:
    lost = replace(told("2026/moved away.txt", sha("x")), done=False, pid=None)
    world.datasets.append(Entry(dataset_pid(lost.name), (sha("x"),), ()))
    assert account(world).faults["catalogue"] == [f"{dataset_pid(lost.name)}: a dataset of no Scan"]
    world.scans.append(lost)
    assert "catalogue" not in account(world).faults


@pytest.mark.parametrize(
    ("failed", "count", "brought"),
    [((), 0, ["a", "b"]), (("a",), 1, ["b"]), ((), 1, []), (("a",), 2, [])],
    ids=["all", "one failed and is named", "one was never reached", "one failed and one was never reached"],
)
def test_a_transfer_counts_for_what_it_brought_where_it_names_all_the_others(
    failed: tuple[str, ...], count: int, brought: list[str]
) -> None:
    items = [{"path": path, "size": 1, "modifiedAt": "then"} for path in ("a", "b")]
    status = {"phase": "Failed", "files": 1, "failedCount": count, "failedItems": [{"path": one} for one in failed]}
    transfer = {"spec": {"destination": "nersc402", "items": items}, "status": status}
    assert [path for _, path, _, _ in evidence.deliveries_of([transfer])] == brought
