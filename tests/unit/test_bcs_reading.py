"""Reading scan files: columns, names, sweeps, and what is said of damage."""

import io
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from dichroism_operator import bcs
from tests import samples
from tests.samples import bcs_text, variants


def read(text: str) -> bcs.BcsFile:
    return bcs.read(text.encode())


def test_a_pair_of_631_has_its_columns_rows_and_two_sweeps() -> None:
    scan = read(samples.xmcd_pair_631(points=1000))
    assert (len(scan), len(scan.names), scan.problems, scan.partial) == (2000, 53, (), False)
    assert [sweep.rows for sweep in scan.sweeps] == [slice(0, 1000), slice(1000, 2000)]
    assert scan.flying
    assert scan["Magnet Field"][[0, -1]] == pytest.approx([-1.8, 1.8])
    assert scan["Energy"][:1000] == pytest.approx(np.linspace(750.1, 850.0, 1000), abs=1e-3)


def test_the_second_of_equal_names_is_numbered_and_is_the_read_back() -> None:
    scan = read(samples.xmcd_pair_631(points=101))
    assert [name for name in scan.names if name.endswith(".1")] == ["Energy.1", "Z.1", "Magnet Field.1"]
    lag = scan["Energy"][:101] - scan["Energy.1"][:101]
    assert lag.max() == pytest.approx(3.6, abs=0.01)
    assert lag[0] == pytest.approx(0, abs=0.01)


def test_names_that_look_numbered_already_stay_apart() -> None:
    scan = bcs.read(b"Time of Day\tA\tA.1\tA\t\t\tA\n1:00:00\t1\t2\t3\t4\t5\t6\n")
    assert scan.names == ("Time of Day", "A", "A.1", "A.2", "Unnamed: 4", "Unnamed: 5", "A.3")
    assert [scan[name][0] for name in scan.names[1:]] == [1, 2, 3, 4, 5, 6]
    assert bcs.read(b"Time of Day\tA\tA\tA.1\n").names == ("Time of Day", "A", "A.2", "A.1")


def test_units_are_given_where_the_name_tells_them() -> None:
    units = read(samples.trajectory_402(sweeps=((0.4, 1.0),), scn="a.scn", points=3)).units
    assert units["Hx Goal"] == "T"
    assert units["Beamline Energy Actual"] == "eV"
    assert units["Theta"] == "deg"
    assert units["EPU Gap"] == "mm"
    assert units["EY"] == "counts"
    assert units["Polarization"] is None


def test_unread_channels_are_nan_and_no_problem() -> None:
    scan = read(samples.xmcd_pair_631(points=5))
    assert np.isnan(scan["Heater Power (HT)"]).all()
    assert not scan.problems


@pytest.mark.parametrize("crlf", [True, False])
def test_both_line_ends_give_the_same_numbers(crlf: bool) -> None:
    text = samples.xmcd_set_402(points=20)[0]
    scan, plain = bcs.read(bcs_text.encode(text, crlf=crlf)), read(text)
    assert scan.names == plain.names
    assert np.array_equal(scan["EY"], plain["EY"])
    assert scan.header == plain.header


def test_a_last_line_without_its_end_is_left_out_and_told() -> None:
    text = samples.xmcd_pair_631(points=10)
    scan = read(bcs_text.truncated(text))
    assert len(scan) == 19
    assert scan.partial
    assert "last line" in scan.problems[0]


def test_rows_with_too_few_fields_are_left_out_and_counted() -> None:
    lines = samples.xmcd_pair_631(points=10).splitlines(keepends=True)
    lines[13] = "23:28:29\t1.0\n"
    scan = read("".join(lines))
    assert len(scan) == 19
    assert scan.problems == ("1 rows do not have 53 fields; they were left out",)


def test_fields_that_are_no_numbers_are_nan_and_told_by_name() -> None:
    text = samples.xmcd_pair_631(points=3).splitlines()
    cells = text[12].split("\t")
    cells[7] = "oops"
    text[12] = "\t".join(cells)
    scan = read("\n".join(text) + "\n")
    assert np.isnan(scan["EY"]).tolist() == [False, True, False, False, False, False]
    assert scan.problems == ("1 fields are no numbers ('EY'); they read as NaN",)


def test_numbers_beyond_single_precision_are_damage() -> None:
    scan = bcs.read(b"Time of Day\tA\tB\n1:00:00\t1e200\tinf\n1:00:01\t1\t2\n")
    assert np.isnan([scan["A"][0], scan["B"][0]]).all()
    assert "2 fields are no numbers" in scan.problems[0]


def test_a_trailing_tab_adds_no_column() -> None:
    scan = bcs.read(b"Time of Day\tA\t\n1:00:00\t1\t\n1:00:01\t2\n")
    assert scan.names == ("Time of Day", "A")
    assert scan["A"].tolist() == [1, 2]


def test_a_scan_in_steps_is_one_sweep() -> None:
    scan = read(samples.sigscan_402(points=61))
    assert not scan.flying
    assert [len(sweep) for sweep in scan.sweeps] == [61]


@pytest.mark.parametrize("lines", [("Magnet: ramped", ""), ("", ""), tuple(f"Setting {n}: {n}" for n in range(100))])
def test_the_table_is_found_under_a_header_of_any_length(lines: tuple[str, ...]) -> None:
    text = samples.xmcd_pair_631(points=10)
    scan, usual = read(variants.longer_header(text, lines)), read(text)
    assert len(scan.header.lines) == len(usual.header.lines) + len(lines)
    assert np.array_equal(scan["EY"], usual["EY"])
    assert scan.header.scan_file == usual.header.scan_file


def test_a_table_may_start_with_another_first_column() -> None:
    scan = bcs.read(b"Date: 1/2/2020\nFrame\tEY\n1\t10\n2\t20\n")
    assert scan["Frame"].tolist() == [1, 2]
    assert scan.start is None


def test_the_newer_form_reads_with_its_text_column() -> None:
    scan = read(variants.header_data(points=6))
    assert scan.form is bcs.Form.HEADER_DATA
    assert (scan.header.kind, scan.header.motor) == (bcs.ScanKind.MOTOR, "Sample X")
    assert scan["Sample X Goal"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert np.isnan(scan["Camera"]).all()
    assert not scan.problems


def test_an_image_gives_its_cards_and_no_table() -> None:
    scan = bcs.read(variants.fits_image([("SAMPLE", "'Co film'")]))
    assert (scan.form, len(scan), scan.names, scan.problems) == (bcs.Form.FITS, 0, (), ())
    assert scan.header.document["EXPOSURE"] == 0.5
    assert scan.header.document["SAMPLE"] == "Co film"


def test_a_path_a_stream_and_bytes_read_the_same(tmp_path: Path) -> None:
    content = samples.xmcd_pair_631(points=20).encode()
    path = tmp_path / "RT1norm_0041"
    path.write_bytes(content)
    with path.open("rb") as stream:
        scans = [
            bcs.read(path),
            bcs.read(str(path)),
            bcs.read(stream),
            bcs.read(content),
            bcs.read(io.BytesIO(content)),
        ]
    assert all(np.array_equal(scan["EY"], scans[0]["EY"]) for scan in scans)
    assert [scan.name for scan in scans] == [str(path)] * 3 + [None, None]


def test_the_rows_of_a_path_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(samples.xmcd_pair_631(points=5))
    scan = bcs.read(path)
    path.unlink()
    assert scan.header.date is not None
    assert len(scan) == 0
    assert "cannot be opened" in scan.problems[0]


def test_a_file_that_was_replaced_meanwhile_is_not_read_under_the_old_names(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(samples.xmcd_pair_631(points=5))
    scan = bcs.read(path)
    path.write_text(samples.hysteresis_402(points=5))
    assert len(scan) == 0
    assert "replaced" in scan.problems[0]


def test_a_file_that_grew_meanwhile_is_read_as_it_is_now(tmp_path: Path) -> None:
    text = samples.xmcd_pair_631(points=5)
    path = tmp_path / "a.txt"
    path.write_text(bcs_text.split_sweeps(text)[0])
    scan = bcs.read(path)
    path.write_text(text)
    assert len(scan) == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello\n", "no scan file"),
        (b"SIMPLE  =                    T", "END"),
        (b"Date: 1/1/2020\n" + b"x" * 300_000, "longer than"),
    ],
)
def test_what_is_no_scan_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(bcs.BcsError, match=reason):
        bcs.read(content)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(bcs.BcsError, match=r"gone\.txt: the file cannot be opened"):
        bcs.read(tmp_path / "gone.txt")
    with pytest.raises(bcs.BcsError, match="no regular file"):
        bcs.read(tmp_path)
    with pytest.raises(bcs.BcsError, match="cannot be opened"):
        bcs.read("a\0b")


def test_a_pipe_does_not_keep_the_reader_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(bcs.BcsError, match="no regular file"):
        bcs.read(tmp_path / "a.txt")


def test_a_file_opened_as_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(bcs.BcsError, match="as binary"):
        bcs.read(io.StringIO("Date: 1/1/2020\n"))  # type: ignore[arg-type]


class _Breaking(io.BytesIO):
    """A file on a disk that fails after the first block."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_midway_leaves_what_was_read() -> None:
    scan = bcs.read(_Breaking(samples.xmcd_pair_631(points=1000).encode()))
    assert 0 < len(scan) < 2000
    assert "could not be read to its end" in scan.problems[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"Date: 1/1/2020\nFrom File\n", "ends before the line of column names"),
        (b"Date: 1/1/2020\n" + b"x: y\n" * 3000, "no line of column names in the first"),
        (b"HEADER\n{}\n", "ends before the line DATA"),
        (b"HEADER\n{\nDATA\nTime of Day\tA\n", "no JSON"),
        (b"HEADER\n[]\nDATA\nTime of Day\tA\n", "no JSON object"),
        (b"HEADER\n" + b"[" * 100_000 + b"\nDATA\nTime of Day\tA\n", "no JSON"),
        (b"Time of Day\t" + b"A\t" * 2000 + b"B\n", "more than 1000"),
    ],
)
def test_a_header_without_a_table_is_given_with_the_problem(content: bytes, problem: str) -> None:
    scan = bcs.read(content)
    assert len(scan) == 0
    assert any(problem in said for said in scan.problems)


def test_limits_stop_the_reading_and_are_told() -> None:
    content = samples.xmcd_pair_631(points=1000).encode()
    scan = bcs.read(content, bcs.Limits(rows=100))
    assert len(scan) == 100
    assert "more than 100 rows" in scan.problems[0]
    assert len(bcs.read(content, bcs.Limits(numbers=5300))) == 100


def test_exactly_as_many_rows_as_allowed_is_no_problem() -> None:
    scan = bcs.read(samples.xmcd_pair_631(points=50).encode(), bcs.Limits(rows=100))
    assert (len(scan), scan.problems) == (100, ())


def test_reading_stops_when_its_time_is_over() -> None:
    scan = bcs.read(samples.xmcd_pair_631(points=1000).encode() * 2, bcs.Limits(seconds=0))
    assert "reading stopped" in scan.problems[0]


class _Endless(io.RawIOBase):
    """A header and then rows without end."""

    def __init__(self) -> None:
        text = samples.xmcd_pair_631(points=1000).encode()
        start = text.index(b"\n", text.index(b"Time of Day")) + 1
        self.blocks = itertools.chain([text[:start]], itertools.repeat(text[start:]))
        self.given = 0

    def read(self, _size: int = -1, /) -> bytes:
        block = next(self.blocks)
        self.given += len(block)
        return block


def test_an_endless_file_is_read_to_the_limit_and_no_further() -> None:
    stream = _Endless()
    scan = bcs.read(stream, bcs.Limits(rows=10_000))  # type: ignore[arg-type]
    assert len(scan) == 10_000
    assert stream.given < 20_000_000


def test_every_file_of_a_campaign_reads() -> None:
    for beamline in ("BL402", "BL631"):
        for one in itertools.islice(samples.sample_files(beamline, points=20), 60):
            if not one.path.endswith(".json"):
                scan = bcs.read(one.content)
                assert len(scan) > 0
                assert scan.start is not None
                assert set(scan.problems) <= {"the last line has no line end, so it may be cut; it was left out"}
