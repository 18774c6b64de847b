"""The Globus mover keeps the contract of all movers, with the unmodified SDK against the emulated service."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item
from tests.emulators.globus.process import GlobusEmulator
from tests.integration.globus_hop import GlobusHop, globus_service, new_hop
from tests.unit.mover_contract import MOMENT, MoverContract


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with globus_service(tmp_path_factory.mktemp("globus")) as started:
        yield started


@pytest.fixture
def hop(service: GlobusEmulator) -> Iterator[GlobusHop]:
    hop = new_hop(service)
    with hop.globus:
        yield hop


def test_a_task_of_which_nothing_was_posted_has_no_task_id(hop: GlobusHop) -> None:
    """Whoever names a task may have left half of a file at the destination."""
    task = hop.task(Item("gone.txt", 1, MOMENT))
    assert hop.mover.start(task) is None
    (result,) = hop.mover.poll([task.submission_id])[task.submission_id].results
    assert result.reason == Reason.SOURCE_MISSING
    assert hop.tasks() == []


class TestGlobusMover(MoverContract):
    """Every test of the contract."""

    never_writes_final_names = False
    compares_before_superseding = False
    resolution = timedelta(seconds=1)
