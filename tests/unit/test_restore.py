"""Files come back from tape as they were, from the manifests alone, and nothing is replaced or believed unchecked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from dichroism_crds.names import PRIVATE_DIR, scan_name
from dichroism_crds.timestamps import to_ns
from dichroism_operator.catalogue.scicat_documents import dataset_pid
from tests.unit.archived_folders import MANIFEST_ONLY, Tape
from tests.unit.mover_contract import AWKWARD_NAMES, MOMENT, sha256

PATH = "2026/261122/TrajScan31914-1_0001.txt"


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if not one.is_dir()}


NAME = scan_name("BL402", "data402", PATH)


@pytest.mark.parametrize(
    "word",
    [PATH, "2026/261122", ".", NAME, dataset_pid(NAME), f"20.500/{dataset_pid(NAME)}", f"/site/nersc402/{PATH}"],
)
def test_a_file_is_found_by_path_folder_scan_or_pid_and_comes_back_as_it_was(tape: Tape, word: str) -> None:
    tape.pack({"2026/261121/other.txt": b"other", PATH: b"energy\n"})
    done = tape.restore(word)
    assert done.exit_code == 0, done.output
    assert (tape.target / PATH).read_bytes() == b"energy\n"
    assert (tape.target / PATH).stat().st_mtime_ns // 1000 == to_ns(MOMENT) // 1000
    assert len(files_below(tape.target)) == (2 if word == "." else 1)


def test_a_mounted_path_is_understood_and_a_strange_one_refused(tape: Tape) -> None:
    tape.pack({PATH: b"x"})
    assert tape.restore(str(tape.root / "nersc402" / PATH)).exit_code == 0
    strange = tape.restore("/elsewhere/x.txt")
    assert strange.exit_code == 2
    assert "below no root_path" in strange.output


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_any_legal_name_comes_back(tape: Tape, name: str) -> None:
    tape.pack({f"{name}/{name}": name.encode()})
    done = tape.restore(".")
    assert done.exit_code == 0, done.output
    assert files_below(tape.target) == {f"{name}/{name}": name.encode()}


def test_what_stands_there_is_never_replaced_and_an_equal_file_is_enough(tape: Tape) -> None:
    tape.pack({"same.txt": b"same", "mine.txt": b"theirs", "link.txt": b"behind a link", "free.txt": b"free"})
    tape.target.mkdir()
    (tape.target / "same.txt").write_bytes(b"same")
    (tape.target / "mine.txt").write_bytes(b"my own")
    (tape.target / "link.txt").symlink_to(tape.root / "outside.txt")
    done = tape.restore(".")
    assert done.exit_code == 1
    assert "1 restored, 1 there already, 2 occupied" in done.output
    assert (tape.target / "mine.txt").read_bytes() == b"my own"
    assert (tape.target / "free.txt").read_bytes() == b"free"
    assert not (tape.root / "outside.txt").exists()
    again = tape.restore("same.txt", "free.txt")
    assert again.exit_code == 0
    assert "2 there already" in again.output


def test_no_file_is_written_through_a_link_in_its_way(tape: Tape) -> None:
    tape.pack({PATH: b"x"})
    outside = tape.root / "outside"
    outside.mkdir()
    tape.target.mkdir()
    (tape.target / "2026").symlink_to(outside)
    assert tape.restore(PATH).exit_code == 1
    assert not list(outside.iterdir())


def damage(tar: Path, content: bytes) -> None:
    """Change a byte of a member where it lies in the bundle."""
    whole = tar.read_bytes()
    tar.write_bytes(whole.replace(content, bytes([content[0] ^ 1]) + content[1:]))


def test_a_damaged_member_is_not_restored_and_its_neighbours_are(tape: Tape) -> None:
    damage(tape.pack({"bad.txt": b"precious bytes", "good.txt": b"good"}), b"precious bytes")
    done = tape.restore(".")
    assert done.exit_code == 1
    assert "failed: bad.txt" in done.output
    assert files_below(tape.target) == {"good.txt": b"good"}


def test_a_bundle_that_is_cut_gives_what_lies_before_the_cut(tape: Tape) -> None:
    tar = tape.pack({"first.txt": b"1" * 2_000, "second.txt": b"2" * 50_000})
    os.truncate(tar, tar.stat().st_size - 50_000)
    done = tape.restore(".")
    assert done.exit_code == 1
    assert files_below(tape.target) == {"first.txt": b"1" * 2_000}


@pytest.mark.parametrize("trouble", ["damaged", "gone"])
def test_the_same_content_in_another_bundle_is_taken_instead(tape: Tape, trouble: str) -> None:
    first = tape.pack({PATH: b"precious bytes"})
    second = tape.pack({PATH: b"precious bytes", "x.txt": b"x"}, later=1)
    assert [one["bundles"] for one in tape.listed(PATH)] == [[f"2026/{one.name}" for one in sorted([first, second])]]
    if trouble == "gone":
        min(first, second).unlink()
    else:
        damage(min(first, second), b"precious bytes")
    assert tape.restore(PATH).exit_code == 0
    assert (tape.target / PATH).read_bytes() == b"precious bytes"


def test_the_newest_content_comes_back_and_a_replaced_one_can_be_had(tape: Tape) -> None:
    tape.pack({PATH: b"first"})
    tape.pack({PATH: b"second"}, later=60)
    assert [(one["sha256"], one["superseded"]) for one in tape.listed(PATH)] == [
        (sha256(b"second"), False),
        (sha256(b"first"), True),
    ]
    assert tape.restore(PATH).exit_code == 0
    assert (tape.target / PATH).read_bytes() == b"second"
    shutil.rmtree(tape.target)
    assert tape.restore(PATH, "--sha256", sha256(b"first")[:10]).exit_code == 0
    assert (tape.target / PATH).read_bytes() == b"first"


def test_a_manifest_can_name_no_place_outside_the_folder(tape: Tape) -> None:
    tar = tape.pack({PATH: b"x"})
    manifest = tape.manifests() / f"{tar.name}.tsv"
    lines = manifest.read_text()
    for bad in ("../outside.txt", "/etc/outside.txt", "a//b.txt"):
        manifest.write_text(lines.replace(PATH, bad))
        done = tape.restore(".")
        assert done.exit_code == 1
        assert "nothing on tape is known" in done.output


def test_equal_paths_of_two_beamlines_are_told_apart(tape: Tape) -> None:
    tape.pack({PATH: b"of 402"})
    tape.pack({PATH: b"of 631"}, number="631")
    mixed = tape.restore(PATH)
    assert mixed.exit_code == 2
    assert "--beamline" in mixed.output
    assert tape.restore(PATH, "--beamline", "BL631").exit_code == 0
    assert (tape.target / PATH).read_bytes() == b"of 631"


def test_bundles_that_a_person_fetched_are_enough(tape: Tape) -> None:
    tar = tape.pack({PATH: b"x"})
    fetched = tape.root / "fetched"
    fetched.mkdir()
    shutil.move(tar, fetched)
    shutil.rmtree(tape.root / "hpss402")
    shutil.move(tape.manifests(), tape.root / "saved")
    done = tape.restore(PATH, "--bundles", str(fetched), "--manifests", str(tape.root / "saved"))
    assert done.exit_code == 0, done.output
    assert (tape.target / PATH).read_bytes() == b"x"


def test_what_is_not_mounted_is_said_and_nothing_is_invented(tape: Tape) -> None:
    tape.pack({PATH: b"x"})
    shutil.rmtree(tape.root / "hpss402" / PRIVATE_DIR)
    done = tape.restore(PATH)
    assert done.exit_code == 1
    assert "can't be read" in done.output
    assert not files_below(tape.target)
    shutil.rmtree(tape.manifests())
    blind = tape.restore(PATH)
    assert blind.exit_code == 1
    assert "no source could be asked" in blind.output


def test_a_full_disk_leaves_whole_files_only_and_the_next_run_goes_on(tape: Tape) -> None:
    tape.pack({"a.txt": b"a" * 1_000, "b.txt": b"b" * 200_000})
    program = Path(sys.executable).parent / "dichroism"
    arguments = ["restore", ".", "--config", str(tape.config), "--to", str(tape.target), *MANIFEST_ONLY]
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "bash", str(program), *arguments]
    done = subprocess.run(limited, capture_output=True, text=True)
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert files_below(tape.target) == {"a.txt": b"a" * 1_000}
    assert tape.restore(".").exit_code == 0
    assert files_below(tape.target)["b.txt"] == b"b" * 200_000


@pytest.mark.parametrize("sound", [True, False])
def test_the_plain_commands_of_the_page_restore_and_check_a_bundle(tape: Tape, sound: bool) -> None:
    contents = {name: name.encode() for name in AWKWARD_NAMES if name != "MANIFEST.tsv"} | {PATH: b"energy\n"}
    tar = tape.pack(contents)
    if not sound:
        damage(tar, b"energy\n")
    page = (Path(__file__).parents[2] / "docs/how-to/restore.md").read_text()
    lines = re.findall(r"^\$ (tar .*\$BUNDLE.*)$", page, re.MULTILINE)
    assert len(lines) == 4
    here = tape.root / "by-hand"
    here.mkdir()
    script = "; ".join(["set -eo pipefail", f"BUNDLE='{tar}'", *lines])
    done = subprocess.run(["bash", "-c", script], cwd=here, capture_output=True, text=True)
    assert (done.returncode == 0) is sound, done.stderr
    if sound:
        assert files_below(here).items() >= contents.items()


# manifests from bundles


def rebuilt(tape: Tape, *arguments: str) -> Result:
    return tape.run("archive", "rebuild-manifest", *arguments, "--to", str(tape.root / "anew"))


def test_a_manifest_is_made_anew_from_its_bundle_byte_for_byte(tape: Tape) -> None:
    tape.pack({name: name.encode() for name in AWKWARD_NAMES})
    tape.pack({PATH: b"x"}, later=5)
    before = files_below(tape.manifests())
    shutil.rmtree(tape.manifests())
    assert rebuilt(tape, str(tape.root / "hpss402")).exit_code == 0
    assert files_below(tape.root / "anew") == before
    assert tape.restore(".", "--manifests", str(tape.root / "anew")).exit_code == 0
    assert files_below(tape.target) == {PATH: b"x", **{name: name.encode() for name in AWKWARD_NAMES}}
    assert "there already" in rebuilt(tape, str(tape.root / "hpss402")).output


def test_a_damaged_bundle_gives_no_manifest_and_no_manifest_is_replaced(tape: Tape) -> None:
    good, bad = tape.pack({"good.txt": b"good"}), tape.pack({"bad.txt": b"precious bytes"}, later=1)
    damage(bad, b"precious bytes")
    (tape.root / "anew").mkdir()
    other = tape.root / "anew" / f"{good.name}.tsv"
    other.write_text("somebody's notes")
    done = rebuilt(tape, str(good), str(bad))
    assert done.exit_code == 1
    assert "was not touched" in done.output
    assert "does not have the sha256" in done.output
    assert files_below(tape.root / "anew") == {other.name: b"somebody's notes"}
