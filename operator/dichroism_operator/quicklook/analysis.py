"""What a scan shows: the one place that decides between dichroism, hysteresis, a plain curve and nothing.

The rule is that a picture must not mislead. Where a file carries no dichroism (one field, one helicity, a dead channel)
the plain curve is given with the reason beside it.
"""

import numpy as np

from dichroism_operator.bcs import BcsFile
from dichroism_operator.quicklook.conditions import AxisKind, Conditions, conditions
from dichroism_operator.quicklook.detectors import (
    LUMINESCENCE,
    MONITORS,
    Signal,
    dead_signals,
    live,
    live_monitor,
    live_signals,
    normalised,
)
from dichroism_operator.quicklook.edges import EdgeGuess, guess_edge
from dichroism_operator.quicklook.groups import OneSided, Sides, same_conditions, sides
from dichroism_operator.quicklook.light import Light, light
from dichroism_operator.quicklook.loops import hysteresis
from dichroism_operator.quicklook.results import Analysis, Curve, Dichroism, Nothing, Plain
from dichroism_operator.quicklook.runs import Run, averaged, common_grid, runs, whole
from dichroism_operator.quicklook.spectra import compare, looks_like_transmission, white_line

BENDING_MAGNET = "BL631"
"""Beamline whose light is circular in one sense and is therefore not in its files."""
_FEWEST_ROWS = 5
_MOST_CURVES = 6


def analyse(scan: BcsFile, beamline: str = "") -> Analysis:
    """What the scan shows.

    Args:
        scan: The file.
        beamline: ``BL402`` or ``BL631``; at another one, circular light of one sense is assumed where the file does not
            say, and the notes say so.
    """
    if not scan.names:
        return Nothing(reason=scan.problems[0] if scan.problems else "this file has no table")
    if len(scan) < _FEWEST_ROWS:
        return Nothing(reason=f"only {len(scan)} rows: nothing to plot")
    given = conditions(scan)
    signal, notes = _signal(scan, given)
    if signal is None:
        return Nothing(reason="all detectors and monitors read zero or nothing", notes=tuple(notes))
    if not np.isfinite(given.axis.values[np.isfinite(signal.values)]).any():
        return Nothing(reason=f"{signal.label} and {given.axis.name} have no row in common", notes=tuple(notes))
    lit = light(given.polarization, len(scan))
    if given.axis.kind is AxisKind.ENERGY:
        assumed = given.polarization is None and beamline != BENDING_MAGNET
        return _spectrum(scan, given, lit, signal, notes, assumed=assumed)
    if given.axis.kind is AxisKind.FIELD:
        loop = hysteresis(scan, given, lit, signal)
        return loop if not isinstance(loop, str) else _plain(scan, given, lit, signal, [*notes, loop])
    return _plain(scan, given, lit, signal, [*notes, *_constant(given)])


def _signal(scan: BcsFile, given: Conditions) -> tuple[Signal | None, list[str]]:
    """The best detector over the monitor; the monitor alone, and a note, when no detector read anything."""
    detectors, monitor = live_signals(scan), live_monitor(scan)
    dead = dead_signals(scan)
    if not detectors:
        if monitor is None:
            return None, []
        words = ", ".join(dead) or "detectors"
        clock = "Clock" if live(scan, "Clock") else None
        return normalised(scan, monitor, clock), [f"{words} read zero: no signal, only the monitor is shown"]
    notes = [] if monitor else ["monitor reads zero: not normalised"]
    if monitor == "Clock":
        notes.append("I0 reads zero: divided by the clock")
    if "EY" in dead:
        notes.append(f"EY reads zero: {detectors[0]} is shown")
    signal = normalised(scan, detectors[0], monitor)
    if not np.isfinite(signal.values).any():
        return normalised(scan, detectors[0], None), [*notes, f"{monitor} reads zero where {detectors[0]} does not"]
    return _absorption(signal, given), notes


def _absorption(signal: Signal, given: Conditions) -> Signal:
    """Luminescence of the substrate is light that went through the sample: its logarithm is the absorption."""
    values = signal.values[np.isfinite(signal.values)]
    through = signal.channel in LUMINESCENCE and given.axis.kind is AxisKind.ENERGY and np.all(values > 0)
    if not through or not looks_like_transmission(values):
        return signal
    absorbed = -np.log(signal.values / values.max())
    return Signal(signal.channel, signal.monitor, absorbed, f"-ln({signal.label})")


def _constant(given: Conditions) -> list[str]:
    """Says what did not move where a spectrum would be expected."""
    if given.axis.kind not in (AxisKind.TIME, AxisKind.POINT) or given.energy is None:
        return []
    known = given.energy[np.isfinite(given.energy)]
    return [f"energy constant at {np.median(known):.1f} eV"] if len(known) and np.median(known) > 0 else []


def _spectrum(
    scan: BcsFile, given: Conditions, lit: Light, signal: Signal, notes: list[str], *, assumed: bool
) -> Analysis:
    if signal.channel in MONITORS:
        return _plain(scan, given, lit, signal, notes)
    two = sides(given, lit)
    if isinstance(two, OneSided):
        return _plain(scan, given, lit, signal, [*notes, two.reason])
    if assumed:
        notes = [*notes, "polarisation not in the file: taken as circular, one sense"]
    energy = given.axis.values
    plus, minus = (runs(scan, energy, signal.values, rows) for rows in (two.plus, two.minus))
    kept, left_out = whole([*plus, *minus])
    plus, minus = ([run for run in side if run in kept] for side in (plus, minus))
    if left_out:
        notes = [*notes, f"{left_out} sweeps broken off or over another range: left out"]
    if not plus or not minus:
        return _plain(scan, given, lit, signal, [*notes, "no complete sweep of both sides: no dichroism computed"])
    compared = compare(plus, minus)
    if isinstance(compared, str):
        return _uncompared(two, plus, minus, given, signal, [*notes, *two.notes, compared])
    peak = int(np.argmax(np.abs(compared.difference)))
    return Dichroism(
        channel=signal.channel,
        signal=signal.label,
        edge=compared.edge,
        notes=(*notes, *two.notes),
        name=two.name,
        mode=two.mode,
        energy=compared.energy,
        plus=compared.plus,
        minus=compared.minus,
        xas=compared.xas,
        difference=compared.difference,
        plus_label=two.plus_label,
        minus_label=two.minus_label,
        convention=two.convention,
        pre_window=compared.pre_window,
        post_window=compared.post_window,
        white_line=compared.white_line,
        peak=float(compared.difference[peak]),
        peak_energy=float(compared.energy[peak]),
        noise=compared.noise,
        sweeps=(len(plus), len(minus)),
    )


def _uncompared(
    two: Sides, plus: list[Run], minus: list[Run], given: Conditions, signal: Signal, notes: list[str]
) -> Plain:
    """Both groups as they are, without a difference."""
    curves = []
    for label, side in ((two.plus_label, plus), (two.minus_label, minus)):
        grid = common_grid(side)
        curves.append(Curve(label, grid, averaged(side, grid)))
    low, high = float(curves[0].x[0]), float(curves[0].x[-1])
    return Plain(
        channel=signal.channel,
        signal=signal.label,
        edge=guess_edge(low, high),
        notes=tuple(notes),
        title=_name(given, signal),
        curves=tuple(curves),
        x_label=_axis_label(given),
        y_label=signal.label,
    )


def _plain(scan: BcsFile, given: Conditions, lit: Light, signal: Signal, notes: list[str]) -> Analysis:
    """The signal along the axis: the mean of equal sweeps of the energy, otherwise each run."""
    every = np.arange(len(scan))
    axis = given.axis.values
    found = runs(scan, axis, signal.values, every)
    if not found:
        return Nothing(reason=f"no sweep of {given.axis.name} has enough points to plot", notes=tuple(notes))
    edge = None
    if given.axis.kind is AxisKind.ENERGY:
        curves, notes = _by_condition(scan, given, lit, signal, notes)
        if not curves:
            return Nothing(reason="no sweep under one condition has enough points to plot", notes=tuple(notes))
        edge = _edge(curves[0]) if signal.channel not in MONITORS else None
    else:
        curves = [Curve("", run.x, run.y) for run in found[:_MOST_CURVES]]
        if len(found) > _MOST_CURVES:
            notes = [*notes, f"the first {_MOST_CURVES} of {len(found)} runs"]
    below = _monitor(scan, given, signal) if given.axis.kind is AxisKind.MOTOR else ()
    return Plain(
        channel=signal.channel,
        signal=signal.label,
        edge=edge,
        notes=tuple(notes),
        title=_name(given, signal),
        curves=tuple(curves),
        x_label=_axis_label(given),
        y_label=signal.label,
        below=below,
        below_label=f"{signal.monitor} (counts)" if below else "",
    )


def _by_condition(
    scan: BcsFile, given: Conditions, lit: Light, signal: Signal, notes: list[str]
) -> tuple[list[Curve], list[str]]:
    """One spectrum for each field, light and sample position: the mean of the sweeps that were alike."""
    alike = [(label, runs(scan, given.axis.values, signal.values, rows)) for label, rows in same_conditions(given, lit)]
    kept, left_out = whole([run for _, found in alike for run in found])
    if left_out:
        notes = [*notes, f"{left_out} sweeps broken off or over another range: left out"]
    curves = []
    for label, found in alike:
        members = [run for run in found if run in kept]
        if members:
            grid = common_grid(members)
            curves.append(Curve(label, grid, averaged(members, grid)))
    if len(curves) > _MOST_CURVES:
        notes = [*notes, f"the first {_MOST_CURVES} of {len(curves)} conditions"]
    return curves[:_MOST_CURVES], notes


def _edge(curve: Curve) -> EdgeGuess:
    return guess_edge(float(curve.x[0]), float(curve.x[-1]), white_line(curve.x, curve.y))


def _monitor(scan: BcsFile, given: Conditions, signal: Signal) -> tuple[Curve, ...]:
    """The monitor alone, which is what a scan of a mirror or a slit is made for."""
    if signal.monitor is None or signal.monitor == "Clock":
        return ()
    found = runs(scan, given.axis.values, scan[signal.monitor], np.arange(len(scan)))
    return tuple(Curve("", run.x, run.y) for run in found[:_MOST_CURVES])


def _name(given: Conditions, signal: Signal) -> str:
    if signal.channel in MONITORS:
        return "No signal"
    return "XAS" if given.axis.kind is AxisKind.ENERGY else f"{given.axis.name} scan"


def _axis_label(given: Conditions) -> str:
    axis = given.axis
    name = "Photon energy" if axis.kind is AxisKind.ENERGY else axis.name
    return f"{name} ({axis.unit})" if axis.unit else name
