"""A flight check on mounted endpoints: what it notices, and that it touches nothing but files of its own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.config import Config, load
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.flight.check import FlightCheck
from dichroism_operator.flight.field import FLIGHT, KEPT_MANIFESTS, left_behind, new_name
from dichroism_operator.flight.result import FlightResult, Leg, Outcome
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.filesystem import FilesystemMover

PLACES = ("data402", "nersc402", "hpss402")
HOP, TAPE = "data402-nersc402", "nersc402-hpss402"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A beamline without catalogue on three mounted endpoints, each with a file of a user."""
    document: dict[str, Any] = {}
    for place in PLACES:
        root = tmp_path / place
        (root / PRIVATE_DIR).mkdir(parents=True)
        (root / "2026").mkdir()
        (root / "2026" / "scan.txt").write_text("measured")
        document[place] = {"root_path": f"/site/{place}", "uri": f"{place}.example.org", "mount": str(root)}
    document["beamlines"] = {
        "BL402": {
            "watch": {"root": "data402", "since": "2026-01-01"},
            "transfer": {"from": "data402", "to": "nersc402"},
            "archive": {"from": "nersc402", "to": "hpss402"},
        }
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(document))
    return load(tmp_path / "config.yml", {})


@pytest.fixture
def mover() -> Iterator[FilesystemMover]:
    with FilesystemMover(max_threads=2) as made:
        yield made


def check(config: Config, mover: Mover, **options: Any) -> FlightCheck:
    beamline = config.beamlines["BL402"]
    return FlightCheck(config, beamline, {"filesystem": mover}, **({"limit_s": 60.0} | options))


def fly(config: Config, mover: Mover, **options: Any) -> FlightResult:
    return asyncio.run(check(config, mover, **options).fly())


def legs(result: FlightResult) -> dict[str, Leg]:
    return {leg.name: leg for leg in result.legs}


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder with the number of its inode."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def root(config: Config, place: str) -> Path:
    mount = config.endpoints[place].mount
    assert mount
    return mount


@pytest.mark.parametrize("tape", [False, True])
def test_every_leg_is_tried_and_not_a_file_stays(config: Config, mover: FilesystemMover, tape: bool) -> None:
    before = {place: files(root(config, place)) for place in PLACES}
    result = fly(config, mover, tape=tape)
    assert result.passed, result.summary
    assert [leg.name for leg in result.legs] == [HOP, TAPE, "cleanup"]
    assert "65536 bytes sent and compared" in legs(result)[HOP].message
    assert ("bundle" in legs(result)[TAPE].message) == tape
    assert {place: files(root(config, place)) for place in PLACES} == before


def test_a_file_of_a_user_is_never_opened_for_writing_or_replaced(config: Config, mover: FilesystemMover) -> None:
    """Even where somebody keeps notes in the folder of the checks, and a link leads out of it."""
    elsewhere = root(config, "nersc402") / "2026"
    for place in PLACES:
        (root(config, place) / FLIGHT).mkdir()
        (root(config, place) / FLIGHT / "notes.txt").write_text("mine")
        (root(config, place) / FLIGHT / "link").symlink_to(elsewhere)
    before = {place: files(root(config, place)) for place in PLACES}
    assert fly(config, mover, tape=True).passed
    assert {place: files(root(config, place)) for place in PLACES} == before
    assert (elsewhere / "scan.txt").read_text() == "measured"


def test_a_folder_of_the_checks_that_is_a_link_is_not_followed(config: Config, mover: FilesystemMover) -> None:
    (root(config, "nersc402") / FLIGHT).symlink_to(root(config, "nersc402") / "2026")
    result = fly(config, mover)
    assert legs(result)[HOP].outcome == Outcome.FAILED
    assert [path.name for path in (root(config, "nersc402") / "2026").iterdir()] == ["scan.txt"]
    assert not files(root(config, "data402") / FLIGHT)


def test_what_killed_checks_left_goes_after_a_day_and_nothing_else(config: Config, mover: FilesystemMover) -> None:
    old, young = (new_name("BL402", now() - age) for age in (timedelta(days=1, minutes=1), timedelta(hours=23)))
    kept = [young, "flight-notes.bin", f"{old}.copy", "standing.bin"]
    for place in PLACES[:2]:
        (root(config, place) / FLIGHT).mkdir()
        for name in (old, f"{old}.tar", *kept):
            (root(config, place) / FLIGHT / name).write_text("left")
    manifests = root(config, "nersc402") / KEPT_MANIFESTS
    manifests.mkdir(parents=True)
    for name in (f"{old}.tar.tsv", f"{young}.tar.tsv"):
        (manifests / name).write_text("left")
    result = fly(config, mover)
    assert result.passed, result.summary
    assert "5 files that killed checks left" in legs(result)["cleanup"].message
    for place in PLACES[:2]:
        assert sorted(one.name for one in (root(config, place) / FLIGHT).iterdir() if one.is_file()) == sorted(kept)
    assert [one.name for one in manifests.iterdir()] == [f"{young}.tar.tsv"]


def test_the_age_of_a_file_is_in_its_name() -> None:
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    names = [new_name("BL402", moment - timedelta(hours=hours)) for hours in (0, 24, 25, 400)]
    assert left_behind(names, moment) == names[2:]
    assert not left_behind(["flight-bl402-20269999T999999Z-00000000.bin", "scan.txt", f"x{names[3]}"], moment)


def test_an_endpoint_whose_file_system_is_gone_is_named_and_the_other_legs_are_tried(
    config: Config, mover: FilesystemMover
) -> None:
    (root(config, "nersc402") / PRIVATE_DIR).rename(root(config, "nersc402") / "elsewhere")
    result = legs(fly(config, mover))
    for name in (HOP, TAPE):
        assert (result[name].outcome, result[name].reason) == (Outcome.FAILED, Reason.ENDPOINT_UNAVAILABLE)
        assert "not mounted" in result[name].message
    assert result["cleanup"].outcome == Outcome.PASSED
    assert not files(root(config, "data402") / FLIGHT)


def test_without_a_copy_nothing_is_stored_on_tape(config: Config, mover: FilesystemMover) -> None:
    (root(config, "nersc402") / FLIGHT).write_text("in the way")
    result = legs(fly(config, mover, tape=True))
    assert result[TAPE].outcome == Outcome.SKIPPED
    assert not (root(config, "hpss402") / FLIGHT).exists()


@pytest.fixture
def mounted(config: Config) -> Iterator[Callable[[str, str], None]]:
    """Put a small file system with given options in the place of an endpoint."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system can only be mounted by root on Linux; run the tests as root to try this fault")
    done: list[Path] = []

    def mount(place: str, options: str) -> None:
        folder = root(config, place)
        said = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True)
        if said.returncode != 0:
            pytest.skip(f"a tmpfs cannot be mounted here: {said.stderr.decode().strip()}")
        done.append(folder)
        (folder / PRIVATE_DIR).mkdir()
        if options == "full":
            (folder / PRIVATE_DIR / "ballast").write_bytes(bytes(88 * 1024))
        else:
            subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    yield mount
    for folder in done:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("place", "options", "leg", "reason"),
    [
        ("nersc402", "full", HOP, Reason.DESTINATION_FULL),
        ("nersc402", "ro", HOP, Reason.ENDPOINT_UNAVAILABLE),
        ("data402", "ro", HOP, Reason.ENDPOINT_UNAVAILABLE),
        ("hpss402", "ro", TAPE, Reason.ENDPOINT_UNAVAILABLE),
    ],
)
def test_a_full_or_read_only_file_system_is_noticed(
    config: Config,
    mover: FilesystemMover,
    mounted: Callable[[str, str], None],
    place: str,
    options: str,
    leg: str,
    reason: Reason,
) -> None:
    mounted(place, options)
    before = {one: files(root(config, one)) for one in PLACES}
    result = legs(fly(config, mover))
    assert (result[leg].outcome, result[leg].reason) == (Outcome.FAILED, reason), result
    assert {one: files(root(config, one)) for one in PLACES} == before
