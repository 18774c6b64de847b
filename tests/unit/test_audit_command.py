"""The audit of real folders: what it finds, what it says of places that it can't see, and that it changes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dichroism_cli.main import main
from dichroism_crds.names import PRIVATE_DIR
from tests.fault.supervisor import WITHOUT_ROOT
from tests.unit.archived_folders import Tape
from tests.unit.mover_contract import MOMENT, put

NO_CLUSTER = {"KUBECONFIG": "/nowhere"}
FILES = {f"2026/261122/scan{number}.txt": b"content" * (number + 1) for number in range(6)}
NOW = ("--at-least-age", "0s")


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """Six files of BL402 that are everywhere."""
    made = Tape(tmp_path)
    made.pack(FILES)
    for path, content in FILES.items():
        put(made.root / "data402", path, content, MOMENT)
    return made


def audit(tape: Tape, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", "--config", str(tape.config), *NOW, *arguments], env=NO_CLUSTER)


def found(tape: Tape, *arguments: str) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Paths by kind, and what was not looked at."""
    answer = audit(tape, "-o", "json", *arguments)
    document = json.loads(answer.stdout)
    kinds: dict[str, list[str]] = {}
    for one in document["findings"]:
        kinds.setdefault(one["kind"], []).append(one["path"])
    for beamline in document["beamlines"]:
        told = [one for one in document["findings"] if one["beamline"] == beamline["beamline"]]
        assert sum(beamline["findings"].values()) == len(told)
    unseen = [one for beamline in document["beamlines"] for one in beamline["notLookedAt"]]
    assert answer.exit_code == bool(kinds) + 4 * any(not one["asAsked"] for one in unseen), answer.output
    return kinds, unseen


def everything_below(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Attributes and content of all that is there; reading is no change."""
    told = {}
    for path in sorted(folder.rglob("*")):
        one = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        told[str(path.relative_to(folder))] = (one.st_mode, one.st_mtime_ns, one.st_ctime_ns, content)
    return told


def test_nothing_is_wrong_where_everything_is_everywhere(tape: Tape) -> None:
    answer = audit(tape)
    assert answer.exit_code == 0, answer.output
    assert answer.output.endswith("nothing is wrong\n")
    assert "data402   6" in answer.output
    assert found(tape) == ({}, [])


def test_each_trouble_is_named_with_its_file(tape: Tape) -> None:
    first, second, third, fourth, *_ = FILES
    (tape.root / "nersc402" / first).unlink()
    put(tape.root / "nersc402", second, b"half", MOMENT)
    put(tape.root / "data402", "2026/new.txt", b"new", MOMENT)
    put(tape.root / "nersc402", "2026/new.txt", b"new", MOMENT)
    put(tape.root / "data402", "2026/bad\nname.txt", b"odd", MOMENT)
    put(tape.root / "data402", "2026/half-written.tmp", b"not a scan", MOMENT)
    (tape.root / "data402" / third).unlink()
    (tape.root / "data402" / fourth).rename(tape.root / "data402/2026/renamed.txt")
    kinds, unseen = found(tape)
    assert kinds == {
        "NotCopied": [first],
        "CopyDiffers": [second],
        "NotArchived": ["2026/new.txt"],
        "Quarantined": ["2026/bad\\nname.txt"],
    }
    assert unseen == []
    said = audit(tape).output
    assert "1 file renamed on the source" in said
    assert "bad\\nname.txt" in said
    assert "4 findings" in said


def test_a_bundle_that_is_gone_is_one_finding_for_all_its_files(tape: Tape) -> None:
    (bundle,) = (tape.root / "hpss402").rglob("*.tar")
    bundle.unlink()
    assert found(tape) == ({"BundleMissing": [str(bundle.relative_to(tape.root / "hpss402"))]}, [])


def test_a_damaged_copy_is_found_by_its_checksum_alone(tape: Tape) -> None:
    path = next(iter(FILES))
    put(tape.root / "nersc402", path, b"CONTENT", MOMENT)
    assert found(tape) == ({}, [])
    assert found(tape, "--checksums") == ({"ChecksumDiffers": [path]}, [])


@pytest.mark.parametrize("place", ["data402", "nersc402", "hpss402"])
def test_a_place_that_is_not_there_is_not_called_empty(tape: Tape, place: str) -> None:
    shutil.rmtree(tape.root / place / PRIVATE_DIR)  # a mount point whose file system is not mounted
    shutil.rmtree(tape.root / place / "2026")
    kinds, unseen = found(tape)
    assert kinds == {}
    assert {one["place"] for one in unseen} >= {{"data402": "source", "nersc402": "disk", "hpss402": "tape"}[place]}
    said = audit(tape)
    assert said.exit_code == 4
    assert "NOT LOOKED AT" in said.output
    assert "nothing is wrong" not in said.output


def test_a_damaged_manifest_is_told_and_the_others_count(tape: Tape) -> None:
    tape.pack({"2026/other.txt": b"other"}, later=60)
    put(tape.root / "data402", "2026/other.txt", b"other", MOMENT)
    damaged = next(one for one in tape.manifests().iterdir() if "00000060" in one.name)
    damaged.write_text("no manifest")
    kinds, unseen = found(tape)
    assert kinds == {"NotArchived": ["2026/other.txt"]}
    assert [one["path"] for one in unseen] == [f"{PRIVATE_DIR}/manifests/{damaged.name}"]


def test_what_a_person_leaves_out_is_said_and_no_fault(tape: Tape) -> None:
    answer = audit(tape, "--without", "tape")
    assert answer.exit_code == 0
    assert "nothing is wrong, as far as was looked: without tape" in answer.output


def test_without_a_cluster_the_calendar_is_not_called_complete(tape: Tape) -> None:
    document = tape.config.read_text()
    rule = "    prune:\n      data402: {after: 180d, needs: [nersc402, hpss402]}\n"
    tape.config.write_text(document.replace("  BL631:\n", f"{rule}  BL631:\n"))
    kinds, unseen = found(tape, "--beamline", "BL402")
    assert kinds == {}
    assert [one["place"] for one in unseen] == ["kubernetes"]
    assert audit(tape, "--beamline", "BL402", "--without", "kubernetes").exit_code == 0


def test_many_findings_are_counted_and_the_oldest_named(tape: Tape) -> None:
    for number in range(30):
        put(tape.root / "data402", f"2026/lost{number:02d}.txt", b"x", MOMENT)
    said = audit(tape)
    assert "and 10 more (see --output json)" in said.output
    assert len(found(tape)[0]["NotCopied"]) == 30


def test_links_are_neither_followed_nor_counted(tape: Tape, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text("x")
    (tape.root / "data402/2026/way-out").symlink_to(tmp_path / "outside")
    (tape.root / "data402/2026/alias.txt").symlink_to(tmp_path / "outside/secret.txt")
    assert found(tape) == ({}, [])


def test_nothing_is_changed_and_folders_that_can_only_be_read_are_enough(tape: Tape) -> None:
    (tape.root / "nersc402" / next(iter(FILES))).unlink()
    places = [tape.root / name for name in ("data402", "nersc402", "hpss402", "data631", "nersc631", "hpss631")]
    for folder in (one for place in places for one in (place, *place.rglob("*")) if one.is_dir()):
        folder.chmod(0o555)
    before = [everything_below(place) for place in places]
    run = subprocess.run(
        [
            *WITHOUT_ROOT,
            str(Path(sys.executable).parent / "dichroism"),
            "audit",
            "--config",
            tape.config,
            "--checksums",
        ],
        capture_output=True,
        text=True,
        env=os.environ | NO_CLUSTER,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert found(tape, "--checksums")[0] == {"NotCopied": [next(iter(FILES))]}
    assert [everything_below(place) for place in places] == before
