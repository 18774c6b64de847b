"""Times of a scan: local wall clock to UTC, midnight, summer time, end of a flying sweep."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from dichroism_operator import bcs
from tests import samples
from tests.samples import variants


def read(text: str) -> bcs.BcsFile:
    return bcs.read(text.encode())


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2017, 11, 16), utc(2017, 11, 16, 17, 28, 29)),  # winter: 8 hours
        (date(2021, 7, 1), utc(2021, 7, 1, 16, 28, 29)),  # summer: 7 hours
    ],
)
def test_the_clock_of_the_beamline_becomes_utc(day: date, expected: datetime) -> None:
    assert read(samples.xmcd_pair_631(points=3, day=day)).start == expected


def test_a_scan_over_midnight_ends_on_the_next_day() -> None:
    scan = read(samples.xmcd_pair_631(points=1000, start=86400 - 60))
    assert scan.start == utc(2017, 11, 17, 7, 59)
    assert [sweep.began for sweep in scan.sweeps] == [utc(2017, 11, 17, 7, 59), utc(2017, 11, 17, 8, 0, 34)]
    assert scan.end is not None
    assert scan.end > scan.sweeps[1].began  # type: ignore[operator]


def test_a_scan_over_two_midnights_counts_both() -> None:
    seconds = np.array([86000.0, 100.0, 40000.0, 86300.0, 5.0])
    assert bcs.elapsed_seconds(seconds).tolist() == [86000, 86500, 126400, 172700, 172805]


def test_the_end_of_a_flying_scan_is_that_of_its_last_sweep() -> None:
    scan = read(samples.xmcd_pair_631(points=1000))
    assert scan.sweeps[-1].began is not None
    assert scan.end is not None
    duration = (scan.end - scan.sweeps[-1].began).total_seconds()
    assert duration == pytest.approx(scan["Clock"][1000:].sum() / 1e6, abs=1e-3)
    assert duration == pytest.approx(88, rel=0.1)


def test_without_a_gate_clock_the_end_of_a_flying_scan_is_unknown() -> None:
    text = variants.with_reading(samples.xmcd_pair_631(points=20), ["Clock"])
    assert read(text).end is None


def test_a_scan_in_steps_ends_with_its_last_row() -> None:
    scan = read(samples.sigscan_402(points=61))
    assert scan.start is not None
    assert scan.end is not None
    assert (scan.end - scan.start).total_seconds() == 60


def _steps(day: str, *clocks: str) -> bcs.BcsFile:
    rows = "".join(f"{clock}\t{index}\n" for index, clock in enumerate(clocks))
    return read(f"Date: {day}\nTime of Day\tA\n{rows}")


def test_an_hour_that_occurs_twice_in_autumn_is_no_new_day() -> None:
    scan = _steps("11/1/2026", "01:50:00", "01:58:00", "01:04:00", "01:20:00")
    assert scan.start == utc(2026, 11, 1, 8, 50)
    assert scan.end == utc(2026, 11, 1, 9, 20)


def test_an_hour_that_is_left_out_in_spring_is_passed_over() -> None:
    scan = _steps("3/8/2026", "01:59:00", "03:01:00")
    assert scan.start is not None
    assert scan.end is not None
    assert (scan.end - scan.start).total_seconds() == 120


def test_times_with_am_and_pm_and_fractions_read() -> None:
    scan = _steps("6/1/2026", "11:59:59 AM", "12:00:01 PM", "1:00:00.5 PM")
    assert scan["Time of Day"].tolist() == [43199, 43201, 46800.5]


@pytest.mark.parametrize("clock", ["25:00:00", "noon", "", "12:61:00", "1e5"])
def test_a_clock_that_cannot_be_is_unknown(clock: str) -> None:
    scan = _steps("6/1/2026", clock, clock, clock)
    assert (len(scan), scan.start, scan.end) == (3, None, None)


def test_without_a_date_there_are_no_times() -> None:
    scan = _steps("not a date", "10:00:00", "10:00:01")
    assert (scan.start, scan.end) == (None, None)
