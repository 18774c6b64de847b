"""What all fault tests share: sites with a quick configuration, one that many tests use, and the table of kills.

CHAOS=full asks for the full counts (`make chaos`); otherwise the same faults are tried less often, with fixed seeds.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.conftest import FULL
from tests.fault.supervisor import LEASE_SECONDS, WITHOUT_ROOT, Supervisor
from tests.site import Site, open_site

KILLS = pytest.StashKey[Counter[str]]()
TABLES = pytest.StashKey[dict[str, str]]()
BUILD = Path(__file__).parents[2] / "build"
KILLS_FILE = BUILD / "chaos-kills.txt"
HERE = Path(__file__).parent
FULL_COUNTS = pytest.mark.skipif(not FULL, reason="tried with the full counts alone: CHAOS=full, or `make chaos`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("fault")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show how often the operator was killed, and where, and the tables of the campaigns."""
    for title, text in config.stash.get(TABLES, {}).items():
        terminalreporter.section(title)
        terminalreporter.write_line(text)
    if kills := config.stash.get(KILLS, None):
        terminalreporter.section("operator killed at")
        terminalreporter.write_line(kill_table(kills))


def kill_table(kills: Counter[str]) -> str:
    """Kill points and counts, for people."""
    rows = [*sorted(kills.items()), ("in all", kills.total())]
    return "\n".join(f"{count:4d}  {point}" for point, count in rows)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Counts kills by point; shown at the end of the run and written to ``build/chaos-kills.txt``."""
    counter = request.config.stash.setdefault(KILLS, Counter())
    yield counter
    print(kill_table(counter))
    KILLS_FILE.parent.mkdir(exist_ok=True)
    KILLS_FILE.write_text(kill_table(counter) + "\n")


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Tables by title; shown at the end of the run and written to ``build/chaos-<title>.txt``."""
    known = request.config.stash.setdefault(TABLES, {})
    yield known
    BUILD.mkdir(exist_ok=True)
    for title, text in known.items():
        (BUILD / f"chaos-{title}.txt").write_text(text + "\n")


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the full counts are asked for."""
    return FULL


def quick(site: Site, **overrides: Any) -> dict[str, Any]:
    """The site's configuration with short waits and nothing due for half a year; the catalogue runs from here on."""
    if not site.scicat.url:
        site.scicat.start()
    document = site.document() | {"schedule": {"flush": "1s"}, "attempts": 2} | overrides
    for name, beamline in document["beamlines"].items():
        beamline["archive"]["bundle"]["max_age"] = "1s"
        beamline["prune"][f"data{name[2:]}"]["after"] = "180d"
    return document


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A site of the test's own; chart installed, nothing started."""
    with open_site(cluster, tmp_path) as opened:
        opened.install(quick(opened))
        yield opened


@pytest.fixture(scope="session")
def shared_site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a running operator for tests that only need files of their own.

    The operator may not override file permissions, whoever runs the tests. It is restarted when it ends, as Kubernetes
    would do it: other tests take the API server away.
    """
    with open_site(cluster, tmp_path_factory.mktemp("site")) as opened:
        opened.install(quick(opened))
        with Supervisor(opened.operator(prefix=WITHOUT_ROOT), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
            yield opened
