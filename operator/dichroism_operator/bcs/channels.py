"""Units of the channels, by name, as the end stations use them. A name that is not known has no unit."""

import re

_UNITS: tuple[tuple[str, str], ...] = (
    (r"Time of Day|Time \(s\)", "s"),
    (r".*\bEnergy", "eV"),
    (r"Magnet Field|9T Magnet Field|H[xyz]|XMCD H|XMLD H", "T"),
    (r"XMCD Phi|XMLD Phi|XMLD Theta|Theta|Phi", "deg"),
    (r"Temp [A-D](?: \(HT\))?|Temp HT|Sample Temperature|9T .*Temp|9T Temp Ctrlr [AB]", "K"),
    (r"[XYZ]|EPU Gap|EPU Phase|EPU Z", "mm"),
    (r"(?:Entrance |Exit )?Slit(?: Width)?|(?:Entrance|Exit) Slit.*", "um"),
    (r"Beam Current", "mA"),
    (r"I0 BL|I0 ES|EY|LY|FY|PD|EY SCVM|LY SCVM|Clock|Original Clock|Counter [0-9]+", "counts"),
)
_COMPILED = tuple((re.compile(pattern), unit) for pattern, unit in _UNITS)
_ROLE = re.compile(r"(?: Goal| Actual)?(?:\.[0-9]+)?$")


def bare_name(column: str) -> str:
    """The motor or channel of a column: without ``Goal``, ``Actual`` and the number of a repeated name."""
    return _ROLE.sub("", column)


def unit_of(column: str) -> str | None:
    """Unit of a column, None where it is not known. ``counts`` is the unit of all counters."""
    name = bare_name(column)
    return next((unit for pattern, unit in _COMPILED if pattern.fullmatch(name)), None)
