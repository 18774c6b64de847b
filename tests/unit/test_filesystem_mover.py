"""The filesystem mover keeps the contract of all movers, on real folders."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_operator.movers.filesystem import FilesystemMover
from tests.unit.mover_contract import Hop, MoverContract, TapeContract, hop_in


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    with FilesystemMover(leftover_age=timedelta(0)) as mover:
        yield hop_in(tmp_path, mover)


class TestFilesystemMover(MoverContract):
    """Every test of the contract."""


class TestFilesystemMoverToTape(TapeContract):
    """Every test of the contract for tape."""
