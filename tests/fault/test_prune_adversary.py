"""Thousands of files, each with a trap or none: no byte is lost, and everything that may go is gone after two runs."""

from collections import Counter
from pathlib import Path

import pytest

from dichroism_crds.client import Api
from tests.cluster import Cluster
from tests.conftest import FULL
from tests.fault.adversary.battle import Battle
from tests.integration.prune.site import Site

FILES = 1000 if FULL else 140
BATTLES = 20 if FULL else 3
LEAST_GONE = 0.3

pytestmark = [pytest.mark.fault, pytest.mark.cluster]


@pytest.fixture(scope="session")
def outcomes() -> Counter[str]:
    """What became of the files of all battles."""
    return Counter()


@pytest.mark.parametrize("seed", range(BATTLES))
async def test_no_trap_costs_a_byte_and_what_may_go_is_gone(
    seed: int,
    tmp_path: Path,
    crds: None,
    cluster: Cluster,
    namespace: str,
    outcomes: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    async with await Api.connect(namespace) as api:
        battle = Battle(Site(tmp_path, cluster, api), seed, FILES)
        await battle.fight()
    assert not battle.violations, "\n".join(battle.violations[:20])
    outcomes.update(battle.outcomes)


def test_a_good_part_of_the_files_was_deleted(outcomes: Counter[str], tables: dict[str, str]) -> None:
    rows = {"files": outcomes.total(), "deleted": outcomes["gone"], "kept, or lost to the adversary": outcomes["kept"]}
    tables["prune"] = "\n".join(f"{count:7d}  {what}" for what, count in rows.items())
    assert outcomes["gone"] >= LEAST_GONE * outcomes.total()
