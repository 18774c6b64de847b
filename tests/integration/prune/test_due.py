"""``dichroism due``: what a person reads before anything is deleted."""

import json
from typing import Any

from dichroism_crds.kinds import Prune
from tests.integration.prune.site import Site, ended


def due(site: Site, *options: str) -> str:
    shown = ended(site.start_command("due", *options))
    assert shown.code == 0, shown.log
    return shown.out


async def test_the_calendar_tells_sizes_and_whose_hold_keeps_files(site: Site) -> None:
    prune = await site.due(3)
    held = {"path": prune.spec.items[0].path, "by": "J. Doe", "reason": "re-analysis", "until": "2099-01-01"}
    site.configure(holds=[held])
    shown = due(site)
    assert prune.name in shown
    assert "1 Held (J. Doe until 2099-01-02 00:00: re-analysis)" in shown
    assert "data402: 2 files" in shown


async def test_until_leaves_out_what_is_due_later(site: Site) -> None:
    prune = await site.due(2)
    site.configure(after="3650d")
    assert prune.name in due(site)
    assert prune.name not in due(site, "--until", "2027-01-01")


async def test_files_of_a_suspended_prune_are_shown_as_such_one_by_one(site: Site) -> None:
    prune = await site.due(2)
    await site.api.patch(Prune, prune.name, {"spec": {"suspend": True}})
    row: dict[str, Any] = json.loads(due(site, "-o", "json"))[0]
    assert {file["reason"] for file in row["files"]} == {"Suspended"}
    assert {file["path"] for file in row["files"]} == {item.path for item in prune.spec.items}
    assert all(item.path in due(site, "--files") for item in prune.spec.items)


async def test_the_day_on_which_the_trash_is_emptied_is_told(site: Site) -> None:
    prune = await site.due(2)
    await site.run_here()
    row = json.loads(due(site, "-o", "json"))[0]
    assert row["phase"] == "Trashed"
    assert row["trashUntil"] > prune.spec.not_before.isoformat()


async def test_a_finished_prune_is_off_the_calendar_and_a_stop_is_told(site: Site) -> None:
    prune = await site.due(2)
    await site.run_here()
    await site.age_trash(prune)
    await site.run_here()
    site.switch("stop", "--reason", "inventory")
    shown = due(site)
    assert "nothing is scheduled" in shown
    assert "inventory" in shown
