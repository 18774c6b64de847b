"""How the beamline control system (BCS) prints a scan: numbers, time stamps, headers, rows. No physics in here.

The text uses LF; :func:`encode` makes the bytes, with CRLF where the control computer writes it.
"""

import itertools
import math
from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TypeAlias

Readings: TypeAlias = "array[float]"
"""Single precision values, as the instrument keeps them."""
Column: TypeAlias = str | float | Sequence[str] | Sequence[float]
"""One column of a block of rows: a constant, or one value per row."""

COLUMN_LINE_START = "Time of Day\t"
SWEEP_SECONDS = 94.4
"""Time between the starts of two flying sweeps."""
FILE_SECONDS = 190.0
_DAY = 86400


def float32(values: Iterable[float]) -> Readings:
    """Values as the instrument keeps them: single precision, so that 1.8 prints as 1.79999995."""
    return array("f", values)


def number(value: float) -> str:
    """A number as the instrument prints it."""
    return "NaN" if math.isnan(value) else f"{float32([value])[0]:.8f}"


def clock_time(second_of_day: float) -> str:
    """``HH:MM:SS``; it starts again at midnight, while the header's date does not change."""
    whole = int(second_of_day) % _DAY
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def rows(columns: Sequence[Column]) -> str:
    """Tab separated lines. Every sequence among the columns must be equally long, and at least one must be there."""
    cells, varying = [], []
    for column in columns:
        if isinstance(column, str):
            cells.append(column)
        elif isinstance(column, float | int):
            cells.append(number(column))
        else:
            cells.append("%.8f" if isinstance(column, array) else "%s")
            varying.append(column)
    line = "\t".join(cells) + "\n"
    return "".join([line % values for values in zip(*varying, strict=True)])


def column_line(names: Iterable[str]) -> str:
    """The line of column names, the first that starts with ``Time of Day``."""
    return "\t".join(names) + "\n"


def from_file_header(day: date, scn: str, *, repeat: int = 1, count_time: float = 1.0, description: str = "") -> str:
    """The ten header lines of a scan that was driven by a trajectory file."""
    return (
        f"Date: {day.month}/{day.day}/{day.year}\nFrom File\n\n{scn}\n"
        f"Delay After Move (s): {number(0.5)}\nCount Time (s): {number(count_time)}\n"
        f"Scan Number: {repeat}\nStay at End: 1\nDescription Length: {len(description)}\n{description}\n"
    )


def start_stop_header(day: date, motor: str, start: float, stop: float, increment: float, description: str = "") -> str:
    """The header of a scan of one motor in steps."""
    return (
        f"Date: {day.month}/{day.day}/{day.year}\n\nStart, Stop, Increment\n{motor}\n"
        f"Start: {number(start)}\nStop: {number(stop)}\nIncrement: {number(increment)}\n"
        f"Delay After Move (s): {number(0.0)}\nCount Time (s): {number(0.5)}\nScan Number: 1\n"
        f"Bi-directional: No\nStay at End: 0\nDescription Length: {len(description)}\n{description}\n"
    )


def truncated(text: str) -> str:
    """The text cut in the middle of its last line, as an aborted scan or a file still being written shows it."""
    body = text.removesuffix("\n")
    last = body.rfind("\n") + 1
    return body[: last + (len(body) - last) // 2]


def encode(text: str, *, crlf: bool) -> bytes:
    """The bytes on disk; BCS writes ASCII."""
    return (text.replace("\n", "\r\n") if crlf else text).encode("ascii")


def split_sweeps(text: str) -> list[str]:
    """The pieces in which the instrument writes the file: the header with the first sweep, then each further sweep.

    The first two columns are stamped once per flying sweep, so a change in them begins the next one.
    """
    lines = text.splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if line.startswith(COLUMN_LINE_START)) + 1
    sweeps = ["".join(group) for _, group in itertools.groupby(lines[first:], key=lambda line: line.split("\t")[:2])]
    header = "".join(lines[:first])
    return [header + sweeps[0], *sweeps[1:]] if sweeps else [header]
