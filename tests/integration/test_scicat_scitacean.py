"""An independent client, scitacean, reads what our catalogue wrote and writes a dataset of its own beside it."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scitacean import PID, Attachment, Client, Dataset, ScicatCommError, Thumbnail
from scitacean.transfer.copy import CopyFileTransfer

from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry, Picture
from dichroism_operator.science import build_preview
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_site import catalogue_for
from tests.samples import xmcd_pair_631

READER = Account("reader", "emulated-password-2", ("ALS-12345",))
"""A member of the proposal, who owns its datasets."""
ADMIN = Account("admin", "emulated-password-3", ("admin", "ALS-12345"))


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site([INGESTOR, READER, ADMIN], backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator
        assert emulator.state()["unpublishedAnswers"] == []


def client_of(site: SciCatEmulator, account: Account, transfer: CopyFileTransfer | None = None) -> Client:
    return Client.from_credentials(
        url=site.url, username=account.username, password=account.password, file_transfer=transfer, allow_http=True
    )


def entry_of(file: Path) -> DatasetEntry:
    """A scan file in its folder as our operator would catalogue it."""
    return DatasetEntry(
        scan="bl631-scitacean",
        beamline="BL631",
        location="ALS 6.3.1",
        source_folder=str(file.parent),
        file=FileEntry(
            file.name,
            file.stat().st_size,
            datetime.fromtimestamp(file.stat().st_mtime, UTC),
            hashlib.sha256(file.read_bytes()).hexdigest(),
        ),
        owner_group="ALS-12345",
        access_groups=("6.3.1",),
        owner="Beamline 6.3.1",
        contact_email="beamline@example.org",
        proposal="ALS-12345",
        keywords=("ALS", "6.3.1"),
        scientific_metadata={
            "photon_energy_range": {"value": [750.1, 849.9], "unit": "eV"},
            "temperature": {"value": 300.0, "unit": "K"},
            "n_points": 40,
            "quicklook": {"sign_convention": "mu(+) - mu(-)"},
        },
    )


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    file = tmp_path / "cfs" / "TrajScan31914-1_0001.txt"
    file.parent.mkdir()
    file.write_text(xmcd_pair_631(points=20))
    return file


def test_scitacean_reads_dataset_files_and_metadata_and_verifies_the_download(
    site: SciCatEmulator, scan_file: Path, tmp_path: Path
) -> None:
    entry, catalogue = entry_of(scan_file), catalogue_for(site, pid_prefix=f"als-{tmp_path.name}")
    pid = catalogue.ensure_dataset(entry).pid
    catalogue.ensure_archived(entry, ArchiveEntry(f"/home/a/als/{tmp_path.name}.tar", "m", entry.file, 4096))
    preview = build_preview(scan_file, "BL631", scan_file.name)
    assert preview.png
    catalogue.ensure_picture(entry, Picture(preview.png, "XMCD of Co", entry.file.sha256))
    client = client_of(site, READER, CopyFileTransfer())
    dataset = client.get_dataset(pid, strict_validation=True, attachments=True)
    assert dataset.pid == PID.parse(pid)
    assert (dataset.type, dataset.owner_group, dataset.proposal_ids) == ("raw", "ALS-12345", ["ALS-12345"])
    assert (dataset.name, dataset.instrument_ids) == (scan_file.name, ["6.3.1"])
    assert dataset.meta["photon_energy_range"]["value"] == [750.1, 849.9]
    assert dataset.meta["photon_energy_range"]["unitSI"] == "(kg m^2) / s^2"
    assert dataset.meta["temperature"]["valueSI"] == 300.0
    assert dataset.meta["quicklook"]["sign_convention"]
    assert dataset.lifecycle is not None
    assert (dataset.lifecycle.archivable, dataset.lifecycle.archive_status_message) == (False, "datasetOnArchiveDisk")
    assert (dataset.number_of_files, dataset.size) == (1, entry.file.size)
    assert dataset.attachments is not None
    (attachment,) = dataset.attachments
    assert attachment.thumbnail is not None
    assert (attachment.thumbnail.mime, attachment.thumbnail.decoded_data()) == ("image/png", preview.png)
    assert attachment.access_groups == ["6.3.1"]
    fetched = client.download_files(dataset, target=tmp_path / "here")
    (file,) = fetched.files
    assert file.checksum_algorithm == "sha256"
    assert file.checksum() == entry.file.sha256
    assert (tmp_path / "here" / scan_file.name).read_bytes() == scan_file.read_bytes()
    found = client.scicat.query_datasets({"proposalIds": ["ALS-12345"], "datasetName": scan_file.name})
    assert pid in {str(one.pid) for one in found}


def test_a_stranger_does_not_see_it(site: SciCatEmulator, scan_file: Path, tmp_path: Path) -> None:
    pid = catalogue_for(site, pid_prefix=f"als-{tmp_path.name}").ensure_dataset(entry_of(scan_file)).pid
    stranger = Client.without_login(url=site.url, allow_http=True)
    with pytest.raises(ScicatCommError, match=r"40[34]"):
        stranger.get_dataset(pid)


def test_scitacean_uploads_dataset_file_and_picture(site: SciCatEmulator, scan_file: Path, tmp_path: Path) -> None:
    """On 4.27 only admins may write attachments through v4, which is what scitacean uses."""
    account = READER if site.settings.is_v5 else ADMIN
    client = client_of(site, account, CopyFileTransfer(source_folder=str(tmp_path / "uploaded")))
    dataset = Dataset(
        type="raw",
        name="by hand",
        owner="A Scientist",
        owner_group="ALS-12345",
        access_groups=["6.3.1"],
        principal_investigators=["A Scientist"],
        contact_email="scientist@example.org",
        creation_time=datetime.now(UTC),
        creation_location="ALS 6.3.1",
        proposal_ids=["ALS-12345"],
        checksum_algorithm="sha256",
        meta={"field": {"value": 1.8, "unit": "T"}},
    )
    dataset.add_local_files(scan_file)
    picture = Thumbnail(mime="image/png", data=b"\x89PNG\r\n\x1a\n")
    dataset.attachments = [Attachment(caption="plot", owner_group="ALS-12345", thumbnail=picture)]
    uploaded = client.upload_new_dataset_now(dataset)
    assert uploaded.pid is not None
    stored = site.dataset(str(uploaded.pid))
    assert stored is not None
    assert (stored["numberOfFiles"], stored["size"]) == (1, scan_file.stat().st_size)
    assert stored["scientificMetadata"]["field"]["unitSI"] == "kg / (A s^2)"
    assert [one["caption"] for one in stored["attachments"]] == ["plot"]
    again = client.get_dataset(uploaded.pid, strict_validation=True, attachments=True)
    assert again.attachments is not None
    assert again.attachments[0].thumbnail == picture
    assert (tmp_path / "uploaded" / scan_file.name).read_bytes() == scan_file.read_bytes()
