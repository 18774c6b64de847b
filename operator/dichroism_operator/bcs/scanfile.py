"""One file as Python sees it: header, columns, sweeps, times, and what could not be read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

from dichroism_operator.bcs.channels import unit_of
from dichroism_operator.bcs.clock import elapsed_seconds, moment
from dichroism_operator.bcs.detection import Form
from dichroism_operator.bcs.header import Header
from dichroism_operator.bcs.table import TIME_OF_DAY, Floats, Table

SECONDS = "Time (s)"
_CLOCK = "Clock"
_CLOCK_RATE = 1e6
"""The gate clock counts microseconds."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows that were taken in one go: all rows between two stamps of a flying scan, or a whole scan in steps."""

    rows: slice
    began: datetime | None

    def __len__(self) -> int:
        return int(self.rows.stop - self.rows.start)


class BcsFile:
    """A scan file. Rows are read when they are first needed; the header is there at once.

    ``scan["EY"]`` is a column as a numpy array of float64. Names that occur twice in a file are numbered from the
    second on (``Energy``, ``Energy.1``); the first is the set point or the axis of the scan, the second a read-back.
    """

    def __init__(
        self,
        form: Form,
        header: Header,
        load: Callable[[], Table],
        *,
        names: tuple[str, ...] = (),
        name: str | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        self.form = form
        self.header = header
        self.names = names
        """Unique names of the columns, in the order of the file."""
        self.name = name
        """Path that was read, where there is one."""
        self._load = load
        self._problems = problems
        self._columns: dict[str, Floats] = {}

    def __repr__(self) -> str:
        return f"<BcsFile {self.name or '(no name)'}: {self.header.kind}, {len(self.names)} columns>"

    @cached_property
    def _table(self) -> Table:
        return self._load()

    def __getitem__(self, name: str) -> Floats:
        """A column by its unique name. Do not change it in place: it is kept.

        Raises:
            KeyError: There is no such column.
        """
        if name not in self.names:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = self._table.column(self.names.index(name))
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Number of rows."""
        return self._table.rows

    @property
    def units(self) -> dict[str, str | None]:
        """Unit of each column, None where it is not known."""
        return {name: unit_of(name) for name in self.names}

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read or is not as it should be, in words for a person. Reads the rows."""
        return (*self._problems, *self._table.problems)

    @property
    def partial(self) -> bool:
        """Whether something of the file is missing in what was read."""
        return bool(self.problems)

    @cached_property
    def flying(self) -> bool:
        """Whether rows were taken in motion: a flying scan stamps the time once per sweep, one in steps every row."""
        return 0 < len(self._stamps) <= len(self) / 3

    @cached_property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The sweeps in the order of the file; a scan in steps is one."""
        if not len(self):
            return ()
        starts = [int(start) for start in self._stamps] if self.flying else [0]
        return tuple(
            Sweep(slice(start, stop), self._moment(start))
            for start, stop in zip(starts, [*starts[1:], len(self)], strict=True)
        )

    @cached_property
    def start(self) -> datetime | None:
        """When the first row was stamped, in UTC; None without a date or a time."""
        return self._moment(0) if len(self) else None

    @cached_property
    def end(self) -> datetime | None:
        """When the last row was taken, in UTC.

        A flying sweep is stamped at its start; its duration is the sum of its gate clock. None when that is not known.
        """
        if not len(self):
            return None
        last = self._moment(len(self) - 1)
        if last is None or not self.flying:
            return last
        duration = self.duration(self.sweeps[-1])
        return self._moment(self.sweeps[-1].rows.start, duration) if duration is not None else None

    def duration(self, sweep: Sweep) -> float | None:
        """Seconds that a sweep counted, by the gate clock of 1 MHz; None without a clock that says so."""
        if _CLOCK not in self:
            return None
        counted = self[_CLOCK][sweep.rows]
        seconds = float(counted[np.isfinite(counted)].sum()) / _CLOCK_RATE
        return seconds if 0 < seconds < 86400 else None

    @cached_property
    def _elapsed(self) -> Floats:
        return elapsed_seconds(self[TIME_OF_DAY]) if TIME_OF_DAY in self else np.full(len(self), np.nan)

    @cached_property
    def _set_back(self) -> int:
        """The first row after the wall clock was set back in autumn: its hour is shown again."""
        rows = np.flatnonzero(np.isfinite(self._elapsed))
        back = np.flatnonzero(np.diff(self._elapsed[rows]) < 0)
        return int(rows[back[0] + 1]) if len(back) else len(self)

    @cached_property
    def _stamps(self) -> Floats:
        """Rows at which the stamp of the time changes."""
        changed = np.zeros(len(self), dtype=bool)
        for name in (TIME_OF_DAY, SECONDS):
            if name in self:
                values = self[name]
                changed[1:] |= (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
        changed[:1] = True
        return np.flatnonzero(changed).astype(np.float64)

    def _moment(self, row: int, later: float = 0.0) -> datetime | None:
        elapsed = float(self._elapsed[row]) + later
        return moment(self.header.date, elapsed, repeated_hour=row >= self._set_back)
