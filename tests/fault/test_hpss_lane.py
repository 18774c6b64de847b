"""The archive lane at an emulated NERSC: a client that expires, as happens every other day; what is on tape already."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import ConditionStatus, Scan, Step
from dichroism_crds.names import LABEL_ORIGIN, Origin
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator.credentials import FOLDER
from dichroism_operator.movers.bundle import MANIFEST
from tests.cluster import Cluster
from tests.fault.campaign import Campaign, copy_on, members_of
from tests.fault.supervisor import Supervisor
from tests.site import TapeSite

pytestmark = pytest.mark.timeout(1200)

PATIENCE_S = 400
"""For each of the waits: a bundle takes seconds, and minutes on a machine that is busy with other things."""


@dataclass
class Operated:
    """A site whose operator runs, with files of both beamlines on tape."""

    site: TapeSite
    campaign: Campaign
    secret: Path

    def new_client(self) -> None:
        """Make a client at NERSC and put it where the operator has its Secret mounted."""
        self.site.sfapi.new_client()
        for name, value in self.site.sfapi.environment().items():
            (self.secret / name).write_text(value)

    def packed(self) -> list[str]:
        """Every member of every bundle on tape, each as often as it is there."""
        tars = self.site.sfapi.tape.rglob("*.tar")
        return sorted(member for tar in tars for member in members_of(tar) if member != MANIFEST)


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    site = TapeSite(cluster, tmp_path_factory.mktemp("tape"))
    secret = site.folder / "secret"
    secret.mkdir()
    try:
        document = site.without_catalogue()
        for name, beamline in document["beamlines"].items():
            beamline["archive"]["bundle"] = {"target": "100MB", "max_age": "1s"}
            beamline["prune"][f"data{name[2:]}"]["after"] = "180d"
        site.install(document)
        operated = Operated(site, Campaign(site), secret)
        operated.new_client()
        mounted = {FOLDER: str(secret), "SFAPI_CLIENT_ID": "", "SFAPI_CLIENT_SECRET": ""}
        with Supervisor(site.operator(), **mounted):
            operated.campaign.add(1)
            site.wait_until_succeeded(2, PATIENCE_S)
            yield operated
    finally:
        site.close()


def test_an_expired_client_pauses_the_lane_with_one_clear_word_until_there_is_a_new_one(operated: Operated) -> None:
    site = operated.site
    before = len(site.objects(Scan))
    site.sfapi.expire_client()
    names = operated.campaign.add(1)

    def told() -> dict[str, str]:
        """What the pauses say, by beamline, with which the name of every object begins."""
        return {event["involvedObject"]["name"].partition("-")[0]: event["message"] for event in pauses(site)}

    site.wait_for(lambda: told().keys() == {"bl402", "bl631"}, "each lane says why it is paused", PATIENCE_S)
    for text in told().values():
        assert text.startswith(Reason.CREDENTIALS_REFUSED)
        assert "Make a new client" in text
    waiting = [scan for scan in site.objects(Scan) if scan.name in names]
    assert all(scan.condition(Step.TRANSFERRED).status == ConditionStatus.TRUE for scan in waiting)
    assert not any(scan.condition(Step.ARCHIVED).status == ConditionStatus.FALSE for scan in waiting)
    operated.new_client()
    site.wait_until_succeeded(before + len(names), PATIENCE_S)
    assert operated.packed() == sorted(path for _, path in operated.campaign.originals), "each file is there once"


def test_a_scan_that_is_told_again_meets_its_bundle_on_tape_and_is_not_packed(operated: Operated) -> None:
    site = operated.site
    before = site.scans()
    for plural in ("scans", "transfers", "prunes"):
        site.cluster.kubectl("delete", plural, "--all", "-n", site.namespace)
    packed, jobs = operated.packed(), pack_jobs(site)
    bodies = [site.scan_body(beamline, path) for beamline, path in operated.campaign.originals]
    for body in bodies:
        body["metadata"]["labels"][LABEL_ORIGIN] = Origin.RECOVERED.value
    site.create_scans(bodies)
    after = site.wait_until_succeeded(len(bodies), PATIENCE_S)
    for path, scan in after.items():
        tape = f"hpss{scan.spec.beamline[2:]}"
        assert scan.condition(Step.ARCHIVED).reason == Reason.ADOPTED, path
        assert copy_on(scan, tape).path == copy_on(before[path], tape).path
        assert copy_on(scan, tape).sha256 == copy_on(before[path], tape).sha256
    assert operated.packed() == packed
    assert pack_jobs(site) == jobs


def pauses(site: TapeSite) -> list[dict[str, Any]]:
    """All Events that say that a lane is paused."""
    chosen = ("--field-selector", f"reason={EventReason.LANE_PAUSED}")
    found = site.cluster.kubectl("get", "events", "-n", site.namespace, "-o", "json", *chosen)
    events: list[dict[str, Any]] = json.loads(found)["items"]
    return events


def pack_jobs(site: TapeSite) -> int:
    """How many jobs were submitted that pack a bundle: those that prove something are called otherwise."""
    return sum("_verify_" not in job["name"] for job in site.sfapi.jobs())
