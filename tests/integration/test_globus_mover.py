"""The Globus mover keeps the contract of all movers, with the unmodified SDK against the emulated service."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.emulators.globus.process import GlobusEmulator
from tests.integration.globus_hop import GlobusHop, globus_service, new_hop
from tests.unit.mover_contract import MoverContract


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with globus_service(tmp_path_factory.mktemp("globus")) as started:
        yield started


@pytest.fixture
def hop(service: GlobusEmulator) -> Iterator[GlobusHop]:
    hop = new_hop(service)
    with hop.globus:
        yield hop


class TestGlobusMover(MoverContract):
    """Every test of the contract."""

    never_writes_final_names = False
    compares_before_superseding = False
    resolution = timedelta(seconds=1)
