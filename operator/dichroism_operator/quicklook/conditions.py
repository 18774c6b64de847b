"""What the instrument did in a scan: the axis it scanned, and field, light and energy of every row.

Names differ between the beamlines and over the years, and set point and read-back stand under nearly the same name.
This module knows which column to trust; what follows from the values is in ``analysis``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dichroism_operator.bcs import BcsFile, unit_of
from dichroism_operator.bcs.channels import bare_name
from dichroism_operator.bcs.table import Floats

FIELD_NAMES = ("Magnet Field", "Hx", "Hy", "Hz", "XMCD H", "XMLD H", "9T Magnet Field")
VECTOR = ("Hx", "Hy", "Hz")
CAPTURED_ENERGY = "Captured Mono Energy"
"""4.0.2: the energy that the monochromator really had when the counters were read; staff plot against it."""

ZERO_FIELD = 0.005
"""Tesla. A smaller field has no sign: it is the remanence of the magnet or noise of its probe."""

_TIMES = ("Time of Day", "Time (s)", "Frame")
_FIRST_CHANNELS = frozenset(
    ("Beam Current", "I0 BL", "I0 ES", "EY", "LY", "FY", "Clock", "PD", *(f"Counter {n}" for n in range(8)))
)
_ENERGIES = ("Energy", "Beamline Energy", "Mono Energy")
_HOTTEST = 2000.0
_LAG = 5.0
"""Electron volts. A captured energy farther from the axis than this is not that of the scan."""


class AxisKind(StrEnum):
    """What was scanned."""

    ENERGY = "photon energy"
    FIELD = "magnetic field"
    MOTOR = "motor"
    TIME = "time"
    POINT = "point number"
    """Nothing that the file shows: rows are counted."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The quantity that was scanned."""

    kind: AxisKind
    name: str
    unit: str | None
    values: Floats


@dataclass(frozen=True, slots=True)
class Conditions:
    """One value per row; None where the file does not have it."""

    axis: Axis
    energy: Floats | None
    field: Floats | None
    field_name: str | None
    field_vector: Floats | None
    """Shape (rows, 3): the field in T along x, y and z. Vector magnet only."""
    polarization: Floats | None
    """As in the file: 0 linear horizontal, 2 linear vertical, 100 to 190 linear at that minus 100 degrees, else the
    degree of circular polarisation with its sign. None at a beamline where the light is not switched."""
    others: Mapping[str, Floats]
    """Further motors that the scan moved, such as the sample position."""


def conditions(scan: BcsFile) -> Conditions:
    """The conditions of a scan, from its columns."""
    motors = moved_motors(scan)
    axis = _axis(scan, motors)
    field_name = _field_column(scan, motors)
    polarization = next((column for name, column in motors.items() if "Polarization" in name), None)
    polarization = polarization or next((name for name in ("Polarization", "EPU Polarization") if name in scan), None)
    energy = next((column for name, column in motors.items() if "Energy" in name), None)
    energy = energy or next((name for name in _ENERGIES if name in scan), None)
    known = {axis.name, field_name, polarization, energy}
    return Conditions(
        axis=axis,
        energy=axis.values if axis.kind is AxisKind.ENERGY else scan[energy] if energy else None,
        field=scan[field_name] if field_name else None,
        field_name=bare_name(field_name) if field_name else None,
        field_vector=np.column_stack([scan[name] for name in VECTOR]) if all(n in scan for n in VECTOR) else None,
        polarization=scan[polarization] if polarization else None,
        others={
            name: scan[column]
            for name, column in motors.items()
            if column not in known and name not in FIELD_NAMES and "Energy" not in name
        },
    )


def moved_motors(scan: BcsFile) -> dict[str, str]:
    """The motors that the scan moved and the column of each: the set point where there is one.

    They stand between the times and the list of channels that is the same in every file of an end station.
    """
    names = [name for name in scan.names if name not in _TIMES]
    end = next((index for index, name in enumerate(names) if name in _FIRST_CHANNELS), None)
    if end is None:
        end = max((n + 1 for n, name in enumerate(names) if name.endswith((" Goal", " Actual"))), default=1)
    motors: dict[str, str] = {}
    for name in names[:end]:
        if bare_name(name) not in motors or name.endswith(" Goal"):
            motors[bare_name(name)] = name
    return motors


def distinct(values: Floats, digits: int) -> int:
    """How many different values there are, rounded to ``digits`` decimals."""
    return len(np.unique(np.round(values[np.isfinite(values)], digits)))


def clusters(values: Floats, gap: float) -> Floats:
    """For each value the mean of its cluster: sorted values belong together while they are less than ``gap`` apart."""
    result = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return result
    order = known[np.argsort(values[known], kind="stable")]
    cuts = np.flatnonzero(np.diff(values[order]) > gap) + 1
    for members in np.split(order, cuts):
        result[members] = values[members].mean()
    return result


def _digits(name: str, column: str) -> int:
    """Decimals that count: set points are exact, read-backs tremble."""
    if "Energy" in name:
        return 1
    if name in FIELD_NAMES:
        return 3
    return 6 if column.endswith(" Goal") else 2


def _axis(scan: BcsFile, motors: Mapping[str, str]) -> Axis:
    """The motor with most different values, the last of equals: a scan file names the fastest last."""
    best, most = None, 2
    for name, column in motors.items():
        of_header = name == scan.header.motor
        count = distinct(scan[column], 6 if of_header else _digits(name, column))
        if count > 2 and (of_header or count >= most):
            best, most = name, len(scan) + 1 if of_header else count
    if best is None:
        return _without_motor(scan)
    column = motors[best]
    if "Energy" in best:
        return _energy_axis(scan, column)
    kind = AxisKind.FIELD if best in FIELD_NAMES else AxisKind.MOTOR
    return Axis(kind, best, unit_of(best), scan[column])


def _energy_axis(scan: BcsFile, column: str) -> Axis:
    values = scan[column]
    if CAPTURED_ENERGY in scan:
        captured = scan[CAPTURED_ENERGY]
        off = np.abs(captured - values)
        if np.isfinite(off).all() and len(off) and np.median(off) < _LAG:
            return Axis(AxisKind.ENERGY, CAPTURED_ENERGY, "eV", captured)
    return Axis(AxisKind.ENERGY, bare_name(column), "eV", values)


def _without_motor(scan: BcsFile) -> Axis:
    if "Time (s)" in scan and distinct(scan["Time (s)"], 3) > 2:
        seconds = scan["Time (s)"]
        return Axis(AxisKind.TIME, "Time", "s", seconds - seconds[np.isfinite(seconds)][0])
    return Axis(AxisKind.POINT, "Point", None, np.arange(len(scan), dtype=np.float64))


def _field_column(scan: BcsFile, motors: Mapping[str, str]) -> str | None:
    """The field that the scan set, else the channel that reads the greatest one."""
    moved = [motors[name] for name in FIELD_NAMES if name in motors]
    return _greatest(scan, moved) or _greatest(scan, [name for name in FIELD_NAMES if name in scan])


def _greatest(scan: BcsFile, names: Iterable[str]) -> str | None:
    sizes = {name: _size(scan[name]) for name in names}
    return max(sizes, key=lambda name: sizes[name]) if sizes else None


def _size(values: Floats) -> float:
    finite: Sequence[float] | Floats = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if len(finite) else -1.0


def temperature(scan: BcsFile) -> tuple[float, str] | None:
    """Median temperature in K and the channel that read it; None when every sensor reads zero, which is unconnected."""
    for name in ("Sample Temperature", "Temp A", "Temp B", "Temp HT", "Temp A (HT)", "Temp B (HT)"):
        if name in scan:
            known = scan[name][np.isfinite(scan[name])]
            if len(known) and 0 < (middle := float(np.median(known))) < _HOTTEST:
                return middle, name
    return None
