"""These tests need a cluster whose pods really run from images: ``make node``."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError, node
from tests.cluster.image import project_image
from tests.integration.node.release import Release

NOT_COVERED = (
    "Not covered without it: our image in pods under Pod Security `restricted`; helm test, rollouts, rollback and "
    "removal of a release with namespaced rights; restarts after kills; the install pages"
)


def lacking() -> str | None:
    """Why these tests cannot run here; None when they can."""
    if os.environ.get("CLUSTER") != node.NAME:
        return "needs a real node, whose first build takes minutes: run `make node`"
    reason = node.unavailable()
    return f"{reason}. {NOT_COVERED}" if reason else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the image: it takes minutes the first time, and a test has a time limit."""
    if session.config.option.collectonly or lacking():
        return
    if any("with_image" in getattr(item, "fixturenames", ()) for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled(), contextlib.suppress(ClusterError):
            project_image()  # a test that needs it says why it could not be built


@pytest.fixture(scope="session", autouse=True)
def real_node() -> None:
    """Skip where no real node is asked for, or this machine can run none."""
    if reason := lacking():
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
