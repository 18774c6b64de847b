"""Files of beamline 6.3.1: a bending magnet with one circular polarisation, so the field is switched."""

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
    number,
    rows,
    start_stop_header,
)
from tests.samples.channels import BL631

SCN_FOLDER = r"C:\experiments\user\scanfiles"
DEFAULT_DAY = date(2017, 11, 16)
_MORNING = 9 * 3600 + 28 * 60 + 29
_SINCE_START = 7721.86083984
"""The instrument's second clock: it counts from its own start, not from midnight."""

_COLUMNS_2022 = ("Source Meter Current", "Source Meter Voltage")


def _row_columns(motors: dict[str, Column], channels: dict[str, Column], start: float) -> list[Column]:
    return [clock_time(start), number(_SINCE_START + start - _MORNING), *motors.values(), *channels.values()]


def _channels(readings: dict[str, Column], *, year_2022: bool = False) -> dict[str, Column]:
    channels: dict[str, Column] = {**BL631, **readings}
    if not year_2022:
        return channels
    ordered: dict[str, Column] = {}
    for name, value in channels.items():
        if name == "Sample Bias":
            ordered.update(dict.fromkeys(_COLUMNS_2022, 0.0))
        ordered[name] = value
        if name == "Beam Current":
            ordered["Aalborg Totalizer"] = 0.0
    return ordered


def _energy_sweep(
    rng: random.Random, field: float, element: str, points: int, z: float, scale: float
) -> tuple[Readings, dict[str, Column]]:
    energy = spectra.energies(element, points)
    clock = spectra.clock_counts(rng, points)
    sign = (field > 0) - (field < 0)
    readings: dict[str, Column] = {
        "Beam Current": spectra.ring_current(rng, points),
        "I0 ES": spectra.monitor(clock, 2.73, 2.90),
        "EY": spectra.counts(rng, clock, [spectra.electron_yield(e, sign, element) for e in energy], scale),
        "Clock": clock,
        "Energy": spectra.lagging(energy),
        "Z": float32(rng.gauss(z, 2e-4) for _ in range(points)),
        "Magnet Field": field,
    }
    return energy, readings


def xmcd_pair_631(
    seed: int = 0,
    *,
    element: str = "Co",
    points: int = 1000,
    fields: tuple[float, ...] = (-1.8, 1.8),
    day: date = DEFAULT_DAY,
    start: float = _MORNING,
    repeat: int = 1,
    scale: float = 1.0,
    year_2022: bool = False,
    description: str = "",
) -> str:
    """A TrajScan with one energy sweep per field, 53 columns, names not unique, two channels NaN.

    ``start`` is the second of the day: a scan begun just before midnight wraps. ``scale`` is the yield that is left, it
    falls by 0.6 % per file. ``year_2022`` puts Z before the field and adds the three columns known from then. One field
    alone makes the file that is missing its second sweep.
    """
    rng = random.Random(f"631 {seed}")
    z = 100.50018311
    body, names = "", [""]
    for index, field in enumerate(fields):
        energy, readings = _energy_sweep(rng, field, element, points, z, scale)
        channels = _channels(readings, year_2022=year_2022)
        motors: dict[str, Column] = {"Magnet Field": field, "Z": z, "Energy": energy}
        if year_2022:
            motors = {name: motors[name] for name in ("Z", "Magnet Field", "Energy")}
        names = ["Time of Day", "Time (s)", *motors, *channels]
        body += rows(_row_columns(motors, channels, start + index * SWEEP_SECONDS))
    tesla = f"{max(abs(field) for field in fields):g}".replace(".", "p")
    scn = rf"{SCN_FOLDER}\{element}-flying_XMCD_7samples_{tesla}Tesla.scn"
    return from_file_header(day, scn, repeat=repeat, description=description) + column_line(names) + body


def hysteresis_631(
    seed: int = 0, *, element: str = "Co", points: int = 201, day: date = DEFAULT_DAY, start: float = _MORNING
) -> str:
    """A TrajScan loop: the field flies up and down at the L3 energy and once more at the L2 energy."""
    rng = random.Random(f"631 loop {seed}")
    body, names, sweep = "", [""], 0
    for energy in spectra.L_EDGES[element]:
        for rising in (True, False):
            field = float32((1 if rising else -1) * (3.6 * k / max(points - 1, 1) - 1.8) for k in range(points))
            clock = spectra.clock_counts(rng, points)
            rate = [spectra.electron_yield(energy, spectra.magnetisation(b, rising), element) for b in field]
            readings: dict[str, Column] = {
                "I0 ES": spectra.monitor(clock, 2.8, 2.8),
                "EY": spectra.counts(rng, clock, rate),
                "Clock": clock,
                "Energy": energy,
                "Magnet Field": float32(rng.gauss(b, 1e-3) for b in field),
            }
            channels = _channels(readings)
            motors: dict[str, Column] = {"Energy": energy, "Z": 100.5, "Magnet Field": field}
            names = ["Time of Day", "Time (s)", *motors, *channels]
            body += rows(_row_columns(motors, channels, start + sweep * SWEEP_SECONDS))
            sweep += 1
    return from_file_header(day, rf"{SCN_FOLDER}\{element}_hysteresis.scn") + column_line(names) + body


def sigscan_631(seed: int = 0, *, points: int = 41, day: date = DEFAULT_DAY, start: float = _MORNING) -> str:
    """A scan of one motor in steps: every row has its own time, setpoint and read-back."""
    rng = random.Random(f"631 sig {seed}")
    goal = float32(99 + 0.05 * k for k in range(points))
    clock = float32([500000.0] * points)
    readings: dict[str, Column] = {
        "I0 ES": spectra.monitor(clock, 2.8, 2.8),
        "EY": spectra.counts(rng, clock, [0.7 - 0.3 * (abs(z - 100) < 0.4) for z in goal]),
        "Clock": clock,
        "Energy": 777.0,
        "Z": goal,
    }
    channels = _channels(readings)
    actual = float32(rng.gauss(z, 3e-4) for z in goal)
    times: list[Column] = [
        [clock_time(start + 2 * k) for k in range(points)],
        float32(_SINCE_START + 2 * k for k in range(points)),
    ]
    header = start_stop_header(day, "Z", 99.0, goal[-1], 0.05)
    names = ["Time of Day", "Time (s)", "Z Goal", "Z Actual", *channels]
    return header + column_line(names) + rows([*times, goal, actual, *channels.values()])
