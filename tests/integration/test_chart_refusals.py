"""What the Roles of the chart refuse, and what the built-in roles may do with the kinds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dichroism_crds.client import Denied
from dichroism_crds.kinds import Prune, Scan, Transfer
from dichroism_crds.names import (
    OPERATOR_LEASE,
)
from dichroism_operator.lease import Lease
from tests.api import acting
from tests.chart import (
    AUDIT,
    CHART,
    FLIGHT,
    OPERATOR,
    PRUNER,
    WATCHER,
)
from tests.cluster import Cluster
from tests.integration.crds.objects import prune, scan
from tests.rights import ALL, WRITES, allowed

CONFIG = (CHART.parents[1] / "config.yml").read_text()


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
    AUDIT: {
        "scans": ("get", "watch", *WRITES),
        "scans/status": ALL,
        "transfers": ALL,
        "prunes": ("get", "watch", *WRITES),
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


@pytest.mark.parametrize("account", [OPERATOR, PRUNER, WATCHER, FLIGHT, AUDIT])
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


# what the part for an administrator gives to the built-in roles


@pytest.fixture
def holder(cluster: Cluster, installed: str, namespace: str) -> Callable[[str], str]:
    """Makes an account in a fresh namespace that has a built-in role there; gives its name. The kinds are there."""

    def make(role: str) -> str:
        cluster.kubectl("create", "serviceaccount", role, "-n", namespace)
        bound = (f"--clusterrole={role}", f"--serviceaccount={namespace}:{role}", "-n", namespace)
        cluster.kubectl("create", "rolebinding", role, *bound)
        return role

    return make


BUILT_IN: dict[str, dict[str, tuple[str, ...]]] = {
    "view": {"scans": ("get", "list", "watch"), "prunes": ("list",), "transfers": ("list",)},
    "edit": {"scans": ("patch", "delete", "list"), "prunes": ("patch", "watch")},
    "admin": {
        "scans/status": ("update",),
        "prunes": ("create", "delete"),
        "leases": ("create",),
        "events": ("create",),
    },
}
NOT_BUILT_IN: dict[str, dict[str, tuple[str, ...]]] = {
    "view": dict.fromkeys(("scans", "transfers", "prunes"), WRITES),
    "edit": {"scans": ("create", "update"), "transfers": WRITES, "prunes": ("create", "update", "delete")},
    "admin": {"namespaces": WRITES},
}


@pytest.mark.parametrize("role", BUILT_IN)
def test_built_in_roles_learn_of_the_kinds(
    cluster: Cluster, namespace: str, holder: Callable[[str], str], role: str
) -> None:
    account = holder(role)
    asked = BUILT_IN[role]
    assert allowed(cluster, namespace, account, asked) == {f"{verb} {kind}" for kind in asked for verb in asked[kind]}
    assert allowed(cluster, namespace, account, NOT_BUILT_IN[role]) == set()


@pytest.mark.usefixtures("chart_tools")
@pytest.mark.parametrize("major", [3, 4])
def test_administrator_of_a_namespace_installs_the_rest(
    cluster: Cluster, namespace: str, holder: Callable[[str], str], major: int, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        yaml.safe_dump({"config": CONFIG, "image": {"repository": "dichroism"}, "crds": {"install": False}})
    )
    person = cluster.kubeconfig_for(namespace, holder("admin"))
    to = ("-n", namespace, "-f", str(values))
    cluster.helm("install", "site", str(CHART), *to, kubeconfig=person, major=major)
    cluster.helm("upgrade", "site", str(CHART), *to, "--set", "watcher.enabled=true", kubeconfig=person, major=major)
    cluster.helm("rollback", "site", "1", "-n", namespace, kubeconfig=person, major=major)
    cluster.helm("uninstall", "site", "-n", namespace, kubeconfig=person, major=major)
