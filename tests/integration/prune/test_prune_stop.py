"""What stops pruning: the switch, a Role that can't read it, an API server that is gone, old CRDs, another run."""

import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from dichroism_crds.config import load
from dichroism_crds.kinds import Prune, PrunePhase, PruneStatus
from dichroism_crds.schema import crd_documents
from dichroism_crds.timestamps import now
from dichroism_operator import calendar
from dichroism_operator.lease import DURATION_S
from tests.cluster import Cluster
from tests.integration.prune.site import Site, ended

PRUNER = [
    {"apiGroups": ["dichroism.als.lbl.gov"], "resources": ["prunes"], "verbs": ["get", "list"]},
    {"apiGroups": ["dichroism.als.lbl.gov"], "resources": ["prunes/status"], "verbs": ["update"]},
    {"apiGroups": ["dichroism.als.lbl.gov"], "resources": ["scans"], "verbs": ["get"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
SWITCH = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["dichroism-stop-prune"], "verbs": ["get"]}


def allow(cluster: Cluster, namespace: str, *rules: object) -> None:
    """Give the service account ``pruner`` exactly these rights."""
    meta = {"name": "pruner", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", **meta}
    documents = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "pruner"},
            "subjects": [subject],
        },
    ]
    cluster.kubectl("apply", "-f", "-", input="---\n".join(yaml.safe_dump(one) for one in documents))


async def test_the_switch_stops_pruning_until_a_person_turns_it_off(site: Site) -> None:
    prune = await site.due(2)
    assert site.switch("stop", "--reason", "tape library under repair").code == 0
    stopped = site.run()
    assert stopped.code == 0
    assert "tape library under repair" in stopped.out
    assert await site.read(prune) == prune
    assert len(site.in_place()) == 2
    assert "already" in site.switch("stop", "--reason", "again").out
    assert "tape library under repair" in site.run("--dry-run").out

    assert site.switch("resume").code == 0
    assert "not stopped" in site.switch("resume").out
    site.run()
    assert site.in_place() == set()


async def test_a_switch_that_may_not_be_read_counts_as_on(site: Site, cluster: Cluster) -> None:
    prune = await site.due(2)
    allow(cluster, site.api.namespace, *PRUNER)
    kubeconfig = cluster.kubeconfig_for(site.api.namespace, "pruner")
    stopped = site.run(kubeconfig=kubeconfig)
    assert stopped.code == 0
    assert "forbidden" in stopped.out
    assert len(site.in_place()) == 2

    allow(cluster, site.api.namespace, *PRUNER, SWITCH)
    assert site.run(kubeconfig=kubeconfig).code == 0
    assert (await site.read(prune)).status.phase == PrunePhase.TRASHED


async def test_two_runs_at_once_do_the_work_once(site: Site) -> None:
    prune = await site.due(20)
    runs = [site.start(), site.start()]
    assert [ended(run).code for run in runs] == [0, 0]
    assert (await site.read(prune)).status.trashed == 20
    assert len(site.in_trash()) == 20


async def test_a_run_leaves_a_beamline_alone_that_another_prunes(site: Site) -> None:
    prune = await site.due(2)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "dichroism-prune-bl402"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 100 * DURATION_S},
    }
    await site.api.request("POST", site.api.builtin_path("coordination.k8s.io/v1", "leases"), body=lease)
    other = site.run()
    assert other.code == 0
    assert "holds the Lease" in other.out
    assert await site.read(prune) == prune


async def test_crds_that_would_drop_what_is_written_stop_everything(site: Site, cluster: Cluster) -> None:
    prune = await site.due(2)
    documents = {one["spec"]["names"]["kind"]: one for one in crd_documents()}
    old = copy.deepcopy(documents["Prune"])
    status = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del status["trashedAt"]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(old))
    try:
        refused = site.run()
        while refused.code == 0 and not site.in_trash():
            refused = site.run()
        assert refused.code == 3
        assert "trashedAt" in refused.log
        assert len(site.in_place()) == 2
    finally:
        current = json.dumps(documents["Prune"])
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=current)
    assert (await site.api.get(Prune, prune.name)).status.phase == PrunePhase.SCHEDULED


async def test_a_clock_that_runs_ahead_makes_nothing_due(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(site.config_file)
    beamline = config.beamlines["BL402"]
    scans = site.finished_scans(2)
    for one in scans:
        one.status.copies = [held.model_copy(update={"verified_at": now()}) for held in one.status.copies]
    built = calendar.build_prune(scans, beamline, "data402", config, 1)
    made = await site.api.create(built)
    await site.api.replace_status(made.model_copy(update={"status": PruneStatus(phase=PrunePhase.SCHEDULED)}))
    for module in ("dichroism_crds.client", "dichroism_operator.prune.run", "dichroism_operator.prune.work"):
        monkeypatch.setattr(f"{module}.now", lambda: datetime.now(UTC) + timedelta(days=1000))
    assert (await site.run_here()).trashed == 0
    monkeypatch.undo()
    assert len(site.in_place()) == 2
