"""Files of beamline 4.0.2, vector magnet: an elliptical undulator, so field and polarisation are both switched.

Values of the polarisation: 1 and -1 circular, 0 linear horizontal, 2 linear vertical, 100..190 linear at that minus 100
degrees from horizontal.
"""

import itertools
import random
from datetime import date

from tests.samples import spectra
from tests.samples.bcs_text import (
    SWEEP_SECONDS,
    Column,
    Readings,
    clock_time,
    column_line,
    float32,
    from_file_header,
    rows,
    start_stop_header,
)
from tests.samples.channels import BL402

SCN_FOLDER = r"C:\Beamline Controls\Scan Files\user"
DEFAULT_DAY = date(2021, 11, 2)
_MORNING = 10 * 3600 + 5 * 60 + 12
_SINCE_START = 4311.5
_LINEAR = {0.0: 1.0, 100.0: 1.0, 2.0: -1.0, 190.0: -1.0}


def _counters(rng: random.Random, clock: Readings, rate: list[float], scale: float) -> dict[str, Column]:
    return {
        "I0 BL": spectra.monitor(clock, 5.1, 5.4),
        "I0 ES": spectra.monitor(clock, 2.73, 2.90),
        "EY": spectra.counts(rng, clock, rate, scale),
        "LY": spectra.counts(rng, clock, [3.2 - 0.9 * r for r in rate]),
        "Clock": clock,
        "Beam Current": spectra.ring_current(rng, len(clock)),
    }


def _sweep(
    rng: random.Random, element: str, points: int, field: float, polarization: float, scale: float
) -> dict[str, Column]:
    energy = spectra.energies(element, points)
    circular = (field > 0) - (field < 0) if 0 < abs(polarization) <= 1 else 0
    linear = _LINEAR.get(polarization, 0.0)
    rate = [spectra.electron_yield(e, circular * polarization, element, linear) for e in energy]
    return {
        "Beamline Energy Actual": energy,
        **_counters(rng, spectra.clock_counts(rng, points), rate, scale),
        "Hx": float32(rng.gauss(field, 5e-5) for _ in range(points)),
        "XMCD H": field,
        "Energy": energy,
        "Polarization": polarization,
    }


def trajectory_402(
    seed: int = 0,
    *,
    sweeps: tuple[tuple[float, float], ...],
    scn: str,
    element: str = "Co",
    points: int = 1201,
    day: date = DEFAULT_DAY,
    start: float = _MORNING,
    scale: float = 1.0,
) -> str:
    """One file of a run: an energy sweep per (``Hx`` in T, ``EPU Polarization``)."""
    rng = random.Random(f"402 {seed}")
    body, names = "", [""]
    for index, (field, polarization) in enumerate(sweeps):
        readings = _sweep(rng, element, points, field, polarization, scale)
        energy = readings.pop("Beamline Energy Actual")
        began = start + index * SWEEP_SECONDS
        columns: dict[str, Column] = {
            "Time of Day": clock_time(began),
            "Time (s)": _SINCE_START + began - _MORNING,
            "Hx Goal": field,
            "Hx Actual": field + 2e-5,
            "EPU Polarization Goal": polarization,
            "EPU Polarization Actual": polarization,
            "Beamline Energy Actual": energy,
            **BL402,
            **readings,
        }
        names = list(columns)
        body += rows(list(columns.values()))
    return from_file_header(day, rf"{SCN_FOLDER}\{scn}", count_time=0.1) + column_line(names) + body


def xmcd_set_402(
    seed: int = 0,
    *,
    element: str = "Co",
    field: float = 0.4,
    points: int = 1201,
    day: date = DEFAULT_DAY,
    start: float = _MORNING,
) -> list[str]:
    """The four files of an XMCD run: each has both fields at one helicity, helicity alternating +, -, -, +."""
    return [
        trajectory_402(
            4 * seed + index,
            sweeps=((field, helicity), (-field, helicity)),
            scn=f"{element}_XMCD_x4.scn",
            element=element,
            points=points,
            day=day,
            start=start + index * 2 * SWEEP_SECONDS,
            scale=0.994**index,
        )
        for index, helicity in enumerate((1.0, -1.0, -1.0, 1.0))
    ]


def xmld_402(
    seed: int = 0, *, element: str = "Fe", points: int = 1201, day: date = DEFAULT_DAY, start: float = _MORNING
) -> str:
    """One XMLD file: a sweep with linear horizontal light and one with light turned by 90 degrees."""
    sweeps = ((0.4, 100.0), (0.4, 190.0))
    return trajectory_402(
        seed, sweeps=sweeps, scn=f"{element}_XMLD.scn", element=element, points=points, day=day, start=start
    )


def hysteresis_402(
    seed: int = 0,
    *,
    element: str = "Co",
    limit: float = 0.25,
    points: int = 101,
    day: date = DEFAULT_DAY,
    start: float = _MORNING,
) -> str:
    """A loop: ``Hx`` flies from ``limit`` (T) down to its negative and back. 109 columns."""
    rng = random.Random(f"402 loop {seed}")
    energy = spectra.L_EDGES[element][0]
    body, names = "", [""]
    for sweep, rising in enumerate((False, True)):
        down = [limit - 2 * limit * k / max(points - 1, 1) for k in range(points)]
        field = float32(reversed(down) if rising else down)
        rate = [spectra.electron_yield(energy, spectra.magnetisation(b, rising), element) for b in field]
        began = start + sweep * SWEEP_SECONDS
        clock = spectra.clock_counts(rng, points)
        columns: dict[str, Column] = {
            "Time of Day": clock_time(began),
            "Time (s)": _SINCE_START + began - _MORNING,
            "Hx Actual": field,
            **BL402,
            **_counters(rng, clock, rate, 1.0),
            "I0 BL": spectra.monitor(clock, 5.2, 5.2),
            "I0 ES": spectra.monitor(clock, 2.8, 2.8),
            "Hx": float32(rng.gauss(b, 5e-5) for b in field),
            "Energy": energy,
            "Polarization": 1.0,
        }
        names = list(columns)
        body += rows(list(columns.values()))
    return from_file_header(day, rf"{SCN_FOLDER}\{element}_loop.scn", count_time=0.1) + column_line(names) + body


def sigscan_402(
    seed: int = 0,
    *,
    motor: str = "M201 Roll",
    points: int = 61,
    day: date = DEFAULT_DAY,
    start: float = _MORNING,
    description: str = "",
) -> str:
    """A scan of one motor in steps: columns ``<motor> Goal`` and ``<motor> Actual``, every row with its own time."""
    rng = random.Random(f"402 sig {seed}")
    goal = float32(-0.3 + 0.01 * k for k in range(points))
    clock = float32(itertools.repeat(100000.0, points))
    rate = [0.7 / (1 + (g / 0.1) ** 2) for g in goal]
    columns: dict[str, Column] = {
        "Time of Day": [clock_time(start + k) for k in range(points)],
        "Time (s)": float32(_SINCE_START + k for k in range(points)),
        f"{motor} Goal": goal,
        f"{motor} Actual": float32(rng.gauss(g, 1e-3) for g in goal),
        **BL402,
        **_counters(rng, clock, rate, 1.0),
        "Energy": 777.0,
        "Polarization": 1.0,
    }
    header = start_stop_header(day, motor, goal[0], goal[-1], 0.01, description)
    return header + column_line(columns) + rows(list(columns.values()))
