"""From two groups of sweeps to normalised spectra and their difference. Arrays in, arrays out.

The order is the usual one: signal over monitor, average of each group on one energy grid, match of the two groups
before and behind the edges, mean and difference, both divided by the white line. The match is needed because the
electron yield depends on the field: without it the difference has a slope that is no dichroism.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook.edges import EdgeGuess, guess_edge
from dichroism_operator.quicklook.results import Window
from dichroism_operator.quicklook.runs import Mask, Run, averaged, common_grid

_WINDOW = 0.1
"""Part of the range at each end in which nothing but background is expected."""
_CLEARANCE = 4.0
"""Electron volts between a window and the nearest edge."""
_FEWEST = 5
_HEIGHT = 0.005
"""An edge is at least this part of the signal high, and ten times its noise."""
_NOISES = 10.0
_RATIO = (0.2, 5.0)
"""Beyond this ratio the two groups are not the same thing measured twice."""


@dataclass(frozen=True, slots=True)
class Spectra:
    """Two groups on one grid, divided by the white line of their mean."""

    energy: Floats
    plus: Floats
    minus: Floats
    xas: Floats
    difference: Floats
    pre_window: Window
    post_window: Window | None
    white_line: float
    noise: float
    edge: EdgeGuess


def compare(plus: Sequence[Run], minus: Sequence[Run]) -> Spectra | str:
    """The spectra of two groups; a text when they cannot be compared, which says why."""
    energy = common_grid([*plus, *minus])
    above, below = averaged(plus, energy), averaged(minus, energy)
    white = _white_line(energy, above + below)
    before = energy <= min(energy[0] + _WINDOW * np.ptp(energy), energy[white] - _CLEARANCE)
    if before.sum() < _FEWEST:
        return "no range before the edge: not normalised, no difference"
    edge = guess_edge(float(energy[0]), float(energy[-1]), float(energy[white]))
    behind = _behind(energy, white, edge)
    ratio = _ratio(energy, above, below, before, behind)
    if ratio is None:
        return "the two groups differ too much to be compared"
    below = below * ratio
    xas = (above + below) / 2
    background = np.polynomial.Polynomial.fit(energy[before], xas[before], 1)(energy)
    lifted = xas - background
    height = float(lifted[white])
    noise = float(np.std(np.diff(xas[before]))) / np.sqrt(2)
    if height < max(_HEIGHT * abs(float(np.mean(xas))), _NOISES * noise):
        return "no absorption edge in this range: not normalised, no difference"
    difference = (above - below) / height
    quiet = difference[before if behind is None else before | behind]
    return Spectra(
        energy=energy,
        plus=(above - background) / height,
        minus=(below - background) / height,
        xas=lifted / height,
        difference=difference,
        pre_window=_ends(energy, before),
        post_window=None if behind is None else _ends(energy, behind),
        white_line=float(energy[white]),
        noise=float(np.std(quiet)),
        edge=edge,
    )


def white_line(energy: Floats, absorption: Floats) -> float | None:
    """Energy of the white line of one spectrum, None when it shows no edge."""
    white = _white_line(energy, absorption)
    before = energy <= min(energy[0] + _WINDOW * np.ptp(energy), energy[white] - _CLEARANCE)
    if before.sum() < _FEWEST:
        return None
    background = np.polynomial.Polynomial.fit(energy[before], absorption[before], 1)(energy[white])
    noise = float(np.std(np.diff(absorption[before]))) / np.sqrt(2)
    height = float(absorption[white] - background)
    if height < max(_HEIGHT * abs(float(np.mean(absorption))), _NOISES * noise):
        return None
    return float(energy[white])


def looks_like_transmission(values: Floats) -> bool:
    """Whether a spectrum has dips where absorption has peaks, as light has that went through the sample."""
    low, middle, high = np.percentile(values, (0.5, 50, 99.5))
    return bool(middle - low > 1.5 * (high - middle))


def _white_line(energy: Floats, absorption: Floats) -> int:
    """Index of the greatest absorption above the straight line between the ends."""
    ends = max(len(energy) // 50, 1)
    first, last = absorption[:ends].mean(), absorption[-ends:].mean()
    line = first + (last - first) * (energy - energy[0]) / (energy[-1] - energy[0])
    return int(np.argmax(absorption - line))


def _behind(energy: Floats, white: int, edge: EdgeGuess) -> Mask | None:
    last = float(energy[white])
    if edge.edge and edge.edge.second and edge.edge.second < energy[-1]:
        last = max(last, edge.edge.second)
    behind = energy >= max(energy[-1] - _WINDOW * np.ptp(energy), last + _CLEARANCE)
    return behind if behind.sum() >= _FEWEST else None


def _ratio(energy: Floats, above: Floats, below: Floats, before: Mask, behind: Mask | None) -> Floats | None:
    """The factor that brings one group onto the other outside the edges: a line, or a number without a post edge."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    used = before if behind is None else before | behind
    if not np.isfinite(ratio[used]).all():
        return None
    fitted = np.polynomial.Polynomial.fit(energy[used], ratio[used], 0 if behind is None else 1)(energy)
    return fitted if _RATIO[0] < fitted.min() and fitted.max() < _RATIO[1] else None


def _ends(energy: Floats, window: Mask) -> Window:
    return float(energy[window][0]), float(energy[window][-1])
