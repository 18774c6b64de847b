"""The CRDs on a real API server, and a connection to a fresh namespace of it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from dichroism_crds.client import Api
from dichroism_crds.schema import crd_documents, crd_yaml
from tests.cluster import Cluster


def install(cluster: Cluster, manifest: str) -> None:
    """Apply CRDs and wait until they are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", input=manifest)
    names = [f"crd/{document['metadata']['name']}" for document in crd_documents()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Callable[[], dict[str, dict[str, str]]]:
    """Our CRDs are installed; call it for the conditions of each, as type and status."""
    install(cluster, crd_yaml())

    def conditions() -> dict[str, dict[str, str]]:
        served = json.loads(cluster.kubectl("get", "crd", "-o", "json"))["items"]
        return {
            one["metadata"]["name"]: {c["type"]: c["status"] for c in one["status"]["conditions"]} for one in served
        }

    return conditions


async def connection(kubeconfig: Path, namespace: str) -> Api:
    """The project's own client, as the user of a kubeconfig."""
    configuration = Configuration()
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    return Api(ApiClient(configuration), namespace)


@pytest.fixture
async def api(crds: object, cluster: Cluster, namespace: str) -> AsyncIterator[Api]:
    """An administrator's connection to a namespace of this test alone."""
    async with await connection(cluster.kubeconfig, namespace) as connected:
        yield connected
