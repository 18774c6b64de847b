"""What the lifecycle of a dataset says about its place on disk, on both SciCat backends."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dichroism_operator.catalogue.base import Presence
from dichroism_operator.catalogue.errors import DatasetGone
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, ingest_site
from tests.integration.scicat_site import ACCOUNTS, Case, assert_archived, catalogue_for, new_case

REMOVED = datetime(2027, 11, 22, 3, 4, 5, 678901, tzinfo=UTC)
GONE = Presence("nersc402", present=False, is_disk=True, removed_at=REMOVED, copies_on=("hpss402",))
BACK = replace(GONE, present=True)


@pytest.fixture(scope="module", params=BACKENDS)
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site(ACCOUNTS, backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as running:
        yield running


@pytest.fixture
def catalogue(emulator: SciCatEmulator) -> SciCatCatalogue:
    return catalogue_for(emulator)


@pytest.fixture
def case(catalogue: SciCatCatalogue) -> Case:
    """A scan on disk and on tape."""
    made = new_case(disk="nersc402", copied_at=REMOVED - timedelta(days=365))
    catalogue.ensure_dataset(made.entry)
    catalogue.ensure_archived(made.entry, made.archive)
    return made


def lifecycle(emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case) -> dict[str, Any]:
    stored = emulator.dataset(catalogue.pid(case.entry.scan))
    assert stored is not None
    assert_archived(stored, case)
    return dict(stored["datasetlifecycle"])


def test_removal_and_return_touch_nothing_else(
    emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case
) -> None:
    before, pid = lifecycle(emulator, catalogue, case), catalogue.pid(case.entry.scan)
    catalogue.record_presence(pid, GONE)
    removed = lifecycle(emulator, catalogue, case)
    assert removed == before | {
        "isOnCentralDisk": False,
        "dateOfDiskPurging": "2027-11-22T03:04:05.678Z",
        "retrieveStatusMessage": "removed from nersc402 on 2027-11-22; copies on hpss402",
        "retrieveReturnMessage": {"removedFrom": {"nersc402": "2027-11-22T03:04:05.678Z"}},
    }
    catalogue.record_presence(pid, BACK)
    assert lifecycle(emulator, catalogue, case) == before | {"dateOfDiskPurging": removed["dateOfDiskPurging"]}


def test_telling_again_keeps_the_first_time_and_writes_nothing(
    emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case
) -> None:
    pid = catalogue.pid(case.entry.scan)
    catalogue.record_presence(pid, GONE)
    before, asked = lifecycle(emulator, catalogue, case), len(emulator.requests())
    catalogue.record_presence(pid, replace(GONE, removed_at=REMOVED + timedelta(days=7)))
    assert lifecycle(emulator, catalogue, case) == before
    assert [one["method"] for one in emulator.requests()[asked:]] == ["GET"]


def test_each_endpoint_has_a_note_of_its_own(emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case) -> None:
    pid = catalogue.pid(case.entry.scan)
    catalogue.record_presence(pid, Presence("data402", present=False, is_disk=False, removed_at=REMOVED))
    assert lifecycle(emulator, catalogue, case)["isOnCentralDisk"] is True
    catalogue.record_presence(pid, GONE)
    catalogue.record_presence(pid, BACK)
    notes = lifecycle(emulator, catalogue, case)["retrieveReturnMessage"]
    assert notes["removedFrom"].keys() == {"data402"}


def test_what_others_noted_stays(emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case) -> None:
    pid = catalogue.pid(case.entry.scan)
    stored = emulator.dataset(pid)
    assert stored is not None
    emulator.edit(pid, {"datasetlifecycle": stored["datasetlifecycle"] | {"retrieveReturnMessage": {"asked": "twice"}}})
    catalogue.record_presence(pid, GONE)
    catalogue.record_presence(pid, BACK)
    assert lifecycle(emulator, catalogue, case)["retrieveReturnMessage"] == {"asked": "twice"}


def test_a_dataset_that_is_gone_is_told_as_such(catalogue: SciCatCatalogue) -> None:
    with pytest.raises(DatasetGone):
        catalogue.record_presence(catalogue.pid("bl402-nobody"), GONE)


@pytest.mark.parametrize(("days", "there"), [(1, True), (-1, False)])
def test_a_file_is_on_disk_again_when_its_copy_is_younger_than_the_removal(
    emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case, days: int, there: bool
) -> None:
    catalogue.record_presence(catalogue.pid(case.entry.scan), GONE)
    again = replace(case.entry, expected=True, copied_at=REMOVED + timedelta(days=days))
    catalogue.ensure_dataset(again)
    told = lifecycle(emulator, catalogue, case)
    assert told["isOnCentralDisk"] is there
    assert bool(told["retrieveStatusMessage"]) is not there
    assert bool(told["retrieveReturnMessage"]) is not there
