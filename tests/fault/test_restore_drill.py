"""The drill: archived by a real operator, then everything but tape is thrown away, and every byte comes back.

Each of the three sources is tried alone before it is thrown away: the Scans, the catalogue, the manifests.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dichroism_crds.kinds import Prune, Scan, Transfer
from dichroism_crds.names import PRIVATE_DIR
from tests.fault.campaign import Campaign, copy_on, files_below, original_of, succeeded
from tests.fault.conftest import quick
from tests.fault.supervisor import Supervisor
from tests.site import BEAMLINES, Site

FEW, MANY = 200, 1000
HERE: Mapping[str, str] = {}
NO_CLUSTER = {"KUBECONFIG": "/nowhere"}
"""Environment of a command that finds no cluster."""


def restore(site: Site, folder: Path, *arguments: str, code: int = 0, environment: Mapping[str, str] = HERE) -> str:
    """What `dichroism restore` prints."""
    program = site.program("restore", "dichroism-watcher", "restore", *arguments, "--to", str(folder))
    program.log.unlink(missing_ok=True)
    assert program.start(**environment).wait(600) == code, program.words()
    return program.words()


def wanted(campaign: Campaign, beamline: str) -> dict[str, str]:
    """sha256 of every file of a beamline, as it was measured."""
    return {path: one.sha256 for (name, path), one in campaign.originals.items() if name == beamline}


def everything_back(
    site: Site, campaign: Campaign, to: Path, sources: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Restore all files of both beamlines from these sources alone, and compare bytes and times."""
    for beamline in BEAMLINES:
        folder = to / beamline
        chosen = [word for source in sources for word in ("--from", source)]
        restore(site, folder, ".", "--beamline", beamline, *chosen, *_manifests(site, sources), environment=environment)
        assert dict(files_below(folder)) == wanted(campaign, beamline)
        for path in wanted(campaign, beamline):
            expected = campaign.originals[beamline, path].mtime_ns // 1000
            assert (folder / path).stat().st_mtime_ns // 1000 == expected, path


def _manifests(site: Site, sources: Sequence[str]) -> list[str]:
    rebuilt = site.folder / "rebuilt"
    return ["--manifests", str(rebuilt)] if "manifest" in sources and rebuilt.is_dir() else []


@pytest.mark.timeout(1800)
def test_all_files_come_back_from_tape_alone(site: Site, full: bool, tables: dict[str, str], tmp_path: Path) -> None:
    count = MANY if full else FEW
    document = quick(site)
    for beamline in document["beamlines"].values():
        beamline["archive"]["bundle"] = {"target": "100MB", "max_files": 40, "max_age": "5s"}
    site.install(document)
    campaign = Campaign(site)
    with Supervisor(site.operator()):
        campaign.add(count // 2)
        scans = site.wait_until_succeeded(count, 900)
        replaced = rewrite(site, campaign, scans[next(iter(wanted(campaign, "BL402")))])
    bundles = sum(len(list(site.mount(f"hpss{number}").rglob("*.tar"))) for number in BEAMLINES.values())
    one = next(scan for scan in scans.values() if scan.spec.beamline == "BL631")
    assert one.status.dataset
    restore(site, tmp_path / "one", one.name, "--from", "scan")
    restore(site, tmp_path / "one", one.status.dataset.pid, "--from", "catalogue")
    assert _only(tmp_path / "one") == campaign.originals[one.spec.beamline, one.spec.path].sha256

    everything_back(site, campaign, tmp_path / "by-scans", ["scan"], HERE)
    old_content_back(site, replaced, tmp_path, "scan", HERE)
    site.delete_all(Scan, Transfer, Prune)
    everything_back(site, campaign, tmp_path / "by-catalogue", ["catalogue"], NO_CLUSTER)
    old_content_back(site, replaced, tmp_path, "catalogue", NO_CLUSTER)
    site.scicat.stop()
    everything_back(site, campaign, tmp_path / "by-manifests", ["manifest"], NO_CLUSTER)
    old_content_back(site, replaced, tmp_path, "manifest", NO_CLUSTER)
    manifests = lose_the_disks(site)
    said = restore(site, tmp_path / "blind", ".", code=1, environment=NO_CLUSTER)
    assert "no source could be asked" in said

    tapes = [str(site.mount(f"hpss{number}")) for number in BEAMLINES.values()]
    to = ("--to", str(site.folder / "rebuilt"))
    rebuild = site.program("rebuild", "dichroism-watcher", "archive", "rebuild-manifest", *tapes, *to)
    assert rebuild.start(**NO_CLUSTER).wait(600) == 0, rebuild.words()
    assert {file.name: file.read_text() for file in (site.folder / "rebuilt").iterdir()} == manifests
    everything_back(site, campaign, tmp_path / "by-tape", ["scan", "catalogue", "manifest"], NO_CLUSTER)
    size = sum(one.size for one in campaign.originals.values())
    tables["restore-drill"] = f"{count} files, {size} bytes in {bundles} bundles: all equal, from each source alone"


def rewrite(site: Site, campaign: Campaign, scan: Scan) -> tuple[str, str]:
    """Let a file that is on tape get another sweep; its path and the sha256 of the content that was replaced."""
    path, file = scan.spec.path, site.mount("data402") / scan.spec.path
    before = campaign.originals["BL402", path]
    file.write_bytes(file.read_bytes() + b"one more line\n")
    campaign.originals["BL402", path] = original_of(file)
    site.tell_content(scan.name, file)

    def done_again() -> Scan | None:
        fresh = site.scans()[path]
        tape = fresh.copy_on("hpss402")
        again = succeeded(fresh) and tape and tape.sha256 == campaign.originals["BL402", path].sha256
        return fresh if again else None

    fresh = site.wait_for(done_again, "the new content is on tape too", 300)
    (old,) = fresh.status.superseded
    assert old.path == copy_on(scan, "hpss402").path != copy_on(fresh, "hpss402").path
    assert (old.sha256, old.size) == (before.sha256, before.size)
    return path, before.sha256


def old_content_back(
    site: Site, replaced: tuple[str, str], to: Path, source: str, environment: Mapping[str, str]
) -> None:
    """The replaced content is known to this source alone, and can be had."""
    path, sha256 = replaced
    folder = to / f"old-by-{source}"
    restore(site, folder, path, "--sha256", sha256, "--from", source, environment=environment)
    assert dict(files_below(folder)) == {path: sha256}


def _only(folder: Path) -> str:
    (digest,) = dict(files_below(folder)).values()
    return digest


def lose_the_disks(site: Site) -> dict[str, str]:
    """The copies on disk, the sources and the manifests are gone; what the manifests said."""
    said: dict[str, str] = {}
    for number in BEAMLINES.values():
        for place in ("data", "nersc"):
            root = site.mount(f"{place}{number}")
            said |= {file.name: file.read_text() for file in root.glob(f"{PRIVATE_DIR}/manifests/*")}
            shutil.rmtree(root)
            (root / PRIVATE_DIR).mkdir(parents=True)
    return said
