"""`dichroism restore` where no archive is mounted: jobs bring bundles back, whatever dies meanwhile, each once."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import to_ns
from dichroism_operator.killpoints import ENV
from dichroism_operator.movers.choice import SFAPI_POLL
from dichroism_operator.movers.sfapi.retrievals import LARGEST_READ
from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.sfapi_hop import SfapiHop, new_hop
from tests.unit.mover_contract import AWKWARD_NAMES, MOMENT, reasons

PATIENCE_S = 240
BUNDLES = {
    "2026/bl402-20261122-20261122-0123456789ab-01234567.tar": {f"2026/{name}": name.encode() for name in AWKWARD_NAMES},
    "2026/bl402-20261123-20261123-ba9876543210-76543210.tar": {"2026/a.txt": b"a" * 1000, "2026/b.txt": b"b" * 2000},
}
FIRST, SECOND = BUNDLES
CONTENTS = {path: content for members in BUNDLES.values() for path, content in members.items()}


@dataclass
class Place:
    """Two bundles on tape and their manifests; nothing else is left of their files."""

    hop: SfapiHop
    root: Path

    @property
    def target(self) -> Path:
        return self.root / "restored"

    def configure(self, *, mounted: bool = False) -> None:
        """Write config.yml: the archive is never mounted, the disk at its site may be."""
        nersc: dict[str, Any] = {"root_path": self.hop.source.root_path}
        document = {
            "data402": {"root_path": "/site/data402"},
            "nersc402": nersc | ({"mount": self.hop.source.root_path} if mounted else {}),
            "hpss402": {"root_path": self.hop.destination.root_path},
            "beamlines": {
                "BL402": {
                    "watch": {"root": "data402", "since": "2026-01-01"},
                    "transfer": {"from": "data402", "to": "nersc402", "mover": "filesystem"},
                    "archive": {"from": "nersc402", "to": "hpss402", "mover": "sfapi"},
                }
            },
            "sfapi": self.hop.service.section(),
        }
        (self.root / "config.yml").write_text(yaml.safe_dump(document, sort_keys=False))

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        """`dichroism restore` of everything, by the manifests alone."""
        program = Path(sys.executable).parent / "dichroism"
        command = [str(program), "restore", ".", "--to", str(self.target), "--from", "manifest"]
        manifests = ["--manifests", str(self.root / "manifests"), "--config", str(self.root / "config.yml")]
        log = (self.root / "log").open("w")
        given = os.environ | self.hop.service.environment() | {SFAPI_POLL: "0.1", "PYTHONUNBUFFERED": "1"}
        with log:
            return subprocess.Popen(
                [*command, *manifests],
                env=given | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
            )

    def run(self, **environment: str) -> int:
        """Run it to its end; the exit code."""
        return self.start(**environment).wait(PATIENCE_S)

    @property
    def said(self) -> str:
        return (self.root / "log").read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def jobs(self) -> list[str]:
        """Names of all jobs that were submitted to bring something back."""
        return [job["name"] for job in self.hop.service.jobs() if "_retrieve_" in job["name"] and self.owns(job)]

    def owns(self, job: dict[str, Any]) -> bool:
        return str(job["script"]).startswith(self.hop.source.root_path)

    def restored(self) -> dict[str, bytes]:
        """Every file in the target; a killed run may have left an unfinished one behind, under a name of its own."""
        files = (one for one in self.target.rglob("*") if one.is_file())
        return {str(one.relative_to(self.target)): one.read_bytes() for one in files if one.suffix != ".part"}

    def require_all(self) -> None:
        assert self.restored() == CONTENTS
        for path in CONTENTS:
            assert (self.target / path).stat().st_mtime_ns // 1000 == to_ns(MOMENT) // 1000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture(scope="module")
def packed(service: SfapiEmulator, tmp_path_factory: pytest.TempPathFactory) -> SfapiHop:
    """The two bundles, packed once for all tests."""
    hop = new_hop(service, tmp_path_factory.mktemp("packed"))
    with hop.sfapi:
        for bundle, members in BUNDLES.items():
            items = [hop.put(path, content) for path, content in members.items()]
            assert set(reasons(hop.run(*items, bundle=bundle)).values()) == {Reason.COPIED}
    return hop


@pytest.fixture
def place(packed: SfapiHop, service: SfapiEmulator, tmp_path: Path) -> Iterator[Place]:
    """A tape of its own with the bundles, and a disk at the site with nothing of theirs."""
    hop = new_hop(service, tmp_path)
    for bundle in BUNDLES:
        service.store(f"{hop.destination.root_path}/{bundle}", (packed.destination_root / bundle).read_bytes())
    shutil.copytree(packed.source_root / ".dichroism/manifests", tmp_path / "manifests")
    place = Place(hop, tmp_path)
    place.configure()
    yield place
    service.clear_faults()
    service.slurm.lose_all()


def test_every_file_comes_back_by_one_job_for_each_bundle(place: Place) -> None:
    assert place.run() == 0, place.said
    place.require_all()
    assert place.said.count("was submitted") == len(BUNDLES)
    shutil.rmtree(place.target)
    assert place.run() == 0, place.said
    place.require_all()
    assert len(place.jobs()) == len(BUNDLES), "what was brought back is met"


@pytest.mark.parametrize("point", ["order-uploaded", "task-posted", "file-restored:3"])
def test_a_command_killed_at_any_point_goes_on_when_it_is_started_again(place: Place, point: str) -> None:
    assert place.run(**{ENV: point}) == -signal.SIGKILL
    assert place.run() == 0, place.said
    place.require_all()
    assert len(place.jobs()) == len(set(place.jobs())) == len(BUNDLES)


def test_jobs_that_wait_for_hours_outlive_ctrl_c_a_kill_and_an_outage_and_are_met_again(
    place: Place, service: SfapiEmulator
) -> None:
    service.hold(True)
    for number in (signal.SIGINT, signal.SIGKILL):
        process = place.start()
        place.wait_for(lambda: place.said.count("is PENDING (Priority)") == len(BUNDLES))
        process.send_signal(number)
        process.wait(PATIENCE_S)
        if number == signal.SIGINT:
            assert process.returncode == 1
            assert "run the same command again" in place.said.splitlines()[-1]
    process = place.start()
    place.wait_for(lambda: place.said.count("is PENDING (Priority)") == len(BUNDLES))
    service.stop()
    place.wait_for(lambda: "does not answer" in place.said)
    service.start()
    service.hold(False)
    assert process.wait(PATIENCE_S) == 0, place.said
    place.require_all()
    assert len(place.jobs()) == len(BUNDLES)


def test_a_job_that_ends_badly_is_told_in_one_line_and_the_other_bundle_comes(
    place: Place, service: SfapiEmulator
) -> None:
    service.fault("hsi-fails", command=f"^get .*{FIRST}")
    assert place.run() == 1, place.said
    (line,) = [one for one in place.said.splitlines() if one.startswith("failed: ")]
    assert FIRST in line
    assert "Run the same command again when the tape archive is back" in line
    assert place.restored() == BUNDLES[SECOND]
    assert place.run() == 0, place.said
    place.require_all()


def test_an_expired_client_ends_it_with_what_to_do_and_the_jobs_are_met_with_a_new_one(
    place: Place, service: SfapiEmulator
) -> None:
    service.hold(True)
    process = place.start()
    place.wait_for(lambda: place.said.count("is PENDING (Priority)") == len(BUNDLES))
    service.expire_client()
    assert process.wait(PATIENCE_S) == 1
    lines = [one for one in place.said.splitlines() if one.startswith("failed: ")]
    assert len(lines) == len(BUNDLES)
    assert all("Make a new client" in one and "run the same command again" in one for one in lines)
    service.new_client()
    service.hold(False)
    assert place.run() == 0, place.said
    place.require_all()
    assert len(place.jobs()) == len(BUNDLES)


def test_what_differs_on_tape_is_not_restored_and_the_rest_is(place: Place) -> None:
    bundle = place.hop.destination_root / SECOND
    bundle.write_bytes(bundle.read_bytes().replace(b"aaa", b"aab", 1))
    assert place.run() == 1
    assert "failed: 2026/a.txt: what bundle" in place.said
    assert place.restored() == {path: content for path, content in CONTENTS.items() if path != "2026/a.txt"}
    (place.hop.destination_root / FIRST).unlink()
    shutil.rmtree(place.target)
    shutil.rmtree(place.hop.source_root / ".dichroism/restored")
    assert place.run() == 1
    assert f"failed: {len(AWKWARD_NAMES)} files, such as " in place.said
    assert f"{FIRST} is not on tape" in place.said


def test_a_file_too_large_for_the_service_is_told_where_it_lies(place: Place) -> None:
    large, small = b"x" * (LARGEST_READ + 1), b"y"
    items = [place.hop.put(f"2026/large {number}.txt", content) for number, content in enumerate((large, small))]
    with place.hop.sfapi:
        place.hop.run(*items, bundle=FIRST.replace("20261122", "20261124"))
    (place.root / "manifests").rename(place.root / "others")
    shutil.move(place.hop.source_root / ".dichroism/manifests", place.root)
    assert place.run() == 1
    (line,) = [one for one in place.said.splitlines() if one.startswith("failed: ")]
    (where,) = re.findall(r"copy it from (/.*/2026/large 0.txt) there", line)
    assert Path(where).read_bytes() == large
    assert place.restored() == {"2026/large 1.txt": small}
    place.configure(mounted=True)
    assert place.run() == 0, place.said
    assert (place.target / "2026/large 0.txt").read_bytes() == large
    assert len(place.jobs()) == 1
