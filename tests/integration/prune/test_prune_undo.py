"""Taking files back from the trash: all of them, never over another file, also while pruning is stopped."""

import pytest

from dichroism_crds.kinds import Prune, PrunePhase
from dichroism_crds.names import ANNOTATION_UNDO
from dichroism_crds.reasons import KeptReason
from tests.integration.prune.site import Site


async def trashed(site: Site, count: int = 3) -> Prune:
    """A Prune whose files lie in the trash."""
    prune = await site.due(count)
    await site.run_here()
    assert site.in_place() == set()
    return prune


async def remove_annotation(site: Site, prune: Prune) -> None:
    await site.api.patch(Prune, prune.name, {"metadata": {"annotations": {ANNOTATION_UNDO: None}}})


async def test_undo_brings_every_file_back_to_its_path(site: Site) -> None:
    prune = await trashed(site)
    asked = site.switch("undo", prune.name, "--reason", "looked at again")
    assert asked.code == 0, asked.log
    assert "3 files" in asked.out
    site.run()
    assert site.in_place() == {item.path for item in prune.spec.items}
    assert site.in_trash() == {}
    status = (await site.read(prune)).status
    assert (status.phase, status.trashed, status.kept_count) == (PrunePhase.HELD, 0, 3)


async def test_what_was_taken_back_goes_again_only_when_a_person_says_so(site: Site) -> None:
    prune = await trashed(site)
    site.switch("undo", prune.name, "--reason", "looked at again")
    for _ in range(3):
        await site.run_here()
    assert len(site.in_place()) == 3
    await remove_annotation(site, prune)
    await site.run_here()
    assert (await site.read(prune)).status.phase == PrunePhase.TRASHED
    assert site.in_place() == set()


async def test_undo_works_while_pruning_is_stopped_and_nothing_else_does(site: Site) -> None:
    prune = await trashed(site)
    other = await site.schedule(site.finished_scans(2, prefix="2026/other"), number=2)
    site.switch("stop", "--reason", "a mistake")
    site.switch("undo", prune.name, "--reason", "a mistake")
    ran = site.run()
    assert ran.code == 0, ran.log
    assert "a mistake" in ran.out
    assert site.in_place() == {item.path for one in (prune, other) for item in one.spec.items}
    assert (await site.read(other)).status.phase == PrunePhase.SCHEDULED


async def test_undo_never_replaces_a_file_that_took_the_path_meanwhile(site: Site) -> None:
    prune = await trashed(site)
    taken = site.data / prune.spec.items[1].path
    taken.write_bytes(b"a new scan of the same name")
    site.switch("undo", prune.name, "--reason", "looked at again")
    site.run()
    assert taken.read_bytes() == b"a new scan of the same name"
    assert len(site.in_trash()) == 1
    status = (await site.read(prune)).status
    assert (status.phase, status.trashed) == (PrunePhase.INCOMPLETE, 1)
    assert KeptReason.ORIGINAL_OCCUPIED in {kept.reason for kept in status.kept}

    taken.unlink()
    site.run()
    assert (await site.read(prune)).status.phase == PrunePhase.HELD
    assert len(site.in_place()) == 3


async def test_an_undo_that_comes_while_the_trash_is_due_saves_the_files(site: Site) -> None:
    prune = await trashed(site)
    await site.age_trash(prune)
    site.switch("undo", prune.name, "--reason", "in time")
    site.run()
    assert len(site.in_place()) == 3


async def test_undo_of_what_was_deleted_says_where_the_copies_are(site: Site) -> None:
    prune = await trashed(site)
    await site.age_trash(prune)
    await site.run_here()
    assert (await site.read(prune)).status.phase == PrunePhase.PRUNED
    refused = site.switch("undo", prune.name, "--reason", "too late")
    assert refused.code == 1
    assert "nersc402, hpss402" in refused.log


async def test_undo_of_an_unknown_prune_says_so(site: Site) -> None:
    refused = site.switch("undo", "data402-20260101-0099", "--reason", "none")
    assert refused.code == 1
    assert "data402-20260101-0099" in refused.log


@pytest.mark.parametrize("left", range(1, 5))
async def test_an_undo_that_is_killed_is_finished_by_the_next_run(site: Site, left: int) -> None:
    prune = await trashed(site)
    site.switch("undo", prune.name, "--reason", "looked at again")
    assert site.run_mortal(left) != 0
    await site.forget_lease()
    await site.run_here()
    assert site.in_place() == {item.path for item in prune.spec.items}
    assert site.in_trash() == {}
    assert (await site.read(prune)).status.phase == PrunePhase.HELD
