"""What an analysis gives: curves to draw, numbers to record, and notes where something is not as one would expect."""

from dataclasses import dataclass, field
from typing import Any

from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook.edges import EdgeGuess

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points to be joined by a line."""

    label: str
    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Common to all: what the signal is, which edge it shows, what a reader should know."""

    channel: str | None = None
    """The detector, such as ``EY``."""
    signal: str | None = None
    """Such as ``EY / I0 ES``."""
    edge: EdgeGuess | None = None
    notes: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """What is recorded beside the picture; times and energies as {value, unit}."""
        return {"kind": type(self).__name__.lower(), "signal": self.signal, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dichroism(Analysis):
    """Spectra of two groups of sweeps and their difference, all divided by the white line of their mean."""

    name: str
    """``XMCD``, ``XMLD``, or ``XLD`` for linear dichroism without a field."""
    mode: str
    """``field-switching``, ``helicity-switching``, ``field-and-helicity-switching`` or ``linear``."""
    energy: Floats
    plus: Floats
    minus: Floats
    xas: Floats
    difference: Floats
    plus_label: str
    minus_label: str
    convention: str
    pre_window: Window
    post_window: Window | None
    white_line: float
    """Energy of the white line in eV."""
    peak: float
    """Greatest difference, with its sign, as a fraction of the white line."""
    peak_energy: float
    noise: float
    """Standard deviation of the difference in the windows, as a fraction of the white line."""
    sweeps: tuple[int, int]

    @property
    def significant(self) -> bool:
        """Whether the greatest difference is more than noise."""
        return abs(self.peak) > 5 * self.noise

    def numbers(self) -> dict[str, Any]:
        """The numbers of the difference, its windows and its sign convention."""
        name = self.name.lower()
        return {
            **Analysis.numbers(self),
            "kind": name,
            "sign_convention": self.convention,
            f"{name}_peak_fraction_of_white_line": round(self.peak, 5),
            f"{name}_noise_fraction_of_white_line": round(self.noise, 6),
            f"{name}_peak_energy": _ev(self.peak_energy),
            "white_line_energy": _ev(self.white_line),
            "pre_edge_window": _ev(*self.pre_window),
            "post_edge_window": _ev(*self.post_window) if self.post_window else None,
            "sweeps_plus": self.sweeps[0],
            "sweeps_minus": self.sweeps[1],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(Analysis):
    """Signal against field, one curve per direction of the field."""

    branches: tuple[Curve, ...]
    label: str
    """Of the vertical axis."""
    mode: str | None
    """How the dichroism was measured, None when there is no pair to compare."""
    convention: str | None
    energies: tuple[float, ...]

    def numbers(self) -> dict[str, Any]:
        """The numbers of the loop."""
        highest = max(float(curve.y.max()) for curve in self.branches)
        lowest = min(float(curve.y.min()) for curve in self.branches)
        return {
            **Analysis.numbers(self),
            "kind": "hysteresis",
            "sign_convention": self.convention,
            "asymmetry_range": [round(lowest, 6), round(highest, 6)] if self.convention else None,
            "energies": _ev(*self.energies) if self.energies else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(Analysis):
    """A signal against the axis of the scan, as it is."""

    title: str
    """``XAS``, or what was scanned."""
    curves: tuple[Curve, ...]
    x_label: str
    y_label: str
    below: tuple[Curve, ...] = field(default=())
    """The monitor alone, for scans that align the beam."""
    below_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing(Analysis):
    """Nothing to draw."""

    reason: str

    def numbers(self) -> dict[str, Any]:
        """Why there is nothing."""
        return {**Analysis.numbers(self), "reason": self.reason}


def _ev(*energies: float) -> dict[str, Any]:
    rounded = [round(energy, 2) for energy in energies]
    return {"value": rounded if len(rounded) > 1 else rounded[0], "unit": "eV"}
