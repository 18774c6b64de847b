"""A person's retry annotation: what it does again, what it verifies first, and what it refuses."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, ScanPhase, Step
from dichroism_crds.names import ANNOTATION_RETRY, LABEL_BEAMLINE, PRIVATE_DIR
from dichroism_crds.reasons import EventReason, Reason
from tests.fault.campaign import copy_on, members_of, original_of, succeeded
from tests.samples import filler
from tests.site import Site

FOLDER = "2026/retry"
REQUESTS = {
    "nothing failed": "again",
    "catalogue": "Catalogued@1",
    "tape is good": "Archived@1",
    "tape is damaged": "Archived@1",
    "source is gone": "Transferred@1",
    "copy is good": "Transferred@1",
    "copy is damaged": "Transferred@1",
    "no such step": "Pruned@1",
}


@dataclass(frozen=True)
class Moment:
    """A Scan and what belonged to it at one moment."""

    scan: Scan
    dataset: dict[str, Any]
    disk: object


@dataclass(frozen=True)
class Retried:
    """Before the annotations were set and after all of them were handled, by case."""

    site: Site
    names: dict[str, str]
    before: dict[str, Moment]
    after: dict[str, Moment]

    def events(self, case: str) -> dict[str, str]:
        return self.site.events(self.names[case])


def path_of(case: str) -> str:
    return f"{FOLDER}/{case}.txt"


def moments(site: Site) -> dict[str, Moment]:
    scans, found = site.scans(), {}
    for case in REQUESTS:
        scan = scans[path_of(case)]
        assert scan.status.dataset
        dataset = site.scicat.dataset(scan.status.dataset.pid)
        assert dataset is not None
        found[case] = Moment(scan, dataset, original_of(site.mount("nersc402") / path_of(case)))
    return found


@pytest.fixture(scope="module")
def retried(shared_site: Site) -> Retried:
    site, root = shared_site, shared_site.mount("data402")
    (root / FOLDER).mkdir(parents=True)
    for number, case in enumerate(REQUESTS):
        (root / path_of(case)).write_bytes(filler(20_000, number))
    site.create_scans([site.scan_body("BL402", path_of(case)) for case in REQUESTS])
    site.wait_for(lambda: _all_succeeded(site, [*REQUESTS]), "all succeeded")
    before = moments(site)
    names = {case: moment.scan.name for case, moment in before.items()}

    (root / path_of("source is gone")).unlink()
    damage(site.mount("nersc402") / path_of("copy is damaged"), 100)
    bundle = site.mount("hpss402") / copy_on(before["tape is damaged"].scan, "hpss402").path
    damage(bundle, bundle.read_bytes().index((root / path_of("tape is damaged")).read_bytes()))
    for case, value in REQUESTS.items():
        site.annotate(names[case], ANNOTATION_RETRY, value)

    def handled() -> bool:
        scans = site.scans()
        return all(scans[path_of(case)].status.last_handled_retry == value for case, value in REQUESTS.items())

    site.wait_for(lambda: handled() and _all_succeeded(site, [*REQUESTS]), "all retries were handled")
    return Retried(site, names, before, moments(site))


def damage(file: Path, offset: int) -> None:
    """Flip one byte; size and time stay."""
    time = file.stat().st_mtime_ns
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(time, time))


def _all_succeeded(site: Site, cases: list[str]) -> bool:
    """Whether nothing more will change: the plots are settled, too."""
    scans = [scan for path, scan in site.scans().items() if path in map(path_of, cases)]
    settled = [scan for scan in scans if scan.status.dataset and scan.status.dataset.quick_look]
    return len(settled) == len(cases) and all(map(succeeded, scans))


@pytest.mark.parametrize(
    ("case", "reason", "words"),
    [
        ("nothing failed", EventReason.RETRY_NOTHING_TO_DO, "no step has failed"),
        ("source is gone", EventReason.RETRY_REFUSED, path_of("source is gone")),
        ("no such step", EventReason.RETRY_REFUSED, "'Pruned' is no step"),
    ],
)
def test_a_retry_that_cannot_be_done_changes_nothing(
    retried: Retried, case: str, reason: EventReason, words: str
) -> None:
    before, after = (
        moment.scan.status.model_copy(update={"last_handled_retry": None, "observed_generation": None})
        for moment in (retried.before[case], retried.after[case])
    )
    assert after == before
    assert retried.after[case].dataset == retried.before[case].dataset
    retried.site.wait_for(lambda: words in retried.events(case).get(reason, ""), "the Event is there")


def test_cataloguing_again_makes_no_second_dataset(retried: Retried) -> None:
    before, after = retried.before["catalogue"], retried.after["catalogue"]
    assert after.scan.status.dataset == before.scan.status.dataset
    for kind in ("origdatablocks", "datablocks"):
        assert after.dataset[kind] == before.dataset[kind]
    assert "Catalogued, Archived, Ingested, PruneScheduled" in retried.events("catalogue")[EventReason.RETRYING]
    assert _when(after, Step.CATALOGUED) > _when(before, Step.CATALOGUED)
    assert _when(after, Step.TRANSFERRED) == _when(before, Step.TRANSFERRED)


@pytest.mark.parametrize("case", ["catalogue", "tape is good", "copy is good", "copy is damaged"])
def test_a_good_tape_copy_is_verified_and_kept(retried: Retried, case: str) -> None:
    before, after = (copy_on(one.scan, "hpss402") for one in (retried.before[case], retried.after[case]))
    assert (after.path, after.transfer, after.checksum) == (before.path, before.transfer, before.checksum)
    assert after.verified_at > before.verified_at
    assert retried.after[case].scan.condition(Step.ARCHIVED).reason == Reason.ALREADY_THERE
    assert retried.after[case].scan.status.prune == retried.before[case].scan.status.prune


def test_a_damaged_tape_copy_is_replaced_by_one_in_a_new_bundle(retried: Retried) -> None:
    case, tape = "tape is damaged", retried.site.mount("hpss402")
    before, after = (copy_on(one.scan, "hpss402") for one in (retried.before[case], retried.after[case]))
    assert after.path != before.path
    assert members_of(tape / after.path)[path_of(case)] == after.checksum.value == before.checksum.value
    assert (tape / before.path).exists(), "a bundle is never deleted, not even a damaged one"
    assert after.path in str(retried.after[case].dataset["datablocks"])


def test_a_good_copy_on_disk_is_verified_and_kept(retried: Retried) -> None:
    case = "copy is good"
    assert retried.after[case].disk == retried.before[case].disk
    assert retried.after[case].scan.condition(Step.TRANSFERRED).reason == Reason.ALREADY_THERE


def test_a_damaged_copy_on_disk_is_made_again_and_the_damaged_one_is_kept(retried: Retried) -> None:
    case, site = "copy is damaged", retried.site
    disk = original_of(site.mount("nersc402") / path_of(case))
    assert disk.sha256 == original_of(site.mount("data402") / path_of(case)).sha256
    kept = [one for one in (site.mount("nersc402") / PRIVATE_DIR / "superseded").iterdir() if case in one.name]
    assert len(kept) == 1
    assert retried.after[case].scan.condition(Step.TRANSFERRED).reason == Reason.COPIED


def test_a_retry_of_many_by_their_label_is_answered_by_each(shared_site: Site) -> None:
    site, root = shared_site, shared_site.mount("data631")
    paths = [f"{FOLDER}/bulk {number}.txt" for number in range(4)]
    (root / FOLDER).mkdir(parents=True)
    for number, path in enumerate(paths[:2]):
        (root / path).write_bytes(filler(5_000, number))
    absent: list[dict[str, Any]] = [{"size": 5_000, "modifiedAt": "2026-11-22T17:03:11.123456Z"}] * 2
    bodies = [site.scan_body("BL631", path) for path in paths[:2]]
    bodies += [site.scan_body("BL631", path, **content) for path, content in zip(paths[2:], absent, strict=True)]
    site.create_scans(bodies)
    for path in paths:
        site.wait_for_phase(path, ScanPhase.FAILED if path in paths[2:] else ScanPhase.PRUNE_SCHEDULED)
    site.annotate(f"-l {LABEL_BEAMLINE}=BL631", ANNOTATION_RETRY, "all of them")

    def answered() -> bool:
        scans = site.scans()
        return all(scans[path].status.last_handled_retry == "all of them" for path in paths)

    site.wait_for(answered, "each echoed the token")
    scans = site.scans()
    assert all(succeeded(scans[path]) for path in paths[:2])
    for path in paths[2:]:
        assert EventReason.RETRYING in site.events(scans[path].name)
        failed = site.wait_for_phase(path, ScanPhase.FAILED)
        tried = [one for one in site.transfers() if any(item.scan == failed.name for item in one.spec.items)]
        assert len(tried) == 4, "two attempts before the retry and two after it"


def _when(moment: Moment, step: Step) -> Any:
    return moment.scan.condition(step).last_transition_time
