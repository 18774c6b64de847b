"""The calendar as metrics: what an alert on overdue or kept files rests on."""

from dichroism_crds.config import load
from dichroism_crds.kinds import Dataset, KeptItem, Prune, PruneStatus
from dichroism_operator.board import Board
from dichroism_operator.lanes.base import Context
from dichroism_operator.lanes.calendar_gauges import CalendarGauges, open_reasons
from dichroism_operator.metrics import REGISTRY
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from tests.integration.prune.site import Site


async def count(site: Site) -> None:
    config, board = load(site.config_file), Board()
    writer = StatusWriter(site.api, config, board, {}, lambda _: None)
    await CalendarGauges(Context(site.api, config, board, writer, Recorder(site.api, "test"), {})).turn()


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"dichroism_{name}", {"endpoint": "data402", **labels})


async def test_prunes_that_nobody_carries_out_are_counted_as_overdue(site: Site) -> None:
    await site.due(2)
    await count(site)
    assert value("prunes", phase="Scheduled") == 1
    assert value("prunes_overdue") == 1
    await site.run_here()
    await count(site)
    assert value("prunes_overdue") == 0
    assert value("prune_trashed_files") == 2


async def test_kept_files_are_counted_by_reason_and_freed_bytes_when_they_are_gone(site: Site) -> None:
    prune = await site.due(5)
    (site.roots["nersc402"] / prune.spec.items[0].path).unlink()
    site.configure(holds=[{"path": prune.spec.items[1].path, "by": "somebody", "reason": "looked at"}])
    (site.data / prune.spec.items[2].path).unlink()
    await site.run_here()
    await count(site)
    assert value("prune_kept_files", reason="CopyMissing") == 1
    assert value("prune_kept_files", reason="Held") == 1
    assert value("prune_kept_files", reason="AlreadyGone") is None
    await site.age_trash(prune)
    await site.run_here()
    await count(site)
    assert value("prune_freed_bytes") == sum(item.size for item in prune.spec.items[3:])


def test_files_that_a_status_has_no_room_to_name_count_for_the_most_frequent_reason() -> None:
    kept = [KeptItem(path=f"{number}.txt", reason="CopyMissing" if number else "Held") for number in range(100)]
    assert open_reasons(PruneStatus(kept=kept, kept_count=150)) == {"Held": 1, "CopyMissing": 149}
    kept[-1] = KeptItem(path="gone.txt", reason="AlreadyGone")
    assert open_reasons(PruneStatus(kept=kept, kept_count=150)) == {"Held": 1, "CopyMissing": 98}


async def test_prunes_of_which_the_catalogue_was_not_told_are_counted(site: Site) -> None:
    scans = site.finished_scans(2)
    for scan in scans:
        scan.status.dataset = Dataset(pid=scan.name)
    await site.schedule(scans)
    await count(site)
    assert value("prunes_untold") == 0
    await site.run_here()
    await count(site)
    assert value("prunes_untold") == 1


async def test_a_prune_that_was_deleted_is_counted_no_more(site: Site) -> None:
    prune = await site.due(1)
    await count(site)
    await site.api.delete(Prune, prune.name)
    await count(site)
    assert value("prunes", phase="Scheduled") is None
