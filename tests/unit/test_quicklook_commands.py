"""``dichroism quicklook`` and ``dichroism inspect``, as a person uses them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dichroism_cli.main import main
from tests import samples
from tests.samples import bcs_text, variants


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "TrajScan31914-1_0002.txt"
    path.write_text(samples.xmcd_pair_631(points=200))
    return path


def test_a_picture_is_written_where_it_was_asked_for(pair: Path, tmp_path: Path) -> None:
    result = run("quicklook", pair, "-o", tmp_path / "a.png")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'a.png'}\n")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_picture_cannot_show_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text(bcs_text.truncated(samples.xmcd_pair_631(points=200, fields=(1.8,))))
    result = run("quicklook", path, "-o", tmp_path / "a.png")
    assert result.exit_code == 0
    assert "one field only" in result.stderr
    assert "last line" in result.stderr


def test_a_scan_is_never_overwritten_by_a_picture(pair: Path) -> None:
    before = pair.read_bytes()
    link = pair.with_name("link.png")
    link.hardlink_to(pair)
    for output in (pair, link):
        result = run("quicklook", pair, "-o", output)
        assert result.exit_code == 1
        assert "is no PNG; it was not replaced" in result.stderr
    assert pair.read_bytes() == before


def test_an_older_picture_is_replaced(pair: Path, tmp_path: Path) -> None:
    for sample in ("first", "second"):
        assert run("quicklook", pair, "-o", tmp_path / "a.png", "--sample", sample).exit_code == 0


def test_a_folder_that_is_not_there_is_an_error_of_one_line(pair: Path, tmp_path: Path) -> None:
    result = run("quicklook", pair, "-o", tmp_path / "no" / "a.png")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("command", [("inspect",), ("quicklook", "-o", "/dev/null")])
def test_what_is_no_scan_is_an_error_of_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    result = run(*command, path)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith(f"Error: {path}: this is no scan file")


def test_an_image_has_no_quick_look(tmp_path: Path) -> None:
    path = tmp_path / "InstrumentScan 000001.fits"
    path.write_bytes(variants.fits_image())
    assert "no quick-look of images" in run("quicklook", path, "-o", tmp_path / "a.png").stderr
    assert "exposure" in run("inspect", path).stdout


def test_inspect_shows_header_columns_sweeps_metadata_and_problems(pair: Path) -> None:
    result = run("inspect", pair)
    assert result.exit_code == 0
    for expected in (
        "  Date: 11/16/2017",
        "Columns: 53",
        "Magnet Field (T)",
        "Sweeps: 2, rows: 400",
        "began 2017-11-16 09:28:29 PST",
        "x-ray magnetic circular dichroism  http://purl.org/pan-science/PaNET/PaNET01137",
        "6.3.1",
        "750.1 to 850.0 eV",
        "Problems\n  none",
    ):
        assert expected in result.stdout


def test_inspect_writes_json_for_programs(pair: Path) -> None:
    found = json.loads(run("inspect", pair, "-o", "json").stdout)
    assert found["start"] == "2017-11-16T17:28:29+00:00"
    assert found["metadata"]["scan_number"] == 31914
    assert found["metadata"]["quicklook"]["kind"] == "xmcd"
    assert [sweep["rows"] for sweep in found["sweeps"]] == [200, 200]
    assert found["problems"] == []


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(samples.xmcd_pair_631(points=3, description="\x1b]0;owned\x07"))
    assert "\x1b" not in run("inspect", path).stdout


def test_the_beamline_can_be_given(pair: Path) -> None:
    found = json.loads(run("inspect", pair, "-o", "json", "--beamline", "BL402").stdout)
    assert found["metadata"]["beamline"] == "4.0.2"


def test_the_beamline_is_told_from_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(samples.xmcd_set_402(points=20)[0])
    assert json.loads(run("inspect", path, "-o", "json").stdout)["metadata"]["beamline"] == "4.0.2"
