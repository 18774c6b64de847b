"""What people and programs read: defaults, columns, category, field selectors; and what the API server drops."""

import pytest

from dichroism_crds.client import Api
from dichroism_crds.kinds import (
    SCAN_CONDITIONS,
    Condition,
    ConditionStatus,
    Prune,
    PrunePhase,
    Scan,
    ScanPhase,
    Transfer,
    TransferPhase,
)
from tests.cluster import Cluster
from tests.integration.crds.objects import post, prune, scan, transfer

pytestmark = pytest.mark.cluster


def table(text: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of kubectl's table; cells are cut where the headings begin, so blank ones stay."""
    lines = text.splitlines()
    heads = lines[0].split()
    starts = [lines[0].index(f" {head}") + 1 if number else 0 for number, head in enumerate(heads)]
    ends: list[int | None] = [*starts[1:], None]
    return heads, [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines[1:]]


def row(cluster: Cluster, namespace: str, plural: str, *more: str) -> dict[str, str]:
    """The only object's row by heading, without its age."""
    heads, [cells] = table(cluster.kubectl("get", plural, "-n", namespace, *more))
    return {head: cell for head, cell in zip(heads, cells, strict=True) if head != "AGE"}


async def names(api: Api, kind: type[Scan] | type[Transfer] | type[Prune], selector: str) -> list[str]:
    """Names of the objects that a field selector finds."""
    return sorted([one.name async for one in api.list(kind, field_selector=selector)])


async def test_a_fresh_scan_is_pending_with_every_condition_unknown_before_anyone_writes(api: Api) -> None:
    await api.create(scan())
    stored = await api.get(Scan, "one")
    assert stored.status.phase == ScanPhase.PENDING
    assert [one.wire() for one in stored.status.conditions] == [
        {"type": name, "status": "Unknown", "reason": "Waiting", "message": ""} for name in SCAN_CONDITIONS
    ]
    assert not stored.spec.suspend
    raw = await api.request("GET", api.path(Scan, "one"))
    assert raw["spec"]["suspend"] is False
    assert raw["spec"]["exportControlled"] is False


async def test_a_status_sent_with_the_creation_counts_for_nothing(api: Api) -> None:
    body = scan().to_wire() | {"status": {"phase": "PruneScheduled", "message": "forged"}}
    await post(api, Scan, body)
    stored = await api.get(Scan, "one")
    assert (stored.status.phase, stored.status.message) == (ScanPhase.PENDING, "waits for its copy")


async def test_a_fresh_transfer_is_pending_and_a_fresh_prune_has_no_phase(api: Api) -> None:
    await api.create(transfer())
    await api.create(prune())
    assert (await api.request("GET", api.path(Transfer, "one")))["status"] == {"phase": "Pending"}
    assert "status" not in await api.request("GET", api.path(Prune, "one"))
    assert (await api.get(Prune, "one")).status.phase is None


async def test_field_selectors_find_by_phase_and_beamline(api: Api) -> None:
    for name, beamline in (("a", "BL402"), ("b", "BL402"), ("c", "BL631")):
        await api.create(scan(name, beamline=beamline))
    failed = await api.get(Scan, "b")
    failed.status.phase = ScanPhase.FAILED
    await api.replace_status(failed)
    assert await names(api, Scan, "status.phase=Failed") == ["b"]
    assert await names(api, Scan, "status.phase=Pending") == ["a", "c"]
    assert await names(api, Scan, "status.phase!=Failed,spec.beamline=BL402") == ["a"]
    assert await names(api, Scan, "spec.beamline=BL631") == ["c"]


async def test_unfinished_transfers_and_untold_prunes_are_found_by_field_selector(api: Api) -> None:
    for name in ("a", "b"):
        await api.create(transfer(name))
        await api.create(prune(name))
    done, told = await api.get(Transfer, "a"), await api.get(Prune, "a")
    done.status.phase, told.status.phase = TransferPhase.SUCCEEDED, PrunePhase.SCHEDULED
    await api.replace_status(done)
    await api.replace_status(told)
    assert await names(api, Transfer, "status.phase!=Succeeded,status.phase!=Failed") == ["b"]
    assert await names(api, Prune, "status.phase=") == ["b"]
    assert await names(api, Prune, "status.phase=Scheduled,spec.beamline=BL402") == ["a"]


async def test_unknown_fields_are_dropped_and_known_ones_kept(api: Api) -> None:
    created = await api.create(scan())
    body = created.to_wire()
    body["spec"]["colour"] = "red"
    body["status"] |= {"message": "kept", "colour": "red", "attempts": {"copied": 1, "archived": 2}}
    stored = await api.request("PUT", api.path(Scan, "one", "status"), body=body)
    assert stored["status"]["message"] == "kept"
    assert stored["status"]["attempts"] == {"archived": 2}
    assert "colour" not in stored["status"]
    assert "colour" not in stored["spec"]


async def test_a_status_write_leaves_the_spec_and_a_spec_write_the_status(api: Api) -> None:
    created = await api.create(scan())
    created.status.message, created.spec.suspend = "from status", True
    stored = await api.replace_status(created)
    assert (stored.status.message, stored.spec.suspend) == ("from status", False)
    patched = await api.patch(Scan, "one", {"spec": {"suspend": True}, "status": {"message": "from spec"}})
    assert (patched.status.message, patched.spec.suspend) == ("from status", True)


async def test_scans_read_well(api: Api, cluster: Cluster, namespace: str) -> None:
    created = await api.create(scan())
    assert row(cluster, namespace, "scans") == {
        "NAME": "one",
        "BEAMLINE": "BL402",
        "PATH": "2026/261122/TrajScan31914-1_0001.txt",
        "SIZE": "300000",
        "PHASE": "Pending",
        "MESSAGE": "waits for its copy",
    }
    created.status.phase = ScanPhase.TRANSFERRED
    created.status.message = "on nersc402, waits for its tape bundle"
    created.status.conditions[0] = Condition(type="Transferred", status=ConditionStatus.TRUE, reason="Copied")
    created.status.conditions[2] = Condition(type="Archived", reason="AwaitingBundle")
    await api.replace_status(created)
    wide = row(cluster, namespace, "scans", "-o", "wide")
    assert wide["PHASE"] == "Transferred"
    assert wide["MESSAGE"] == "on nersc402, waits for its tape bundle"
    assert {name: wide[name.upper()] for name in SCAN_CONDITIONS} == {
        "Transferred": "Copied",
        "Catalogued": "Waiting",
        "Archived": "AwaitingBundle",
        "Ingested": "Waiting",
        "PruneScheduled": "Waiting",
        "Succeeded": "Waiting",
    }


async def test_transfers_read_well(api: Api, cluster: Cluster, namespace: str) -> None:
    created = await api.create(transfer(items=3))
    assert row(cluster, namespace, "transfers") == {
        "NAME": "one",
        "BEAMLINE": "BL402",
        "FROM": "nersc402",
        "TO": "hpss402",
        "FILES": "3",
        "BYTES": "900000",
        "PHASE": "Pending",
        "MESSAGE": "",
    }
    created.status.task_id, created.status.files, created.status.failed_count = "task-7", 2, 1
    await api.replace_status(created)
    wide = row(cluster, namespace, "transfers", "-o", "wide")
    assert (wide["VERIFIED"], wide["FAILED"], wide["TASK"]) == ("2", "1", "task-7")
    assert wide["BUNDLE"] == "BL402-20261122-20261122-0123456789ab-4f9c7a52.tar"


async def test_prunes_read_well(api: Api, cluster: Cluster, namespace: str) -> None:
    created = await api.create(prune(items=3))
    untold = row(cluster, namespace, "prunes")
    assert untold == {
        "NAME": "one",
        "ENDPOINT": "data402",
        "NOTBEFORE": "2026-11-22T17:03:11.123456Z",
        "FILES": "3",
        "PHASE": "",
        "FREED": "",
        "KEPT": "",
        "MESSAGE": "",
    }
    created.status.phase, created.status.message = PrunePhase.INCOMPLETE, "1 file kept: NotDue"
    created.status.bytes_freed, created.status.kept_count, created.status.deleted = 600_000, 1, 2
    await api.replace_status(created)
    wide = row(cluster, namespace, "prunes", "-o", "wide")
    assert (wide["PHASE"], wide["FREED"], wide["KEPT"], wide["DELETED"]) == ("Incomplete", "600000", "1", "2")
    assert (wide["MESSAGE"], wide["SUSPEND"], wide["BYTES"]) == ("1 file kept: NotDue", "false", "900000")


async def test_the_category_lists_all_three_kinds(api: Api, cluster: Cluster, namespace: str) -> None:
    await api.create(scan())
    await api.create(transfer())
    await api.create(prune())
    listed = cluster.kubectl("get", "als", "-n", namespace, "-o", "name").split()
    assert sorted(listed) == [
        "prune.dichroism.als.lbl.gov/one",
        "scan.dichroism.als.lbl.gov/one",
        "transfer.dichroism.als.lbl.gov/one",
    ]


async def test_no_name_of_a_built_in_kind_is_taken(api: Api) -> None:
    discovery = await api.request("GET", "/apis/dichroism.als.lbl.gov/v1alpha1")
    assert {one["name"]: one.get("shortNames") for one in discovery["resources"] if "/" not in one["name"]} == {
        "scans": None,
        "transfers": None,
        "prunes": None,
    }


async def test_kubectl_explains_the_fields(api: Api, cluster: Cluster) -> None:
    told = cluster.kubectl("explain", "scan.spec.path")
    assert "Path of the file relative to the source endpoint's root." in told
