"""The made-up scan files: the same for a seed, and in the form that the control system writes."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import samples
from tests.samples import bcs_text
from tests.samples.channels import BL402, BL631

NAME_IN_THE_FIELD = re.compile(
    r"(TrajScan|SigScan|Trajectory Scan)\s*\d+(-\d+)?([_ ]\d+)?\.(txt|sdc\.json)|RT\d+norm_\d{4}"
)


def table(text: str) -> tuple[list[str], list[list[str]]]:
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("Time of Day"))
    return lines[start].split("\t"), [line.split("\t") for line in lines[start + 1 :]]


def test_a_campaign_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: Path) -> None:
    first, again, other = (
        samples.generate(tmp_path / name, "BL402", 12, seed) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    contents = [[path.read_bytes() for path in paths] for paths in (first, again, other)]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize("beamline", ["BL402", "BL631"])
def test_every_file_of_a_campaign_has_its_own_path_with_a_name_and_folder_of_the_field(beamline: str) -> None:
    paths = [one.path for one in itertools.islice(samples.sample_files(beamline, points=3), 120)]
    assert len(set(paths)) == len(paths)
    for path in paths:
        folder, name = path.rsplit("/", 1)
        assert re.fullmatch(r"2026/26\d{4}", folder)
        assert NAME_IN_THE_FIELD.fullmatch(name), name


def test_both_line_ends_and_a_cut_last_line_occur_in_a_campaign() -> None:
    files = list(itertools.islice(samples.sample_files("BL631", points=3), 60))
    assert {b"\r\n" in one.content for one in files} == {True, False}
    assert any(not one.content.endswith(b"\n") for one in files)


def test_a_pair_of_631_has_53_columns_with_three_names_twice_and_two_unread_channels() -> None:
    text = samples.xmcd_pair_631(points=20)
    names, rows = table(text)
    assert len(names) == 53
    assert text.splitlines()[10].startswith("Time of Day\t")
    assert sorted(name for name in set(names) if names.count(name) == 2) == ["Energy", "Magnet Field", "Z"]
    assert {len(row) for row in rows} == {53}
    assert [names[index] for index, value in enumerate(rows[0]) if value == "NaN"] == [
        "Heater Range (HT)",
        "Heater Power (HT)",
    ]
    assert [row[2] for row in rows] == ["-1.79999995"] * 20 + ["1.79999995"] * 20
    assert len(BL631) == 48


def test_a_pair_of_631_shows_dichroism_at_the_edge_and_none_before_it() -> None:
    names, rows = table(samples.xmcd_pair_631(points=1000))
    yields = [float(row[names.index("EY")]) / float(row[names.index("Clock")]) for row in rows]
    difference = [plus - minus for minus, plus in zip(yields[:1000], yields[1000:], strict=True)]
    at_edge = round((777.0 - 750.1) / 0.1)
    assert difference[at_edge] < -0.05
    assert abs(sum(difference[:150]) / 150) < 0.005


def test_a_scan_over_midnight_keeps_its_date_and_starts_its_clock_again() -> None:
    text = samples.xmcd_pair_631(points=2, start=86400 - 60)
    _, rows = table(text)
    assert text.startswith("Date: 11/16/2017\n")
    assert [row[0] for row in rows] == ["23:59:00", "23:59:00", "00:00:34", "00:00:34"]


def test_a_loop_of_402_has_the_109_columns_of_the_vector_magnet() -> None:
    names, rows = table(samples.hysteresis_402(points=11))
    assert len(BL402) == 106
    assert names[:4] == ["Time of Day", "Time (s)", "Hx Actual", "I0 BL"]
    assert {len(row) for row in rows} == {109}
    assert float(rows[0][2]) == pytest.approx(0.25) == float(rows[-1][2])
    assert float(rows[10][2]) == pytest.approx(-0.25)


def test_an_xmcd_run_of_402_has_both_fields_at_both_helicities() -> None:
    texts = samples.xmcd_set_402(points=3)
    names, _ = table(texts[0])
    seen = set()
    for text in texts:
        for row in table(text)[1]:
            seen.add((float(row[names.index("Hx Goal")]) > 0, float(row[names.index("EPU Polarization Goal")])))
    assert seen == {(True, 1.0), (True, -1.0), (False, 1.0), (False, -1.0)}
    assert "Beamline Energy Actual" in names


def test_a_scan_of_one_motor_has_its_own_header_and_a_time_in_each_row() -> None:
    text = samples.sigscan_402(points=5, description="align")
    names, rows = table(text)
    assert "\nStart, Stop, Increment\nM201 Roll\n" in text
    assert "\nDescription Length: 5\nalign\n" in text
    assert names[2:4] == ["M201 Roll Goal", "M201 Roll Actual"]
    assert len({row[0] for row in rows}) == 5


@pytest.mark.parametrize("text", [samples.xmcd_pair_631(points=4), samples.hysteresis_402(points=4)])
def test_the_pieces_of_a_file_are_its_sweeps(text: str) -> None:
    pieces = bcs_text.split_sweeps(text)
    assert "".join(pieces) == text
    assert len(pieces) >= 2
    assert all(piece.endswith("\n") for piece in pieces)


@pytest.mark.parametrize("size", [0, 100, 5_000, 300_000, 1_000_000])
def test_a_filler_has_exactly_its_size(tmp_path: Path, size: int) -> None:
    samples.write_filler(tmp_path / "a.txt", size, seed=1)
    assert (tmp_path / "a.txt").stat().st_size == size


def test_fillers_of_two_seeds_differ_and_read_as_scans() -> None:
    one, other = samples.filler(10_000, 1), samples.filler(10_000, 2)
    assert one != other
    assert len(table(one.decode())[0]) == 53


def test_the_command_appends_sweep_by_sweep_to_the_same_bytes(tmp_path: Path) -> None:
    options = ["--beamline", "BL631", "--count", "4", "--points", "5", "--slow", "--pause", "0"]
    program = [sys.executable, "-m", "tests.samples", str(tmp_path / "slow"), *options]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
    expected = samples.generate(tmp_path / "fast", "BL631", 4, points=5)
    assert [Path(path).read_bytes() for path in printed] == [path.read_bytes() for path in expected]
