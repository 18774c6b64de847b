"""An older CRD on a real API server is noticed by whoever may read no CRD objects."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dichroism_crds.client import Api, Denied
from dichroism_crds.kinds import KINDS, Scan
from dichroism_crds.schema import OPENAPI_PATH, crd_documents, crd_yaml, missing_fields
from tests.cluster import Cluster
from tests.integration.crds.conftest import connection, install
from tests.integration.crds.objects import scan

pytestmark = pytest.mark.cluster


@pytest.fixture
def older_crds(crds: object, cluster: Cluster) -> Iterator[None]:
    """CRDs of an earlier version, which knew neither members of bundles nor refused Scans; ours again afterwards."""
    documents: list[dict[str, Any]] = crd_documents()
    scans = next(one for one in documents if one["spec"]["names"]["kind"] == "Scan")
    status = scans["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    status["phase"]["enum"].remove("Refused")
    del status["copies"]["items"]["properties"]["member"]
    install(cluster, yaml.safe_dump_all(documents))
    yield
    install(cluster, crd_yaml())


async def missing_in(api: Api, expected: list[str]) -> list[str]:
    """What the served schema of Scan lacks; the document follows the CRD after a moment, so it is asked for again."""
    for _ in range(200):
        found = missing_fields(await api.request("GET", OPENAPI_PATH), Scan)
        if found == expected:
            break
        await asyncio.sleep(0.1)
    return found


async def test_our_own_crds_lack_nothing(api: Api) -> None:
    assert await missing_in(api, []) == []
    served = await api.request("GET", OPENAPI_PATH)
    assert {kind.kind: missing_fields(served, kind) for kind in KINDS} == {"Scan": [], "Transfer": [], "Prune": []}


async def test_an_older_crd_is_told_by_field_and_value(older_crds: None, api: Api) -> None:
    expected = ["status.phase=Refused", "status.copies[].member"]
    assert await missing_in(api, expected) == expected


async def test_a_service_account_without_any_role_may_read_the_served_schema(
    api: Api, cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    async with await connection(cluster.kubeconfig_for(namespace, "nobody"), namespace) as nobody:
        with pytest.raises(Denied):
            await nobody.create(scan())
        with pytest.raises(Denied):
            await nobody.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        assert await missing_in(nobody, []) == []
