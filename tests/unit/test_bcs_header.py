"""What the header lines say, whatever kind of scan wrote them."""

from datetime import date

import pytest

from dichroism_operator import bcs
from dichroism_operator.bcs.header import parse_header
from tests import samples
from tests.samples import variants


def header(text: str) -> bcs.Header:
    return bcs.read(text.encode()).header


def test_a_trajectory_says_its_file_times_and_repeat() -> None:
    found = header(samples.xmcd_pair_631(points=2, repeat=3))
    assert found.kind is bcs.ScanKind.TRAJECTORY
    assert found.date == date(2017, 11, 16)
    assert found.scan_file == r"C:\experiments\user\scanfiles\Co-flying_XMCD_7samples_1p8Tesla.scn"
    assert (found.delay_s, found.count_time_s, found.repeat, found.summary) == (0.5, 1.0, 3, None)
    assert (found.stay_at_end, found.description) == (True, "")


def test_a_motor_that_pauses_the_scan_is_not_taken_for_the_scan_file() -> None:
    found = header(variants.main_server_402(points=3))
    assert found.scan_file == r"C:\Beamline Controls\Scan Files\user\Co_helicity.scn"
    assert (found.repeat, found.summary, found.stay_at_end) == (None, "Avg", False)


def test_a_scan_in_steps_says_motor_and_range() -> None:
    found = header(samples.sigscan_402(points=5, description="align"))
    assert (found.kind, found.motor) == (bcs.ScanKind.MOTOR, "M201 Roll")
    assert [found.start, found.stop, found.increment] == pytest.approx([-0.3, -0.26, 0.01])
    assert (found.bidirectional, found.stay_at_end, found.description) == (False, False, "align")


def test_a_flying_scan_of_one_motor_says_its_velocity() -> None:
    found = header(variants.flying_sigscan_402(points=5))
    assert (found.kind, found.motor, found.velocity) == (bcs.ScanKind.FLYING, "Beamline Energy", 0.25)
    assert found.bidirectional is True


def test_a_time_scan_says_memo_samples_period_and_count_time() -> None:
    found = header(variants.timescan(points=7))
    assert (found.kind, found.date) == (bcs.ScanKind.TIME, date(2021, 11, 2))
    assert (found.description, found.samples, found.period_s, found.count_time_s) == ("beam stability", 7, 2.0, 1.0)


@pytest.mark.parametrize(
    "description", ["two: words", "line one\nScan Number: 9\nC:\\path\\other.scn", "Time of Day was noon"]
)
def test_a_description_is_not_taken_for_the_header(description: str) -> None:
    found = header(samples.xmcd_pair_631(points=2, description=description))
    assert found.description == description
    assert found.repeat == 1
    assert found.scan_file is not None
    assert found.scan_file.endswith("Tesla.scn")


@pytest.mark.parametrize("day", ["13/45/2020", "2020-01-02", "0/0/0000", "", "1/1/99999"])
def test_a_date_that_is_no_day_is_unknown(day: str) -> None:
    assert parse_header([f"Date: {day}"]).date is None


def test_broken_numbers_are_unknown() -> None:
    lines = [
        "Date: 1/2/2020",
        "Start, Stop, Increment",
        "X",
        "Start: nan",
        "Stop: 1e999",
        "Count Time (s): ",
        "Scan Number: 1.5",
    ]
    found = parse_header(lines)
    assert (found.start, found.stop, found.count_time_s, found.repeat) == (None, None, None, None)


def test_a_header_of_another_code_page_reads() -> None:
    text = samples.xmcd_pair_631(points=2, description="25 C").encode().replace(b"25 C", b"25\xb0C")
    assert bcs.read(text).header.description == "25\N{DEGREE SIGN}C"
