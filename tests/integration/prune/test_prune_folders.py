"""Folders that pruning left empty: they go only when the configuration says so, and what is in the trash finds back."""

import os
import signal
from pathlib import Path

import pytest

from dichroism_crds.kinds import Prune, PrunePhase
from dichroism_crds.reasons import EventReason, KeptReason
from tests.integration.prune.site import Site

DAY, NEXT_DAY = "2026/261122", "2026/261123"
EMPTYING = 2 * (2 + 1)
"""Before and after: two files deleted, one status write; the folders come next."""


@pytest.fixture
def told(site: Site) -> Site:
    """A site whose configuration says that empty folders go."""
    site.configure(remove_empty_folders=True)
    return site


async def trashed(site: Site, *groups: list[str]) -> list[Prune]:
    """A Prune for each group of paths, in the trash for more than a week; nothing changed in their folders since."""
    scans = iter(site.scans_of([path for paths in groups for path in paths]))
    prunes = [await site.schedule([next(scans) for _ in paths], number) for number, paths in enumerate(groups, start=1)]
    await site.run_here()
    assert site.in_place() == set()
    for prune in prunes:
        await site.age_trash(prune)
    site.age_folders()
    return prunes


async def told_events(site: Site) -> list[str]:
    """Messages of the Events about folders."""
    found = await site.api.request("GET", site.api.builtin_path("v1", "events"))
    return sorted(event["message"] for event in found["items"] if event["reason"] == EventReason.FOLDERS_REMOVED)


async def test_folders_go_with_their_last_file_and_it_is_told(told: Site) -> None:
    (told.data / "2025").mkdir()
    prunes = await trashed(told, ["scan.txt", f"{DAY}/a.txt"], [f"{NEXT_DAY}/a.txt", f"{NEXT_DAY}/b.txt"])
    assert told.run("--dry-run").code == 0
    assert told.folders() == {"2025", "2026", DAY, NEXT_DAY}
    ran = told.run()
    assert ran.code == 0, ran.log
    assert told.folders() == {"2025"}  # it was empty before, and not by us
    assert told.folders("nersc402") == {"2026", DAY, NEXT_DAY}
    assert {(await told.read(prune)).status.phase for prune in prunes} == {PrunePhase.PRUNED}
    assert "3 empty folders removed" in ran.out
    assert DAY in ran.log
    assert await told_events(told) == ["1 empty folder removed from data402", "2 empty folders removed from data402"]


async def test_folders_stay_unless_the_configuration_says_so(site: Site) -> None:
    (prune,) = await trashed(site, [f"{DAY}/a.txt"])
    assert (await site.run_here()).folders == 0
    assert (await site.read(prune)).status.phase == PrunePhase.PRUNED
    assert site.folders() == {"2026", DAY}
    assert await told_events(site) == []


async def test_a_folder_stays_that_is_in_use_or_not_emptied_by_a_deletion(told: Site, tmp_path: Path) -> None:
    fates = ["gone", "with-file", "with-folder", "touched", "link", "trashed"]
    *_, other = await trashed(told, [f"2026/{fate}/a.txt" for fate in fates[:-1]], ["2026/trashed/a.txt"])
    (told.data / "2026/with-file/notes.txt").write_bytes(b"kept")
    (told.data / "2026/with-folder/inner").mkdir()
    (told.data / "2026/link").rmdir()
    (tmp_path / "outside").mkdir()
    (told.data / "2026/link").symlink_to(tmp_path / "outside")
    told.age_folders()
    os.utime(told.data / "2026/touched")
    told.switch("undo", other.name, "--reason", "keep this one")
    summary = await told.run_here()
    assert (summary.deleted, summary.put_back, summary.folders) == (5, 1, 1)
    left = {"2026", *(f"2026/{fate}" for fate in fates if fate not in ("gone", "link"))}
    assert told.folders() == left | {"2026/with-folder/inner"}
    assert told.in_place() == {"2026/with-file/notes.txt", "2026/trashed/a.txt"}
    assert (told.data / "2026/link").is_symlink()
    assert (tmp_path / "outside").is_dir()


# back from the trash


async def half_gone(site: Site) -> Prune:
    """A Prune in whose folder another one's file lay; that is deleted, and the folder went with it."""
    first, second = await trashed(site, [f"{DAY}/a.txt"], [f"{DAY}/b.txt", f"{DAY}/c.txt"])
    await site.api.patch(Prune, second.name, {"spec": {"suspend": True}})
    await site.run_here()
    await site.api.patch(Prune, second.name, {"spec": {"suspend": False}})
    await site.retry_now(second)
    assert (await site.read(first)).status.phase == PrunePhase.PRUNED
    assert (site.folders(), len(site.in_trash())) == (set(), 2)
    return second


async def test_undo_makes_the_folder_anew_that_went_meanwhile(told: Site) -> None:
    prune = await half_gone(told)
    assert told.switch("undo", prune.name, "--reason", "looked at again").code == 0
    assert told.run().code == 0
    assert told.in_place() == {item.path for item in prune.spec.items}
    assert (await told.read(prune)).status.phase == PrunePhase.HELD


async def test_what_must_be_put_back_finds_its_folder_made_anew(told: Site) -> None:
    prune = await half_gone(told)
    held = prune.spec.items[0].path
    told.configure(remove_empty_folders=True, holds=[{"path": held, "by": "J. Doe", "reason": "under review"}])
    summary = await told.run_here()
    assert (summary.put_back, summary.deleted, summary.folders) == (1, 1, 0)
    assert told.in_place() == {held}


async def test_undo_goes_through_no_link_that_stands_for_the_folder(told: Site, tmp_path: Path) -> None:
    prune = await half_gone(told)
    outside = tmp_path / "outside"
    outside.mkdir()
    (told.data / "2026").symlink_to(outside)
    told.switch("undo", prune.name, "--reason", "looked at again")
    await told.run_here()
    assert list(outside.iterdir()) == []
    assert len(told.in_trash()) == 2
    status = (await told.read(prune)).status
    assert {kept.reason for kept in status.kept} == {KeptReason.UNREADABLE}

    (told.data / "2026").unlink()
    await told.retry_now(prune)
    await told.run_here()
    assert told.in_place() == {item.path for item in prune.spec.items}


@pytest.mark.parametrize("action", [EMPTYING + 1, EMPTYING + 2, EMPTYING + 4])
async def test_a_run_that_is_killed_around_the_removal_is_finished_by_the_next(told: Site, action: int) -> None:
    """Before the first folder, after it, and after the one above."""
    (prune,) = await trashed(told, [f"{DAY}/a.txt", f"{DAY}/b.txt"])
    assert told.run_mortal(action) == -signal.SIGKILL
    await told.forget_lease()
    await told.run_here()
    done = (await told.read(prune)).status
    assert (done.phase, done.deleted) == (PrunePhase.PRUNED, 2)
    assert DAY not in told.folders()
    assert told.in_trash() == {}
