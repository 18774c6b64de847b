"""A site with files in a fresh namespace of a real API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from dichroism_crds.client import Api
from tests.cluster import Cluster
from tests.integration.prune.site import Site


@pytest.fixture
async def api(crds: None, cluster: Cluster, namespace: str) -> AsyncIterator[Api]:
    """An administrator's connection to a namespace of this test alone."""
    configuration = Configuration()
    await load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)
    async with Api(ApiClient(configuration), namespace) as connected:
        yield connected


@pytest.fixture
def site(tmp_path: Path, cluster: Cluster, api: Api) -> Site:
    """One beamline's storage, without files yet."""
    return Site(tmp_path, cluster, api)
