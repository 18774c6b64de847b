"""The physics of the made-up scans: electron yield of a thin film at the L edges of a 3d metal.

The shape was fitted to real cobalt files and agrees with them within 3 % at both edges; the other elements are the same
shape moved to their edges. Energies in eV, fields in T.
"""

import math
import random
from collections.abc import Sequence

from tests.samples.bcs_text import Readings, float32

L_EDGES = {"Mn": (637.6, 648.8), "Fe": (705.7, 718.8), "Co": (777.0, 792.2), "Ni": (851.6, 868.8)}
"""Energies of the L3 and L2 white lines, about 1 eV below the tabulated edges as observed."""

_NOISE = 2.6e-4
_SATURATION = 0.3
"""Field at which the made-up film is nearly saturated (T)."""


def _step(energy: float, centre: float, width: float) -> float:
    return 0.5 + math.atan((energy - centre) / width) / math.pi


def _peak(energy: float, centre: float, width: float) -> float:
    return 1 / (1 + ((energy - centre) / width) ** 2)


def electron_yield(energy: float, circular: float, element: str = "Co", linear: float = 0.0) -> float:
    """Yield per clock count; ``circular`` is sign of field times helicity, ``linear`` the XMLD part, both -1..1."""
    l3, l2 = L_EDGES[element]
    start = l3 - 27
    return 0.705 * (
        1
        - 0.02 * min((energy - start) / 22, 1)
        + 0.105 * _step(energy, l3, 0.8)
        + 0.055 * _step(energy, l2, 0.8)
        - 0.0007 * max(energy - start - 50, 0)
        + 0.60 * _peak(energy, l3, 1.35) * (1 - 0.155 * circular)
        + 0.17 * _peak(energy, l2, 1.9) * (1 + 0.19 * circular)
        + 0.02 * linear * (_peak(energy, l3 + 0.9, 0.9) - _peak(energy, l3 - 0.9, 0.9))
    )


def energies(element: str, points: int) -> Readings:
    """The energies of one sweep over both edges: 1000 points are 0.1 eV apart."""
    start = L_EDGES[element][0] - 26.9
    return float32(start + 99.9 * k / max(points - 1, 1) for k in range(points))


def magnetisation(field: float, rising: bool) -> float:
    """Hysteresis of the made-up film, -1..1."""
    coercive = 0.05 if rising else -0.05
    return math.tanh((field - coercive) / _SATURATION)


def clock_counts(rng: random.Random, points: int) -> Readings:
    """Gate clock of a flying sweep: the monochromator's ripple makes all counters swing together by 20 %."""
    return float32(round(min(max(rng.gauss(88000, 18000), 15000), 157000)) for _ in range(points))


def counts(rng: random.Random, clock: Sequence[float], rate: Sequence[float], scale: float = 1.0) -> Readings:
    """Counts of a detector whose rate per clock count is given, with its noise."""
    return float32(round(c * r * scale * rng.gauss(1, _NOISE)) for c, r in zip(clock, rate, strict=True))


def monitor(clock: Sequence[float], start: float, end: float) -> Readings:
    """Counts of the beam monitor, whose rate per clock count drifts from ``start`` to ``end`` over the sweep."""
    last = max(len(clock) - 1, 1)
    return float32(round(c * (start + (end - start) * k / last)) for k, c in enumerate(clock))


def ring_current(rng: random.Random, points: int) -> Readings:
    """Beam current of the storage ring in mA."""
    return float32(rng.gauss(500, 0.2) for _ in range(points))


def lagging(axis: Sequence[float]) -> Readings:
    """Read-back of a flying energy: right at both ends, up to 3.6 eV behind in the middle of the sweep."""
    last = max(len(axis) - 1, 1)
    return float32(e - 3.6 * 4 * (k / last) * (1 - k / last) for k, e in enumerate(axis))
