"""What a file says reaches the catalogue, whatever comes first, and what could not be read or corrected is told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Scan, Step
from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_crds.reasons import EventReason, Reason
from tests import samples
from tests.cluster import Cluster
from tests.emulators.scicat.process import INGESTOR
from tests.emulators.scicat.settings import ingest_site
from tests.fault.conftest import quick
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Site, open_site

SIDECAR = b'{"Experiment": {"Proposal": "ALS-12345", "Sample": "Co film"}, "Scan Setup": {}}'
FOLDER = "2026/261122"


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without tape, so that nothing else reads the copies."""
    with open_site(cluster, tmp_path_factory.mktemp("site")) as opened:
        document = quick(opened)
        for beamline in document["beamlines"].values():
            del beamline["archive"], beamline["prune"]
        opened.install(document)
        with Supervisor(opened.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
            yield opened


def grant(site: Site, *groups: str) -> None:
    """Restart the catalogue with more rights for our account."""
    site.scicat.settings = ingest_site([replace(INGESTOR, groups=(*INGESTOR.groups, *groups))])
    site.scicat.restart()


def write(site: Site, name: str, content: bytes) -> str:
    """A new file of BL631, told as the watcher would; its path."""
    path = f"{FOLDER}/{name}"
    file = site.mount("data631") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    site.create_scan("BL631", path)
    return path


def xmcd(seed: int) -> bytes:
    return samples.xmcd_pair_631(seed, points=60).encode()


def wait_until(site: Site, path: str, reason: Reason, retried: str | None = None) -> Scan:
    """Wait until a Scan is catalogued with this reason and has succeeded; its plot is settled by then or soon."""

    def there() -> Scan | None:
        scan = site.scans()[path]
        done = scan.condition(SUCCEEDED).status == ConditionStatus.TRUE
        same = scan.condition(Step.CATALOGUED).reason == reason and scan.status.last_handled_retry == retried
        return scan if done and same else None

    scan: Scan = site.wait_for(there, f"{path} is {reason}")
    return scan


def dataset_of(site: Site, scan: Scan) -> dict[str, Any]:
    assert scan.status.dataset is not None
    found = site.scicat.dataset(scan.status.dataset.pid)
    assert found is not None
    return found


def wait_for_picture(site: Site, path: str) -> None:
    def attached() -> bool:
        dataset = site.scans()[path].status.dataset
        return dataset is not None and dataset.quick_look == "attached"

    site.wait_for(attached, f"the plot of {path} is attached")


def targets(dataset: dict[str, Any]) -> set[str]:
    return {one.get("pid") or one["identifier"] for one in dataset["relationships"]}


def test_a_copy_that_was_changed_gives_no_metadata_and_only_an_owner_can_add_them_later(site: Site) -> None:
    site.scicat.kill()
    path = write(site, "TrajScan31914-1_0001.txt", xmcd(1))
    site.wait_for(lambda: site.scans()[path].status.copies, "the copy is made")
    places = [site.mount(name) / path for name in ("nersc631", "data631")]
    right = places[0].read_bytes()
    for place in places:
        place.write_bytes(right.replace(b"2017", b"2016"))
    site.scicat.start()
    scan = wait_until(site, path, Reason.HEADER_NOT_READ)
    assert "has another checksum than recorded" in scan.condition(Step.CATALOGUED).message
    assert "HeaderNotRead" in scan.status.message
    assert "has another checksum" in site.events(scan.name)[EventReason.COPY_DIFFERS]
    assert dataset_of(site, scan)["scientificMetadata"] == {"beamline": "6.3.1"}

    for place in places:
        place.write_bytes(right)
    site.annotate(scan.name, ANNOTATION_RETRY, "Catalogued@read-again")
    scan = wait_until(site, path, Reason.CATALOGUE_NEEDS_OWNER, "Catalogued@read-again")
    assert "scientificMetadata" in scan.condition(Step.CATALOGUED).message
    wait_for_picture(site, path)

    grant(site, "admin")
    site.annotate(scan.name, ANNOTATION_RETRY, "Catalogued@granted")
    scan = wait_until(site, path, Reason.CATALOGUED, "Catalogued@granted")
    stored = dataset_of(site, scan)
    assert stored["scientificMetadata"]["element"] == "Co"
    assert len(stored["origdatablocks"]) == len(stored["attachments"]) == 1


@pytest.mark.parametrize("sidecar_first", [True, False])
def test_what_a_sidecar_says_is_used_whichever_comes_first(site: Site, sidecar_first: bool) -> None:
    grant(site, "admin")
    stem = f"TrajScan4000{sidecar_first:02d}"
    files = [(f"{stem}.sdc.json", SIDECAR), (f"{stem}.txt", xmcd(2))]
    paths = []
    for name, content in files if sidecar_first else reversed(files):
        paths.append(write(site, name, content))
        wait_until(site, paths[-1], Reason.CATALOGUED)
    sidecar, data = (site.scans()[f"{FOLDER}/{name}"] for name, _ in files)
    stored, told = dataset_of(site, data), dataset_of(site, sidecar)
    assert (stored["proposalIds"], stored["ownerGroup"], stored["sampleIds"]) == (
        ["ALS-12345"],
        "ALS-12345",
        ["Co film"],
    )
    assert stored["scientificMetadata"]["sample"] == "Co film"
    assert told["proposalIds"] == ["ALS-12345"]
    assert targets(told) == {stored["pid"]}
    assert targets(stored) == {told["pid"]}
    assert sidecar.status.dataset
    assert (sidecar.status.dataset.quick_look or "").startswith("none: ")
    wait_for_picture(site, data.spec.path)
    assert len(dataset_of(site, data)["attachments"]) == 1


def test_a_dataset_that_was_deleted_by_hand_is_made_again_with_all_that_belongs_to_it(site: Site) -> None:
    path = write(site, "TrajScan31915.txt", xmcd(3))
    scan = wait_until(site, path, Reason.CATALOGUED)
    wait_for_picture(site, path)
    before = dataset_of(site, scan)
    site.scicat.remove(before["pid"])
    site.annotate(scan.name, ANNOTATION_RETRY, "Catalogued@again")
    wait_until(site, path, Reason.CATALOGUED, "Catalogued@again")
    wait_for_picture(site, path)
    after = dataset_of(site, scan)
    for key in ("pid", "scientificMetadata", "size", "numberOfFiles", "techniques", "startTime"):
        assert after[key] == before[key], key
    assert len(after["attachments"]) == 1


def test_what_is_no_scan_is_catalogued_with_what_is_known(site: Site) -> None:
    path = write(site, "TrajScan31916.txt", b"\x00\xff" * 500)
    scan = wait_until(site, path, Reason.CATALOGUED)
    assert "this is no scan file" in scan.condition(Step.CATALOGUED).message
    metadata = dataset_of(site, scan)["scientificMetadata"]
    assert (metadata["beamline"], metadata["scan_number"]) == ("6.3.1", 31916)
    assert scan.status.dataset
    assert (scan.status.dataset.quick_look or "").startswith("none: ")
