"""The chart on a real API server: it is accepted, and its Roles allow what the programs do and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.names import (
    LABEL_BEAMLINE,
    LABEL_ENDPOINT,
    PRIVATE_DIR,
)
from dichroism_crds.reasons import Reason
from dichroism_operator.flight import result as flight
from dichroism_operator.prune.job import lease_name
from tests.chart import (
    CHART,
    apply,
    cronjob_name,
    flight_name,
    install,
    objects,
    pod_specs,
    render,
)
from tests.cluster import Cluster, CommandError
from tests.integration.crds.objects import prune, scan
from tests.integration.installer import INSTALLER, administrator, rights

CONFIG = (CHART.parents[1] / "config.yml").read_text()
BEAMLINES = ("BL402", "BL631")
PRUNED = {"data402", "nersc402", "data631", "nersc631"}
CLAIMS: dict[str, Any] = {
    "operator": {"enabled": True},
    "watcher": {"enabled": True},
    "existingSecret": "credentials",
    "mounts": {name: {"persistentVolumeClaim": {"claimName": name}} for name in ("data402", "nersc402", "hpss402")},
}
FOREIGN = Path(__file__).parent / "foreign"
GITOPS = CHART.parents[1] / "docs" / "examples" / "gitops"
SOMEBODY = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}
MORE: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "steward": {"subjects": [SOMEBODY]},
    "viewer": {"subjects": [SOMEBODY]},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"podSelector": {}}],
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 4200}]}],
    },
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}, "data": {"a": "b"}}],
    "podLabels": {"cost": "als"},
    "podAnnotations": {"note": "x"},
    "nodeSelector": {"storage": "cfs"},
    "tolerations": [{"key": "storage", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "serviceAccountAnnotations": {"note": "x"},
    "podSecurityContext": {"fsGroup": 90001, "supplementalGroups": [4711], "fsGroupChangePolicy": "OnRootMismatch"},
}
MONITORING = {
    "prometheusRule": {"enabled": True, "runbookUrl": "https://example.org/runbook.md", "labels": {"release": "x"}},
    "dashboard": {"enabled": True, "annotations": {"folder": "ALS"}},
}
EVERYTHING: dict[str, dict[str, Any]] = {
    "pod monitor, secret of one's own": {
        **CLAIMS,
        **MORE,
        "watcher": {"enabled": True, "journal": {"persistentVolumeClaim": {"claimName": "journal"}}},
        "metrics": {"podMonitor": {"enabled": True, "labels": {"release": "x"}}, **MONITORING},
    },
    "service monitor, secret of the chart": {
        **CLAIMS,
        "existingSecret": "",
        "secretValues": {"SCICAT_USERNAME": "als"},
        "secretsAs": "environment",
        "prune": {"suspend": True},
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "x"}}, **MONITORING},
    },
}
"""All switches, in two parts because some exclude each other."""
SITES = ("data", "nersc", "hpss")
CONFIG_ON_DISK = CONFIG.replace("mover: globus", "mover: filesystem").replace("mover: sfapi", "mover: filesystem")


@pytest.fixture(scope="module")
def foreign(cluster: Cluster) -> None:
    """The kinds of others that the chart has objects of."""
    definitions = [yaml.safe_load(file.read_text()) for file in sorted(FOREIGN.glob("*.yaml"))]
    apply(cluster, definitions)
    names = [f"crd/{one['metadata']['name']}" for one in definitions]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


@pytest.mark.parametrize("values", EVERYTHING)
@pytest.mark.usefixtures("foreign")
def test_every_object_of_every_switch_is_accepted_in_strict_form(cluster: Cluster, installed: str, values: str) -> None:
    wanted = objects(render(installed, CONFIG, **EVERYTHING[values]))
    said = apply(cluster, wanted, "--dry-run=server")
    assert len(said.splitlines()) == len(wanted)


@pytest.mark.usefixtures("foreign")
def test_examples_for_argo_cd_and_flux_are_accepted_in_strict_form(cluster: Cluster, installed: str) -> None:
    kinds = {"Application", "GitRepository"}
    found = [yaml.safe_load(file.read_text()) for file in sorted(GITOPS.rglob("*.yaml"))]
    wanted = [one for one in found if one["kind"] in kinds]
    for one in wanted:
        one["metadata"]["namespace"] = installed
    assert {one["kind"] for one in wanted} == kinds
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
    assert len(wanted) == 2 + len(PRUNED) + len(BEAMLINES) + 1  # operator, watcher, prunes, flight checks, audit
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


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.usefixtures("crds", "chart_tools")
def test_helm_has_a_whole_release_with_the_rights_that_the_request_asks_for_and_not_without_them(
    cluster: Cluster, namespace: str, tmp_path: Path, major: int
) -> None:
    apply(cluster, administrator(namespace))
    account = cluster.kubeconfig_for(namespace, INSTALLER)
    values = tmp_path / "values.yaml"
    values.write_text(
        yaml.safe_dump({**CLAIMS, "config": CONFIG, "image": {"repository": "x"}, "crds": {"install": False}})
    )

    def helm(command: str, release: str, *arguments: str) -> str:
        return cluster.helm(command, release, *arguments, "-n", namespace, kubeconfig=account, major=major)

    given = (str(CHART), "-f", str(values))
    with pytest.raises(CommandError, match="not currently held"):
        helm("install", "early", *given)
    apply(cluster, rights(namespace))
    helm("install", "site", *given)
    helm("upgrade", "site", *given, "--set", "prune.suspend=true")
    helm("rollback", "site")
    assert cluster.kubectl("get", "deployments", "-n", namespace, "-l=app.kubernetes.io/instance=site", "-o=name")
    helm("uninstall", "site")
    assert not cluster.kubectl("get", "deployments", "-n", namespace, "-l=app.kubernetes.io/instance=site", "-o=name")


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
