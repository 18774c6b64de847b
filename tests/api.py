"""The project's own API client for tests: as a service account of the chart, or with any kubeconfig."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from dichroism_crds.client import Api
from tests.cluster import Cluster


@asynccontextmanager
async def connected(kubeconfig: Path, namespace: str) -> AsyncIterator[Api]:
    """The client as the kubeconfig says; it asks once, as the project's programs do."""
    configuration = Configuration()
    configuration.retries = 1
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with Api(ApiClient(configuration), namespace) as api:
        yield api


@asynccontextmanager
async def acting(cluster: Cluster, namespace: str, account: str | None = None) -> AsyncIterator[Api]:
    """The client as a service account, or as the administrator."""
    kubeconfig = cluster.kubeconfig_for(namespace, account) if account else cluster.kubeconfig
    async with connected(kubeconfig, namespace) as api:
        yield api
