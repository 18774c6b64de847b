"""The mover for NERSC keeps the contract of hops to tape, with the unmodified client against the emulated service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_operator.movers.errors import MoverUnavailable
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


def test_a_rehearsal_logs_in_lists_and_writes_beside_the_files_and_submits_nothing(hop: SfapiHop) -> None:
    assert "logged in as" in hop.sfapi.rehearse(hop.source, hop.destination)
    (hop.source_root / ".dichroism").rename(hop.source_root / "elsewhere")
    with pytest.raises(MoverUnavailable, match="never prepared"):
        hop.sfapi.rehearse(hop.source, hop.destination)
