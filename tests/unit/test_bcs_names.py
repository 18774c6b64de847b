"""File names and forms: what a name says, and that the form is told from the content and not from the name."""

import itertools

import pytest

from dichroism_operator.bcs import FileName, Form, detect, parse_name
from tests import samples
from tests.samples import variants


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TrajScan31914-001_0001.txt", FileName("TrajScan", 31914, 1, 1)),
        ("TrajScan31920.txt", FileName("TrajScan", 31920, None, None)),
        ("TrajScan31925_0033.txt", FileName("TrajScan", 31925, None, 33)),
        ("TrajScan31042-2_0001.txt", FileName("TrajScan", 31042, 2, 1)),
        ("SigScan52877.txt", FileName("SigScan", 52877, None, None)),
        ("SigScan 000133.txt", FileName("SigScan", 133, None, None)),
        ("TrajScan 400069.txt", FileName("TrajScan", 400069, None, None)),
        ("Trajectory Scan 000206 01.txt", FileName("Trajectory Scan", 206, None, 1)),
        ("Single Motor Scan 004202.txt", FileName("Single Motor Scan", 4202, None, None)),
        ("Single Motor Flying Scan 000007.txt", FileName("Single Motor Flying Scan", 7, None, None)),
        ("From File Scan 000008.txt", FileName("From File Scan", 8, None, None)),
        ("Time Scan 000009.txt", FileName("Time Scan", 9, None, None)),
        ("TimeScan12.txt", FileName("TimeScan", 12, None, None)),
        ("MotScan13.txt", FileName("MotScan", 13, None, None)),
        ("TrajScan 400069.sdc.json", FileName("TrajScan", 400069, None, None)),
        ("InstrumentScan 000012.fits", FileName("InstrumentScan", 12, None, None)),
    ],
)
def test_a_name_of_the_control_system_says_kind_scan_repeat_and_file(name: str, expected: FileName) -> None:
    assert parse_name(f"2026/261116/{name}") == expected
    assert parse_name(rf"C:\Beamline Controls\BCS Setup Data\211031\{name}") == expected


@pytest.mark.parametrize(
    "name", ["RT1norm_0041", "TrajScan.txt", "notes.txt", "TrajScan31914.txt.bak", "", "TrajScan1x.txt"]
)
def test_a_name_of_a_user_says_nothing(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize("beamline", ["BL402", "BL631"])
def test_every_scan_of_a_campaign_is_known_by_its_first_bytes(beamline: str) -> None:
    for one in itertools.islice(samples.sample_files(beamline, points=5), 40):
        expected = None if one.path.endswith(".json") else Form.TEXT
        assert detect(one.content[:4096]) is expected, one.path


def test_the_other_forms_are_known_by_their_first_bytes() -> None:
    assert detect(variants.timescan().encode()) is Form.TEXT
    assert detect(variants.header_data().encode()) is Form.HEADER_DATA
    assert detect(variants.header_data().replace("\n", "\r\n").encode()) is Form.HEADER_DATA
    assert detect(variants.fits_image()) is Form.FITS
    assert detect(b"\xef\xbb\xbf" + samples.xmcd_pair_631(points=2).encode()) is Form.TEXT


def test_a_table_whose_header_was_cut_off_is_still_known() -> None:
    text = samples.xmcd_pair_631(points=2)
    assert detect(text[text.index("Time of Day") :].encode()) is Form.TEXT


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}", b"Dates: none\n", b"Time of Day was noon\n"])
def test_other_files_have_no_form(content: bytes) -> None:
    assert detect(content) is None
