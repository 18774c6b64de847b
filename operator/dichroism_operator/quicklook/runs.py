"""Runs: rows in which the axis goes one way under one condition. Averages and differences are made of whole runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dichroism_operator.bcs import BcsFile
from dichroism_operator.bcs.table import Floats

MOST_RUNS = 400
"""Runs that are looked at; the rest of a file that has more is not."""
_TURN = 0.02
"""A way back by this part of the range is a turn, less is trembling."""
_SHORTEST = 5
_WHOLE = 0.5
"""A run over less than this part of the widest is a sweep that was broken off."""
MOST_POINTS = 2000

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows in their order; ``x`` rises or falls."""

    rows: Rows
    x: Floats
    y: Floats

    @property
    def rising(self) -> bool:
        """Whether the axis went up."""
        return bool(self.x[-1] > self.x[0])

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest ``x``."""
        return float(self.x.min()), float(self.x.max())


def runs(scan: BcsFile, x: Floats, y: Floats, rows: Rows) -> list[Run]:
    """The runs among ``rows``: cut where a flying sweep begins and where the axis turns back."""
    rows = rows[np.isfinite(x[rows]) & np.isfinite(y[rows])]
    if len(rows) < _SHORTEST:
        return []
    pieces = [rows]
    if scan.flying:
        begins = np.array([sweep.rows.start for sweep in scan.sweeps[1:MOST_RUNS]], dtype=np.intp)
        pieces = [piece for piece in np.split(rows, np.searchsorted(rows, begins)) if len(piece)]
    tolerance = _TURN * float(np.ptp(x[rows]))
    found = []
    for piece in pieces:
        for part in np.split(piece, turns(x[piece], tolerance)):
            if len(part) >= _SHORTEST and np.ptp(x[part]) > 0:
                found.append(Run(part, x[part], y[part]))
            if len(found) >= MOST_RUNS:
                return found
    return found


def turns(x: Floats, tolerance: float) -> list[int]:
    """Indices at which a new run begins because ``x`` turns back by more than ``tolerance``."""
    steps = np.diff(x)
    if not len(steps) or np.all(steps >= -tolerance / len(steps)) or np.all(steps <= tolerance / len(steps)):
        return []
    cuts: list[int] = []
    direction, extreme, at = 0, float(x[0]), 0
    first = extreme
    for index, value in enumerate(x.tolist()):
        if direction == 0:
            if abs(value - first) > tolerance:
                direction, extreme, at = (1 if value > first else -1), value, index
        elif (value - extreme) * direction >= 0:
            extreme, at = value, index
        elif (extreme - value) * direction > tolerance:
            cuts.append(at + 1)
            direction, extreme, at = -direction, value, index
    # A jump back to the start, without points on the way, looks like a run of one point.
    return [cut for index, cut in enumerate(cuts) if index == 0 or cut - cuts[index - 1] > 1]


def whole(found: Sequence[Run]) -> tuple[list[Run], int]:
    """The runs that cover the same range, and how many were left out because they are broken off or lie elsewhere."""
    if not found:
        return [], 0
    widest = max(found, key=lambda run: run.span[1] - run.span[0])
    low, high = widest.span
    kept = [run for run in found if min(run.span[1], high) - max(run.span[0], low) >= _WHOLE * (high - low)]
    return kept, len(found) - len(kept)


def common_grid(found: Sequence[Run]) -> Floats:
    """Evenly spaced points over the range that all runs cover, about as many as a run has."""
    low = max(run.span[0] for run in found)
    high = min(run.span[1] for run in found)
    points = int(np.median([len(run.x) for run in found]))
    return np.linspace(low, high, min(max(points, 10), MOST_POINTS))


def averaged(found: Sequence[Run], grid: Floats) -> Floats:
    """Mean of the runs on a grid, by linear interpolation."""
    total = np.zeros(len(grid))
    for run in found:
        order = np.argsort(run.x, kind="stable")
        total += np.interp(grid, run.x[order], run.y[order])
    return total / len(found)
