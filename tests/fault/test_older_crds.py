"""CRDs of an older version are installed: the operator says so and does nothing until the right ones are there."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, ScanPhase
from dichroism_crds.names import GROUP, OPERATOR_LEASE, VERSION
from dichroism_crds.schema_served import OPENAPI_PATH
from tests.cluster import Cluster, CommandError, processes
from tests.fault.campaign import Campaign
from tests.fault.supervisor import LEASE_SECONDS
from tests.probe import ask
from tests.site import Site

CRD = f"{Scan.plural}.{GROUP}"
FIELD = "lastHandledRetry"


@pytest.fixture
def older_crd(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """The cluster has a Scan CRD without one status field; gives the right one, which is there again afterwards."""
    right = json.loads(cluster.kubectl("get", "crd", CRD, "-o", "json"))
    for key in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"):
        right["metadata"].pop(key, None)
    older = json.loads(json.dumps(right))
    schema = next(one for one in older["spec"]["versions"] if one["name"] == VERSION)["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"][FIELD]
    replace(cluster, older, served=False)
    yield right
    replace(cluster, right, served=True)


def replace(cluster: Cluster, crd: dict[str, Any], *, served: bool) -> None:
    """Install a CRD and wait until its schema is the one that is served."""
    cluster.kubectl("replace", "-f", "-", input=json.dumps(crd))
    while (f'"{FIELD}"' in cluster.kubectl("get", "--raw", OPENAPI_PATH)) != served:
        time.sleep(0.2)


def test_with_an_older_crd_the_operator_says_so_and_waits_for_the_right_one(
    site: Site, older_crd: dict[str, Any]
) -> None:
    campaign = Campaign(site)
    campaign.add(1)
    port = processes.free_port()
    operator = site.operator(port=port).start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    site.wait_for(lambda: "not ready" in operator.words(), "it says why it does not work")
    status, text = ask(port, "/readyz")
    assert status == 503
    for words in ("older than this version", f"Scan.status.{FIELD}", "dichroism crds"):
        assert words in text
        assert words in operator.words()
    assert operator.running
    assert not site.transfers()
    assert {scan.status.phase for scan in site.scans().values()} == {ScanPhase.PENDING}
    with pytest.raises(CommandError, match="NotFound"):
        site.cluster.kubectl("get", "lease", OPERATOR_LEASE, "-n", site.namespace)

    replace(site.cluster, older_crd, served=True)
    site.wait_until_succeeded(len(campaign.originals))
    assert ask(port, "/readyz") == (200, "ok\n")
    assert operator.stop() == 0
