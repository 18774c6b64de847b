"""The commands for people on what a real operator left: why, status, retry, hold and release, as one story."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from dichroism_crds.kinds import Scan, ScanPhase
from dichroism_crds.names import scan_name
from dichroism_crds.reasons import Reason
from tests.samples import filler
from tests.site import PYTHON, Site

FOLDER = "2026/people"
GOOD, LOST = f"{FOLDER}/good.txt", f"{FOLDER}/lost.txt"
LOST_BYTES = filler(20_000, 77)


@dataclass(frozen=True)
class Person:
    """Somebody with a kubeconfig, a shell, and no config.yml."""

    site: Site

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(PYTHON.parent / "dichroism"), *arguments, "--namespace", self.site.namespace],
            env=self.site.cluster.environment(),
            cwd=self.site.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "-o", "json", code=code))


@pytest.fixture(scope="module")
def person(shared_site: Site) -> Person:
    """A file went its whole way, another one is Failed because it is not there; seen by somebody else."""
    site, root = shared_site, shared_site.mount("data402")
    (root / FOLDER).mkdir(parents=True)
    (root / GOOD).write_bytes(filler(20_000, 7))
    (root / LOST).write_bytes(LOST_BYTES)
    bodies = [site.scan_body("BL402", path) for path in (GOOD, LOST)]
    (root / LOST).rename(root / f"{LOST}.elsewhere")
    site.create_scans(bodies)
    site.wait_for_phase(LOST, ScanPhase.FAILED)
    site.wait_for_phase(GOOD, ScanPhase.PRUNE_SCHEDULED)
    return Person(site)


def test_a_stuck_file_is_found_understood_and_retried(person: Person) -> None:
    root = person.site.mount("data402")
    status = person.json("status", "--beamline", "BL402", code=4)
    assert any("Failed" in one["message"] for one in status["needs"])
    listed = person.json("retry", "--failed", "--reason", Reason.SOURCE_MISSING, "--dry-run")
    assert LOST in {one["path"] for one in listed if one["again"]}

    shown = person.run("why", "people/lost.txt")
    assert Reason.SOURCE_MISSING.description in shown
    name = scan_name("BL402", "data402", LOST)
    advised = shown.rpartition("$ dichroism ")[2].split()
    assert advised == ["retry", name]

    (root / f"{LOST}.elsewhere").rename(root / LOST)
    assert "1 Scan of 1 tried again" in person.run(*advised)
    person.site.wait_for_phase(LOST, ScanPhase.PRUNE_SCHEDULED)
    assert "no step has failed" in person.run(*advised, code=1)


@pytest.mark.parametrize("where", ["data402", "nersc402", "hpss402"])
def test_a_file_is_told_of_by_its_path_on_any_endpoint(person: Person, where: str) -> None:
    told = person.json("why", str(person.site.mount(where) / GOOD))
    assert told["phase"] == "PruneScheduled"
    assert {copy["endpoint"] for copy in told["copies"]} == {"nersc402", "hpss402"}
    assert {one["destination"] for one in told["transfers"]} == {"nersc402", "hpss402"}
    assert {one["endpoint"] for one in told["prunes"]} == {"data402", "nersc402"}
    assert told["dataset"]["pid"]
    assert not told["next"]["person"]


def test_a_part_of_a_path_that_fits_several_lists_them(person: Person) -> None:
    assert {one["path"] for one in person.json("why", FOLDER)} == {GOOD, LOST}
    assert "fits 2 Scans" in person.run("retry", FOLDER, code=2)


def test_a_file_without_a_scan_is_explained(person: Person) -> None:
    (person.site.mount("data402") / "2026/people/new.tmp").write_text("x")
    told = person.json("why", "2026/people/new.tmp", code=1)
    assert any("watched for BL402" in one for one in told["findings"])


def test_a_hold_is_listed_with_whose_word_it_is_until_it_is_released(person: Person) -> None:
    name = scan_name("BL402", "data402", GOOD)
    prune = person.site.objects(Scan)[0].status.prune[0].prune
    assert "holds" in person.run("hold", GOOD, prune, "--by", "J. Doe", "--reason", "paper")
    held = {one["what"].split()[1]: one for one in person.json("hold", "--list") if one["by"] == "J. Doe"}
    assert held.keys() == {name, prune}
    assert "J. Doe" in person.run("why", name)
    person.run("release", name, prune)
    assert not [one for one in person.json("hold", "--list") if one["by"] == "J. Doe"]


def test_the_screen_has_every_beamline_with_its_counts(person: Person) -> None:
    told = person.json("status", code=4)
    assert [one["beamline"] for one in told["beamlines"]] == ["BL402", "BL631"]
    first = told["beamlines"][0]
    assert first["phases"]["PruneScheduled"] >= 1
    assert first["lastTransfer"]["name"].startswith("bl402-")
    assert first["nextPrune"]["files"] >= 1
    assert "works, last heard of" in told["operator"]
    assert "no watcher" in person.run("status", code=4)
