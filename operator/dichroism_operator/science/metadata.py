"""Scientific metadata of a scan: short, JSON, searchable. Spectra stay in the file and in the picture.

A number that has a unit is ``{"value": ..., "unit": ...}``; a range has two values. No other key begins with a ``v`` or
a ``u``: the catalogue takes two such keys side by side for a value and its unit. A channel that reads zero throughout
is not connected, so it is left out and no 0 K is told.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from dichroism_operator.bcs import BcsFile, Form, parse_name
from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook import Analysis, Dichroism, Loop, Nothing
from dichroism_operator.quicklook.analysis import analyse
from dichroism_operator.quicklook.caption import beamline_number
from dichroism_operator.quicklook.conditions import (
    ZERO_FIELD,
    AxisKind,
    Conditions,
    clusters,
    conditions,
    moved_motors,
    temperature,
)
from dichroism_operator.quicklook.detectors import detection_modes, live_monitor
from dichroism_operator.quicklook.edges import guess_edge
from dichroism_operator.quicklook.light import state
from dichroism_operator.science.images import image_metadata
from dichroism_operator.science.techniques import basis

# fmt: off
FIELDS = frozenset((
    "beamline", "file_format", "endstation", "scan_kind", "scan_number", "repeat_number", "file_number",
    "scan_file", "description", "summary_of_repeats", "motor", "count_time", "delay_after_move",
    "sampling_period", "n_points", "n_sweeps", "n_columns", "columns", "problems", "scan_axis",
    "scan_range", "photon_energy_range", "energy_step", "scan_velocity", "photon_energy", "photon_energies",
    "magnetic_field", "field_axis", "magnetic_field_values", "polarization", "polarization_state",
    "detection_modes", "monitor", "temperature", "temperature_channel", "sample_x", "sample_y", "sample_z",
    "theta", "exit_slit", "entrance_slit", "beam_current", "i0_gain", "ey_gain", "ly_gain",
    "technique_basis", "dichroism_mode", "element", "edge", "assigned_by", "edges_in_range", "quicklook",
    "proposal", "sample", "exposure", "fits_date", "image_size",
))
# fmt: on
"""Every key that may be told of a scan. A key of this list that is no longer told of a file is removed from its entry;
any other was put there by people and stays."""

_TEXT = 200
_MOST_NAMES = 150
_MOST_VALUES = 10
_DIGITS = 6
"""Significant digits: the instrument keeps single precision."""

_CHANNELS = (
    ("sample_x", "X", "mm"),
    ("sample_y", "Y", "mm"),
    ("sample_z", "Z", "mm"),
    ("theta", "Theta", "deg"),
    ("exit_slit", "Exit Slit", "um"),
    ("exit_slit", "Exit Slit Width", "um"),
    ("entrance_slit", "Entrance Slit Width", "um"),
    ("beam_current", "Beam Current", "mA"),
    ("i0_gain", "I0 Gain", None),
    ("ey_gain", "EY Gain", None),
    ("ly_gain", "LY Gain", None),
)


def scientific_metadata(
    scan: BcsFile, beamline: str, path: str = "", analysis: Analysis | None = None
) -> dict[str, Any]:
    """The metadata of a scan.

    Args:
        scan: The file.
        beamline: Its name in the configuration, such as ``BL402``.
        path: Where it lies; its name says the numbers of scan, repeat and file.
        analysis: Made before, to save making it again.
    """
    found: dict[str, Any] = {"beamline": beamline_number(beamline)}
    found |= {"scan_kind": scan.header.kind.value, "repeat_number": scan.header.repeat}
    found |= told_by_name(path or scan.name or "") | _told_by_header(scan)
    if scan.form is Form.FITS:
        return _clean(found | image_metadata(scan.header.document))
    found |= {"n_points": len(scan), "n_sweeps": len(scan.sweeps), "n_columns": len(scan.names)}
    found["columns"] = [name[:40] for name in scan.names[:_MOST_NAMES]]
    found["problems"] = [problem[:_TEXT] for problem in scan.problems[:5]]
    if len(scan):
        given = conditions(scan)
        found |= _axis(scan, given) | _field(given) | _light(given) | _surroundings(scan)
        found |= _dichroism(given, analysis if analysis is not None else analyse(scan, beamline))
    return _clean(found)


def told_by_name(path: str) -> dict[str, Any]:
    """What the name of a file says; nothing when it is not one that BCS gives."""
    parsed = parse_name(path)
    if parsed is None:
        return {}
    found = {"scan_kind": parsed.kind, "scan_number": parsed.scan}
    numbers = {"repeat_number": parsed.repeat, "file_number": parsed.file}
    return found | {key: number for key, number in numbers.items() if number is not None}


def _told_by_header(scan: BcsFile) -> dict[str, Any]:
    header = scan.header
    return {
        "file_format": scan.form.value,
        "scan_file": header.scan_file,
        "description": header.description,
        "summary_of_repeats": header.summary,
        "motor": header.motor,
        "count_time": _quantity(header.count_time_s, "s"),
        "delay_after_move": _quantity(header.delay_s, "s"),
        "sampling_period": _quantity(header.period_s, "s"),
        "endstation": "VMM" if "XMCD H" in scan else None,
    }


def _axis(scan: BcsFile, given: Conditions) -> dict[str, Any]:
    axis = given.axis
    known = axis.values[np.isfinite(axis.values)]
    found: dict[str, Any] = {"scan_axis": axis.name if axis.kind is AxisKind.MOTOR else axis.kind.value}
    if not len(known):
        return found
    ends = [float(known.min()), float(known.max())]
    if axis.kind is AxisKind.ENERGY:
        found["photon_energy_range"] = _quantity(ends, "eV")
        found["energy_step"] = _quantity(_step(known), "eV")
        found["scan_velocity"] = _quantity(_velocity(scan, axis.values), "eV/s")
    elif axis.kind is AxisKind.MOTOR:
        found["scan_range"] = _quantity(ends, axis.unit) if axis.unit else [_rounded(end) for end in ends]
    if axis.kind is not AxisKind.ENERGY and given.energy is not None:
        fixed = _distinct(given.energy[given.energy > 0], 0.5) if np.any(given.energy > 0) else []
        if len(fixed) == 1:
            found["photon_energy"] = _quantity(fixed[0], "eV")
        elif fixed:
            found["photon_energies"] = fixed
    return found


def _step(values: Floats) -> float | None:
    steps = np.abs(np.diff(values))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else None


def _velocity(scan: BcsFile, values: Floats) -> float | None:
    """Of the first flying sweep, by its gate clock."""
    if not scan.flying:
        return None
    sweep = scan.sweeps[0]
    seconds, travelled = scan.duration(sweep), values[sweep.rows][np.isfinite(values[sweep.rows])]
    return round(float(np.ptp(travelled)) / seconds, 3) if seconds and len(travelled) > 1 else None


def _field(given: Conditions) -> dict[str, Any]:
    if given.field is None:
        return {}
    known = given.field[np.isfinite(given.field)]
    if not len(known) or not known.any():
        return {}
    ends = [_rounded(float(known.min())), _rounded(float(known.max()))]
    found: dict[str, Any] = {
        "magnetic_field": _quantity(ends if ends[0] != ends[1] else ends[0], "T"),
        "field_axis": given.field_name,
    }
    if given.axis.kind is not AxisKind.FIELD:
        size = float(np.abs(known).max())
        found["magnetic_field_values"] = _distinct(known, max(4 * ZERO_FIELD, 0.05 * size))
    return found


def _light(given: Conditions) -> dict[str, Any]:
    if given.polarization is None:
        return {}
    codes = _distinct(given.polarization, 0.02)
    states = [name for code in codes if (name := state(code))]
    return {
        "polarization": codes[0] if len(codes) == 1 else codes,
        "polarization_state": states[0] if len(states) == 1 else states,
    }


def _surroundings(scan: BcsFile) -> dict[str, Any]:
    found: dict[str, Any] = {
        "detection_modes": detection_modes(scan),
        "monitor": live_monitor(scan),
    }
    heat = temperature(scan)
    if heat is not None:
        found |= {"temperature": _quantity(heat[0], "K"), "temperature_channel": heat[1]}
    moved = moved_motors(scan)
    for key, channel, unit in _CHANNELS:
        column = moved.get(channel, channel)
        if column not in scan:
            continue
        known = scan[column][np.isfinite(scan[column])]
        if not len(known) or not (known.any() or channel in moved):
            continue
        places = _distinct(known, 0.05) if channel in moved else []
        reading = [min(places), max(places)] if len(places) > 1 else float(np.median(known))
        found[key] = _quantity(reading, unit) if unit else reading
    return found


def _dichroism(given: Conditions, analysis: Analysis) -> dict[str, Any]:
    found: dict[str, Any] = {"technique_basis": basis(analysis)}
    if isinstance(analysis, Dichroism | Loop):
        found["dichroism_mode"] = analysis.mode
    guess = analysis.edge
    known = given.axis.values[np.isfinite(given.axis.values)]
    if guess is None and given.axis.kind is AxisKind.ENERGY and len(known) and not isinstance(analysis, Nothing):
        guess = guess_edge(float(known.min()), float(known.max()))
    if guess is None:
        return found
    if guess.edge is not None:
        found |= {"element": guess.edge.element, "edge": guess.edge.name, "assigned_by": guess.assigned_by}
    if len(guess.in_range) > 1 or (guess.in_range and guess.edge is None):
        found["edges_in_range"] = [edge.label for edge in guess.in_range[:_MOST_VALUES]]
    return found


def _distinct(values: Floats, gap: float) -> list[float]:
    """The different values, rounded; nothing when there are too many to be a choice."""
    means = np.unique(clusters(values[np.isfinite(values)], gap))
    return [_rounded(float(mean)) for mean in means] if len(means) <= _MOST_VALUES else []


def _quantity(reading: float | Iterable[float] | None, unit: str) -> dict[str, Any] | None:
    if reading is None:
        return None
    numbers = [reading] if isinstance(reading, float | int) else list(reading)
    if not all(math.isfinite(number) for number in numbers):
        return None
    rounded = [_rounded(number) for number in numbers]
    return {"value": rounded if len(rounded) > 1 else rounded[0], "unit": unit}


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def _clean(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known, with texts made short."""
    return {
        key: item[:_TEXT] if isinstance(item, str) else item
        for key, item in found.items()
        if item is not None and item not in ("", [], {})
    }
