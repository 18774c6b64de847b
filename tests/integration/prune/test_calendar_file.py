"""The calendar in a file: it comes back as it was, once, and deletes nothing that is not proven."""

from pathlib import Path

from dichroism_crds.kinds import Prune, PrunePhase
from tests.integration.prune.site import Ended, Site, ended


def calendar_file(site: Site, verb: str, file: Path) -> Ended:
    return ended(site.start_namespaced(verb, str(file)))


async def lose_the_cluster(site: Site, *prunes: Prune) -> None:
    for prune in prunes:
        await site.api.delete(Prune, prune.name)


async def test_the_calendar_comes_back_with_its_status(site: Site, tmp_path: Path) -> None:
    trashed = await site.due(2)
    await site.run_here()
    waiting = await site.schedule(site.finished_scans(2, prefix="2026/other"), number=2)
    before = [await site.read(prune) for prune in (trashed, waiting)]
    assert calendar_file(site, "export", tmp_path / "calendar").code == 0
    await lose_the_cluster(site, trashed, waiting)

    restored = calendar_file(site, "import", tmp_path / "calendar")
    assert restored.code == 0, restored.log
    assert "2 Prunes created" in restored.out
    after = [await site.read(prune) for prune in (trashed, waiting)]
    assert [(one.spec, one.status, one.metadata.labels) for one in after] == [
        (one.spec, one.status, one.metadata.labels) for one in before
    ]
    assert "2 were there already" in calendar_file(site, "import", tmp_path / "calendar").out


async def test_a_stale_calendar_finds_its_files_gone(site: Site, tmp_path: Path) -> None:
    prune = await site.due(2)
    calendar_file(site, "export", tmp_path / "calendar")
    await site.run_here()
    await site.age_trash(prune)
    await site.run_here()
    copies = site.copies()
    await lose_the_cluster(site, prune)
    calendar_file(site, "import", tmp_path / "calendar")
    await site.run_here()
    status = (await site.read(prune)).status
    assert (status.phase, status.deleted, status.kept_count) == (PrunePhase.PRUNED, 0, 2)
    assert site.copies() == copies


async def test_a_file_with_something_else_in_it_creates_nothing(site: Site, tmp_path: Path) -> None:
    prune = await site.due(1)
    calendar_file(site, "export", tmp_path / "calendar")
    await lose_the_cluster(site, prune)
    with (tmp_path / "calendar").open("a") as file:
        file.write('{"kind": "Pod"}\n')
    refused = calendar_file(site, "import", tmp_path / "calendar")
    assert refused.code == 1
    assert "calendar:2:" in refused.log
    assert [one async for one in site.api.list(Prune)] == []
