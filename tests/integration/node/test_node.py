"""The real node itself: it enforces what it is for, stands beside others, and ends with who started it."""

import http.server
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster, cgroups, node, processes
from tests.cluster.image import project_image
from tests.cluster.state import MARK

pytestmark = pytest.mark.timeout(900)

HOLD_A_NODE = """
import pathlib, sys
from tests.cluster import running
with running(pathlib.Path(sys.argv[1]), "node") as cluster:
    print(cluster.cluster_id, flush=True)
    input()
"""
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
SERVE = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"


def pod(namespace: str, name: str, *command: str, **security: Any) -> dict[str, Any]:
    """A pod of the project's image that runs Python."""
    container = {
        "name": "main",
        "image": project_image().name,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", *command],
        "securityContext": security,
    }
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))


def wait_for(cluster: Cluster, namespace: str, what: str, condition: str) -> None:
    cluster.kubectl("wait", f"--for={condition}", what, "-n", namespace, "--timeout=240s", timeout=250)


def test_a_pod_reaches_services_by_address_and_this_machine_through_a_gate(
    with_image: node.Node, namespace: str
) -> None:
    cluster = with_image
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": namespace},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    apply(cluster, pod(namespace, "server", SERVE), service)
    wait_for(cluster, namespace, "pod/server", "condition=Ready")
    address = json.loads(cluster.kubectl("get", "service/server", "-n", namespace, "-o", "json"))["spec"]["clusterIP"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        for name, place in (("there", f"{address}:80"), ("here", cluster.reachable(here.server_port))):
            apply(cluster, pod(namespace, name, FETCH, f"http://{place}/"))
            wait_for(cluster, namespace, f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
        here.shutdown()
    assert "Directory listing" in cluster.pod_log(namespace, "there")
    assert cluster.pod_log(namespace, "here") == "from outside\n"


class Greeter(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the same words."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from outside")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library names it
        """Stay silent."""


def test_a_container_that_would_be_root_is_not_started_where_that_is_forbidden(
    with_image: node.Node, namespace: str
) -> None:
    apply(with_image, pod(namespace, "root", "print('started')", runAsNonRoot=True, runAsUser=0))
    refused = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError"
    wait_for(with_image, namespace, "pod/root", refused)


def test_objects_and_pods_survive_a_crash_of_the_api_server(with_image: node.Node, namespace: str) -> None:
    cluster = with_image
    apply(cluster, pod(namespace, "stays", SERVE))
    wait_for(cluster, namespace, "pod/stays", "condition=Ready")
    cluster.restart_apiserver(kill=True)
    assert cluster.healthy()
    status = json.loads(cluster.kubectl("get", "pod/stays", "-n", namespace, "-o", "json"))["status"]
    assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == ("Running", 0)


def test_a_second_node_stands_beside_the_first_and_dies_with_a_process_that_is_killed(
    with_image: node.Node, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLD_A_NODE, str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        cluster_id = caller.stdout.readline().strip()
        assert len(processes.marked(MARK, cluster_id)) >= len(node.Node.parts)
        caller.send_signal(signal.SIGKILL)
    assert processes.wait_until(lambda: not processes.marked(MARK, cluster_id), seconds=120)
    folders = [hierarchy / f"dichroism-{cluster_id}" for hierarchy in cgroups.hierarchies()]
    assert processes.wait_until(lambda: not any(folder.exists() for folder in folders), seconds=60)
    assert with_image.healthy()
