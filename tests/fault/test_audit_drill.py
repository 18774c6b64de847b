"""The drill: everything in Kubernetes is lost, the audit goes on without it, and nothing is moved a second time."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, Step
from dichroism_crds.names import GROUP, LABEL_ORIGIN, PRIVATE_DIR, Origin
from dichroism_crds.reasons import Reason
from tests.chart import AUDIT
from tests.cluster import providers
from tests.fault.campaign import Campaign
from tests.fault.conftest import quick
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import BEAMLINES, Site, open_site

PATIENCE_S = 300
FILES = 3
"""Of each beamline."""
LOST = {"KUBECONFIG": "/nowhere"}
HERE: Mapping[str, str] = {}


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site on a cluster of its own, from which the CRDs may be deleted."""
    with (
        providers.running(tmp_path / "cluster", "controlplane") as cluster,
        open_site(cluster, tmp_path / "site") as site,
    ):
        yield site


def audit(site: Site, *arguments: str, environment: Mapping[str, str] = HERE) -> tuple[int, dict[str, Any]]:
    """Exit code and document of an audit of files of any age, as the account of the CronJob."""
    program = site.program("audit", AUDIT, "audit", "--at-least-age", "0s", "--checksums", "-o", "json", *arguments)
    program.log.unlink(missing_ok=True)
    code = program.start(**environment).wait(120)
    try:
        return code, json.loads(program.words())
    except ValueError:
        raise AssertionError(program.words()) from None


def world(site: Site) -> dict[str, tuple[int, int, str]]:
    """Every file and bundle with its inode, time and content; what was written anew has another inode."""
    told = {}
    for number in BEAMLINES.values():
        for place in ("data", "nersc", "hpss"):
            root = site.mount(f"{place}{number}")
            for path in root.rglob("*"):
                if path.is_file():
                    found = path.stat()
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    told[f"{place}{number}/{path.relative_to(root)}"] = (found.st_ino, found.st_mtime_ns, digest)
    return told


def catalogue(site: Site) -> dict[str, tuple[int, int]]:
    """Each dataset with its numbers of file lists and tape copies. Plots come late, and are no data."""
    return {one["pid"]: (len(one["origdatablocks"]), len(one["datablocks"])) for one in site.scicat.datasets()}


@pytest.mark.timeout(900)
def test_the_cluster_is_lost_and_nothing_is_moved_twice(own_site: Site) -> None:
    site = own_site
    document = quick(site)
    site.install(document)
    campaign = Campaign(site)
    campaign.write(FILES)
    count = FILES * len(BEAMLINES)
    watcher = site.watcher("watcher-1").start()
    with Supervisor(site.operator("operator-1"), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
        site.wait_until_succeeded(count, PATIENCE_S)
        assert watcher.stop() == 0
    assert audit(site) == (0, anything_clean(site, count))
    before, known = world(site), catalogue(site)
    assert len(known) == count

    lose_everything(site)
    code, said = audit(site)
    assert code == 4, "the API answers, but knows none of our kinds"
    assert places(said) == {"kubernetes"}
    code, said = audit(site, environment=LOST)
    assert (code, said["findings"], places(said)) == (4, [], {"kubernetes"})
    code, said = audit(site, "--without", "kubernetes", environment=LOST)
    assert (code, said["findings"]) == (0, [])
    trouble_is_found_without_a_cluster(site)

    site.namespace = site.cluster.namespace()
    site.install(document)
    site.watcher("watcher-2").start()  # its journal is lost as well
    second = site.operator("operator-2")
    with Supervisor(second, DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
        scans = site.wait_until_succeeded(count, PATIENCE_S)
    nothing_was_moved_twice(site, scans)
    assert world(site) == before
    assert catalogue(site) == known
    assert audit(site) == (0, anything_clean(site, count))
    assert "Traceback" not in second.words()


def anything_clean(site: Site, count: int) -> Any:
    """Equal to a document in which nothing is wrong and everything was looked at."""
    return Clean(count // len(BEAMLINES), site)


class Clean:
    """Compares itself with a document."""

    def __init__(self, each: int, site: Site) -> None:
        self.each, self.site = each, site

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict) or other["findings"]:
            return False
        numbers = [disk["files"] for one in other["beamlines"] for disk in one["disks"]]
        unseen = [each for one in other["beamlines"] for each in one["notLookedAt"]]
        return numbers == [self.each] * 2 * len(BEAMLINES) and not unseen

    def __hash__(self) -> int:
        return hash(self.each)


def places(said: dict[str, Any]) -> set[str]:
    """What was not looked at."""
    return {each["place"] for one in said["beamlines"] for each in one["notLookedAt"]}


def lose_everything(site: Site) -> None:
    """Delete all objects, the kinds themselves, and the namespace."""
    for plural in ("scans", "transfers", "prunes"):
        site.cluster.kubectl("delete", plural, "--all", "-n", site.namespace)
        site.cluster.kubectl("delete", "crd", f"{plural}.{GROUP}", "--timeout=60s", timeout=70)
    (site.folder / "watcher-1.db").unlink()


def trouble_is_found_without_a_cluster(site: Site) -> None:
    """A copy that is lost, a dataset that is lost and a bundle that is lost are named, and put back."""
    copy = next(one for one in site.mount("nersc402").rglob("*.txt") if PRIVATE_DIR not in one.parts)
    bundle = next(site.mount("hpss631").rglob("*.tar"))
    for path in (copy, bundle):
        path.rename(site.folder / path.name)
    code, said = audit(site, "--without", "kubernetes", environment=LOST)
    found = {(one["kind"], one["path"]) for one in said["findings"]}
    for path in (copy, bundle):
        (site.folder / path.name).rename(path)
    assert code == 1
    assert found == {
        ("NotCopied", str(copy.relative_to(site.mount("nersc402")))),
        ("BundleMissing", str(bundle.relative_to(site.mount("hpss631")))),
    }


def nothing_was_moved_twice(site: Site, scans: dict[str, Scan]) -> None:
    """Every step found what was there: no bundle was made, and the tasks of the first hop copied no file."""
    for path, scan in scans.items():
        assert scan.metadata.labels[LABEL_ORIGIN] == Origin.RECOVERED, path
        reasons = [scan.condition(step).reason for step in (Step.TRANSFERRED, Step.ARCHIVED)]
        assert reasons == [Reason.ALREADY_THERE, Reason.ADOPTED] or reasons == [Reason.ADOPTED] * 2, path
    assert not [one for one in site.transfers() if one.spec.bundle], "no task to tape"
