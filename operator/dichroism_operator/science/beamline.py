"""Which beamline a file is from, when nobody says so: each end station has channels that no other has."""

from dichroism_operator.bcs import BcsFile

BL402, BL631 = "BL402", "BL631"

_ONLY_402 = (
    "Polarization",
    "EPU Polarization",
    "EPU Polarization Goal",
    "EPU Polarization Actual",
    "EPU Gap",
    "XMCD H",
)
_ONLY_631 = ("Magnet Field", "Aperture Position", "Grating Transverse")


def likely_beamline(scan: BcsFile) -> str | None:
    """``BL402`` or ``BL631`` by the names of the columns, None when they say nothing."""
    if any(name in scan for name in _ONLY_402):
        return BL402
    return BL631 if any(name in scan for name in _ONLY_631) else None
