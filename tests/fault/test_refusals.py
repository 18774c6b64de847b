"""What must not be moved is refused with words that help, before anything of it was touched."""

import json
from typing import Any

import pytest

from dichroism_crds.kinds import ConditionStatus, ScanPhase, Step
from dichroism_crds.reasons import EventReason, Reason
from tests.cluster import CommandError
from tests.fault.campaign import succeeded
from tests.site import Site

FOLDER = "2026/refusals"
CONTENT: dict[str, Any] = {"size": 3, "modifiedAt": "2026-11-22T17:03:11.123456Z"}
CONTROLLED, UNKNOWN, RENAMED, MATE = (f"{FOLDER}/{one}.txt" for one in ("controlled", "unknown", "renamed", "mate"))
OURS = ".dichroism/trash/x/1-abc-scan.txt"


@pytest.mark.parametrize(
    "path", ["../outside.txt", "2026/../../outside.txt", "/etc/hostname", "./a.txt", "a//b.txt", "a/\n.txt", "a/", "."]
)
def test_a_path_that_leads_elsewhere_is_refused_by_the_api_server(shared_site: Site, path: str) -> None:
    body = shared_site.scan_body("BL402", "x") | {"spec": {"beamline": "BL402", "path": path, **CONTENT}}
    with pytest.raises(CommandError, match=r"spec\.path: Invalid value: .*path "):
        shared_site.create_scans([body])


@pytest.fixture(scope="module")
def names(shared_site: Site) -> dict[str, str]:
    """Names of Scans that must be refused, by path, and of a good one that was told with them and has succeeded."""
    site, root = shared_site, shared_site.mount("data402")
    (root / FOLDER).mkdir(parents=True)
    for path in (CONTROLLED, RENAMED, MATE):
        (root / path).write_bytes(b"not for everybody")
    bodies = [
        site.scan_body("BL402", CONTROLLED, exportControlled=True),
        site.scan_body("BL999", UNKNOWN, **CONTENT),
        site.scan_body("BL402", RENAMED, name="bl402-by-hand"),
        site.scan_body("BL402", OURS, **CONTENT),
        site.scan_body("BL402", MATE),
    ]
    names = {body["spec"]["path"]: name for body, name in zip(bodies, site.create_scans(bodies), strict=True)}
    # Once this one has gone the whole way, every lane had the occasion to touch the others.
    site.wait_for(lambda: succeeded(site.scans()[MATE]), "the good one succeeded")
    return names


@pytest.mark.parametrize(
    ("path", "expected", "words"),
    [
        (CONTROLLED, Reason.EXPORT_CONTROLLED, "by hand"),
        (UNKNOWN, Reason.BEAMLINE_UNKNOWN, "no beamline BL999 in the configuration, known: BL402, BL631"),
        (RENAMED, Reason.NAME_MISMATCH, "must be named bl402-"),
        (OURS, Reason.INVALID_PATH, ".dichroism"),
    ],
)
def test_a_refused_scan_says_why_and_nothing_of_it_is_moved(
    shared_site: Site, names: dict[str, str], path: str, expected: Reason, words: str
) -> None:
    site, name = shared_site, names[path]
    scan = site.wait_for_phase(path, ScanPhase.REFUSED)
    summary = scan.condition("Succeeded")
    assert (summary.status, summary.reason) == (ConditionStatus.FALSE, expected)
    assert words in summary.message
    assert scan.status.message == summary.message
    assert {scan.condition(step).status for step in Step} == {ConditionStatus.UNKNOWN}
    assert not scan.status.copies
    assert scan.status.dataset is None
    assert not any(item.scan == name for transfer in site.transfers() for item in transfer.spec.items)
    assert not (site.mount("nersc402") / path).exists()
    assert path not in json.dumps(site.scicat.requests())
    site.wait_for(lambda: site.events(name).get(EventReason.REFUSED) == summary.message, "the Event is there")


def test_a_change_that_leaves_a_scan_refused_is_told_as_seen(shared_site: Site, names: dict[str, str]) -> None:
    site = shared_site
    site.wait_for_phase(UNKNOWN, ScanPhase.REFUSED)
    site.patch_scan(names[UNKNOWN], suspend=True)

    def seen() -> bool:
        scan = site.scans()[UNKNOWN]
        return scan.status.observed_generation == scan.metadata.generation == 2

    site.wait_for(seen, "the change is observed")
    assert site.scans()[UNKNOWN].status.phase == ScanPhase.REFUSED


def test_a_file_goes_its_way_once_the_mark_is_taken_away(shared_site: Site, names: dict[str, str]) -> None:
    site = shared_site
    site.patch_scan(names[CONTROLLED], exportControlled=False)
    site.wait_for_phase(CONTROLLED, ScanPhase.PRUNE_SCHEDULED)
    assert (site.mount("nersc402") / CONTROLLED).read_bytes() == b"not for everybody"
