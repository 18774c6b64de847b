"""Techniques of a scan in the words of PaNET, the photon and neutron ontology of experimental techniques.

Identifiers and labels are those of ``source/PaNET.csv``, the same in its releases 1.0.0 to 1.3.0 (CC-BY 4.0). There is
no term for a hysteresis loop.
"""

from dichroism_operator.quicklook import Analysis, Dichroism, Loop, Plain
from dichroism_operator.quicklook.detectors import MODES, MONITORS

_PREFIX = "http://purl.org/pan-science/PaNET/"
XMCD = ("PaNET01137", "x-ray magnetic circular dichroism")
XMCD_TEY = ("PaNET01221", "XMCD total electron yield")
XMLD = ("PaNET01259", "x-ray magnetic linear dichroism")
XLD = ("PaNET01300", "x-ray linear dichroism")
XAS = ("PaNET01196", "x-ray absorption spectroscopy")
XANES = ("PaNET01199", "x-ray absorption near edge structure")


def techniques(analysis: Analysis) -> list[dict[str, str]]:
    """Techniques as ``[{"pid": ..., "name": ...}]``, the most special first; those only that the data show."""
    return [{"pid": _PREFIX + identifier, "name": label} for identifier, label in _terms(analysis)]


def basis(analysis: Analysis) -> str | None:
    """Why these techniques were given, in words."""
    match analysis:
        case Dichroism():
            return f"spectra of two sides in one file ({analysis.mode})"
        case Loop():
            return "signal against magnetic field at fixed photon energy"
        case Plain() if _terms(analysis):
            return "signal against photon energy"
    return None


def _terms(analysis: Analysis) -> list[tuple[str, str]]:
    by_electron_yield = [XMCD_TEY] if MODES.get(analysis.channel or "") == "TEY" else []
    match analysis:
        case Dichroism(name="XMCD"):
            return [XMCD, *by_electron_yield, XAS, XANES]
        case Dichroism(name="XMLD"):
            return [XMLD, XAS, XANES]
        case Dichroism():
            return [XLD, XAS, XANES]
        case Loop():
            return [XMCD, *by_electron_yield] if analysis.convention else [XAS]
        case Plain() if analysis.edge is not None and analysis.channel not in MONITORS:
            return [XAS, XANES] if analysis.edge.in_range else [XAS]
    return []
