"""From the previous commit's chart to this one, and back, with objects in the cluster: nothing of them is lost."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dichroism_crds.schema import crd_documents
from tests.chart import CHART
from tests.cluster import Cluster
from tests.integration.crds.objects import prune, scan, transfer

pytestmark = pytest.mark.usefixtures("chart_tools")
ROOT = CHART.parents[1]
CONFIG = (ROOT / "config.yml").read_text()
VALUES = {"config": CONFIG, "image": {"repository": "dichroism"}, "operator": {"enabled": False}}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as the commit before the last change of the chart had it."""

    def git(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True)

    last = git("log", "-1", "--format=%H", "HEAD", "--", "charts")
    before = git("rev-parse", "--verify", "--quiet", f"{last.stdout.decode().strip()}^")
    if before.returncode != 0:
        pytest.skip("not in a clone with a history, so there is no chart of before")
    folder = tmp_path_factory.mktemp("previous")
    archive = git("archive", before.stdout.decode().strip(), "charts")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "charts" / "dichroism"


@pytest.fixture
def released(cluster: Cluster, namespace: str, previous: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A release of the previous chart with objects beside it; its namespace, and the file of its values."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(VALUES))
    take = ("-n", namespace, "-f", str(values), "--take-ownership")
    cluster.helm("install", "site", str(previous), *take)
    yield namespace, values
    cluster.helm("uninstall", "site", "-n", namespace)


def kept(cluster: Cluster, namespace: str) -> dict[str, tuple[str, str]]:
    """Uid and generation of every object that is not the chart's: a new one in its place would have another uid."""
    listed = json.loads(cluster.kubectl("get", "scans,transfers,prunes", "-n", namespace, "-o", "json"))["items"]
    return {
        f"{one['kind']}/{one['metadata']['name']}": (one["metadata"]["uid"], str(one["metadata"]["generation"]))
        for one in listed
    }


@pytest.mark.parametrize("major", [3, 4])
def test_upgrade_from_the_previous_chart_and_back_loses_nothing(
    cluster: Cluster, released: tuple[str, Path], major: int
) -> None:
    namespace, values = released
    for wanted in (scan("in-flight"), transfer("in-flight"), prune("due")):
        manifest = wanted.to_wire()
        manifest["metadata"]["namespace"] = namespace
        cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(manifest))
    before = kept(cluster, namespace)
    assert len(before) == 3
    take = ("-n", namespace, "-f", str(values), "--take-ownership")
    cluster.helm("upgrade", "site", str(CHART), *take, major=major)
    assert kept(cluster, namespace) == before
    served = json.loads(
        cluster.kubectl("get", "crd", "-o", "json", *(one["metadata"]["name"] for one in crd_documents()))
    )
    for one in served["items"]:
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert not one["metadata"].get("deletionTimestamp")
    cluster.helm("rollback", "site", "-n", namespace, major=major)
    assert kept(cluster, namespace) == before
