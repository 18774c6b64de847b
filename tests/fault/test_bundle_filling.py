"""Bundles while they fill: what people see, and the word that closes one early, whatever dies meanwhile."""

import json
import signal
from collections import Counter
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, Step, Transfer
from dichroism_crds.names import ANNOTATION_CLOSED
from tests.fault.campaign import Campaign
from tests.fault.conftest import quick
from tests.fault.supervisor import LEASE_SECONDS
from tests.site import Site


def slow(site: Site) -> dict[str, Any]:
    """The quick configuration with bundles that close after a day."""
    document = quick(site)
    for beamline in document["beamlines"].values():
        beamline["archive"]["bundle"]["max_age"] = "24h"
    return document


@pytest.fixture
def filling(site: Site) -> Site:
    """A site whose bundles fill for a day, and a person with the steward's Role."""
    site.install(slow(site))
    steward, account = "--role=dichroism-steward", f"--serviceaccount={site.namespace}:steward"
    site.cluster.kubectl("create", "serviceaccount", "steward", "-n", site.namespace)
    site.cluster.kubectl("create", "rolebinding", "steward", steward, account, "-n", site.namespace)
    return site


def command(site: Site, *arguments: str) -> str:
    """What a command of the steward prints."""
    program = site.program("steward", "steward", *arguments)
    program.log.unlink(missing_ok=True)
    assert program.start().wait() == 0, program.words()
    return program.words()


def waiting(site: Site) -> dict[str, Any]:
    """What waits for tape at each beamline."""
    return {row["beamline"]: row for row in json.loads(command(site, "due", "--archive", "-o", "json"))}


def awaits_bundle(site: Site, count: int) -> None:
    """Wait until so many Scans wait for tape and for nothing else."""

    def all_wait() -> bool:
        scans = site.objects(Scan)
        return len([one for one in scans if one.condition(Step.ARCHIVED).reason == "AwaitingBundle"]) == count

    site.wait_for(all_wait, f"{count} Scans wait for a bundle")


def bundles(site: Site) -> list[Transfer]:
    return [one for one in site.transfers() if one.spec.bundle]


def test_what_waits_is_shown_and_a_request_closes_one_bundle_once_though_the_operator_dies(
    filling: Site, kills: Counter[str]
) -> None:
    campaign = Campaign(filling)
    assert "0 files" in command(filling, "due", "--archive")
    assert "nothing waits" in command(filling, "archive", "now", "--beamline", "BL402")
    operator = filling.operator("operator-1").start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    first = campaign.add(3)
    awaits_bundle(filling, len(first))
    sizes = dict.fromkeys(("BL402", "BL631"), 0)
    for (beamline, _), original in campaign.originals.items():
        sizes[beamline] += original.size
    shown = waiting(filling)
    assert {name: (row["files"], row["bytes"]) for name, row in shown.items()} == {
        name: (3, size) for name, size in sizes.items()
    }
    assert {row["closesNow"] for row in shown.values()} == {None}
    assert all("closed by" in scan.status.message for scan in filling.objects(Scan))
    assert operator.stop() == 0
    for _ in range(2):
        said = command(filling, "archive", "now", "--beamline", "BL402", "--by", "J. Doe")
        assert "3 files" in said
    assert waiting(filling)["BL402"]["closesNow"] == "Request"
    # Killed right after the bundle was claimed: the next one must find it, and not close another.
    killed = filling.operator("operator-2")
    killed.start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS, DICHROISM_KILL_AT="transfer-created")
    assert killed.wait(90) == -signal.SIGKILL
    kills["transfer-created"] += 1
    later = campaign.write(1)
    last = filling.operator("operator-3").start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    filling.wait_for(lambda: [one for one in bundles(filling) if one.finished], "the bundle is made")
    campaign.tell(later)
    awaits_bundle(filling, 3 + len(later))
    (made,) = bundles(filling)
    assert made.spec.beamline == "BL402"
    assert len(made.spec.items) == 3
    assert "J. Doe" in made.metadata.annotations[ANNOTATION_CLOSED]
    assert waiting(filling)["BL402"]["closesNow"] is None
    assert waiting(filling)["BL402"]["request"]["by"] == "J. Doe"
    assert last.stop() == 0
    assert "Traceback" not in "".join(program.words() for program in filling.programs)


def test_a_word_that_makes_no_sense_holds_nothing_up_and_can_be_said_again(filling: Site) -> None:
    campaign = Campaign(filling)
    bad = ("create", "configmap", "dichroism-archive-now-bl402", "--from-literal=at=soon", "-n", filling.namespace)
    filling.cluster.kubectl(*bad)
    operator = filling.operator().start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    count = len(campaign.add(1))
    awaits_bundle(filling, count)
    filling.wait_for(lambda: "makes no sense" in operator.words(), "the operator says so")
    assert waiting(filling)["BL402"]["files"] == 1
    command(filling, "archive", "now", "--beamline", "BL402")
    filling.wait_for(lambda: [one for one in bundles(filling) if one.finished], "the bundle is made")
    assert operator.stop() == 0
