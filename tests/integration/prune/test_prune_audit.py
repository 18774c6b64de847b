"""The trail of what was done to which files: a line of the log and an Event for each batch."""

import json
from typing import Any

from dichroism_crds.reasons import EventReason
from tests.integration.prune.site import Ended, Site

VERIFIED = {"nersc402": "filesystem", "hpss402": "filesystem"}


def trail(ended: Ended) -> list[dict[str, Any]]:
    """Lines of the audit log as a machine reads them."""
    lines = [json.loads(line) for line in ended.log.splitlines()]
    return [line for line in lines if line["logger"] == "dichroism.audit"]


async def told_by_events(site: Site, reason: EventReason) -> list[str]:
    found = await site.api.request("GET", site.api.builtin_path("v1", "events"))
    return sorted(event["message"] for event in found["items"] if event["reason"] == reason)


async def test_every_batch_into_and_out_of_the_trash_leaves_a_line_and_an_event(site: Site) -> None:
    prune = await site.due(60)
    size = sum(item.size for item in prune.spec.items)
    into = trail(site.run("--log-format", "json"))
    assert [(line["action"], line["batch"], line["files"]) for line in into] == [("trashed", 1, 50), ("trashed", 2, 10)]
    assert sum(line["bytes"] for line in into) == size
    assert sorted(path for line in into for path in line["paths"]) == sorted(item.path for item in prune.spec.items)
    for line in into:
        assert (line["prune"], line["endpoint"], line["beamline"]) == (prune.name, "data402", "BL402")
        assert line["verified"] == VERIFIED
        assert line["by"]
    first, second = await told_by_events(site, EventReason.BATCH_TRASHED)
    assert first.startswith("batch 1: 50 files (")
    assert second.endswith("data402; copies verified on nersc402 (filesystem), hpss402 (filesystem)")

    await site.age_trash(prune)
    out = trail(site.run("--log-format", "json"))
    assert [(line["action"], line["files"], line["verified"]) for line in out] == [
        ("deleted", 50, VERIFIED),
        ("deleted", 10, VERIFIED),
    ]
    assert sum(line["bytes"] for line in out) == size
    assert len(await told_by_events(site, EventReason.BATCH_DELETED)) == 2


async def test_what_is_put_back_is_in_the_trail_without_a_claim_about_copies(site: Site) -> None:
    prune = await site.due(2)
    await site.run_here()
    site.switch("undo", prune.name, "--reason", "wanted")
    (line,) = trail(site.run("--log-format", "json"))
    assert (line["action"], line["files"], line["verified"]) == ("put_back", 2, {})
    assert await told_by_events(site, EventReason.BATCH_PUT_BACK)


async def test_a_file_that_stays_is_in_no_line(site: Site) -> None:
    prune = await site.due(2)
    (site.roots["nersc402"] / prune.spec.items[0].path).unlink()
    (line,) = trail(site.run("--log-format", "json"))
    assert line["paths"] == [prune.spec.items[1].path]
    assert trail(site.run("--log-format", "json", "--dry-run")) == []
