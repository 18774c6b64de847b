"""Changing what is planned: an earlier day after a shorter retention, another folder after an endpoint moved."""

import shutil
from datetime import timedelta

from dichroism_crds.client import NotFound
from dichroism_crds.config import load
from dichroism_crds.kinds import Metadata, Prune, PrunePhase, Scan
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT
from dichroism_crds.timestamps import now
from dichroism_operator.board import Board
from dichroism_operator.calendar import entry_of
from dichroism_operator.lanes.base import Context
from dichroism_operator.lanes.schedule import ScheduleLane
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from tests.integration.prune.site import Site


async def prunes(site: Site) -> list[Prune]:
    return [one async for one in site.api.list(Prune, label_selector=f"{LABEL_ENDPOINT}=data402")]


async def far_away(site: Site, count: int = 3) -> Prune:
    """Files that go in ten years only."""
    site.configure(after="3650d")
    prune = await site.schedule(site.finished_scans(count))
    site.configure(after="1d")
    return prune


async def mark_scheduled(site: Site, prune: Prune) -> None:
    """What the operator does after it told the Scans."""
    status = prune.status.model_copy(update={"phase": PrunePhase.SCHEDULED})
    await site.api.replace_status(prune.model_copy(update={"status": status}))


async def test_shortening_shows_its_effect_first_and_changes_nothing(site: Site) -> None:
    prune = await far_away(site)
    shown = site.change_plan("shorten", "data402")
    assert shown.code == 0, shown.log
    assert "3 files" in shown.out
    assert "1 Prunes would be replaced" in shown.out
    assert await prunes(site) == [await site.read(prune)]


async def test_shortened_files_go_at_the_earlier_day_and_stand_in_one_prune_only(site: Site) -> None:
    prune = await far_away(site)
    done = site.change_plan("shorten", "data402", "--yes")
    assert done.code == 0, done.log
    (made,) = await prunes(site)
    assert made.name != prune.name
    assert made.spec.not_before < now()
    assert made.spec.items == prune.spec.items
    assert made.spec.bundles == prune.spec.bundles
    site.run()
    assert len(site.in_place()) == 3, "nothing goes before the Scans were told"
    await mark_scheduled(site, made)
    site.run()
    assert site.in_place() == set()


async def test_shortening_a_second_time_finds_nothing_to_do(site: Site) -> None:
    await far_away(site)
    site.change_plan("shorten", "data402", "--yes")
    again = site.change_plan("shorten", "data402", "--yes")
    assert "0 Prunes replaced, 0 left" in again.out


async def test_a_longer_retention_moves_no_prune(site: Site) -> None:
    prune = await site.due(2)
    site.configure(after="3650d")
    assert "0 Prunes replaced" in site.change_plan("shorten", "data402", "--yes").out
    assert [one.name for one in await prunes(site)] == [prune.name]


async def test_files_in_the_trash_are_not_planned_anew(site: Site) -> None:
    prune = await site.due(2)
    await site.run_here()
    recorded = await site.read(prune)
    later = recorded.spec.model_copy(update={"not_before": now() + timedelta(days=300)})
    twin = await site.api.create(
        Prune(metadata=Metadata(name="data402-20990101-0009", labels=prune.metadata.labels), spec=later)
    )
    await site.api.replace_status(twin.model_copy(update={"status": recorded.status}))
    refused = site.change_plan("shorten", "data402", "--yes")
    assert refused.code == 1
    assert "in the trash" in refused.out
    assert twin.name in {one.name for one in await prunes(site)}


async def test_a_moved_copy_is_read_before_its_prunes_mean_the_new_folder(site: Site) -> None:
    prune = await site.due(3)
    moved = site.roots["nersc402"].with_name("cfs-new")
    shutil.move(site.roots["nersc402"], moved)
    site.roots["nersc402"] = moved
    site.configure(root_paths={"nersc402": "/site/cfs-new"})
    site.run()
    assert len(site.in_place()) == 3, "kept: the endpoint is not the recorded one"

    done = site.change_plan("rebind", "nersc402", "nersc402", "--yes")
    assert done.code == 0, done.out + done.log
    (made,) = await prunes(site)
    assert {need.root_path for need in made.spec.needs} == {"/site/cfs-new", "/site/hpss402"}
    await mark_scheduled(site, made)
    site.run()
    assert site.in_place() == set()
    try:
        await site.read(prune)
    except NotFound:
        return
    raise AssertionError("the old Prune is still there")


async def test_a_scan_does_not_go_on_naming_the_prune_of_an_endpoint_that_has_another_name_now(site: Site) -> None:
    site.configure(also_disk=True)
    scans = site.finished_scans(2)
    now_called = await site.schedule(scans, 7)
    other = await site.schedule(scans, endpoint="nersc402")
    endpoint = now_called.spec.endpoint.model_copy(update={"name": "acq402"})
    metadata = Metadata(name="acq402-20260101-0001", labels={LABEL_BEAMLINE: "BL402", LABEL_ENDPOINT: "acq402"})
    spec = now_called.spec.model_copy(update={"endpoint": endpoint})
    old = await site.api.create(Prune(metadata=metadata, spec=spec))
    await mark_scheduled(site, old)
    await site.api.delete(Prune, now_called.name)
    for scan in scans:
        made = await site.api.create(scan)
        status = scan.status.model_copy(update={"prune": [entry_of(old), entry_of(other)]})
        await site.api.replace_status(made.model_copy(update={"status": status}))

    done = site.change_plan("rebind", "acq402", "data402", "--yes")
    assert done.code == 0, done.out + done.log
    (new,) = await prunes(site)
    config, board = load(site.config_file), Board()
    writer = StatusWriter(site.api, config, board, {}, lambda _: None)
    context = Context(site.api, config, board, writer, Recorder(site.api, "test"), {})
    await ScheduleLane(context, config.beamlines["BL402"]).turn()
    for scan in scans:
        told = (await site.api.get(Scan, scan.name)).status.prune
        assert {(entry.endpoint, entry.prune) for entry in told} == {("nersc402", other.name), ("data402", new.name)}


async def test_a_folder_with_other_files_is_not_taken_for_the_moved_one(site: Site) -> None:
    prune = await site.due(3)
    moved = site.roots["nersc402"].with_name("cfs-new")
    shutil.copytree(site.roots["nersc402"], moved)
    site.roots["nersc402"] = moved
    damaged = moved / prune.spec.items[1].path
    damaged.write_bytes(b"x" * prune.spec.items[1].size)
    site.configure(root_paths={"nersc402": "/site/cfs-new"})
    refused = site.change_plan("rebind", "nersc402", "nersc402", "--yes")
    assert refused.code == 1
    assert f"CopyDiffers  {prune.spec.items[1].path}" in refused.out
    assert [one.name for one in await prunes(site)] == [prune.name]


async def test_an_unknown_endpoint_is_a_usage_error_that_names_the_known_ones(site: Site) -> None:
    refused = site.change_plan("rebind", "nersc402", "nersc999")
    assert refused.code == 2
    assert "nersc402" in refused.log
