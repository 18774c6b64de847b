"""Polarisation of the light: what the numbers in the files mean.

4.0.2 has an elliptical undulator and writes a code: 0 linear horizontal, 2 linear vertical, 100 to 190 linear at that
minus 100 degrees from horizontal, anything else between -1 and 1 the degree of circular polarisation with its sign.
6.3.1 has a bending magnet: the light is circular in one sense and is not in the file.
"""

from dataclasses import dataclass

import numpy as np

from dichroism_operator.bcs.table import Floats

_ROUNDING = 0.02
_LINEAR_FROM, _LINEAR_TO = 100.0, 190.0


@dataclass(frozen=True, slots=True)
class Light:
    """Per row: sense of circular light (1, -1, else 0) and angle of linear light in degrees (NaN when not linear)."""

    helicity: Floats
    angle: Floats


def light(codes: Floats | None, rows: int) -> Light:
    """The light of every row; without codes it is circular in one sense, taken as positive."""
    if codes is None:
        return Light(np.ones(rows), np.full(rows, np.nan))
    near_zero = np.abs(codes) < _ROUNDING
    helicity = np.where((np.abs(codes) <= 1 + _ROUNDING) & ~near_zero, np.sign(codes), 0.0)
    angle = np.full(rows, np.nan)
    angle[near_zero] = 0.0
    angle[np.abs(codes - 2) < _ROUNDING] = 90.0
    turned = (codes >= _LINEAR_FROM - _ROUNDING) & (codes <= _LINEAR_TO + _ROUNDING)
    angle[turned] = codes[turned] - _LINEAR_FROM
    return Light(np.nan_to_num(helicity), angle)


def state(code: float) -> str | None:
    """A code in words, None when it is none."""
    one = light(np.array([code]), 1)
    if one.helicity[0]:
        return "circular positive" if one.helicity[0] > 0 else "circular negative"
    if np.isnan(one.angle[0]):
        return None
    names = {0: "linear horizontal", 90: "linear vertical"}
    degrees = round(float(one.angle[0]))
    return names.get(degrees, f"linear {degrees} deg")
