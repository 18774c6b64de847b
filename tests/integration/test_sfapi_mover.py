"""The mover for NERSC keeps the contract of hops to tape, with the unmodified client against the emulated service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.sfapi_hop import SfapiHop, new_hop
from tests.unit.mover_contract import TapeContract


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture
def hop(service: SfapiEmulator, tmp_path: Path) -> Iterator[SfapiHop]:
    hop = new_hop(service, tmp_path)
    with hop.sfapi:
        yield hop
    service.clear_faults()


class TestSfapiMoverToTape(TapeContract):
    """Every test of the contract for tape."""
