"""The words over a picture: where, which scan, which sample, under which conditions."""

from dataclasses import dataclass

import numpy as np

from dichroism_operator.bcs import ZONE, BcsFile, parse_name
from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook.conditions import ZERO_FIELD, conditions, temperature

_LONGEST = 60
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Caption:
    """Texts as they stand in the picture; empty where nothing is known."""

    place: str = ""
    scan: str = ""
    sample: str = ""
    scan_file: str = ""
    field: str = ""
    temperature: str = ""
    began: str = ""

    @property
    def first_line(self) -> str:
        """Place, scan, field, temperature."""
        return "  ·  ".join(part for part in (self.place, self.scan, self.field, self.temperature) if part)

    @property
    def second_line(self) -> str:
        """Sample, trajectory file, time."""
        return "  ·  ".join(part for part in (self.sample, self.scan_file, self.began) if part)


def caption(scan: BcsFile, beamline: str = "", path: str = "", sample: str = "") -> Caption:
    """The words for a scan; what comes from outside is made printable and short."""
    given = conditions(scan) if scan.names and len(scan) else None
    heat = temperature(scan) if given else None
    scan_file = (scan.header.scan_file or "").replace("\\", "/").rpartition("/")[2]
    return Caption(
        place=f"ALS {beamline_number(beamline)}" if beamline else "",
        scan=printable(scan_name(path or scan.name or "")),
        sample=printable(sample),
        scan_file=printable(scan_file),
        field=field_words(given.field) if given else "",
        temperature=f"{heat[0]:.0f} K" if heat else "",
        began=f"{scan.start.astimezone(ZONE):%Y-%m-%d %H:%M %Z}" if scan.start else "",
    )


def beamline_number(beamline: str) -> str:
    """``4.0.2`` for ``BL402``; other names stay as they are."""
    digits = beamline.upper().removeprefix("BL")
    return ".".join(digits) if digits.isdigit() and len(digits) == 3 else beamline


def scan_name(path: str) -> str:
    """``TrajScan 31914-1 file 2``, or the name of the file where it was renamed."""
    parsed = parse_name(path)
    if parsed is None:
        return path.replace("\\", "/").rpartition("/")[2]
    repeat = f"-{parsed.repeat}" if parsed.repeat is not None else ""
    return f"{parsed.kind} {parsed.scan}{repeat}" + (f" file {parsed.file}" if parsed.file is not None else "")


def field_words(field: Floats | None) -> str:
    """``±1.8 T``, ``+0.4 T`` or two ends; nothing when no field was read."""
    if field is None:
        return ""
    known = field[np.isfinite(field)]
    if not len(known) or np.abs(known).max() < ZERO_FIELD:
        return ""
    low, high = float(known.min()), float(known.max())
    same = 0.02 * max(abs(low), abs(high))
    if high - low <= same:
        return f"{high:+.3g} T".replace("-", _MINUS)
    two = np.abs(np.abs(known) - max(abs(low), abs(high))) <= same
    if abs(low + high) <= same and two.all():
        return f"±{high:.3g} T"
    return f"{low:+.3g} to {high:+.3g} T".replace("-", _MINUS)


def printable(text: str, longest: int = _LONGEST) -> str:
    """Text from a file as a picture can show it: one line of letters that the font has, not too long."""
    clean = "".join(letter if " " <= letter <= "~" or "\xa1" <= letter <= "\xff" else "?" for letter in text.strip())
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."
