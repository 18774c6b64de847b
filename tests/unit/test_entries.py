"""What the catalogue is told: who owns the data, what they are related to, and what is kept when a file is not read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dichroism_crds.config import Ingest
from dichroism_crds.config.models import Proposals
from dichroism_crds.kinds import Scan
from dichroism_crds.names import scan_name
from dichroism_operator import entries
from dichroism_operator.catalogue.base import DatasetEntry, Relation
from dichroism_operator.previews.jobs import Description
from tests.unit import scan_cases

TOLD = Description(
    metadata={"beamline": "4.0.2", "element": "Co", "file_format": "BCS text"},
    fields=frozenset({"element"}),
    techniques=({"pid": "x", "name": "XMCD"},),
    keywords=("Co", "XMCD"),
    start_time=datetime(2026, 11, 22, 16, tzinfo=UTC),
    sample="Co film",
)
FOLDERS = {"2026/2611*": "ALS-00011", "2026": "ALS-00012"}


def ingest(**changes: object) -> Ingest:
    known = {"owner_group": "als", "contact_email": "a@example.org", "location": "ALS 4.0.2"}
    return Ingest.model_validate(known | changes)


def entry_of(scan: Scan, told: Description | None, section: Ingest | None = None) -> DatasetEntry:
    config = scan_cases.config()
    copy = scan_cases.copy("nersc402", scan.spec.path)
    return entries.dataset_entry(scan, copy, config.beamlines["BL402"], section or ingest(), config, told)


def test_what_the_file_says_is_told() -> None:
    entry = entry_of(scan_cases.scan(), TOLD)
    assert (entry.sample, entry.start_time, entry.techniques) == ("Co film", TOLD.start_time, TOLD.techniques)
    assert entry.keywords == ("ALS", "4.0.2", "Co", "XMCD")
    assert entry.scientific_metadata["element"] == "Co"
    assert (entry.data_format, entry.fields) == ("ALS BCS", frozenset({"element"}))


def test_a_file_that_was_not_read_tells_the_beamline_and_decides_nothing() -> None:
    entry = entry_of(scan_cases.scan(), None)
    assert entry.scientific_metadata == {"beamline": "4.0.2"}
    assert (entry.owner_group, entry.owner_known, entry.fields) == ("als", False, frozenset())


def test_access_is_given_to_the_beamline_unless_the_site_says_otherwise() -> None:
    assert entry_of(scan_cases.scan(), TOLD).access_groups == ("4.0.2",)
    assert entry_of(scan_cases.scan(), TOLD, ingest(access_groups=["x"])).access_groups == ("x",)


@pytest.mark.parametrize(
    ("spec", "sidecar", "order", "expected"),
    [
        ("ALS-00001", "ALS-00002", None, "ALS-00001"),
        (None, "ALS-00002", None, "ALS-00002"),
        (None, None, None, "ALS-00011"),
        (None, "ALS-00002", ["scan", "folders", "sidecar"], "ALS-00011"),
        ("ALS-00001", "ALS-00002", ["sidecar", "scan"], "ALS-00002"),
        ("ALS-00001", None, ["sidecar"], None),
        (None, "everybody", None, "ALS-00011"),
        (None, "ALS-00002; admin", ["sidecar"], None),
    ],
)
def test_the_first_source_that_names_a_proposal_decides(
    spec: str | None, sidecar: str | None, order: list[str] | None, expected: str | None
) -> None:
    rules = {"folders": FOLDERS} | ({"order": order} if order else {})
    told = replace(TOLD, proposal=sidecar, has_sidecar=sidecar is not None)
    entry = entry_of(scan_cases.scan(proposal=spec), told, ingest(proposals=rules))
    assert (entry.proposal, entry.owner_group) == (expected, expected or "als")
    assert entry.owner_known


def test_an_unread_sidecar_leaves_the_owner_open_unless_something_before_it_decides() -> None:
    told = replace(TOLD, sidecar_unread=True)
    rules = ingest(proposals={"folders": FOLDERS})
    entry = entry_of(scan_cases.scan(), told, rules)
    assert (entry.proposal, entry.owner_known) == ("ALS-00011", False)
    assert entry_of(scan_cases.scan(proposal="ALS-1"), told, rules).owner_known
    without = ingest(proposals={"folders": FOLDERS, "order": ["scan", "folders"]})
    assert entry_of(scan_cases.scan(), None, without).owner_known


def test_what_a_sidecar_names_and_is_no_proposal_is_told_to_people() -> None:
    told = replace(TOLD, proposal="my beamtime")
    assert entries.unaccepted_proposal(told, Proposals()) == "my beamtime"
    assert entries.unaccepted_proposal(replace(TOLD, proposal="DD-00598-001"), Proposals()) is None


def test_a_sidecar_and_its_scan_are_related_to_each_other() -> None:
    scan = scan_cases.scan("2026/261122/TrajScan1.txt")
    sidecar = scan_cases.scan("2026/261122/TrajScan1.sdc.json")
    assert entry_of(sidecar, TOLD).relations == (Relation(scan.name, "IsMetadataFor"),)
    assert entry_of(scan, replace(TOLD, has_sidecar=True)).relations == (Relation(sidecar.name, "HasMetadata"),)
    assert entry_of(scan, TOLD).relations == ()
    beside = entries.scans_beside(sidecar, scan_cases.beamline())
    assert beside[0] == scan.name
    assert scan_name("BL402", "data402", "2026/261122/TrajScan1") in beside
    assert entries.scans_beside(scan, scan_cases.beamline()) == []
