"""The table: rows of numbers, as float64 columns. The first column is a time of day, all others are numbers.

Rows that do not have the right number of fields are left out and
counted. A field that is no number is NaN; it is counted unless the whole column is text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dichroism_operator.bcs.limits import Limits, Stopwatch
from dichroism_operator.bcs.lines import Lines

Floats = NDArray[np.float64]

TIME_OF_DAY = "Time of Day"
_CLOCK = re.compile(rb"\s*([0-9]{1,2}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,6})?)\s*([AaPp][Mm])?\s*")
_GREATEST, _SMALLEST = 1e38, 1e-38
"""Numbers were single precision when they were printed."""
_SAID = 4
"""Names told in a problem; the rest are a number."""


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Column names made unique as pandas does: the second ``Energy`` is ``Energy.1``.

    At both beamlines the first of equal names is the set point or the axis of a flying scan, the second its read-back.
    """
    given, used, counts = set(names), set[str](), Counter[str]()
    unique = []
    for index, name in enumerate(names):
        chosen = name or f"Unnamed: {index}"
        if name and name in used:
            while chosen in used or chosen in given:
                counts[name] += 1
                chosen = f"{name}.{counts[name]}"
        used.add(chosen)
        unique.append(chosen)
    return tuple(unique)


class Table:
    """The rows of a file, kept by blocks, so that a column is put together only when it is asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.problems: list[str] = []
        self._has_clock = bool(names) and names[0] == TIME_OF_DAY
        self._blocks: list[Floats] = []
        self._wrong_length = 0
        self._not_numbers: Counter[str] = Counter()
        self._clocks: dict[bytes, float] = {}

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(len(block) for block in self._blocks)

    def column(self, index: int) -> Floats:
        """One column; a time of day in seconds since midnight."""
        if not self._blocks:
            return np.empty(0)
        return np.concatenate([block[:, index] for block in self._blocks])

    def load(self, lines: Lines, limits: Limits, watch: Stopwatch) -> None:
        """Read the rows that are left in ``lines``, as far as the limits allow."""
        allowed = min(limits.rows, limits.numbers // max(len(self.names), 1))
        for block in lines.blocks():
            room = allowed - self.rows
            self._add([line for line in block if line.strip()][: room + 1], room)
            if self.rows >= allowed and len(block) > room:
                self.problems.append(f"the file has more than {allowed} rows; only these were read")
                break
            if watch.over:
                self.problems.append(f"reading stopped after {limits.seconds:g} s and {self.rows} rows")
                break
        self.problems += self._told(lines)
        self._clocks.clear()

    def _told(self, lines: Lines) -> Iterator[str]:
        if lines.broken:
            yield lines.broken
        if lines.cut.strip():
            yield "the last line has no line end, so it may be cut; it was left out"
        if self._wrong_length:
            yield f"{self._wrong_length} rows do not have {len(self.names)} fields; they were left out"
        # A column that holds nothing but text, such as names of images, is no damage.
        damaged = {name: count for name, count in self._not_numbers.items() if count < self.rows}
        if damaged:
            names = ", ".join(repr(name[:40]) for name in list(damaged)[:_SAID])
            more = "" if len(damaged) <= _SAID else f" and {len(damaged) - _SAID} more columns"
            yield f"{sum(damaged.values())} fields are no numbers ({names}{more}); they read as NaN"

    def _add(self, lines: Sequence[bytes], room: int) -> None:
        fields = len(self.names)
        fitting = [line for line in map(self._fitted, lines) if line is not None]
        self._wrong_length += len(lines) - len(fitting)
        fitting = fitting[: max(room, 0)]
        if not fitting:
            return
        block = np.full((len(fitting), fields), np.nan)
        numbers = fitting
        if self._has_clock:
            pairs = [line.partition(b"\t") for line in fitting]
            block[:, 0] = [self._second_of_day(clock) for clock, _, _ in pairs]
            numbers = [rest for _, _, rest in pairs]
        first = int(self._has_clock)
        if fields > first:
            block[:, first:] = self._numbers(numbers, fields - first)
        self._blocks.append(self._single_precision(block))

    def _single_precision(self, block: Floats) -> Floats:
        """The block without what no single precision number can be: too great is damage, too small is zero."""
        with np.errstate(invalid="ignore"):
            block[np.abs(block) < _SMALLEST] = 0
            beyond = np.abs(block) > _GREATEST
        if beyond.any():
            for index in np.flatnonzero(beyond.any(axis=0)):
                self._not_numbers[self.names[index]] += int(beyond[:, index].sum())
            block[beyond] = np.nan
        return block

    def _fitted(self, line: bytes) -> bytes | None:
        """The line with as many fields as there are columns; empty fields at its end do not count."""
        tabs = len(self.names) - 1
        surplus = line.count(b"\t") - tabs
        if surplus > 0 and line.endswith(b"\t" * surplus):
            line, surplus = line[:-surplus], 0
        return line if surplus == 0 else None

    def _numbers(self, lines: Sequence[bytes], fields: int) -> Floats:
        if b"" not in lines:
            try:
                parsed = np.loadtxt(lines, delimiter="\t", comments=None, ndmin=2, encoding="latin-1")
            except ValueError:
                pass  # some field is no number: slower, field by field
            else:
                if parsed.shape == (len(lines), fields):
                    return parsed
        names = self.names[-fields:]
        slow = np.full((len(lines), fields), np.nan)
        for row, line in enumerate(lines):
            for index, text in enumerate(line.split(b"\t")):
                try:
                    slow[row, index] = float(text)
                except ValueError:
                    if text.strip():
                        self._not_numbers[names[index]] += 1
        return slow

    def _second_of_day(self, text: bytes) -> float:
        known = self._clocks.get(text)
        if known is not None:
            return known
        if len(self._clocks) > 100_000:
            self._clocks.clear()
        self._clocks[text] = second = _parse_clock(text)
        return second


def _parse_clock(text: bytes) -> float:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return float("nan")
    hour, minute, second = int(found[1]), int(found[2]), float(found[3])
    if found[4]:
        hour = hour % 12 + 12 * (found[4].upper() == b"PM")
    return hour * 3600 + minute * 60 + second if hour < 24 and minute < 60 and second < 61 else float("nan")
