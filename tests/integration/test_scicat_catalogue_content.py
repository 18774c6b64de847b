"""What a scientist finds in the entry: metadata, techniques, times, relations and the picture, on both backends."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dichroism_operator.catalogue.base import DatasetEntry, Picture, Relation
from dichroism_operator.catalogue.errors import CatalogueUnavailable, DatasetGone, EntryRefused
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from dichroism_operator.previews.jobs import Job
from dichroism_operator.previews.reading import carry_out
from tests import samples
from tests.emulators.scicat.faults import Action
from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, ingest_site
from tests.integration.scicat_site import ACCOUNTS, OWNER, Case, assert_catalogued, catalogue_for, file_of, new_case

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
TECHNIQUES = ({"pid": "http://purl.org/pan-science/PaNET/PaNET01137", "name": "x-ray magnetic circular dichroism"},)
DESCRIBED: dict[str, Any] = {
    "techniques": TECHNIQUES,
    "keywords": ("ALS", "4.0.2", "Co"),
    "sample": "Co film",
    "start_time": datetime(2026, 11, 22, 16, 30, 5, tzinfo=UTC),
    "end_time": datetime(2026, 11, 22, 16, 33, 9, 500_000, tzinfo=UTC),
    "scientific_metadata": {
        "element": "Co",
        "photon_energy_range": {"value": [750.1, 850.0], "unit": "eV"},
        "quicklook": {"kind": "xmcd", "xmcd_peak_fraction_of_white_line": -0.28},
    },
    "fields": frozenset({"element", "photon_energy_range", "quicklook", "dichroism_mode"}),
}


@pytest.fixture(scope="module", params=BACKENDS)
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site(ACCOUNTS, backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as running:
        yield running


def stored_of(emulator: SciCatEmulator, catalogue: SciCatCatalogue, entry: DatasetEntry) -> dict[str, Any]:
    stored = emulator.dataset(catalogue.pid(entry.scan))
    assert stored is not None
    return stored


def known_again(case: Case, **changes: Any) -> DatasetEntry:
    """The entry as a later step or retry has it."""
    return replace(case.entry, expected=True, **changes)


def test_what_the_file_says_stands_in_the_entry(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case(**DESCRIBED)
    catalogue.ensure_dataset(case.entry)
    stored = stored_of(emulator, catalogue, case.entry)
    assert stored["techniques"] == list(TECHNIQUES)
    assert stored["keywords"] == ["ALS", "4.0.2", "Co", "BL402"]
    assert (stored["startTime"], stored["endTime"]) == ("2026-11-22T16:30:05.000Z", "2026-11-22T16:33:09.500Z")
    assert stored["sampleIds"] == ["Co film"]
    assert stored["scientificMetadata"]["photon_energy_range"]["valueSI"][0] == pytest.approx(1.2018e-16, rel=1e-3)
    assert_catalogued(stored, case)


def test_real_descriptions_of_every_kind_are_accepted_and_read_the_same_again(emulator: SciCatEmulator) -> None:
    catalogue = catalogue_for(emulator)
    for number, sample in zip(range(12), samples.sample_files("BL402", points=40), strict=False):
        told = carry_out(Job(sample.content, len(sample.content), None, "BL402", sample.path)).description
        assert told is not None
        case = new_case(
            content=number,
            techniques=told.techniques,
            keywords=told.keywords,
            start_time=told.start_time,
            end_time=told.end_time,
            scientific_metadata=told.metadata,
            fields=told.fields,
        )
        catalogue.ensure_dataset(case.entry)
        before, asked = stored_of(emulator, catalogue, case.entry), len(emulator.requests())
        catalogue.ensure_dataset(known_again(case))
        assert stored_of(emulator, catalogue, case.entry) == before
        assert {request["method"] for request in emulator.requests()[asked:]} == {"GET"}


def test_metadata_that_come_later_are_added_where_the_account_may(emulator: SciCatEmulator) -> None:
    case = new_case(scientific_metadata={"beamline": "4.0.2"})
    catalogue_for(emulator).ensure_dataset(case.entry)
    told = known_again(case, **DESCRIBED)
    kept_back = catalogue_for(emulator).ensure_dataset(told).uncorrected
    assert kept_back == ("keywords, startTime, endTime, techniques, sampleId, scientificMetadata",)
    owner = catalogue_for(emulator, OWNER)
    assert owner.ensure_dataset(told).uncorrected == ()
    stored = stored_of(emulator, owner, case.entry)
    assert stored["scientificMetadata"]["element"] == "Co"
    assert stored["sampleIds"] == ["Co film"]
    assert_catalogued(stored, case)


def test_metadata_of_an_older_content_go_and_those_of_people_stay(emulator: SciCatEmulator) -> None:
    owner, case = catalogue_for(emulator, OWNER), new_case(**DESCRIBED)
    owner.ensure_dataset(case.entry)
    pid = owner.pid(case.entry.scan)
    emulator.edit(pid, {"scientificMetadata": DESCRIBED["scientific_metadata"] | {"remark": "keep me"}})
    plain = known_again(case, file=file_of(case.entry.file.path, 2), scientific_metadata={"element": "Fe"})
    owner.ensure_dataset(plain)
    assert stored_of(emulator, owner, case.entry)["scientificMetadata"] == {"element": "Fe", "remark": "keep me"}


def test_an_owner_that_is_not_known_now_is_not_changed(emulator: SciCatEmulator) -> None:
    owner, case = catalogue_for(emulator, OWNER), new_case(**DESCRIBED)
    owner.ensure_dataset(case.entry)
    unsure = known_again(case, proposal=None, owner_group="lifecyclers", owner_known=False)
    assert owner.ensure_dataset(unsure).uncorrected == ()
    stored = stored_of(emulator, owner, case.entry)
    assert (stored["ownerGroup"], stored["proposalIds"]) == ("als", ["ALS-12345"])


# relations


def targets(dataset: dict[str, Any]) -> dict[str, str]:
    return {one.get("pid") or one.get("identifier"): one["relationship"] for one in dataset["relationships"]}


def test_a_sidecar_is_related_to_its_scan_in_the_form_of_the_backend(emulator: SciCatEmulator) -> None:
    catalogue = catalogue_for(emulator)
    for _ in range(2):  # the second time the form is known
        scan = new_case()
        sidecar = new_case(relations=(Relation(scan.entry.scan, "IsMetadataFor"),))
        assert catalogue.ensure_dataset(sidecar.entry).uncorrected == ()
        stored = stored_of(emulator, catalogue, sidecar.entry)
        assert targets(stored) == {catalogue.pid(scan.entry.scan): "IsMetadataFor"}
        assert_catalogued(stored, sidecar)


def test_a_relation_that_comes_later_is_added_beside_others(emulator: SciCatEmulator) -> None:
    owner, case = catalogue_for(emulator, OWNER), new_case(relations=(Relation("one", "HasMetadata"),))
    catalogue_for(emulator).ensure_dataset(case.entry)
    more = known_again(case, relations=(Relation("two", "HasMetadata"),))
    assert catalogue_for(emulator).ensure_dataset(more).uncorrected == ("relationships",)
    assert owner.ensure_dataset(more).uncorrected == ()
    stored = stored_of(emulator, owner, case.entry)
    assert targets(stored) == {owner.pid("one"): "HasMetadata", owner.pid("two"): "HasMetadata"}


# the picture


def picture_of(case: Case, png: bytes = PNG) -> Picture:
    return Picture(png, "Co XMCD -28%", case.entry.file.sha256)


def test_a_picture_is_attached_once_and_its_readers_are_those_of_the_dataset(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    catalogue.ensure_dataset(case.entry)
    assert not catalogue.has_picture(case.entry)
    for _ in range(2):
        catalogue.ensure_picture(case.entry, picture_of(case))
    (attached,) = stored_of(emulator, catalogue, case.entry)["attachments"]
    assert attached["thumbnail"].startswith("data:image/png;base64,iVBOR")
    assert attached["caption"] == f"Quick-look: Co XMCD -28% (sha256 {case.entry.file.sha256[:16]})"
    assert attached["accessGroups"] == ["4.0.2"]
    assert catalogue.has_picture(case.entry)


def test_a_lost_answer_leaves_one_picture(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    catalogue.ensure_dataset(case.entry)
    emulator.fault(Action.DROP_AFTER, method="POST", path="attachments")
    with pytest.raises(CatalogueUnavailable):
        catalogue.ensure_picture(case.entry, picture_of(case))
    catalogue.ensure_picture(case.entry, picture_of(case))
    assert len(stored_of(emulator, catalogue, case.entry)["attachments"]) == 1


def test_the_picture_of_a_new_content_takes_the_place_of_the_old_one(emulator: SciCatEmulator) -> None:
    owner, case = catalogue_for(emulator, OWNER), new_case()
    catalogue_for(emulator).ensure_dataset(case.entry)
    owner.ensure_picture(case.entry, picture_of(case))
    new = replace(case, entry=known_again(case, file=file_of(case.entry.file.path, 2)))
    assert not owner.has_picture(new.entry)
    # An account that may not remove the old one leaves it alone: two would be worse.
    with pytest.raises(EntryRefused):
        catalogue_for(emulator).ensure_picture(new.entry, picture_of(new))
    owner.ensure_picture(new.entry, picture_of(new))
    (attached,) = stored_of(emulator, owner, case.entry)["attachments"]
    assert new.entry.file.sha256[:16] in attached["caption"]


@pytest.mark.parametrize("status", [413, 500])
def test_a_picture_that_is_too_large_leaves_the_dataset_as_it_is(emulator: SciCatEmulator, status: int) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    catalogue.ensure_dataset(case.entry)
    before = stored_of(emulator, catalogue, case.entry)
    emulator.fault(Action.STATUS, method="POST", path="attachments", status=status)
    with pytest.raises((EntryRefused, CatalogueUnavailable)) as caught:
        catalogue.ensure_picture(case.entry, picture_of(case))
    assert (caught.value.http_status, caught.value.operation) == (status, "adding an attachment")
    assert stored_of(emulator, catalogue, case.entry) == before


def test_a_picture_of_a_dataset_that_is_gone_is_told(emulator: SciCatEmulator) -> None:
    case = new_case()
    with pytest.raises(DatasetGone):
        catalogue_for(emulator).ensure_picture(case.entry, picture_of(case))
