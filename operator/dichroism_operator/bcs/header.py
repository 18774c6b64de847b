"""The lines before the table: when, with which scan file, in which steps. The table itself is in ``table``.

Headers have ten lines, twelve or more, and differ with the kind of scan, so a line is known by what stands in it and
not by its number.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ScanKind(StrEnum):
    """What the instrument was told to do."""

    TRAJECTORY = "trajectory"
    """Motors follow a scan file (``.scn``)."""
    MOTOR = "single motor"
    """One motor in steps."""
    FLYING = "single motor flying"
    """One motor moving while counters run."""
    TIME = "time"
    """Nothing moves."""
    IMAGE = "image"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the table. None where it is not said."""

    kind: ScanKind = ScanKind.OTHER
    date: datetime.date | None = None
    """Day on which the scan began, at the beamline. It does not change when the scan runs over midnight."""
    scan_file: str | None = None
    """Path of the trajectory file on the control computer, such as ``C:\\experiments\\...\\Co_XMCD.scn``."""
    motor: str | None = None
    """The motor of a scan of one motor."""
    start: float | None = None
    stop: float | None = None
    increment: float | None = None
    velocity: float | None = None
    """In units of the motor per second; flying scans only."""
    delay_s: float | None = None
    """Delay after each move."""
    count_time_s: float | None = None
    repeat: int | None = None
    """The header's ``Scan Number``: which repetition of the scan this is."""
    summary: str | None = None
    """``Avg`` or ``Sum`` where the file holds several repetitions summed up."""
    bidirectional: bool | None = None
    stay_at_end: bool | None = None
    description: str = ""
    samples: int | None = None
    """Points that a time scan was told to take."""
    period_s: float | None = None
    """Seconds between the points of a time scan."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """The JSON header of the newer form, or the cards of an image."""
    lines: tuple[str, ...] = ()
    """The header as it stands in the file."""


_DATE = re.compile(r"\s*([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?![0-9])")
_KEY = re.compile(r"([A-Z][A-Za-z() -]{1,40}):(?: (.*)|)", re.DOTALL)
_FLYING = "Flying Scan"
_STEPS = "Start, Stop, Increment"
_FROM_FILE = "From File"
_DESCRIPTION = "Description Length"
_TEXT_LIMIT = 10_000


def text_of(line: bytes) -> str:
    """A line as text; what is not UTF-8 was written with the code page of the control computer."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def number(text: str | None) -> float | None:
    """A finite number, None for anything else."""
    try:
        value = float(text) if text is not None and len(text) <= 64 else None
    except ValueError:
        return None
    return value if value is not None and abs(value) < 1e300 else None


def whole(text: str | None) -> int | None:
    """A whole number, None for anything else."""
    value = number(text)
    return int(value) if value is not None and value == int(value) and abs(value) < 2**53 else None


def parse_date(text: str) -> datetime.date | None:
    """``11/16/2017`` (month first), None when it is no day."""
    found = _DATE.match(text)
    try:
        return datetime.date(int(found[3]), int(found[1]), int(found[2])) if found else None
    except ValueError:
        return None


def parse_header(lines: Sequence[str]) -> Header:
    """The header from its lines, in whatever order they stand."""
    keys, positional, description = _sorted_out(lines)
    kind, motor, scan_file = _motion(positional)
    repeat = keys.get("Scan Number")
    header = Header(
        kind=kind,
        date=parse_date(keys.get("Date", "")),
        scan_file=scan_file,
        motor=motor,
        start=number(keys.get("Start")),
        stop=number(keys.get("Stop")),
        increment=number(keys.get("Increment")),
        velocity=number(keys.get("X Center")) if kind is ScanKind.FLYING else None,
        delay_s=number(keys.get("Delay After Move (s)")),
        count_time_s=number(keys.get("Count Time (s)")),
        repeat=whole(repeat),
        summary=repeat if repeat in ("Avg", "Sum") else None,
        bidirectional=_yes(keys.get("Bi-directional")),
        stay_at_end=_yes(keys.get("Stay at End")),
        description=description,
        lines=tuple(lines),
    )
    return header if header.kind is not ScanKind.OTHER else _time_scan(header)


def _sorted_out(lines: Sequence[str]) -> tuple[dict[str, str], list[str], str]:
    """Lines ``key: value``, the others, and the description, which is everything after its length."""
    keys: dict[str, str] = {}
    positional = []
    for index, line in enumerate(lines):
        found = _KEY.fullmatch(line)
        if found is None:
            positional.append(line.strip())
            continue
        keys.setdefault(found[1], (found[2] or "").strip())
        if found[1] == _DESCRIPTION:
            length = whole(found[2]) or 0
            return keys, positional, "\n".join(lines[index + 1 :])[: max(min(length, _TEXT_LIMIT), 0)]
    return keys, positional, ""


def _motion(positional: Sequence[str]) -> tuple[ScanKind, str | None, str | None]:
    """Kind, motor and trajectory file, from the lines that have no key."""
    for index, line in enumerate(positional):
        following = [text for text in positional[index + 1 :] if text]
        if line == _FROM_FILE:
            # The name of a motor that pauses the scan may stand between; the file is the line that looks like a path.
            paths = [text for text in following if "\\" in text or "/" in text or text.lower().endswith(".scn")]
            return ScanKind.TRAJECTORY, None, next(iter(paths), None)
        if line in (_FLYING, _STEPS):
            kind = ScanKind.FLYING if line == _FLYING else ScanKind.MOTOR
            return kind, next(iter(following), None), None
    return ScanKind.OTHER, None, None


def _yes(text: str | None) -> bool | None:
    return {"Yes": True, "1": True, "No": False, "0": False}.get(text or "")


def _time_scan(header: Header) -> Header:
    """A time scan has no keys but the date: length of a memo plus one, memo, number of samples, five numbers."""
    lines = [line.strip() for line in header.lines]
    if header.date is None or len(lines) < 5 or whole(lines[1]) is None:
        return header
    samples = whole(lines[3].split("\t")[0])
    numbers = [number(text) for text in lines[4].replace(",", " ").split()]
    if samples is None or len(numbers) < 5:
        return header
    return Header(
        kind=ScanKind.TIME,
        date=header.date,
        description=lines[2][:_TEXT_LIMIT],
        samples=samples,
        period_s=numbers[1],
        count_time_s=numbers[4],
        lines=header.lines,
    )
