"""Durations, sizes and moments as people write them in ``config.yml``: ``180s``, ``100GB``, ``2026-11-01``.

A bare number is an error, because nobody can see from ``after: 180`` whether seconds or days were meant. The reader of
the file hands over every scalar as text, so a number that arrives here as a number comes from code.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
MAX_DURATION = timedelta(days=36500)
"""A hundred years: beyond it a date plus a duration could leave the calendar."""
MAX_SIZE = 2**53
"""The largest integer that every JSON reader carries exactly."""

DURATION_PATTERN = r"^[0-9]+(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+(B|kB|MB|GB|TB|PB|KiB|MiB|GiB|TiB)$"
MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?$"
)

_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,16})([A-Za-z]*)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(MOMENT_PATTERN.removesuffix("$"), re.ASCII)


def _amount(text: object, what: str, units: list[str], examples: str) -> tuple[int, str]:
    if not isinstance(text, str):
        raise ValueError(f"a {what} is a whole number with a unit, such as {examples}")
    found = _NUMBER_AND_UNIT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a {what}: write a whole number with a unit, such as {examples}")
    number, unit = found.groups()
    if not unit:
        raise ValueError(f"{text} has no unit: write for example {examples}")
    if unit not in units:
        raise ValueError(f"{unit[:40]!r} is not a unit of a {what}. Known: {' '.join(units)}")
    return int(number), unit


def parse_duration(text: object) -> timedelta:
    """``180s``, ``10m``, ``24h``, ``180d`` or ``200ms``; a timedelta is returned unchanged.

    Raises:
        ValueError: no unit, an unknown unit, not a whole number, or more than a hundred years.
    """
    if isinstance(text, timedelta):
        return text
    number, unit = _amount(text, "duration", list(_DURATION_UNITS), "180s, 10m, 24h or 180d")
    if number > MAX_DURATION // _DURATION_UNITS[unit]:
        raise ValueError(f"{text} is longer than 100 years")
    return number * _DURATION_UNITS[unit]


def format_duration(duration: timedelta) -> str:
    """The duration in the largest unit that divides it, so that reading it gives the same again (whole ms)."""
    for unit, length in reversed(_DURATION_UNITS.items()):
        if duration % length == timedelta(0):
            return f"{duration // length}{unit}"
    return f"{duration // _DURATION_UNITS['ms']}ms"


def parse_size(text: object) -> int:
    """Bytes of ``300kB``, ``100GB`` (decimal) or ``1GiB`` (binary); a number of bytes from code is returned unchanged.

    Raises:
        ValueError: no unit, an unknown unit, not a whole number, or more than 2^53 bytes.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    number, unit = _amount(text, "size", list(_SIZE_UNITS), "300kB, 100GB or 1GiB")
    if number * _SIZE_UNITS[unit] > MAX_SIZE:
        raise ValueError(f"{text} is larger than {MAX_SIZE} bytes")
    return number * _SIZE_UNITS[unit]


def format_size(size: int) -> str:
    """The size in the largest unit that divides it."""
    unit = max((unit for unit, length in _SIZE_UNITS.items() if size % length == 0), key=lambda unit: _SIZE_UNITS[unit])
    return "0B" if size == 0 else f"{size // _SIZE_UNITS[unit]}{unit}"


def parse_moment(text: object) -> datetime:
    """``2026-11-01`` (midnight UTC) or ``2026-11-01T08:00:00-08:00``; a datetime with a zone is returned in UTC.

    Raises:
        ValueError: not a date, no such day, or a time without a zone.
    """
    if isinstance(text, datetime) and text.tzinfo is not None:
        return text.astimezone(UTC)
    if not isinstance(text, str):
        raise ValueError("a date or a time with a zone is needed, such as 2026-11-01 or 2026-11-01T08:00:00Z")
    if not _MOMENT.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} is neither a date nor a time with a zone: "
            "write for example 2026-11-01 or 2026-11-01T08:00:00Z"
        )
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not a moment of the calendar: {error}") from error


def parse_end(text: object) -> datetime:
    """Like :func:`parse_moment`, but a date means the end of that day: a hold *until* a day covers the day.

    Raises:
        ValueError: as :func:`parse_moment`.
    """
    moment = parse_moment(text)
    if not (isinstance(text, str) and _DATE.fullmatch(text)):
        return moment
    if moment.date() == date.max:
        return datetime.combine(date.max, time.max, UTC)
    return moment + timedelta(days=1)


def _format_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["180s", "10m", "24h", "180d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["300kB", "100GB", "1GiB"]}),
]
Moment = Annotated[
    datetime,
    BeforeValidator(parse_moment),
    PlainSerializer(_format_moment, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": MOMENT_PATTERN, "examples": ["2026-11-01", "2026-11-01T08:00:00Z"]}),
]
End = Annotated[
    datetime,
    BeforeValidator(parse_end),
    PlainSerializer(_format_moment, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": MOMENT_PATTERN, "examples": ["2027-06-30", "2027-06-30T12:00:00Z"]}),
]
