"""What is sent to SciCat, and when an answer counts as the same content."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry, Picture
from dichroism_operator.catalogue.credentials import Credentials, credentials_from_environment
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.catalogue.scicat import SciCatCatalogue

FILE = FileEntry(
    path="261122/TrajScan1_0001.txt",
    size=1234,
    modified_at=datetime(2026, 11, 22, 17, 3, 11, 123999, tzinfo=UTC),
    sha256="ab" * 32,
)
ENTRY = DatasetEntry(
    scan="bl402-abc",
    beamline="BL402",
    location="ALS 4.0.2",
    source_folder="/cfs/als/4.0.2",
    file=FILE,
    owner_group="ALS-00123",
    access_groups=("4.0.2",),
    contact_email="beamline@example.org",
)


def test_the_pid_depends_on_the_scan_alone_and_looks_like_a_random_uuid() -> None:
    pid = documents.dataset_pid("bl402-abc")
    assert pid == documents.dataset_pid("bl402-abc")
    assert pid != documents.dataset_pid("bl402-abd")
    assert pid[14] == "4"
    assert pid[19] in "89ab"
    assert documents.dataset_pid("bl402-abc", "als/") == f"als/{pid}"


def test_the_pid_of_a_known_scan_never_changes() -> None:
    assert documents.dataset_pid("bl402-abc") == "a83f7d37-937c-4b05-b0ef-76568a57b847"


def test_a_new_dataset_carries_no_sizes_because_file_lists_add_to_them() -> None:
    sent = documents.dataset_document(ENTRY, "p", ["datasetIngestor"]).model_dump(exclude_none=True)
    assert not {"size", "numberOfFiles", "packedSize", "numberOfFilesArchived"} & set(sent)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (("4.0.2",), ["4.0.2", "datasetIngestor"]),
        (("lifecyclers", "4.0.2"), ["lifecyclers", "4.0.2"]),
        ((), ["datasetIngestor"]),
    ],
)
def test_the_account_can_always_read_what_it_creates(access: tuple[str, ...], expected: list[str]) -> None:
    entry = replace(ENTRY, access_groups=access)
    sent = documents.dataset_document(entry, "p", ["datasetIngestor", "lifecyclers"])
    assert sent.accessGroups == expected


def test_metadata_from_a_file_header_becomes_plain_json() -> None:
    metadata = {
        "a": float("nan"),
        "b": [1.5, float("inf")],
        "c": {"t": datetime(2026, 1, 2, tzinfo=UTC)},
        "d": "x\ud800",
    }
    plain = documents.sanitised(metadata)
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "a": None,
        "b": [1.5, None],
        "c": {"t": "2026-01-02T00:00:00.000000Z"},
        "d": "x?",
    }


def test_a_file_list_that_came_back_in_milliseconds_is_the_same_content() -> None:
    listed = documents.file_list(FILE) | {"_id": "1"}
    assert listed["dataFileList"][0]["time"] == "2026-11-22T17:03:11.123Z"
    assert documents.lists_file(listed, FILE)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 1235},
        {"sha256": "cd" * 32},
        {"path": "261122/other.txt"},
        {"modified_at": datetime(2026, 11, 22, 17, 3, 11, 124000, tzinfo=UTC)},
    ],
)
def test_any_difference_makes_it_another_content(change: dict[str, object]) -> None:
    listed = documents.file_list(FILE)
    assert not documents.lists_file(listed, replace(FILE, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [{}, {"dataFileList": None}, {"dataFileList": ["x"]}, {"dataFileList": []}])
def test_a_malformed_file_list_is_never_taken_for_ours(answer: dict[str, object]) -> None:
    assert not documents.lists_file(answer, FILE)
    assert not documents.only_path(answer, FILE.path)


def test_a_list_that_names_another_file_too_is_somebody_elses() -> None:
    shared = documents.file_list(FILE)
    shared["dataFileList"].append({"path": "notes.txt", "size": 1})
    assert not documents.only_path(shared, FILE.path)


def test_the_archive_copy_is_known_by_bundle_and_member() -> None:
    archive = ArchiveEntry("/home/a/als/x.tar", "261122/TrajScan1_0001.txt", FILE, packed_size=2048)
    assert documents.archive_copy(archive)["archiveId"] == "/home/a/als/x.tar#261122/TrajScan1_0001.txt"


def stored_of(entry: DatasetEntry, **changes: object) -> dict[str, object]:
    """The dataset as the server shows it after it was made."""
    return documents.dataset_document(entry, "p", ["datasetIngestor"]).model_dump(exclude_none=True) | changes


def test_values_that_the_server_adds_to_metadata_are_no_difference() -> None:
    entry = replace(ENTRY, scientific_metadata={"energy": {"value": 778.1, "unit": "eV"}}, fields=frozenset({"energy"}))
    metadata = {"energy": {"value": 778.1, "unit": "eV", "valueSI": 1.2e-16, "unitSI": "J"}, "own": 1}
    stored = stored_of(entry, scientificMetadata=metadata)
    assert documents.corrections(stored, entry, "p") == {}
    metadata["energy"] = {"value": 700, "unit": "eV"}
    assert documents.corrections(stored, entry, "p") == {
        "scientificMetadata": {"energy": {"value": 778.1, "unit": "eV"}, "own": 1}
    }


def test_what_is_no_longer_told_of_a_file_goes_and_what_people_added_stays() -> None:
    entry = replace(ENTRY, scientific_metadata={"edge": "L3"}, fields=frozenset({"edge", "dichroism_mode"}))
    stored = stored_of(entry, scientificMetadata={"edge": "L3", "dichroism_mode": "linear", "remark": "good"})
    assert documents.corrections(stored, entry, "p") == {"scientificMetadata": {"edge": "L3", "remark": "good"}}


def test_a_file_that_could_not_be_read_this_time_loses_nothing() -> None:
    known = replace(
        ENTRY,
        scientific_metadata={"edge": "L3"},
        sample="Co film",
        start_time=FILE.modified_at,
        techniques=({"pid": "x", "name": "XAS"},),
        owner_group="ALS-9",
        proposal="ALS-9",
    )
    assert documents.corrections(stored_of(known), replace(ENTRY, owner_known=False), "p") == {}


def test_metadata_of_an_older_content_do_not_stay_when_the_new_one_cannot_be_read() -> None:
    known = replace(ENTRY, scientific_metadata={"edge": "L3"})
    newer = replace(ENTRY, file=replace(FILE, modified_at=datetime(2026, 11, 23, tzinfo=UTC)))
    changes = documents.corrections(stored_of(known), newer, "p")
    assert changes["scientificMetadata"] == {}
    assert changes["creationTime"] == "2026-11-23T00:00:00.000Z"


def test_groups_and_keywords_that_others_added_stay() -> None:
    stored = stored_of(ENTRY, accessGroups=["guests"], keywords=["mine", "BL402"])
    entry = replace(ENTRY, keywords=("Co",))
    assert documents.corrections(stored, entry, "p") == {
        "accessGroups": ["guests", "4.0.2"],
        "keywords": ["mine", "BL402", "Co"],
    }


def test_a_sample_is_never_replaced_by_not_knowing_it() -> None:
    stored = stored_of(replace(ENTRY, sample="Co film"))
    assert documents.corrections(stored, replace(ENTRY, fields=frozenset({"edge"})), "p") == {}
    assert documents.dataset_document(ENTRY, "p", []).sampleId == "unknown"


def test_values_that_a_backend_shows_as_lists_are_known_again() -> None:
    entry = replace(ENTRY, proposal="ALS-1", sample="Co film", fields=frozenset({"edge"}))
    stored = stored_of(entry)
    stored |= {"proposalIds": [stored.pop("proposalId")], "sampleIds": [stored.pop("sampleId")]}
    assert documents.corrections(stored, entry, "p") == {}


def test_a_picture_is_known_again_by_its_caption() -> None:
    picture = Picture(b"png", "Co XMCD", FILE.sha256)
    attached = documents.attachment(picture, "als", ["4.0.2"])
    assert attached["caption"] == f"Quick-look: Co XMCD (sha256 {FILE.sha256[:16]})"
    assert documents.shows(attached, FILE.sha256)
    assert not documents.shows(attached, "cd" * 32)
    assert documents.is_ours(attached)
    assert not documents.is_ours({"caption": "a photo"})


@pytest.mark.parametrize("form", ["pid", "identifier"])
def test_relations_are_understood_in_the_form_of_either_generation(form: str) -> None:
    listed = documents.relationships({"a": "HasMetadata"}, form)
    assert documents.related({"relationships": listed}) == {"a"}
    assert documents.related({"relationships": None}) == set()


def test_a_password_in_the_url_is_refused_because_urls_end_in_logs() -> None:
    with pytest.raises(ValueError, match="user or password"):
        SciCatCatalogue("https://me:secret@scicat.example.org/api/v3")


def test_a_missing_login_says_which_variable_to_set() -> None:
    with pytest.raises(CatalogueUnavailable, match="SCICAT_USERNAME or SCICAT_USERNAME_FILE") as caught:
        credentials_from_environment({})
    assert caught.value.reason is Reason.CATALOGUE_LOGIN_FAILED


def test_a_password_is_in_no_representation() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2"))
