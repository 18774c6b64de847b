"""The chart on a real API server: it is accepted, and its Roles allow what the programs do and nothing else."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.client import Api, Denied, NotFound
from dichroism_crds.kinds import Prune, Scan, Transfer
from dichroism_crds.names import (
    ANNOTATION_RETRY,
    ANNOTATION_UNDO,
    GROUP,
    LABEL_BEAMLINE,
    LABEL_ENDPOINT,
    OPERATOR_LEASE,
    PRIVATE_DIR,
    STOP_PRUNE_CONFIGMAP,
)
from dichroism_crds.reasons import EventReason, Reason
from dichroism_crds.schema import OPENAPI_PATH
from dichroism_operator.flight import result as flight
from dichroism_operator.lease import Lease
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.job import lease_name
from dichroism_operator.recorder import Recorder
from dichroism_watcher.records import FileContent, KnownScan
from dichroism_watcher.scan_feed import ScanFeed
from dichroism_watcher.submit import How, build_scan, put_scan
from tests.api import acting
from tests.chart import (
    CHART,
    FLIGHT,
    OPERATOR,
    PRUNER,
    WATCHER,
    apply,
    cronjob_name,
    flight_name,
    install,
    objects,
    pod_specs,
    render,
)
from tests.cluster import Cluster, CommandError
from tests.integration.crds.objects import prune, scan, transfer

CONFIG = (CHART.parents[1] / "config.yml").read_text()
BEAMLINES = ("BL402", "BL631")
PRUNED = {"data402", "nersc402", "data631", "nersc631"}
CLAIMS: dict[str, Any] = {
    "operator": {"enabled": True},
    "watcher": {"enabled": True},
    "existingSecret": "credentials",
    "mounts": {name: {"persistentVolumeClaim": {"claimName": name}} for name in ("data402", "nersc402", "hpss402")},
}
SITES = ("data", "nersc", "hpss")
CONFIG_ON_DISK = CONFIG.replace("mover: globus", "mover: filesystem").replace("mover: sfapi", "mover: filesystem")
COPIED = "2026/261122/TrajScan31914-1_0001.txt"


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[str]:
    """A namespace with the chart in it."""
    name = cluster.namespace("chart")
    install(cluster, name, CONFIG)
    yield name
    cluster.delete_namespace(name)


# what is applied


def test_everything_is_accepted_in_strict_form(cluster: Cluster, installed: str) -> None:
    wanted = objects(render(installed, CONFIG, **CLAIMS))
    apply(cluster, wanted, "--dry-run=server")


def test_installing_again_changes_nothing(cluster: Cluster, installed: str) -> None:
    def versions() -> dict[str, str]:
        kinds = "serviceaccounts,roles,rolebindings,cronjobs,configmaps"
        listed = json.loads(cluster.kubectl("get", kinds, "-n", installed, "-o", "json"))["items"]
        return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in listed}

    before = versions()
    install(cluster, installed, CONFIG)
    assert versions() == before


def test_cluster_holds_one_cronjob_for_each_pruned_endpoint(cluster: Cluster, installed: str) -> None:
    listed = json.loads(cluster.kubectl("get", "cronjobs", "-n", installed, "-l", LABEL_ENDPOINT, "-o", "json"))
    assert {one["metadata"]["labels"][LABEL_ENDPOINT] for one in listed["items"]} == PRUNED


def pods(namespace: str, **values: Any) -> list[dict[str, Any]]:
    """The pods that the chart's objects would make, as objects of their own."""
    rendered = objects(render(namespace, CONFIG, **(CLAIMS | values)))
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-of-{name}", "namespace": namespace},
            "spec": spec,
        }
        for name, spec in pod_specs(rendered)
    ]


@pytest.fixture(scope="module")
def restricted(cluster: Cluster, installed: str) -> str:
    """The same namespace, with the Pod Security level `restricted` enforced."""
    cluster.kubectl("label", "namespace", installed, "pod-security.kubernetes.io/enforce=restricted")
    return installed


def test_every_pod_passes_pod_security_restricted(cluster: Cluster, restricted: str) -> None:
    wanted = pods(restricted)
    assert len(wanted) == 2 + len(PRUNED) + len(BEAMLINES)
    for pod in wanted:
        apply(cluster, [pod], "--dry-run=server")


def test_pod_security_really_looks_at_these_pods(cluster: Cluster, restricted: str) -> None:
    (weak, *_) = pods(restricted, containerSecurityContext={"allowPrivilegeEscalation": True})
    with pytest.raises(CommandError, match="violates PodSecurity"):
        apply(cluster, [weak], "--dry-run=server")


def test_helm_installs_it_and_uninstalling_leaves_every_scan(
    cluster: Cluster, installed: str, namespace: str, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": CONFIG, "image": {"repository": "dichroism"}}))
    # The definitions are there already. This release takes them over, so that it has them to lose.
    said = cluster.helm("install", "site", str(CHART), "-n", namespace, "-f", str(values), "--take-ownership")
    assert "kubectl get scans,transfers,prunes" in said
    assert all(endpoint in said for endpoint in PRUNED)
    manifest = scan("kept").to_wire() | {"metadata": {"name": "kept", "namespace": namespace}}
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(manifest))
    cluster.helm("uninstall", "site", "-n", namespace)
    assert "kept" in cluster.kubectl("get", "scans", "-n", namespace)
    assert not cluster.kubectl("get", "cronjobs,deployments", "-n", namespace, "-o", "name")


def test_job_of_a_cronjob_runs_with_mounts_config_and_rights(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    if cluster.provider != "controlplane":
        pytest.skip(f"the pods of a cluster of provider {cluster.provider} need an image and its own folders")
    places = {f"{place}{number}": tmp_path / f"{place}{number}" for place in SITES for number in ("402", "631")}
    for place in places.values():
        (place / PRIVATE_DIR).mkdir(parents=True)
    mounts = {name: {"hostPath": {"path": str(place)}} for name, place in places.items()}
    install(cluster, namespace, CONFIG_ON_DISK, mounts=mounts)
    # Its day has come, so the job takes the Lease; no Scan knows of it yet, so nothing else is done with it.
    due = prune("data402-20200101-0001")
    due.metadata.labels = {LABEL_BEAMLINE: "BL402", LABEL_ENDPOINT: "data402"}
    manifest = due.to_wire()
    manifest["metadata"]["namespace"] = namespace
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(manifest))
    assert "data402: 0 Prunes" in said_by(cluster, namespace, cronjob_name("data402"))
    assert cluster.kubectl("get", "lease", lease_name("BL402"), "-n", namespace, "-o", "name")
    said = said_by(cluster, namespace, flight_name("BL402"), succeeds=False)  # nobody serves the catalogue here
    told = dict(line.split()[:2] for line in said.splitlines() if line.startswith(("data402-", "nersc402-", "cleanup")))
    assert told == {"data402-nersc402": "passed", "nersc402-hpss402": "passed", "cleanup": "passed"}, said
    lease = json.loads(cluster.kubectl("get", "lease", flight.lease_name("BL402"), "-n", namespace, "-o", "json"))
    result = flight.FlightResult.from_lease(lease)
    assert result
    assert [leg.reason for leg in result.failed] == [Reason.CATALOGUE_LOGIN_FAILED]
    assert not [path for place in places.values() for path in place.rglob("*") if path.is_file()]


def said_by(cluster: Cluster, namespace: str, cronjob: str, *, succeeds: bool = True) -> str:
    """Log of a Job made from a CronJob, at its end."""
    cluster.kubectl("create", "job", cronjob, f"--from=cronjob/{cronjob}", "-n", namespace)
    cluster.kubectl("wait", "--for=jsonpath={.status.conditions}", f"job/{cronjob}", "-n", namespace, "--timeout=90s")
    selector = f"--selector=batch.kubernetes.io/job-name={cronjob}"
    (pod,) = cluster.kubectl("get", "pods", selector, "-n", namespace, "-o", "name").split()
    said = cluster.pod_log(namespace, pod.removeprefix("pod/"))
    ended = json.loads(cluster.kubectl("get", "job", cronjob, "-n", namespace, "-o", "json"))["status"]
    assert ended.get("succeeded" if succeeds else "failed") == 1, said
    return said


# what the Roles allow: the calls that the programs make


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
        for beamline in ("BL402", "BL631"):
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
        await api.delete(Prune, planned.name)
        await holds(Lease(api, lease_name("BL402"), "one"))
        assert await stopswitch.stop(api, "inventory", "somebody")
        assert await stopswitch.why_stopped(api)
        assert await stopswitch.resume(api)
        with pytest.raises(Denied):
            await api.replace_status(made)
        with pytest.raises(Denied):
            await Lease(api, OPERATOR_LEASE, "somebody").try_acquire()
    cronjob, user = f"--from=cronjob/{cronjob_name('data402')}", f"--as=system:serviceaccount:{installed}:somebody"
    cluster.kubectl("create", "job", "now", cronjob, "-n", installed, user)


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


# what the Roles refuse

ALL = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
WRITES = ("create", "update", "patch", "delete", "deletecollection")
FORBIDDEN: dict[str, dict[str, tuple[str, ...]]] = {
    OPERATOR: {
        "scans": ("create", "update", "patch", "deletecollection"),
        "transfers": ("update", "patch", "deletecollection"),
        "prunes": ("update", "patch", "deletecollection"),
        "leases": ("list", "watch", "get", "update", "patch", "delete"),
        "events": ("get", "list", "update", "patch", "delete"),
        "cronjobs": WRITES,
        "configmaps": ALL,
    },
    PRUNER: {
        "scans": ("list", "watch", *WRITES),
        "scans/status": ALL,
        "transfers": ALL,
        "prunes": WRITES,
        "leases": ("list", "watch", "get", "update", "patch", "delete"),
        "configmaps": ALL,
        "cronjobs": ALL,
        "events": ("get", "list", "update", "patch", "delete"),
    },
    WATCHER: {
        "scans": ("update", "delete", "deletecollection"),
        "scans/status": ALL,
        "transfers": ALL,
        "prunes": ALL,
        "leases": ("list", "watch", "get", "update", "patch", "delete", "deletecollection"),
        "events": ALL,
        "configmaps": ALL,
        "cronjobs": ALL,
    },
    FLIGHT: {
        "scans": ALL,
        "scans/status": ALL,
        "transfers": ALL,
        "prunes": ALL,
        "leases": ("list", "watch", "get", "update", "patch", "delete", "deletecollection"),
        "events": ALL,
        "configmaps": ALL,
        "cronjobs": ALL,
    },
}
NOBODYS_BUSINESS = (
    "secrets",
    "pods",
    "pods/exec",
    "jobs",
    "deployments",
    "serviceaccounts/token",
    "roles",
    "rolebindings",
)
GROUPS = {
    "scans": GROUP,
    "transfers": GROUP,
    "prunes": GROUP,
    "leases": "coordination.k8s.io",
    "cronjobs": "batch",
    "jobs": "batch",
    "deployments": "apps",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
}


def allowed(cluster: Cluster, namespace: str, account: str, asked: dict[str, tuple[str, ...]]) -> set[str]:
    """Those of the asked calls, as ``verb resource``, that the API server would let the account do on any object."""
    user = f"system:serviceaccount:{namespace}:{account}"
    reviews = []
    for whole, verbs in asked.items():
        resource, _, subresource = whole.partition("/")
        attributes = {
            "namespace": namespace,
            "group": GROUPS.get(resource, ""),
            "resource": resource,
            "subresource": subresource,
        }
        for verb in verbs:
            spec = {"user": user, "resourceAttributes": {**attributes, "verb": verb}}
            reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    answers = cluster.kubectl("create", "-f", "-", "-o", "yaml", input=yaml.safe_dump_all(reviews))
    return {
        f"{where['verb']} {where['resource']}/{where.get('subresource', '')}".rstrip("/")
        for one in yaml.safe_load_all(answers)
        for where in [one["spec"]["resourceAttributes"]]
        if one["status"]["allowed"]
    }


@pytest.mark.parametrize("account", FORBIDDEN)
def test_no_account_may_do_more(cluster: Cluster, installed: str, account: str) -> None:
    asked = FORBIDDEN[account] | dict.fromkeys(NOBODYS_BUSINESS, ALL)
    assert allowed(cluster, installed, account, asked) == set()


def test_the_question_what_is_allowed_is_asked_rightly(cluster: Cluster, installed: str) -> None:
    asked = {"scans": ("get", "delete"), "scans/status": ("update",), "cronjobs": ("list",), "leases": ("create",)}
    assert allowed(cluster, installed, OPERATOR, asked) == {
        "get scans",
        "delete scans",
        "update scans/status",
        "list cronjobs",
        "create leases",
    }


@pytest.mark.parametrize("account", [OPERATOR, PRUNER, WATCHER, FLIGHT])
async def test_no_account_may_do_anything_elsewhere(cluster: Cluster, installed: str, account: str) -> None:
    assert await rules_of(cluster, installed, account) == await rules_of(cluster, installed, "default")


async def rules_of(cluster: Cluster, namespace: str, account: str) -> list[str]:
    """All that an account may do in the namespace `default` and cluster-wide."""
    group = "authorization.k8s.io/v1"
    review = {"apiVersion": group, "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}}
    async with acting(cluster, namespace, account) as api:
        status = (await api.request("POST", f"/apis/{group}/selfsubjectrulesreviews", body=review))["status"]
    return sorted(json.dumps(rule, sort_keys=True) for rule in status["resourceRules"] + status["nonResourceRules"])


async def test_pruner_cannot_change_what_is_due(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed) as admin:
        planned = await admin.create(prune("fixed-prune"))
    async with acting(cluster, installed, PRUNER) as api:
        with pytest.raises(Denied):
            await api.patch(Prune, planned.name, {"spec": {"suspend": True}})
        with pytest.raises(Denied):
            await api.delete(Prune, planned.name)


async def test_pruner_cannot_take_the_work_of_the_operator(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed, PRUNER) as api:
        with pytest.raises(Denied):
            await Lease(api, OPERATOR_LEASE, "pruner").try_acquire()


async def test_watcher_cannot_delete_or_judge_a_scan(cluster: Cluster, installed: str) -> None:
    async with acting(cluster, installed) as admin:
        made = await admin.create(scan("watched-scan"))
    async with acting(cluster, installed, WATCHER) as api:
        with pytest.raises(Denied):
            await api.delete(Scan, made.name)
        with pytest.raises(Denied):
            await api.replace_status(made)
        with pytest.raises(Denied):
            await api.get(Transfer, "any")
