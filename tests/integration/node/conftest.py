"""These tests need a cluster whose pods really run from images: ``make node``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, node
from tests.cluster.image import project_image
from tests.integration.node.release import Release


@pytest.fixture(scope="session", autouse=True)
def real_node() -> None:
    """Skip unless a real node is asked for and this machine can run one."""
    if os.environ.get("CLUSTER") != node.NAME:
        pytest.skip("needs a real node, whose first build takes minutes: run `make node`")
    if reason := node.unavailable():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def with_image(real_node: None, cluster: Cluster) -> node.Node:
    """The node, with the project's image on it."""
    assert isinstance(cluster, node.Node)
    cluster.load(project_image())
    return cluster


@pytest.fixture
def release(with_image: node.Node, crds: None, tmp_path: Path) -> Iterator[Release]:
    """Everything that an administrator prepares; nothing is installed yet."""
    site = Release(with_image, tmp_path)
    try:
        yield site
    finally:
        site.close()
