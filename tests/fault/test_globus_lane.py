"""One hop through an emulated Globus, with the real operator: adoption, a lost answer, a deleted Transfer, a pause."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, Step
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator.lanes.transfer import REFUSED_FREELY
from dichroism_operator.movers.choice import GLOBUS_POLL
from tests.cluster import Cluster
from tests.emulators.globus.faults import Action
from tests.emulators.globus.settings import Limits
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import BEAMLINES, GlobusSite, content_of

QUICK = {GLOBUS_POLL: "0.2", "DICHROISM_LEASE_SECONDS": LEASE_SECONDS}


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusSite]:
    """A site of which nothing is mounted for the operator, with the first hop alone."""
    everywhere = [f"{place}{number}" for number in BEAMLINES.values() for place in ("data", "nersc")]
    limits = Limits(start_up_s=0.1, retry_s=0.2)
    site = GlobusSite(cluster, tmp_path_factory.mktemp("site"), unmounted=everywhere, limits=limits)
    try:
        site.install(first_hop(site))
        yield site
    finally:
        site.close()


def first_hop(site: GlobusSite) -> dict[str, Any]:
    """The configuration without catalogue, tape and pruning."""
    document = site.document()
    del document["scicat"]
    for beamline in document["beamlines"].values():
        for section in ("ingest", "archive", "prune"):
            del beamline[section]
    for number in BEAMLINES.values():
        del document[f"hpss{number}"]
    return document


def measured(site: GlobusSite, folder: str, count: int = 3) -> list[str]:
    """New files of BL402; their paths."""
    paths = [f"{folder}/scan{number}.txt" for number in range(count)]
    for path in paths:
        file = site.mount("data402") / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode() * 200)
    return paths


def told(site: GlobusSite, paths: list[str]) -> None:
    site.create_scans([site.scan_body("BL402", path) for path in paths])


def transferred(site: GlobusSite, paths: list[str], seconds: float = 60) -> list[Scan]:
    """Wait until all are; their Scans."""

    def done() -> list[Scan] | None:
        scans = site.scans()
        return [scans[path] for path in paths] if all(scans[one].copy_on("nersc402") for one in paths) else None

    scans: list[Scan] = site.wait_for(done, f"{paths[0]} and the others are transferred", seconds)
    for scan in scans:
        copy = site.mount("nersc402") / scan.spec.path
        assert copy.read_bytes() == (site.mount("data402") / scan.spec.path).read_bytes()
    return scans


def reasons(scans: list[Scan]) -> set[str]:
    return {scan.condition(Step.TRANSFERRED).reason for scan in scans}


def tasks_with(site: GlobusSite, transfer: str) -> list[dict[str, Any]]:
    return [task for task in site.globus.tasks() if f" {transfer} " in str(task["label"])]


def test_what_an_earlier_flow_copied_is_adopted_and_what_we_copied_is_not(site: GlobusSite) -> None:
    old, new = measured(site, "old"), measured(site, "new")
    for path in old:
        copy = site.mount("nersc402") / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(site.mount("data402") / path, copy)
    before = {path: (site.mount("nersc402") / path).stat().st_ino for path in old}
    told(site, old + new)
    with Supervisor(site.operator("adopting"), **QUICK):
        scans = transferred(site, old)
        assert reasons(scans) == {Reason.ADOPTED}
        assert all(scan.copy_on("nersc402").sha256 for scan in scans)  # type: ignore[union-attr]
        assert reasons(transferred(site, new)) == {Reason.COPIED}
        assert {path: (site.mount("nersc402") / path).stat().st_ino for path in old} == before
        name = scans[0].name
        site.annotate(name, "dichroism.als.lbl.gov/retry", "Transferred@again")
        site.wait_for(
            lambda: site.scans()[old[0]].condition(Step.TRANSFERRED).reason == Reason.ALREADY_THERE,
            "the copy that is recorded by now is proven again",
        )


def test_a_process_that_dies_right_after_it_posted_leaves_one_task(site: GlobusSite) -> None:
    paths = measured(site, "posted")
    dying = site.operator("dying").start(**QUICK, DICHROISM_KILL_AT="task-posted")
    told(site, paths)
    assert dying.wait() == -9
    with Supervisor(site.operator("after"), **QUICK):
        scans = transferred(site, paths)
    assert reasons(scans) == {Reason.COPIED}
    for scan in scans:
        copy = scan.copy_on("nersc402")
        assert copy is not None
        assert copy.transfer is not None
        assert len(tasks_with(site, copy.transfer)) == 1
    assert list((site.mount("nersc402") / ".dichroism").glob("superseded/*")) == []


def test_the_task_of_a_deleted_transfer_is_waited_for(site: GlobusSite) -> None:
    paths = measured(site, "deleted")
    site.globus.fault(Action.ERROR, code="TIMEOUT", path="deleted/scan1", times=None)
    dying = site.operator("dying-2").start(**QUICK, DICHROISM_KILL_AT="task-started")
    told(site, paths)
    assert dying.wait() == -9
    (transfer,) = [one for one in site.transfers() if not one.finished]
    site.cluster.kubectl("delete", "transfer", transfer.name, "-n", site.namespace)
    operator = site.operator("waiting")
    with Supervisor(operator, **QUICK):
        site.wait_for(lambda: "tasks of deleted Transfers" in operator.words(), "the task is found")
        assert not [one for one in site.transfers() if not one.finished]
        site.globus.clear_faults()
        transferred(site, paths)
    assert len(tasks_with(site, transfer.name)) <= 2  # the number may be used again
    assert all(task["status"] == "SUCCEEDED" for task in tasks_with(site, transfer.name))


def test_a_service_that_refuses_every_task_slows_the_lane_down_until_it_takes_them(site: GlobusSite) -> None:
    site.globus.fault(Action.STATUS, path="/transfer$", status=400, code="ClientError.BadRequest", times=None)
    paths = measured(site, "refused", 16)
    before = {one.name for one in site.transfers()}
    told(site, paths)
    operator = site.operator("refused")
    with Supervisor(operator, **QUICK):
        site.wait_for(lambda: "tasks in a row were refused" in operator.words(), "the lane slows down")
        refused = [one for one in site.transfers() if one.name not in before and one.finished]
        pauses = operator.words().count("is paused for")
        site.globus.clear_faults()
        assert len(refused) <= REFUSED_FREELY + pauses, "not file by file at full speed"
        transferred(site, paths, 180)


def test_a_paused_collection_pauses_the_lane_with_one_clear_word_and_it_goes_on(site: GlobusSite) -> None:
    site.globus.set_collection(site.collections["nersc402"], paused="new disks until Friday")
    paths = measured(site, "paused")
    told(site, paths)
    with Supervisor(site.operator("paused"), **QUICK):

        def shown() -> bool:
            unfinished = [one for one in site.transfers() if not one.finished]
            return any(c.reason == Reason.ENDPOINT_PAUSED for one in unfinished for c in one.status.conditions)

        site.wait_for(shown, "the Transfer says why it waits")
        (transfer,) = [one for one in site.transfers() if not one.finished]
        site.wait_for(lambda: EventReason.LANE_PAUSED in site.events(transfer.name), "an Event says so")
        assert "new disks until Friday" in site.events(transfer.name)[EventReason.LANE_PAUSED]
        assert {site.scans()[path].status.attempts.transferred for path in paths} == {0}
        site.globus.set_collection(site.collections["nersc402"], paused=None)
        transferred(site, paths)
    assert content_of(site.mount("nersc402") / paths[0])["size"] > 0
