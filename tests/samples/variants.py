"""Rarer forms of scan files: older headers, other scan kinds, the newer header, images. Made from the usual ones."""

import itertools
import json
import random
from collections.abc import Sequence
from datetime import date

from tests.samples import spectra
from tests.samples.bcs_text import (
    COLUMN_LINE_START,
    SWEEP_SECONDS,
    Column,
    clock_time,
    column_line,
    float32,
    number,
    rows,
)
from tests.samples.bl402 import DEFAULT_DAY, SCN_FOLDER
from tests.samples.bl631 import xmcd_pair_631

_CHANNELS_MAIN = (
    "I0 BL",
    "I0 ES",
    "EY",
    "LY",
    "FY",
    "Clock",
    "Captured Mono Energy",
    "Energy",
    "Polarization",
    "Temp A",
)
_MORNING = 9 * 3600.0


def _parts(text: str) -> tuple[list[str], list[str], list[list[str]]]:
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(COLUMN_LINE_START))
    return lines[:first], lines[first].split("\t"), [line.split("\t") for line in lines[first + 1 :]]


def _joined(header: Sequence[str], names: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    return "\n".join([*header, "\t".join(names), *("\t".join(row) for row in table)]) + "\n"


def longer_header(text: str, lines: Sequence[str] = ("Magnet: ramped", "")) -> str:
    """The same scan with more lines before the table, as older files have."""
    header, names, table = _parts(text)
    return _joined([*header[:-2], *lines, *header[-2:]], names, table)


def renamed_columns(text: str, names: dict[str, str]) -> str:
    """The same scan under other channel names, such as ``Counter 1`` for ``EY``."""
    header, old, table = _parts(text)
    return _joined(header, [names.get(name, name) for name in old], table)


def without_columns(text: str, names: Sequence[str]) -> str:
    """The same scan from a station that does not have these channels."""
    header, old, table = _parts(text)
    kept = [index for index, name in enumerate(old) if name not in names]
    return _joined(header, [old[index] for index in kept], [[row[index] for index in kept] for row in table])


def with_reading(text: str, names: Sequence[str], reading: str = "0.00000000") -> str:
    """The same scan with channels that read one value throughout: zero when unconnected, ``NaN`` when unread."""
    header, old, table = _parts(text)
    dead = {index for index, name in enumerate(old) if name in names}
    return _joined(header, old, [[reading if i in dead else cell for i, cell in enumerate(row)] for row in table])


def rows_of(text: str, more: str) -> str:
    """The first scan with the rows of the second, which has the same columns, behind its own."""
    header, names, table = _parts(text)
    return _joined(header, names, [*table, *_parts(more)[2]])


def interleaved(text: str) -> str:
    """The same two sweeps point by point: the field is switched at every energy, and every row has its own time."""
    header, names, table = _parts(text)
    half = len(table) // 2
    mixed = [row for pair in zip(table[:half], table[half:], strict=True) for row in pair]
    timed = [[clock_time(_MORNING + 2 * k), number(100.0 + 2 * k), *row[2:]] for k, row in enumerate(mixed)]
    return _joined(header, names, timed)


def two_positions_631(points: int = 200) -> str:
    """Two samples at two heights in one file, cobalt and nickel edges in the same range, both fields of each."""
    first = xmcd_pair_631(points=points)
    second = xmcd_pair_631(seed=1, points=points, start=_MORNING + 3600, scale=0.5)
    header, names, table = _parts(second)
    height = names.index("Z")
    moved = _joined(header, names, [[*row[:height], "90.25000000", *row[height + 1 :]] for row in table])
    return rows_of(first, moved)


def main_server_402(seed: int = 0, *, helicities: Sequence[float] = (1.0, -1.0), points: int = 401) -> str:
    """The main control computer of 4.0.2: helicity switched at one field, the captured energy among the channels."""
    rng = random.Random(f"402 main {seed}")
    body, names = "", [""]
    for index, helicity in enumerate(helicities):
        energy = spectra.energies("Co", points)
        clock = spectra.clock_counts(rng, points)
        rate = [spectra.electron_yield(e, helicity, "Co") for e in energy]
        began = _MORNING + index * SWEEP_SECONDS
        columns: dict[str, Column] = {
            "Time of Day": clock_time(began),
            "Time (s)": 100.0 + index * SWEEP_SECONDS,
            "Hx Goal": 0.25,
            "Hx Actual": 0.2499,
            "EPU Polarization Goal": helicity,
            "EPU Polarization Actual": helicity,
            "Beamline Energy Actual": energy,
            **dict.fromkeys(_CHANNELS_MAIN, 0.0),
            "I0 BL": spectra.monitor(clock, 5.1, 5.4),
            "I0 ES": spectra.monitor(clock, 2.73, 2.90),
            "EY": spectra.counts(rng, clock, rate),
            "Clock": clock,
            "Captured Mono Energy": float32(rng.gauss(e + 0.3, 0.01) for e in energy),
            "Energy": spectra.lagging(energy),
            "Polarization": helicity,
        }
        names = list(columns)
        body += rows(list(columns.values()))
    header = (
        f"Date: {DEFAULT_DAY.month}/{DEFAULT_DAY.day}/{DEFAULT_DAY.year}\nFrom File\nAll Magnets\n"
        f"{SCN_FOLDER}\\Co_helicity.scn\nDelay After Move (s): 0.10000000\nCount Time (s): 0.10000000\n"
        "Scan Number: Avg\nStay at End: 0\nDescription Length: 0\n\n"
    )
    return header + column_line(names) + body


def flying_sigscan_402(*, points: int = 301, day: date = DEFAULT_DAY) -> str:
    """One flying motor, the energy: one column for it, and one time for all rows."""
    rng = random.Random("402 flying sig")
    energy = float32(845 + 0.05 * k for k in range(points))
    clock = spectra.clock_counts(rng, points)
    columns: dict[str, Column] = {
        "Time of Day": clock_time(_MORNING),
        "Time (s)": 55.5,
        "Beamline Energy": energy,
        "I0 BL": spectra.monitor(clock, 5.0, 5.2),
        "I0 ES": spectra.monitor(clock, 2.7, 2.8),
        "EY": spectra.counts(rng, clock, [spectra.electron_yield(e, 0.0, "Ni") for e in energy]),
        "Clock": clock,
        "Polarization": 0.0,
    }
    header = (
        f"Date: {day.month}/{day.day}/{day.year}\n\nFlying Scan\nBeamline Energy\nStart: 845.00000000\n"
        "Stop: 860.00000000\nIncrement: 0.05000000\nX Center: 0.25000000\nDelay After Move (s): 0.00000000\n"
        "Count Time (s): 0.10000000\nScan Number: 1\nBi-directional: Yes\nStay at End: 0\nDescription Length: 0\n\n"
    )
    return header + column_line(columns) + rows(list(columns.values()))


def timescan(*, points: int = 50, memo: str = "beam stability", day: date = DEFAULT_DAY) -> str:
    """Nothing moves: a memo, the number of samples and five numbers make the header."""
    clock = float32(itertools.repeat(1e6, points))
    columns: dict[str, Column] = {
        "Time of Day": [clock_time(_MORNING + 2 * k) for k in range(points)],
        "Time (s)": float32(10 + 2 * k for k in range(points)),
        "Beam Current": float32(500 - 0.01 * k for k in range(points)),
        "I0 ES": spectra.monitor(clock, 2.8, 2.8),
        "EY": spectra.counts(random.Random(0), clock, [0.7] * points),
        "Clock": clock,
        "Energy": 777.0,
    }
    header = (
        f"Date: {day.month}/{day.day}/{day.year}\n{len(memo) + 1}\n{memo}\n{points}\n"
        "0.00000000\t2.00000000\t0.00000000\t0.00000000\t1.00000000\n"
    )
    return header + column_line(columns) + rows(list(columns.values()))


def header_data(*, points: int = 30) -> str:
    """The newer form: a JSON header between ``HEADER`` and ``DATA``, and a column of file names in the table."""
    document = {"Scan Type": "Single Motor Scan", "Single Motor Scan": {"X Motor": "Sample X", "Start": 0}}
    columns: dict[str, Column] = {
        "Time of Day": [clock_time(_MORNING + k) for k in range(points)],
        "Sample X Goal": float32(0.1 * k for k in range(points)),
        "Sample X Actual": float32(0.1 * k + 0.001 for k in range(points)),
        "EY": float32(1000.0 + k for k in range(points)),
        "I0 BL": float32(itertools.repeat(500.0, points)),
        "Camera": [f"Images\\frame {k:04d}.png" for k in range(points)],
    }
    text = f"HEADER\n{json.dumps(document, indent=2)}\nDATA\n"
    return text + column_line(columns) + rows(list(columns.values()))


def fits_image(cards: Sequence[tuple[str, str]] = ()) -> bytes:
    """An image of 4 by 2 pixels; ``cards`` are keywords and values as they stand in the header."""
    usual = [
        ("SIMPLE", "T"),
        ("BITPIX", "16"),
        ("NAXIS", "2"),
        ("NAXIS1", "4"),
        ("NAXIS2", "2"),
        ("DATE", "'2021-11-02T10:05:12'"),
        ("EXPOSURE", "0.5"),
        ("HIERARCH Beamline Energy", "778.1"),
    ]
    lines = [f"{key:<8}= {value:>20}"[:80].ljust(80) for key, value in (*usual, *cards)]
    header = "".join([*lines, "END".ljust(80)]).encode("ascii")
    return header.ljust(-(-len(header) // 2880) * 2880) + bytes(16).ljust(2880, b"\0")
