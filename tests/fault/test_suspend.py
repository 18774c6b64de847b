"""spec.suspend holds a Scan where it is; taking it away goes on from there and does nothing again."""

from pathlib import Path

from dichroism_crds.kinds import Scan, ScanPhase, Step
from tests.fault.campaign import copy_on, succeeded
from tests.samples import filler
from tests.site import Site

FOLDER = "2026/suspend"


def test_a_finished_scan_that_is_suspended_and_let_go_is_not_touched(shared_site: Site) -> None:
    site, path = shared_site, f"{FOLDER}/done.txt"
    name = _told(site, path, 1)
    site.wait_for_phase(path, ScanPhase.PRUNE_SCHEDULED)
    before = site.wait_for_plot(path)
    work = _work(site, name, path)
    for suspend in (True, False):
        site.patch_scan(name, suspend=suspend)
        site.wait_for(lambda: _is_observed(site.scans()[path]), "the operator has seen it")
    _neighbour_goes_the_whole_way(site, f"{FOLDER}/neighbour.txt")
    after = site.scans()[path]
    assert after.status.model_copy(update={"observed_generation": None, "conditions": []}) == (
        before.status.model_copy(update={"observed_generation": None, "conditions": []})
    )
    assert [(one.type, one.status, one.reason, one.last_transition_time) for one in after.status.conditions] == [
        (one.type, one.status, one.reason, one.last_transition_time) for one in before.status.conditions
    ]
    assert _work(site, name, path) == work


def test_a_suspended_scan_stays_where_it_is_and_then_goes_on(shared_site: Site) -> None:
    site, path = shared_site, f"{FOLDER}/held.txt"
    name = _told(site, path, 2, suspend=True)
    _neighbour_goes_the_whole_way(site, f"{FOLDER}/mate.txt")
    held = site.scans()[path]
    assert held.status.phase == ScanPhase.PENDING
    assert not held.status.copies
    assert not (site.mount("nersc402") / path).exists()
    site.patch_scan(name, suspend=False)

    def copied() -> bool:
        return site.scans()[path].condition(Step.TRANSFERRED).status == "True"

    site.wait_for(copied, "the copy is made")
    site.patch_scan(name, suspend=True)
    copy = original(site, path)
    site.patch_scan(name, suspend=False)
    done = site.wait_for_phase(path, ScanPhase.PRUNE_SCHEDULED)
    assert original(site, path) == copy
    for endpoint in ("nersc402", "hpss402"):
        carried = [
            one
            for one in site.transfers()
            if one.spec.destination == endpoint and any(item.scan == name for item in one.spec.items)
        ]
        assert [one.name for one in carried] == [copy_on(done, endpoint).transfer]


def _is_observed(scan: Scan) -> bool:
    return scan.status.observed_generation == scan.metadata.generation


def _told(site: Site, path: str, seed: int, **spec: bool) -> str:
    file = site.mount("data402") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(filler(10_000, seed))
    return site.create_scan("BL402", path, **spec)


def _neighbour_goes_the_whole_way(site: Site, path: str) -> None:
    """So long the lanes had every occasion to do what they must not."""
    _told(site, path, len(path))
    site.wait_for(lambda: succeeded(site.scans()[path]), "the neighbour succeeded")


def original(site: Site, path: str) -> tuple[int, int]:
    """Inode and time of the copy on disk: another one would have another inode."""
    found = Path(site.mount("nersc402") / path).stat()
    return found.st_ino, found.st_mtime_ns


def _work(site: Site, name: str, path: str) -> dict[str, object]:
    """Everything that would tell that something was done for the Scan again."""
    scan = site.scans()[path]
    assert scan.status.dataset
    pid = scan.status.dataset.pid
    return {
        "transfers": [one.name for one in site.transfers() if any(item.scan == name for item in one.spec.items)],
        "prunes": [one.name for one in site.prunes() if any(item.scan == name for item in one.spec.items)],
        "copy": original(site, path),
        "requests": [one for one in site.scicat.requests() if pid in one["url"]],
        "dataset": site.scicat.dataset(pid),
    }
