"""The command that makes the watcher's credentials: what it makes works, is enough, and is no more than needed."""

import json
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dichroism_crds.client import Denied
from dichroism_crds.heartbeat import LEASES
from dichroism_crds.kinds import Scan, Transfer
from dichroism_watcher.kubeconfig import command
from tests.api import connected
from tests.chart import CHART, WATCHER, install
from tests.cluster import Cluster
from tests.integration.crds.objects import scan

CONFIG = (CHART.parents[1] / "config.yml").read_text()


@pytest.fixture
def installed(cluster: Cluster, namespace: str) -> str:
    install(cluster, namespace, CONFIG)
    return namespace


def make(cluster: Cluster, file: Path, namespace: str, *options: str) -> Result:
    arguments = [str(file), "--namespace", namespace, *options]
    return CliRunner().invoke(command, arguments, env={"KUBECONFIG": str(cluster.kubeconfig)})


@pytest.fixture
def made(cluster: Cluster, installed: str, tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    done = make(cluster, file, installed)
    assert done.exit_code == 0, done.output
    assert "until" in done.output
    assert "more than a watcher needs" not in done.output
    return file


async def test_it_can_do_what_the_watcher_does_and_nothing_else(made: Path, installed: str) -> None:
    async with connected(made, installed) as api:
        assert yaml.safe_load(made.read_text())["contexts"][0]["context"]["namespace"] == installed
        created = await api.create(scan("told"))
        await api.patch(Scan, created.name, {"spec": {"size": 2}})
        assert [one.name async for one in api.list(Scan)] == ["told"]
        await api.request("GET", api.path(Scan), query={"watch": 1, "timeoutSeconds": 1, "resourceVersion": 0})
        lease = {"apiVersion": LEASES[0], "kind": "Lease", "metadata": {"name": "dichroism-watcher-bl402"}}
        await api.request("POST", api.builtin_path(*LEASES), body=lease)
        for refused in (
            api.delete(Scan, created.name),
            api.replace_status(created),
            api.get(Transfer, "any"),
            api.request("GET", api.builtin_path("v1", "secrets")),
            api.request("GET", "/api/v1/namespaces/default/configmaps"),
            api.request("POST", f"{api.builtin_path('v1', 'serviceaccounts', WATCHER)}/token", body={}),
        ):
            with pytest.raises(Denied):
                await refused


def test_it_is_readable_for_its_owner_alone_and_stands_by_itself(made: Path, cluster: Cluster) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert str(cluster.state.folder) not in made.read_text()
    assert cluster.kubectl("auth", "can-i", "create", "scans", kubeconfig=made).strip() == "yes"


def test_renewing_replaces_the_token_and_leaves_nothing_else_behind(
    cluster: Cluster, installed: str, made: Path
) -> None:
    before = made.read_text()
    done = make(cluster, made, installed, "--duration", "1h", "--server", "https://api.example.org:6443")
    assert done.exit_code == 0, done.output
    after = yaml.safe_load(made.read_text())
    assert after["users"] != yaml.safe_load(before)["users"]
    assert after["clusters"][0]["cluster"]["server"] == "https://api.example.org:6443"
    assert [one.name for one in made.parent.iterdir() if one.name.endswith("kubeconfig")] == [made.name]


def test_an_account_that_is_not_there_is_named_and_nothing_is_written(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    done = make(cluster, tmp_path / "kubeconfig", namespace)
    assert done.exit_code == 1
    assert 'serviceaccounts "dichroism-watcher" not found' in done.output
    assert "--account" in done.output
    assert not (tmp_path / "kubeconfig").exists()


def test_a_duration_that_no_cluster_gives_is_refused_with_its_words(
    cluster: Cluster, installed: str, tmp_path: Path
) -> None:
    done = make(cluster, tmp_path / "kubeconfig", installed, "--duration", "1m")
    assert done.exit_code == 1
    assert "may not specify a duration less than 10 minutes" in done.output


def test_rights_that_are_missing_or_too_many_are_told(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    role = json.loads(cluster.kubectl("get", "role", WATCHER, "-n", installed, "-o", "json"))
    role["rules"][0]["verbs"] = ["get", "list", "delete"]
    cluster.kubectl("replace", "-f", "-", input=json.dumps(role))
    done = make(cluster, tmp_path / "kubeconfig", installed)
    assert done.exit_code == 1
    assert "lacks rights that the watcher needs: watch scans, create scans, patch scans" in done.output
    assert "more than a watcher needs, look at its Roles: delete scans." in done.output


def test_a_way_to_the_server_that_proves_nothing_is_not_handed_on(
    cluster: Cluster, installed: str, tmp_path: Path
) -> None:
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"] = {
        "server": document["clusters"][0]["cluster"]["server"],
        "insecure-skip-tls-verify": True,
    }
    trusting = tmp_path / "trusting"
    trusting.write_text(yaml.safe_dump(document))
    arguments = [str(tmp_path / "kubeconfig"), "--namespace", installed]
    done = CliRunner().invoke(command, arguments, env={"KUBECONFIG": str(trusting)})
    assert done.exit_code == 1
    assert "does not verify the API server" in done.output
