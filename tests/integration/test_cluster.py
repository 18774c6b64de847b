"""The test cluster itself: apart from others, gone when it is down, and running pods as Kubernetes would."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import (
    Cluster,
    ClusterError,
    CommandError,
    ProviderUnavailableError,
    attach,
    chosen_provider,
    down,
    kind,
    processes,
    running,
    up,
)
from tests.cluster.state import MARK

Json = dict[str, Any]


def apply(cluster: Cluster, *objects: Json) -> None:
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))


def pod_spec(*command: str, **more: Any) -> Json:
    container = {"name": "main", "image": "example.org/not-pulled", "command": list(command)}
    outer = {key: more.pop(key) for key in list(more) if key in ("volumes", "terminationGracePeriodSeconds")}
    outer |= {key: more.pop(key) for key in list(more) if key in ("serviceAccountName", "activeDeadlineSeconds")}
    return {"restartPolicy": "Never", "containers": [{**container, **more}], **outer}


def pod(namespace: str, *command: str, **more: Any) -> Json:
    metadata = {"name": "it", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(*command, **more)}


def job(namespace: str, *command: str, **more: Any) -> Json:
    spec = {"backoffLimit": 0, "template": {"spec": pod_spec(*command, **more)}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "it", "namespace": namespace}, "spec": spec}


def read(cluster: Cluster, namespace: str, kind_and_name: str) -> Json:
    found: Json = json.loads(cluster.kubectl("get", kind_and_name, "-n", namespace, "-o", "json"))
    return found


def pod_of_job(cluster: Cluster, namespace: str, name: str = "it") -> Json:
    found: Json = json.loads(cluster.kubectl("get", "pod", "-l", f"job-name={name}", "-n", namespace, "-o", "json"))
    assert len(found["items"]) == 1
    return dict(found["items"][0])


def wait_for(cluster: Cluster, namespace: str, what: str, condition: str) -> None:
    cluster.kubectl("wait", f"--for={condition}", what, "-n", namespace, "--timeout=60s", timeout=70)


def only_local_processes(cluster: Cluster) -> None:
    if cluster.provider != "controlplane":
        pytest.skip("about clusters of local processes")


def test_a_second_cluster_is_apart_and_leaves_nothing_running(cluster: Cluster, tmp_path: Path) -> None:
    only_local_processes(cluster)
    other = up(tmp_path / "other", "controlplane")
    try:
        name = other.namespace()
        with pytest.raises(CommandError, match="NotFound"):
            cluster.kubectl("get", "namespace", name)
        assert attach(tmp_path / "other").kubectl("get", "namespace", name, "-o", "name") == f"namespace/{name}\n"
        apply(other, pod(name, "sleep", "600"))
        wait_for(other, name, "pod/it", "condition=Ready")
    finally:
        assert down(tmp_path / "other")
    assert processes.marked(MARK, other.cluster_id) == []
    assert cluster.healthy()
    assert not down(tmp_path / "other")


def test_a_cluster_of_which_a_part_died_is_stopped_and_started_anew(tmp_path: Path) -> None:
    broken = up(tmp_path, "controlplane")
    try:
        record = broken.state.read()
        assert record is not None
        os.kill(record.processes["etcd"].pid, signal.SIGKILL)
        assert processes.wait_until(lambda: not record.processes["etcd"].alive(), seconds=30)
        assert broken.report()["etcd"] is False
        fresh = up(tmp_path, "controlplane")
        assert processes.marked(MARK, broken.cluster_id) == []
        assert fresh.healthy()
        assert up(tmp_path, "controlplane").cluster_id == fresh.cluster_id
    finally:
        down(tmp_path)


HOLD_A_CLUSTER = """
import pathlib, sys
from tests.cluster import running
with running(pathlib.Path(sys.argv[1]), "controlplane") as cluster:
    print(cluster.cluster_id, flush=True)
    input()
"""


def test_a_cluster_dies_with_a_test_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_A_CLUSTER, str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        cluster_id = caller.stdout.readline().strip()
        assert len(processes.marked(MARK, cluster_id)) >= 4
        caller.kill()
    assert processes.wait_until(lambda: processes.marked(MARK, cluster_id) == [], seconds=30)


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ClusterError, match=r"thesis\.txt"):
        up(tmp_path, "controlplane")
    assert not down(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_objects_tokens_and_running_pods_survive_a_restart_of_the_api_server(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    only_local_processes(cluster)
    go = tmp_path / "go"
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b", "-n", namespace)
    kubeconfig = cluster.kubeconfig_for(namespace, "default")
    apply(cluster, job(namespace, "sh", "-c", f"until test -e {go}; do sleep 0.1; done"))
    wait_for(cluster, namespace, "job/it", "jsonpath={.status.ready}=1")
    cluster.stop_apiserver()
    with pytest.raises(ClusterError):
        cluster.kubectl("get", "--raw=/readyz")
    go.touch()
    cluster.start_apiserver()
    assert read(cluster, namespace, "configmap/kept")["data"] == {"a": "b"}
    assert f"{namespace}:default" in cluster.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    wait_for(cluster, namespace, "job/it", "condition=complete")


LOOK_AROUND = """
import json, os, pathlib, sys
from kubernetes import client, config
config.load_kube_config()
core = client.CoreV1Api()
namespace = pathlib.Path(sys.argv[2]).read_text()
seen = {"configmap": core.read_namespaced_config_map("settings", namespace).data}
try:
    core.read_namespaced_secret("login", namespace)
    seen["secret"] = "readable"
except client.ApiException as error:
    seen["secret"] = error.status
seen["file"] = pathlib.Path(sys.argv[1]).read_text()
seen["env"] = {name: os.environ.get(name) for name in ("PLAIN", "PASSWORD", "MODE", "app_MODE", "POD", "EXPANDED")}
seen["path_in_env"] = pathlib.Path(os.environ["SETTINGS"]).read_text()
pathlib.Path(os.environ["SCRATCH"], "note").write_text("written")
print(json.dumps(seen))
"""


def test_a_cron_job_runs_with_what_its_pod_asks_for_and_no_more_rights(cluster: Cluster, namespace: str) -> None:
    def named(name: str) -> Json:
        return {"name": name, "namespace": namespace}

    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "worker", "namespace": namespace}
    binding = {"roleRef": {"apiGroup": rbac, "kind": "Role", "name": "worker"}, "subjects": [subject]}
    spec = pod_spec(
        "python", "-c", LOOK_AROUND, "/etc/settings/mode", "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        serviceAccountName="worker",
        envFrom=[{"prefix": "app_", "configMapRef": {"name": "settings"}}],
        env=[
            {"name": "PLAIN", "value": "text"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "MODE"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "EXPANDED", "value": "<$(PLAIN)>"},
            {"name": "SETTINGS", "value": "/etc/settings/mode"},
            {"name": "SCRATCH", "value": "/scratch"},
        ],
        volumeMounts=[{"name": "settings", "mountPath": "/etc/settings"}, {"name": "scratch", "mountPath": "/scratch"}],
        volumes=[
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "MODE", "path": "mode"}]}},
            {"name": "scratch", "emptyDir": {}},
        ],
    )  # fmt: skip
    job_spec = {"backoffLimit": 0, "template": {"spec": spec}}
    # Suspended until it looks as if it had last run long ago: the controller then starts it at once.
    cron = {"schedule": "* * * * *", "suspend": True, "jobTemplate": {"spec": job_spec}}
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("settings"), "data": {"MODE": "dichroism"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": named("login"),
            "stringData": {"password": "not real"},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named("worker")},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": named("worker"), "rules": rules},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": named("worker"), **binding},
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": named("it"), "spec": cron},
    )
    long_ago = json.dumps({"status": {"lastScheduleTime": "2020-01-01T00:00:00Z"}})
    cluster.kubectl("patch", "cronjob/it", "-n", namespace, "--subresource=status", "--type=merge", "-p", long_ago)
    cluster.kubectl("patch", "cronjob/it", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    wait_for(cluster, namespace, "cronjob/it", "jsonpath={.status.lastSuccessfulTime}")
    names = cluster.kubectl("get", "pod", "-n", namespace, "-o", "name").split()
    assert json.loads(cluster.pod_log(namespace, names[0].removeprefix("pod/"))) == {
        "configmap": {"MODE": "dichroism"},
        "secret": 403,
        "file": "dichroism",
        "env": {
            "PLAIN": "text",
            "PASSWORD": "not real",
            "MODE": "dichroism",
            "app_MODE": "dichroism",
            "POD": namespace,
            "EXPANDED": "<text>",
        },
        "path_in_env": "dichroism",
    }


def test_an_exit_code_makes_a_failed_job_that_says_why(cluster: Cluster, namespace: str) -> None:
    policy = "FallbackToLogsOnError"
    apply(cluster, job(namespace, "sh", "-c", "echo the disk is full; exit 7", terminationMessagePolicy=policy))
    wait_for(cluster, namespace, "job/it", "condition=failed")
    failed = pod_of_job(cluster, namespace)
    ended = failed["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (failed["status"]["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 7, "Error")
    assert ended["message"] == "the disk is full\n"


def test_deleting_a_pod_kills_all_that_it_started(cluster: Cluster, namespace: str) -> None:
    only_local_processes(cluster)
    stubborn = "trap '' TERM; setsid sleep 600 & echo started; while :; do sleep 600; done"
    apply(cluster, pod(namespace, "sh", "-c", stubborn, terminationGracePeriodSeconds=1))
    wait_for(cluster, namespace, "pod/it", "condition=Ready")
    uid = read(cluster, namespace, "pod/it")["metadata"]["uid"]
    assert processes.wait_until(lambda: len(processes.marked("DICHROISM_TEST_POD", uid)) == 3, seconds=30)
    cluster.kubectl("delete", "pod/it", "-n", namespace, "--timeout=60s", timeout=70)
    assert processes.marked("DICHROISM_TEST_POD", uid) == []


def test_a_pod_whose_object_is_removed_by_force_is_killed(cluster: Cluster, namespace: str) -> None:
    only_local_processes(cluster)
    apply(cluster, pod(namespace, "sleep", "600"))
    wait_for(cluster, namespace, "pod/it", "condition=Ready")
    uid = read(cluster, namespace, "pod/it")["metadata"]["uid"]
    cluster.kubectl("delete", "pod/it", "-n", namespace, "--force", "--grace-period=0")
    assert processes.wait_until(lambda: not processes.marked("DICHROISM_TEST_POD", uid), seconds=30)


def test_pods_that_ran_when_the_runner_was_killed_are_reported_as_failed(cluster: Cluster, namespace: str) -> None:
    only_local_processes(cluster)
    apply(cluster, pod(namespace, "sleep", "600"))
    wait_for(cluster, namespace, "pod/it", "condition=Ready")
    uid = read(cluster, namespace, "pod/it")["metadata"]["uid"]
    cluster.restart_runner()
    wait_for(cluster, namespace, "pod/it", "jsonpath={.status.phase}=Failed")
    assert read(cluster, namespace, "pod/it")["status"]["reason"] == "RunnerRestarted"
    assert processes.marked("DICHROISM_TEST_POD", uid) == []


def test_a_pod_is_stopped_when_its_time_is_up(cluster: Cluster, namespace: str) -> None:
    apply(cluster, pod(namespace, "sleep", "600", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    wait_for(cluster, namespace, "pod/it", "jsonpath={.status.reason}=DeadlineExceeded")
    assert read(cluster, namespace, "pod/it")["status"]["phase"] == "Failed"


def test_a_pod_waits_for_a_config_map_that_is_made_later(cluster: Cluster, namespace: str) -> None:
    reference = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}
    apply(cluster, pod(namespace, "sh", "-c", "echo $A", env=[reference]))
    waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError"
    wait_for(cluster, namespace, "pod/it", waiting)
    cluster.kubectl("create", "configmap", "late", "--from-literal=a=arrived", "-n", namespace)
    wait_for(cluster, namespace, "pod/it", "jsonpath={.status.phase}=Succeeded")
    assert cluster.pod_log(namespace, "it") == "arrived\n"


def test_a_deployment_is_available_once_its_pod_runs_again_after_a_failure(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    only_local_processes(cluster)
    once = tmp_path / "once"
    fails_once = f"test -e {once} || {{ touch {once}; exit 1; }}; sleep 600"
    spec = pod_spec("sh", "-c", fails_once) | {"restartPolicy": "Always"}
    labels = {"app": "it"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": 1, "minReadySeconds": 1, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "it", "namespace": namespace}
    apply(cluster, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment})
    wait_for(cluster, namespace, "deployment/it", "condition=Available")
    found = json.loads(cluster.kubectl("get", "pod", "-l", "app=it", "-n", namespace, "-o", "json"))
    assert [each["status"]["containerStatuses"][0]["restartCount"] for each in found["items"]] == [1]


def test_helm_installs_into_the_cluster(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: little\nversion: 0.1.0\nkubeVersion: '>=1.30.0-0'\n")
    config_map = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: little}\ndata: {server: '%s'}\n"
    (tmp_path / "templates" / "config-map.yaml").write_text(config_map % "{{ .Capabilities.KubeVersion.Minor }}")
    cluster.helm("install", "little", str(tmp_path), "-n", namespace)
    server = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["minor"]
    assert read(cluster, namespace, "configmap/little")["data"]["server"] == server


def test_an_existing_cluster_is_used_when_asked_for_and_left_as_it_is(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICHROISM_TEST_KUBECONFIG", str(cluster.kubeconfig))
    with running(tmp_path / "state", "kubeconfig") as same:
        name = same.namespace()
        with pytest.raises(ClusterError, match="CLUSTER=controlplane"):
            same.restart_apiserver()
    cluster.delete_namespace(name)
    assert cluster.healthy()


def test_an_existing_cluster_is_never_taken_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("DICHROISM_TEST_KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert chosen_provider("auto") in ("kind", "controlplane")


def test_a_provider_that_is_not_there_is_refused_with_advice() -> None:
    with pytest.raises(ProviderUnavailableError, match="choose auto"):
        chosen_provider("minikube")


def test_kind_starts_where_a_container_engine_answers(tmp_path: Path) -> None:
    reason = kind.unavailable()
    if reason:
        pytest.skip(reason)
    with running(tmp_path / "state", "kind") as started:
        assert started.kubectl("get", "nodes", "-o", "name").startswith("node/")
