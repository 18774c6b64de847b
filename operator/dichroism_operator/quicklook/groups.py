"""Which rows belong to which side of a dichroism: sign of the field times helicity, or the direction of linear light.

A side is only made of rows that can be compared: the same size of the field and the same position of the sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook.conditions import ZERO_FIELD, Conditions, clusters, distinct
from dichroism_operator.quicklook.light import Light
from dichroism_operator.quicklook.runs import Mask, Rows

_SAME_FIELD = 0.05
"""Fields whose sizes differ by less than this part, or by 20 mT, are the same."""
_SAME_FIELD_T = 0.02
_SAME_ANGLE = 2.0
_RIGHT_ANGLE = (70.0, 110.0)
_MOST_CONDITIONS = 50
_UNKNOWN = -1e9
_MOST_POSITIONS = 20
"""A motor with more different values than this follows the scan and is no choice of a sample."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of a dichroism, as rows."""

    name: str
    mode: str
    plus: Rows
    minus: Rows
    plus_label: str
    minus_label: str
    convention: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OneSided:
    """There is no dichroism in this file; ``reason`` says why, in words for the picture."""

    reason: str


def sides(given: Conditions, light: Light) -> Sides | OneSided:
    """The sides of the dichroism that a scan carries, if it does."""
    circular, linear = light.helicity != 0, np.isfinite(light.angle)
    if not circular.any() and not linear.any():
        return OneSided("polarisation unknown: no dichroism computed")
    return _circular(given, light) if circular.sum() >= linear.sum() else _linear(given, light)


def field_text(values: Floats) -> str:
    """``+1.8 T`` or ``-0.4 .. +0.4 T``."""
    low, high = float(values.min()), float(values.max())
    return f"{low:+.3g} T" if high - low < _SAME_FIELD_T else f"{low:+.3g} .. {high:+.3g} T"


def positions(given: Conditions) -> dict[str, Floats]:
    """Motors besides axis, field and light that stood at a few different places: the samples of the scan."""
    return {name: np.round(values, 2) for name, values in given.others.items() if _is_position(values)}


def same_conditions(given: Conditions, light: Light) -> list[tuple[str, Rows]]:
    """Rows of the same field, light and position, in the order of the file, each named by what differs."""
    rows = len(light.helicity)
    field = _signed(given.field, rows)
    parts = [
        (_same_fields(field), "{:+.3g} T"),
        (light.helicity, "helicity {:+.0f}"),
        (clusters(light.angle, _SAME_ANGLE), "linear {:.0f} deg"),
        *((np.round(v, 2), name + " {:.2f}") for name, v in given.others.items() if _is_position(v)),
    ]
    table = np.nan_to_num(np.column_stack([values for values, _ in parts]), nan=_UNKNOWN)
    keys, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
    differs = [len(np.unique(column)) > 1 for column in keys.T]
    found = []
    for key in np.argsort(first)[:_MOST_CONDITIONS]:
        words = [
            words.format(value)
            for value, (_, words), shown in zip(keys[key], parts, differs, strict=True)
            if shown and value != _UNKNOWN and not (words.startswith("helicity") and value == 0)
        ]
        found.append((", ".join(words), np.flatnonzero(which.reshape(-1) == key)))
    return found


def _same_fields(field: Floats) -> Floats:
    """Fields with those that differ by less than what a magnet trembles made equal."""
    return clusters(field, max(_SAME_FIELD_T, _SAME_FIELD * float(np.abs(field).max(initial=0))))


def _is_position(values: Floats) -> bool:
    return 1 < distinct(values, 2) <= _MOST_POSITIONS


def _circular(given: Conditions, light: Light) -> Sides | OneSided:
    helicity, field = light.helicity, _signed(given.field, len(light.helicity))
    sign = helicity * np.sign(field)
    by_helicity_alone = not sign.any()
    if by_helicity_alone:
        sign = helicity
    if len(set(sign[sign != 0])) < 2:
        return OneSided(_one_circular(given, field, helicity))
    size = np.zeros(len(sign))
    if given.field is not None and not by_helicity_alone:
        size = _same_fields(np.abs(field))
    chosen, notes = _comparable(sign, {"field": size, **positions(given)})
    if chosen is None:
        return OneSided("no two opposite fields of the same size at one position: no dichroism computed")
    plus, minus = np.flatnonzero(chosen & (sign > 0)), np.flatnonzero(chosen & (sign < 0))
    switched = given.polarization is not None and len(set(helicity[chosen])) > 1
    flipped = len(set(np.sign(field[chosen]))) > 1
    mode = {(True, True): "field-and-helicity-switching", (True, False): "field-switching"}.get(
        (flipped, switched), "helicity-switching"
    )
    product = "field x helicity" if given.polarization is not None else "field"
    if by_helicity_alone:
        product = "helicity"
    return Sides(
        name="XMCD",
        mode=mode,
        plus=plus,
        minus=minus,
        plus_label=_circular_label(given, field, helicity, plus) or f"{product} > 0",
        minus_label=_circular_label(given, field, helicity, minus) or f"{product} < 0",
        convention=f"XMCD = mu({product} > 0) - mu({product} < 0), signs as in the file",
        notes=(*notes, *(("no field: remanence",) if by_helicity_alone else ())),
    )


def _signed(field: Floats | None, rows: int) -> Floats:
    if field is None:
        return np.zeros(rows)
    return np.where(np.abs(field) >= ZERO_FIELD, np.nan_to_num(field), 0.0)


def _circular_label(given: Conditions, field: Floats, helicity: Floats, rows: Rows) -> str | None:
    """The condition of a side when it is a single one."""
    if len(set(np.sign(field[rows]))) > 1 or len(set(helicity[rows])) > 1:
        return None
    words = [field_text(field[rows])] if field[rows].any() else []
    if given.polarization is not None:
        words.append("helicity +" if helicity[rows[0]] > 0 else "helicity -")
    return ", ".join(words) or None


def _one_circular(given: Conditions, field: Floats, helicity: Floats) -> str:
    one_helicity = given.polarization is not None and len(set(helicity[helicity != 0])) == 1
    seen = field[(helicity != 0) & (field != 0)]
    if not len(seen):
        words = "no field" if given.field is not None else "field not in the file"
    else:
        words = f"one field only ({field_text(seen)})"
    return f"{words}{' and one helicity' if one_helicity else ''}: no dichroism in this file"


def _linear(given: Conditions, light: Light) -> Sides | OneSided:
    angle = clusters(light.angle, _SAME_ANGLE)
    seen = np.unique(angle[np.isfinite(angle)])
    if len(seen) == 1:
        return _by_field_direction(given, float(seen[0]))
    if len(seen) != 2 or not _RIGHT_ANGLE[0] <= seen[1] - seen[0] <= _RIGHT_ANGLE[1]:
        words = ", ".join(f"{value:.0f}" for value in seen[:5])
        return OneSided(f"polarisation angles {words} deg are no crossed pair: no dichroism computed")
    sign = np.where(np.isfinite(angle), np.where(angle == seen[1], 1.0, -1.0), 0.0)
    keys = positions(given)
    field = _signed(given.field, len(sign))
    if field.any():
        keys["field"] = _same_fields(field)
    chosen, notes = _comparable(sign, keys)
    if chosen is None:
        return OneSided("crossed polarisations were not measured at one field and position: no dichroism computed")
    name = "XMLD" if field[chosen].any() else "XLD"
    high, low = f"{seen[1]:.0f} deg", f"{seen[0]:.0f} deg"
    return Sides(
        name=name,
        mode="linear",
        plus=np.flatnonzero(chosen & (sign > 0)),
        minus=np.flatnonzero(chosen & (sign < 0)),
        plus_label=f"linear {high}",
        minus_label=f"linear {low}",
        convention=f"{name} = mu({high}) - mu({low}), angle of the polarisation from horizontal",
        notes=notes,
    )


def _by_field_direction(given: Conditions, angle: float) -> Sides | OneSided:
    """Linear light of one direction: the field may have been turned instead."""
    nothing = OneSided(f"one linear polarisation only ({angle:.0f} deg): no dichroism in this file")
    if given.field_vector is None:
        return nothing
    vector = np.nan_to_num(given.field_vector)
    size = np.linalg.norm(vector, axis=1)
    strong = np.flatnonzero(size >= max(ZERO_FIELD, 0.5 * float(size.max(initial=0))))
    if not len(strong):
        return nothing
    direction = vector[strong] / size[strong, None]
    turned = np.degrees(np.arccos(np.clip(np.abs(direction @ direction[0]), 0, 1)))  # a reversed field is not turned
    sign = np.zeros(len(size))
    sign[strong] = np.where(turned < 90 - _RIGHT_ANGLE[0], 1.0, np.where(turned > _RIGHT_ANGLE[0], -1.0, 0.0))
    chosen, notes = _comparable(sign, positions(given))
    if chosen is None:
        return nothing
    first, second = (_direction_text(vector[np.flatnonzero(sign == side)[0]]) for side in (1, -1))
    return Sides(
        name="XMLD",
        mode="linear",
        plus=np.flatnonzero(chosen & (sign > 0)),
        minus=np.flatnonzero(chosen & (sign < 0)),
        plus_label=f"field along {first}",
        minus_label=f"field along {second}",
        convention=f"XMLD = mu(field along {first}) - mu(field along {second}), linear light at {angle:.0f} deg",
        notes=notes,
    )


def _direction_text(vector: Floats) -> str:
    unit = vector / np.linalg.norm(vector)
    axis = int(np.argmax(np.abs(unit)))
    if abs(unit[axis]) > 0.95:
        return "xyz"[axis]
    return "(" + ", ".join(f"{part:.1f}" for part in unit) + ")"


def _comparable(sign: Floats, keys: Mapping[str, Floats]) -> tuple[Mask | None, tuple[str, ...]]:
    """The rows of the condition that has both sides and most rows, of equals the first in the file.

    The second value is a note that says which condition it is, when there are more.
    """
    used = np.flatnonzero(sign)
    table = np.nan_to_num(np.column_stack([np.zeros(len(sign)), *keys.values()])[used], nan=_UNKNOWN)
    conditions, which = np.unique(table, axis=0, return_inverse=True)
    which = which.reshape(-1)
    above = np.bincount(which, weights=sign[used] > 0)
    below = np.bincount(which, weights=sign[used] < 0)
    both = [int(index) for index in np.flatnonzero((above > 0) & (below > 0))]
    if not both:
        return None, ()
    best = max(both, key=lambda index: (above[index] + below[index], -int(np.argmax(which == index))))
    chosen = np.zeros(len(sign), dtype=bool)
    chosen[used[which == best]] = True
    if len(both) == 1:
        return chosen, ()
    words = [f"{name} {value:.4g}" for name, value in zip(keys, conditions[best][1:], strict=True)]
    return chosen, (f"shown: {', '.join(words)}; the file has {len(both) - 1} more",)
