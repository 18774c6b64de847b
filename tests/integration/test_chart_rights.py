"""The Roles of the chart allow what the programs do, and no right of them could be left out."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest

from dichroism_crds import heartbeat
from dichroism_crds.client import Api, Denied, NotFound
from dichroism_crds.heartbeat import LEASES, Heartbeat
from dichroism_crds.heartbeat import lease_name as watchers_lease
from dichroism_crds.kinds import Prune, Scan, Transfer
from dichroism_crds.names import (
    ANNOTATION_RETRY,
    ANNOTATION_UNDO,
    ARCHIVE_NOW_PREFIX,
    LABEL_ENDPOINT,
    OPERATOR_LEASE,
    STOP_PRUNE_CONFIGMAP,
)
from dichroism_crds.reasons import EventReason
from dichroism_crds.schema import OPENAPI_PATH
from dichroism_crds.timestamps import now
from dichroism_operator.audit import planned
from dichroism_operator.audit.findings import Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.result import AuditResult
from dichroism_operator.audit.result import lease_name as audits_lease
from dichroism_operator.commands import at_hand
from dichroism_operator.flight.record import leave
from dichroism_operator.flight.result import FlightResult
from dichroism_operator.flight.result import lease_name as flights_lease
from dichroism_operator.lease import Lease
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.job import lease_name
from dichroism_operator.recorder import Recorder
from dichroism_watcher.heartbeat import Heart
from dichroism_watcher.records import FileContent, KnownScan
from dichroism_watcher.scan_feed import ScanFeed
from dichroism_watcher.submit import How, build_scan, put_scan
from tests.api import acting
from tests.chart import (
    AUDIT,
    CHART,
    FLIGHT,
    OPERATOR,
    PRUNER,
    WATCHER,
    cronjob_name,
    install,
)
from tests.cluster import Cluster
from tests.integration.crds.objects import prune, scan, transfer
from tests.rights import ALL, WRITES, allowed, not_needed, requests_of, rights_of

CONFIG = (CHART.parents[1] / "config.yml").read_text()
BEAMLINES = ("BL402", "BL631")
PRUNED = {"data402", "nersc402", "data631", "nersc631"}
COPIED = "2026/261122/TrajScan31914-1_0001.txt"


async def test_operator_may_do_what_it_does(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed) as admin:
        made = await admin.create(scan("operator-scan"))
    async with acting(cluster, installed, OPERATOR) as api:
        await api.request("GET", OPENAPI_PATH)
        await api.request("GET", api.path(Scan), query={"watch": 1, "timeoutSeconds": 1, "fieldSelector": NOBODY})
        assert "operator-scan" in [one.name async for one in api.list(Scan)]
        await api.replace_status(await api.get(Scan, made.name))
        for wanted in (transfer("operator-transfer"), prune("operator-prune")):
            kind = type(wanted)
            await api.replace_status(await api.create(wanted))
            assert wanted.name in [one.name async for one in api.list_metadata(kind)]
            assert wanted.name in [one.name async for one in api.list(kind)]
            await api.delete(kind, wanted.name, uid=(await api.get(kind, wanted.name)).metadata.uid)
        found = api.list_pages(api.builtin_path("batch/v1", "cronjobs"), label_selector=LABEL_ENDPOINT)
        assert {one["metadata"]["labels"][LABEL_ENDPOINT] async for one in found} == PRUNED
        await holds(Lease(api, OPERATOR_LEASE, "one"))
        await tells(api, made, cluster)
        await api.delete(Scan, made.name)


async def test_operator_may_look_at_what_others_leave(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed, OPERATOR) as api:
        found = await api.request("GET", f"/api/v1/namespaces/{installed}")
        assert found["metadata"]["uid"]
        looked_for = [api.builtin_path("v1", "configmaps", STOP_PRUNE_CONFIGMAP)]
        leases = [name(beamline) for beamline in BEAMLINES for name in (watchers_lease, flights_lease, audits_lease)]
        looked_for += [api.builtin_path(*LEASES, name) for name in leases]
        looked_for += [api.builtin_path("v1", "configmaps", f"{ARCHIVE_NOW_PREFIX}{one.lower()}") for one in BEAMLINES]
        for path in looked_for:
            with pytest.raises(NotFound):
                await api.request("GET", path)


async def test_pruner_may_do_what_it_does(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed) as admin:
        due = await admin.create(prune("pruner-prune"))
        await admin.create(scan("pruner-scan"))
    async with acting(cluster, installed, PRUNER) as api:
        await api.request("GET", OPENAPI_PATH)
        assert due.name in [one.name async for one in api.list_metadata(Prune)]
        assert due.name in [one.name async for one in api.list(Prune)]
        await api.replace_status(await api.get(Prune, due.name))
        await api.get(Scan, "pruner-scan")
        with pytest.raises(NotFound):
            await api.get(Scan, "collected-long-ago")
        for beamline in BEAMLINES:
            await holds(Lease(api, lease_name(beamline), "one"))
        await tells(api, due, cluster)


async def test_pruner_sees_the_stop_switch_come_and_go(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed, PRUNER) as api:
        switch = api.builtin_path("v1", "configmaps", STOP_PRUNE_CONFIGMAP)
        with pytest.raises(NotFound):
            await api.request("GET", switch)
        cluster.kubectl("create", "configmap", STOP_PRUNE_CONFIGMAP, "-n", installed)
        assert (await api.request("GET", switch))["metadata"]["name"] == STOP_PRUNE_CONFIGMAP
        cluster.kubectl("delete", "configmap", STOP_PRUNE_CONFIGMAP, "-n", installed)
        with pytest.raises(Denied):
            await api.request("GET", api.builtin_path("v1", "configmaps", "dichroism-config"))


async def test_watcher_may_do_what_it_does(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed, WATCHER) as api:
        first, second = (
            build_scan("BL402", "data402", COPIED, FileContent(size, 1_795_000_000_000_000)) for size in (1, 2)
        )
        assert [await put_scan(api, one) for one in (first, first, second)] == [How.CREATED, How.UNCHANGED, How.UPDATED]
        heard = Heard()
        following = asyncio.create_task(ScanFeed(api, {heard.name: heard}).run())
        async with asyncio.timeout(60):
            await heard.listed.wait()
            assert await put_scan(api, first) == How.UPDATED
            await heard.told.wait()
        following.cancel()
        assert COPIED in heard.scans
        await api.get(Scan, first.name)
        await leaves_word(api)
    leases = cluster.kubectl("get", "leases", "-n", installed, "-o", "name")
    assert all(watchers_lease(beamline) in leases for beamline in BEAMLINES)


async def leaves_word(api: Api) -> None:
    """Write the Leases of the watchers twice: the first time they are not there."""
    asked = []
    twice = asyncio.Event()

    def words() -> dict[str, Heartbeat]:
        asked.append(now())
        if len(asked) > 2:
            twice.set()
        return dict.fromkeys(BEAMLINES, Heartbeat("host", now(), 600))

    beating = asyncio.create_task(Heart(api, every_s=0.01).beat(words))
    async with asyncio.timeout(60):
        await twice.wait()
    beating.cancel()


class Heard:
    """Listens to the Scans of one beamline, as a watch of a folder does."""

    name, endpoint = "BL402", "data402"

    def __init__(self) -> None:
        self.listed, self.told = asyncio.Event(), asyncio.Event()
        self.scans: set[str] = set()

    def scans_listed(self, scans: Mapping[str, KnownScan], began: float) -> None:
        self.scans |= set(scans)
        self.listed.set()

    def scan_told(self, path: str, known: KnownScan | None) -> None:
        self.told.set()


async def test_flight_check_may_leave_its_result(cluster: Cluster, installed: str) -> None:
    moment = now()
    async with acting(cluster, installed, FLIGHT) as api:
        for beamline in BEAMLINES:
            result = FlightResult(id=str(uuid.uuid4()), beamline=beamline, started=moment, ended=moment, legs=())
            for _ in range(2):  # the first time there is no Lease yet
                await leave(api, result)


async def test_audit_may_read_the_calendar_and_leave_its_numbers(cluster: Cluster, installed: str) -> None:
    sights = {beamline: Sight(beamline) for beamline in BEAMLINES}
    with Index() as index:
        async with acting(cluster, installed, AUDIT) as api:
            await planned.look(api, index, sights)
    assert not any(one.unseen for one in sights.values())
    moment = now()
    async with acting(cluster, installed, AUDIT) as api:
        for beamline in BEAMLINES:
            result = AuditResult(beamline=beamline, started=moment, ended=moment, findings={}, unseen={})
            for _ in range(2):  # the first time there is no Lease yet
                await heartbeat.leave(api, audits_lease(beamline), result.to_lease("test"))


async def test_steward_may_do_what_the_commands_for_people_do(cluster: Cluster, installed: str) -> None:
    cluster.kubectl("create", "serviceaccount", "somebody", "-n", installed)
    role, account = "--role=dichroism-steward", f"--serviceaccount={installed}:somebody"
    cluster.kubectl("create", "rolebinding", "somebody", role, account, "-n", installed)
    async with acting(cluster, installed) as admin:
        made = await admin.create(scan("steward-scan"))
    async with acting(cluster, installed, "somebody") as api:
        await api.patch(Scan, made.name, {"metadata": {"annotations": {ANNOTATION_RETRY: "1"}}})
        planned = await api.create(prune("steward-prune"))
        await api.replace_status(planned)
        await api.patch(Prune, planned.name, {"metadata": {"annotations": {ANNOTATION_UNDO: "1"}}})
        assert planned.name in [one.name async for one in api.list_metadata(Prune)]
        assert (await api.get(Prune, planned.name)).name == planned.name
        await api.delete(Prune, planned.name)
        for beamline in BEAMLINES:
            await holds(Lease(api, lease_name(beamline), "one"))
        merge = "application/merge-patch+json"
        for beamline in BEAMLINES:
            name = f"{ARCHIVE_NOW_PREFIX}{beamline.lower()}"
            cluster.kubectl("create", "configmap", name, "-n", installed)
            path = api.builtin_path("v1", "configmaps", name)
            await api.request("PATCH", path, body={"data": {"at": "now"}}, content_type=merge)
            assert (await api.request("GET", path))["data"] == {"at": "now"}
        assert await stopswitch.stop(api, "inventory", "somebody")
        assert await stopswitch.why_stopped(api)
        assert await stopswitch.resume(api)
        with pytest.raises(Denied):
            await api.replace_status(made)
        operators = api.builtin_path(*LEASES, OPERATOR_LEASE)
        with pytest.raises(Denied):
            await api.request("PATCH", operators, body={"spec": {"holderIdentity": "somebody"}}, content_type=merge)

        kubeconfig = cluster.kubeconfig_for(installed, "somebody")
        at_once = ("create", "job", "now", f"--from=cronjob/{cronjob_name('data402')}", "-n", installed)
        cluster.kubectl(*at_once, kubeconfig=kubeconfig)
        await looks(api, *(api.path(kind) for kind in (Scan, Transfer, Prune)))
        await looks(api, *(api.builtin_path("batch/v1", kind) for kind in ("cronjobs", "jobs")), watch=False)
        cronjob = api.builtin_path("batch/v1", "cronjobs", cronjob_name("data402"))
        await api.request("PATCH", cronjob, body={"spec": {"suspend": True}}, content_type=merge)
        await looks(api, api.builtin_path("v1", "events"))
        await reads_what_others_leave(api)
        await api.delete(Scan, made.name)


async def looks(api: Api, *collections: str, watch: bool = True) -> None:
    """List each collection, watch it for a moment, ask for one object of it."""

    async def look(path: str) -> None:
        await api.request("GET", path)
        if watch:
            await api.request("GET", path, query={"watch": 1, "timeoutSeconds": 1, "fieldSelector": NOBODY})
        with pytest.raises(NotFound):
            await api.request("GET", f"{path}/nobody")

    await asyncio.gather(*map(look, collections))


async def reads_what_others_leave(api: Api) -> None:
    """Read the configuration, and each Lease by which a program says how it is; some are not there yet."""
    assert (await at_hand.config_of_cluster(api)).config.beamlines.keys() == set(BEAMLINES)
    leases = [OPERATOR_LEASE, *(name(beamline) for beamline in BEAMLINES for name in (watchers_lease, flights_lease))]
    for name in leases:
        with contextlib.suppress(NotFound):
            await api.request("GET", api.builtin_path(*LEASES, name))


async def test_viewer_may_look_and_change_nothing(cluster: Cluster, installed: str) -> None:
    cluster.kubectl("create", "serviceaccount", "guest", "-n", installed)
    role, account = "--role=dichroism-viewer", f"--serviceaccount={installed}:guest"
    cluster.kubectl("create", "rolebinding", "guest", role, account, "-n", installed)
    async with acting(cluster, installed, "guest") as api:
        ours = [api.path(kind) for kind in (Scan, Transfer, Prune)]
        jobs = [api.builtin_path("batch/v1", kind) for kind in ("cronjobs", "jobs")]
        await looks(api, *ours, *jobs, api.builtin_path("v1", "events"))
        await reads_what_others_leave(api)
        named = [STOP_PRUNE_CONFIGMAP, *(f"{ARCHIVE_NOW_PREFIX}{one.lower()}" for one in BEAMLINES)]
        for name in named:
            with contextlib.suppress(NotFound):
                await api.request("GET", api.builtin_path("v1", "configmaps", name))
    asked: dict[str, tuple[str, ...]] = dict.fromkeys(("secrets", "configmaps", "pods"), ALL)
    asked |= dict.fromkeys(("scans", "scans/status", "transfers", "prunes", "cronjobs", "jobs", "leases"), WRITES)
    assert allowed(cluster, installed, "guest", asked) == set()


NOBODY = "metadata.name=nobody"


async def holds(lease: Lease) -> None:
    """Create the Lease, renew it, give it back."""
    assert await lease.try_acquire()
    assert await lease.try_acquire()
    await lease.release()


async def tells(api: Api, about: Scan | Prune, cluster: Cluster) -> None:
    """Post an Event and find it again."""
    recorder = Recorder(api, "test")
    recorder.event(about, EventReason.RETRYING, "told")
    await recorder.drain()
    told = cluster.kubectl("get", "events", "-n", api.namespace, f"--field-selector=involvedObject.name={about.name}")
    assert "told" in told


# each right is needed

Life = Callable[[Cluster, str], Coroutine[Any, Any, None]]

LIVES: dict[str, tuple[str, tuple[Life, ...]]] = {
    OPERATOR: (OPERATOR, (test_operator_may_do_what_it_does, test_operator_may_look_at_what_others_leave)),
    PRUNER: (PRUNER, (test_pruner_may_do_what_it_does, test_pruner_sees_the_stop_switch_come_and_go)),
    WATCHER: (WATCHER, (test_watcher_may_do_what_it_does,)),
    AUDIT: (AUDIT, (test_audit_may_read_the_calendar_and_leave_its_numbers,)),
    FLIGHT: (FLIGHT, (test_flight_check_may_leave_its_result,)),
    "dichroism-steward": ("somebody", (test_steward_may_do_what_the_commands_for_people_do,)),
    "dichroism-viewer": ("guest", (test_viewer_may_look_and_change_nothing,)),
}
"""Role, the account that has it, and the tests that do what the programs do under it."""


@pytest.fixture(scope="module")
def lived(cluster: Cluster) -> Iterator[str]:
    """Another namespace with the chart, in which each account has done what it does and nothing else."""
    if cluster.provider != "controlplane":
        pytest.skip(f"a cluster of provider {cluster.provider} does not show who asked what")
    name = cluster.namespace("rights")
    install(cluster, name, CONFIG)
    for _, lives in LIVES.values():
        for life in lives:
            asyncio.run(life(cluster, name))
        # The first of all who need a Lease makes it: each account has to be able to.
        cluster.kubectl("delete", "leases", "--all", "-n", name)
    yield name
    cluster.delete_namespace(name)


@pytest.mark.parametrize("role", LIVES)
def test_without_any_one_of_its_rights_a_role_would_refuse_its_program(cluster: Cluster, lived: str, role: str) -> None:
    account, _ = LIVES[role]
    given = rights_of(json.loads(cluster.kubectl("get", "role", role, "-n", lived, "-o", "json")))
    assert not not_needed(given, requests_of(cluster, lived, account))
