"""Metadata of an image of the CCD, from its FITS header. Names of cards differ, so the usual ones are looked for."""

import math
from collections.abc import Mapping
from typing import Any

_QUANTITIES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("photon_energy", ("BEAMLINE ENERGY", "MONO ENERGY", "ENERGY"), "eV"),
    ("exposure", ("EXPOSURE", "EXPTIME"), "s"),
    ("polarization", ("EPU POLARIZATION", "POLARIZATION"), None),
    ("beam_current", ("BEAM CURRENT",), "mA"),
    ("sample_x", ("SAMPLE X",), "mm"),
    ("sample_y", ("SAMPLE Y",), "mm"),
    ("sample_z", ("SAMPLE Z",), "mm"),
)
_TEXTS = (("fits_date", ("DATE-OBS", "DATE")), ("sample", ("SAMPLE", "SAMPLE NAME", "OBJECT")))


def image_metadata(cards: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an image."""
    upper = {name.upper(): value for name, value in cards.items()}
    found: dict[str, Any] = {}
    for key, names, unit in _QUANTITIES:
        reading = next((upper[name] for name in names if _is_number(upper.get(name))), None)
        if reading is not None:
            found[key] = {"value": float(reading), "unit": unit} if unit else float(reading)
    for key, names in _TEXTS:
        text = next((upper[name] for name in names if isinstance(upper.get(name), str) and upper[name].strip()), None)
        if text is not None:
            found[key] = text.strip()
    size = [upper.get(f"NAXIS{axis}") for axis in (1, 2)]
    if all(isinstance(side, int) for side in size):
        found["image_size"] = size
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
