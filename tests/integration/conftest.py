"""What several modules of integration tests share."""

from collections.abc import Iterator

import pytest

from tests.chart import CHART, install
from tests.cluster import Cluster


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[str]:
    """A namespace with the chart in it."""
    name = cluster.namespace("chart")
    install(cluster, name, (CHART.parents[1] / "config.yml").read_text())
    yield name
    cluster.delete_namespace(name)
