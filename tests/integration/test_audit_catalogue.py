"""The audit and SciCat, on both backends: claims are read in pages, and what they explain is no finding."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.config import Config
from dichroism_crds.names import PRIVATE_DIR, scan_name
from dichroism_crds.timestamps import now, to_ns
from dichroism_operator.audit.findings import Kind, Place
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.survey import Survey
from dichroism_operator.catalogue import scicat_claims
from dichroism_operator.catalogue.base import DatasetEntry, Presence
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, ingest_site
from tests.integration.scicat_site import ACCOUNTS, catalogue_for, file_of, new_case
from tests.unit import scan_cases
from tests.unit.mover_contract import put

DATA, DISK = "data402", "nersc402"
Found = set[tuple[Kind, str]]


@dataclass
class Folders:
    """Source and disk of BL402 on this machine, and the catalogue that knows of them."""

    root: Path
    emulator: SciCatEmulator
    catalogue: SciCatCatalogue

    def __post_init__(self) -> None:
        for name in (DATA, DISK):
            (self.root / name / PRIVATE_DIR).mkdir(parents=True)

    def path(self, name: str) -> str:
        """Path of a file below the roots; no other test has the same, so none has its dataset."""
        return f"{self.root.name}/{name}"

    @property
    def config(self) -> Config:
        config = scan_cases.config("archive", "prune")
        endpoints = {
            name: one.model_copy(update={"mount": self.root / name, "root_path": f"/site{self.root}/{name}"})
            for name, one in config.endpoints.items()
        }
        return config.model_copy(update={"endpoints": endpoints})

    def entry(self, name: str, content: int) -> DatasetEntry:
        """What the operator would tell the catalogue of a file."""
        known = {
            "scan": scan_name("BL402", DATA, self.path(name)),
            "source_folder": f"{self.config.endpoints[DISK].root_path}/{self.root.name}",
            "file": file_of(name, content),
            "location": "ALS 4.0.2",
            "disk": DISK,
        }
        return replace(new_case().entry, **known)  # type: ignore[arg-type]

    def write(self, name: str, content: int) -> str:
        """A file that is on the source, on disk and in the catalogue; its pid."""
        entry = self.entry(name, content)
        for place in (DATA, DISK):
            put(self.root / place, self.path(name), b"x" * entry.file.size, entry.file.modified_at)
        self.catalogue.ensure_dataset(entry)
        return self.catalogue.pid(entry.scan)

    def audit(self) -> tuple[Found, list[Place]]:
        """What is found in files of any age, and what could not be looked at."""
        config = self.config

        def no_mover(endpoint: str) -> None:
            raise AssertionError(f"{endpoint} is mounted")

        with Index() as index:
            survey = Survey(
                config=config,
                beamlines=list(config.beamlines.values()),
                mover_of=no_mover,  # type: ignore[arg-type]
                catalogue=self.catalogue,
                index=index,
                at_least_age=timedelta(0),
            )
            (audited,) = asyncio.run(survey.run(None))
            found = {(one.kind, one.path) for one in index.findings()}
        return found, [one.place for one in audited.sight.lacking]


@pytest.fixture(scope="module", params=BACKENDS)
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site(ACCOUNTS, backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as running:
        yield running


@pytest.fixture
def folders(emulator: SciCatEmulator, tmp_path: Path) -> Folders:
    return Folders(tmp_path, emulator, catalogue_for(emulator))


def test_claims_are_read_page_by_page_and_compared(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scicat_claims, "PAGE", 2)
    pids = [folders.write(f"scan{number}.txt", number) for number in range(5)]
    folders.catalogue.ensure_dataset(new_case().entry)  # of another folder
    assert folders.audit() == (set(), [])

    folders.emulator.remove(pids[0])
    (folders.root / DISK / folders.path("scan1.txt")).unlink()
    for place in (DATA, DISK):
        (folders.root / place / folders.path("scan2.txt")).unlink()
    assert folders.audit() == (
        {
            (Kind.NOT_CATALOGUED, folders.path("scan0.txt")),
            (Kind.NOT_COPIED, folders.path("scan1.txt")),
            (Kind.DATASET_WITHOUT_FILE, folders.path("scan2.txt")),
        },
        [],
    )


def test_a_dataset_that_people_renamed_is_known_by_its_pid_and_file_list(folders: Folders) -> None:
    pid = folders.write("scan.txt", 1)
    folders.emulator.edit(pid, {"datasetName": "The good one.txt"})
    assert folders.audit() == (set(), [])


def test_what_the_catalogue_was_told_of_a_removal_explains_it(folders: Folders) -> None:
    pid = folders.write("scan.txt", 1)
    for place in (DATA, DISK):
        (folders.root / place / folders.path("scan.txt")).unlink()
        gone = Presence(place, present=False, is_disk=place == DISK, removed_at=now())
        folders.catalogue.record_presence(pid, gone)
    assert folders.audit() == (set(), [])


def test_a_catalogue_that_does_not_answer_is_not_taken_for_an_empty_one(folders: Folders) -> None:
    folders.write("scan.txt", 1)
    folders.catalogue = SciCatCatalogue("http://127.0.0.1:9/api/v3")
    assert folders.audit() == (set(), [Place.CATALOGUE])


def test_files_of_the_same_content_are_told_apart_by_their_paths(folders: Folders) -> None:
    folders.write("scan.txt", 1)
    twin = folders.entry("twin.txt", 1)
    put(folders.root / DATA, folders.path("twin.txt"), b"x" * twin.file.size, twin.file.modified_at)
    assert to_ns(twin.file.modified_at) % 10**9, "a whole second would not be enough"
    assert folders.audit() == ({(Kind.NOT_COPIED, folders.path("twin.txt"))}, [])
