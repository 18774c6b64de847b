"""Durations, sizes and moments are read as they were meant, or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.config.quantities import (
    DURATION_PATTERN,
    MAX_DURATION,
    MAX_SIZE,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_end,
    parse_moment,
    parse_size,
)


@given(st.integers(0, MAX_DURATION // timedelta(milliseconds=1)))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, MAX_SIZE))
def test_a_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


def refusal(parse: Callable[[object], object], text: object) -> str | None:
    """The message with which a text is refused, None when it is read."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


@given(st.from_regex(DURATION_PATTERN, fullmatch=True))
def test_what_the_editor_takes_for_a_duration_is_refused_only_for_its_length(text: str) -> None:
    message = refusal(parse_duration, text)
    assert message is None or "longer than 100 years" in message or len(text) > 17


@given(st.from_regex(SIZE_PATTERN, fullmatch=True))
def test_what_the_editor_takes_for_a_size_is_refused_only_for_its_length(text: str) -> None:
    message = refusal(parse_size, text)
    assert message is None or "larger than" in message or len(text) > 17


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_message(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_moment, parse_end):
        assert refusal(parse, text) != ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("180s", timedelta(seconds=180)),
        ("10m", timedelta(minutes=10)),
        ("24h", timedelta(days=1)),
        ("180d", timedelta(days=180)),
        ("200ms", timedelta(seconds=0.2)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_read_with_their_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("300kB", 300_000), ("100GB", 100 * 10**9), ("1GiB", 2**30), ("1B", 1), ("2TiB", 2**41), ("9PB", 9 * 10**15)],
)
def test_sizes_are_decimal_unless_they_say_i(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["180", "-1d", "1.5h", "1 d", "1D", "1month", "s", "", "1_0s", "٣s", "36501d", None, True, 3]
)
def test_what_is_not_plainly_a_duration_is_refused(text: object) -> None:
    assert refusal(parse_duration, text)


@pytest.mark.parametrize("text", ["100", "1.5GB", "-1GB", "1gb", "1 GB", "GB", "", "10PB", None, True, 1.5])
def test_what_is_not_plainly_a_size_is_refused(text: object) -> None:
    assert refusal(parse_size, text)


def test_a_date_is_midnight_in_utc() -> None:
    assert parse_moment("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_time_is_brought_to_utc() -> None:
    assert parse_moment("2026-11-01T08:00:00-08:00") == datetime(2026, 11, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T08:00:00",
        "2026-13-01",
        "01.11.2026",
        "2026-11-1",
        "0001-01-01T00:00:00+14:00",
        "20261101",
        2026,
        None,
        datetime(2026, 11, 1),
    ],
)
def test_a_time_without_zone_or_a_day_that_does_not_exist_is_refused(text: object) -> None:
    assert refusal(parse_moment, text)


def test_until_a_day_includes_the_day() -> None:
    assert parse_end("2026-12-31") == datetime(2027, 1, 1, tzinfo=UTC)
    assert parse_end("2026-12-31T12:00:00Z") == datetime(2026, 12, 31, 12, tzinfo=UTC)
    assert parse_end("9999-12-31").year == 9999
