"""Shared by the SciCat tests: running sites of both backends, catalogues for their accounts, scans to catalogue."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry
from dichroism_operator.catalogue.credentials import Credentials
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import Account

OWNER = Account("owner", "emulated-password-2", ("als", *INGESTOR.groups))
"""May also correct datasets, because it belongs to their owner group."""
DELETER = Account("deleter", "emulated-password-3", ("deleters", *INGESTOR.groups))
"""May also delete file lists, but correct no dataset."""
ACCOUNTS = [INGESTOR, OWNER, DELETER, Account("plain", "emulated-password-4", ("als",))]

_numbers = itertools.count(1)


def catalogue_for(emulator: SciCatEmulator, account: Account = INGESTOR, **options: Any) -> SciCatCatalogue:
    """A catalogue that has not logged in yet."""
    credentials = Credentials(account.username, account.password)
    return SciCatCatalogue(
        emulator.url, "https://scicat.example.org/datasets", credentials=lambda: credentials, **options
    )


def file_of(path: str, content: int) -> FileEntry:
    """A file whose size, time and checksum follow from ``content``."""
    moment = datetime(2026, 11, 22, 17, 3, content % 60, 123456, tzinfo=UTC)
    return FileEntry(path, 1000 + content, moment, hashlib.sha256(str(content).encode()).hexdigest())


@dataclass(frozen=True)
class Case:
    """One scan that no other test has used: its entry and its tape copy."""

    entry: DatasetEntry
    archive: ArchiveEntry


def new_case(content: int = 1, **fields: Any) -> Case:
    """A scan of its own, with any fields of the entry replaced."""
    number = next(_numbers)
    path = f"261122/TrajScan{number} a_0001.txt"
    known: dict[str, Any] = {
        "scan": f"bl402-case{number}",
        "beamline": "BL402",
        "location": "ALS 4.0.2",
        "source_folder": f"/cfs/als/4.0.2/{number}",
        "file": file_of(path, content),
        "owner_group": "als",
        "access_groups": ("4.0.2",),
        "owner": "Beamline 4.0.2",
        "contact_email": "beamline@example.org",
        "proposal": "ALS-12345",
        "scientific_metadata": {"photon_energy": {"value": 778.1, "unit": "eV"}},
    }
    entry = DatasetEntry(**(known | fields))
    archive = ArchiveEntry(f"/home/a/als/bundle-{number}.tar", path, entry.file, packed_size=2048)
    return Case(entry, archive)


def until_done(attempt: Callable[[], object], limit: int = 6) -> int:
    """Repeat through outages as a lane does; returns how many attempts it took."""
    for number in range(1, limit):
        try:
            attempt()
        except CatalogueUnavailable:
            continue
        return number
    attempt()
    return limit


def assert_catalogued(dataset: dict[str, Any], case: Case) -> None:
    """One file list with exactly this file, counters that say so, archiving by others closed."""
    (files,) = dataset["origdatablocks"]
    (listed,) = files["dataFileList"]
    assert (listed["path"], listed["chk"]) == (case.entry.file.path, case.entry.file.sha256)
    assert (dataset["size"], dataset["numberOfFiles"]) == (case.entry.file.size, 1)
    assert dataset["datasetlifecycle"]["archivable"] is False
    assert dataset["datasetlifecycle"]["retrievable"] is False


def assert_archived(dataset: dict[str, Any], case: Case) -> None:
    """Besides, one tape copy, its counters and the lifecycle."""
    assert_catalogued(dataset, case)
    (copy,) = dataset["datablocks"]
    assert copy["archiveId"] == f"{case.archive.bundle}#{case.archive.member}"
    assert (dataset["packedSize"], dataset["numberOfFilesArchived"]) == (case.archive.packed_size, 1)
    lifecycle = dataset["datasetlifecycle"]
    assert lifecycle["archiveStatusMessage"] == "datasetOnArchiveDisk"
    assert lifecycle["storageLocation"] == case.archive.bundle
