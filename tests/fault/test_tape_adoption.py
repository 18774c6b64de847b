"""Cluster and journal are lost and installed again: what is on tape is found there and not packed a second time."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from dichroism_crds.kinds import ConditionStatus, Prune, Scan, Step, Transfer
from dichroism_crds.names import LABEL_ORIGIN, PRIVATE_DIR, Origin
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.bundle import MANIFEST
from tests.fault.campaign import Campaign, Key, members_of
from tests.fault.supervisor import Supervisor
from tests.site import BEAMLINES, Site

PATIENCE_S = 400
"""For each of the waits: operator and watcher may have to share a slow machine with others."""
BEFORE = 4
"""Files of each beamline that are archived before everything is lost."""


def tars(site: Site) -> set[Path]:
    return {tar for number in BEAMLINES.values() for tar in site.mount(f"hpss{number}").rglob("*.tar")}


def damage(site: Site, scan: Scan) -> None:
    """Change a byte of a Scan's member where it lies in its bundle."""
    tape = scan.copy_on("hpss402")
    assert tape is not None
    bundle, content = site.mount("hpss402") / tape.path, (site.mount("data402") / scan.spec.path).read_bytes()
    whole = bundle.read_bytes()
    assert content in whole
    bundle.write_bytes(whole.replace(content, content[:-1] + bytes([content[-1] ^ 1])))


@pytest.mark.timeout(1200)
def test_nothing_that_is_on_tape_is_packed_again_when_cluster_and_journal_are_lost(site: Site) -> None:
    campaign = Campaign(site)
    watcher = site.watcher("watcher-1")
    old = campaign.write(BEFORE)
    with Supervisor(site.operator("operator-1")):
        watcher.start()
        before = site.wait_until_succeeded(len(old), PATIENCE_S)
        assert watcher.stop() == 0
    by_402 = [before[path] for beamline, path in old if beamline == "BL402"]
    forgotten, damaged = by_402[0], by_402[1]
    assert forgotten.status.dataset
    site.scicat.remove(forgotten.status.dataset.pid)  # only its manifest knows it
    shutil.rmtree(site.mount("nersc631") / PRIVATE_DIR / "manifests")  # only the catalogue knows these
    damage(site, damaged)
    site.delete_all(Scan, Transfer, Prune)
    site.scicat.kill()

    site.watcher("watcher-2").start()
    second = site.operator("operator-2")
    with Supervisor(second):
        after = found_again(site, campaign, old)
    new = [key for key in campaign.originals if key not in old]

    for _, path in old:
        if path == damaged.spec.path:
            continue
        assert after[path].condition(Step.ARCHIVED).reason == Reason.ADOPTED, path
        assert on_tape_of(after[path]) == on_tape_of(before[path])
    assert after[damaged.spec.path].condition(Step.ARCHIVED).reason == Reason.COPIED
    assert on_tape_of(after[damaged.spec.path]) != on_tape_of(damaged)
    held = Counter((tar.parts[-3], member) for tar in tars(site) for member in members_of(tar) if member != MANIFEST)
    assert {member for (_, member), count in held.items() if count > 1} == {damaged.spec.path}
    assert held.total() == len(old) + len(new) + 1
    for scan in after.values():
        assert scan.status.dataset
        dataset = site.scicat.dataset(scan.status.dataset.pid)
        assert dataset
        assert len(dataset["datablocks"]) == (2 if scan.spec.path == damaged.spec.path else 1), scan.spec.path
    assert "Traceback" not in second.words()


def archived(scan: Scan) -> bool:
    return scan.condition(Step.ARCHIVED).status == ConditionStatus.TRUE


def on_tape_of(scan: Scan) -> tuple[str, str | None]:
    """Bundle and member that a Scan records."""
    copy = scan.copy_on(f"hpss{scan.spec.beamline[2:]}")
    assert copy is not None
    return copy.path, copy.member


def found_again(site: Site, campaign: Campaign, old: list[Key]) -> dict[str, Scan]:
    """Live files go to tape while the others wait for the catalogue, until that is back and all have succeeded."""
    site.wait_for(lambda: len(site.objects(Scan)) == len(old), "the watcher tells of everything again", PATIENCE_S)
    new = campaign.write(1)

    def new_ones_are_archived() -> bool:
        scans = site.scans()
        return all(path in scans and archived(scans[path]) for _, path in new)

    site.wait_for(new_ones_are_archived, "live files go to tape although the catalogue is down", PATIENCE_S)
    waiting = [site.scans()[path] for _, path in old]
    assert {scan.metadata.labels[LABEL_ORIGIN] for scan in waiting} == {Origin.RECOVERED}
    assert not any(map(archived, waiting))

    def all_wait() -> bool:
        scans = site.scans()
        reasons = {scans[path].condition(Step.ARCHIVED).reason for _, path in old}
        return reasons == {Reason.CATALOGUE_UNAVAILABLE}

    site.wait_for(all_wait, "what may be on tape waits for the catalogue", PATIENCE_S)
    site.scicat.start()
    return site.wait_until_succeeded(len(old) + len(new), PATIENCE_S)
