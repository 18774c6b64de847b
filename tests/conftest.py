"""Fixtures for every test: a cluster and a namespace in it. Nothing here uses a cluster that the machine points to."""

import contextlib
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hypothesis
import pytest

from dichroism_crds.schema import crd_documents, crd_yaml
from tests.cluster import Cluster, ClusterError, helm_path, lua_path, prepare, promtool_path, running
from tests.cluster.existing import NAME as EXISTING
from tests.cluster.existing import VARIABLES
from tests.prefect.environment import PrefectError, prefect_python
from tests.prefect.server import PrefectServerProcess

FULL = os.environ.get("CHAOS") == "full"
# A busy machine is no fault: no test fails because something took long. The made-up cases are the same every time, as
# the chaos tests have their seeds, so that a change fails for what it did; the full counts draw new and many more.
hypothesis.settings.register_profile(
    "dichroism", deadline=None, derandomize=not FULL, max_examples=2000 if FULL else 100
)
hypothesis.settings.load_profile("dichroism")

_NO_KUBECONFIG = "/nonexistent/kubeconfig"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hide the cluster that the shell, the home folder or the pod we run in points to."""
    named = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    if os.environ.get("CLUSTER") == EXISTING and named != _NO_KUBECONFIG:
        os.environ["DICHROISM_TEST_KUBECONFIG"] = named
    # A file that is not there, rather than no variable: without one, clients read ~/.kube/config.
    os.environ["KUBECONFIG"] = _NO_KUBECONFIG
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the cluster, so that `-m 'not cluster'` is right without anybody's care."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before all tests with several processes, build in the first one: it alone can say why nothing happens yet."""
    config = session.config
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.collectonly
    if everything and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        with contextlib.suppress(ClusterError):  # whoever needs it says why there is none
            prepare()
            build_chart_tools()
        with contextlib.suppress(PrefectError):
            prefect_python()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the control plane, install the Prefect server: it takes minutes, and a test has a time limit."""
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if any("prefect" in getattr(item, "fixturenames", ()) for item in session.items):
        with capture.global_and_fixture_disabled(), contextlib.suppress(PrefectError):
            prefect_python()  # a test that needs it says why it could not be installed
    if any("chart_tools" in getattr(item, "fixturenames", ()) for item in session.items):
        with capture.global_and_fixture_disabled(), contextlib.suppress(ClusterError):
            build_chart_tools()  # a test that needs one says why it could not be built
    if not any(item.get_closest_marker("cluster") for item in session.items):
        return
    try:
        with capture.global_and_fixture_disabled():
            prepare()
    except ClusterError as error:
        session.config.stash[_build_failure] = error


_build_failure = pytest.StashKey[ClusterError]()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands that run inside the tests set up logging for their process: the next test starts without that."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for the whole session, from the provider that CLUSTER names; see ``tests/cluster``."""
    failure = request.config.stash.get(_build_failure, None)
    if failure:
        raise failure
    folder: Path = tmp_path_factory.mktemp("cluster")
    with running(folder) as started:
        yield started


def build_chart_tools() -> None:
    """Build what looks at the chart: both Helms, promtool and a Lua."""
    for build in (helm_path, partial(helm_path, 4), promtool_path, lua_path):
        build()


@pytest.fixture(scope="session")
def chart_tools() -> None:
    """The programs that look at the chart; asked for so that they are built before the first test's time runs."""
    build_chart_tools()


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> None:
    """Our CRDs are installed and served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
    names = [f"crd/{document['metadata']['name']}" for document in crd_documents()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace, ready for pods; deleted after the test without waiting."""
    name = cluster.namespace()
    yield name
    cluster.delete_namespace(name)


@pytest.fixture(scope="session")
def prefect_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServerProcess]:
    """A real Prefect server without login, for the whole session; it is running before each test that takes it."""
    server = PrefectServerProcess(tmp_path_factory.mktemp("prefect"))
    yield server
    server.close()


@pytest.fixture
def prefect(prefect_session: PrefectServerProcess) -> PrefectServerProcess:
    """The session's Prefect server, running; others have used it."""
    if prefect_session.pid is None:
        prefect_session.start()
    return prefect_session


@pytest.fixture
def empty_prefect(prefect: PrefectServerProcess) -> PrefectServerProcess:
    """The session's Prefect server with nothing in it."""
    prefect.clear()
    return prefect
