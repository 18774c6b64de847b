"""The picture of an analysis: a PNG of 1200 by 900 pixels that still says something at 200 pixels.

Drawn with the Agg canvas alone: no window system, no global state of matplotlib, so that worker processes and threads
do not disturb each other. No file and no name from outside is interpreted: texts are drawn as they are.
"""

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from dichroism_operator.quicklook.caption import Caption, printable
from dichroism_operator.quicklook.edges import EdgeGuess
from dichroism_operator.quicklook.loops import RISING
from dichroism_operator.quicklook.results import Analysis, Curve, Dichroism, Loop, Nothing, Plain, Window

LARGEST = 200_000
"""Bytes. Catalogues take larger ones badly."""

_INCHES, _DPI = (12.0, 9.0), 100
_SMALLER_DPI = (75, 50)
_RED, _BLUE, _BLACK, _GREY, _WARN = "#c8102e", "#14508c", "#222222", "#666666", "#a04a00"
_COLOURS = (_BLUE, _RED, "#2a7f3f", "#8a4fa3", "#b8860b", "#444444")
_BAND = "#dcdcdc"
_WIDTH = 3.2
_MOST_POINTS = 4000
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.12, 0.975, 0.80, 0.135
_NOTE_WIDTH, _NOTE_LINES, _NOTE_HEIGHT = 115, 3, 0.028
_MANY_COUNTS = 10_000
_LONG_LABEL, _LONG_TITLE, _LONGEST = 21, 36, 120


def draw(analysis: Analysis, words: Caption | None = None) -> bytes:
    """The picture as PNG, at most 200 kB."""
    figure = Figure(figsize=_INCHES, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    _title(figure, analysis, words or Caption())
    top = _notes(figure, analysis.notes)
    match analysis:
        case Dichroism():
            _draw_dichroism(figure, analysis, top)
        case Loop():
            _draw_loop(figure, analysis, top)
        case Plain():
            _draw_plain(figure, analysis, top)
        case Nothing():
            _write(
                figure, 0.5, 0.48, "\n".join(map(printable, textwrap.wrap(analysis.reason, 60))), 26, _WARN, ha="center"
            )
    _foot(figure, analysis)
    for dpi in (_DPI, *_SMALLER_DPI):
        buffer = io.BytesIO()
        figure.set_dpi(dpi)
        canvas.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
        if buffer.tell() <= LARGEST:
            break
    return buffer.getvalue()


def headline(analysis: Analysis) -> str:
    """The few words that are still read in a thumbnail."""
    edge = _edge_words(analysis.edge)
    match analysis:
        case Dichroism():
            size = analysis.peak if analysis.mode != "linear" else abs(analysis.peak)
            sign = "+" if analysis.mode != "linear" else ""
            found = f"{size:{sign}.{0 if abs(size) >= 0.1 else 1}%}" if analysis.significant else "none above noise"
            return f"{edge} {_pretty(f'{analysis.name}  {found}')}".strip()
        case Loop():
            return f"{edge} hysteresis".strip()
        case Plain():
            return f"{edge} {printable(analysis.title, _LONG_TITLE)}".strip()
    return "Nothing to plot"


def _edge_words(guess: EdgeGuess | None) -> str:
    if guess is None or guess.edge is None:
        return ""
    return f"{guess.edge.element} {_EDGE_NAMES[guess.edge.name]}"


_EDGE_NAMES = {"L3": "L\N{SUBSCRIPT THREE},\N{SUBSCRIPT TWO}", "M5": "M\N{SUBSCRIPT FIVE},\N{SUBSCRIPT FOUR}", "K": "K"}


def _pretty(text: str) -> str:
    """Plain letters as print has them: minus signs (not hyphens inside words), Greek letters."""
    text = re.sub(r"(?<!\w)-", "\N{MINUS SIGN}", printable(text, _LONGEST))
    return text.replace("mu(", "\N{GREEK SMALL LETTER MU}(").replace(" x ", " \xd7 ")


def _write(figure: Figure, x: float, y: float, text: str, size: float, colour: str = _BLACK, **style: Any) -> None:
    figure.text(x, y, text, fontsize=size, color=colour, parse_math=False, **style)


def _title(figure: Figure, analysis: Analysis, words: Caption) -> None:
    _write(figure, 0.025, 0.925, headline(analysis), 36, fontweight="bold")
    _write(figure, 0.025, 0.878, words.first_line, 19)
    _write(figure, 0.025, 0.84, words.second_line, 15, _GREY)


def _notes(figure: Figure, notes: Sequence[str]) -> float:
    """What one should know, above the panels, whose upper end is returned."""
    lines = textwrap.wrap("; ".join(notes), _NOTE_WIDTH, max_lines=_NOTE_LINES, placeholder=" ...")
    for index, line in enumerate(lines):
        _write(figure, 0.025, _TOP - index * _NOTE_HEIGHT, _pretty(line), 16, _WARN)
    return _TOP - max(len(lines), 0.4) * _NOTE_HEIGHT + 0.4 * _NOTE_HEIGHT


def _foot(figure: Figure, analysis: Analysis) -> None:
    """Sign convention on the left, how the edge was named on the right."""
    if isinstance(analysis, Dichroism | Loop) and analysis.convention:
        _write(figure, 0.025, 0.015, _pretty(analysis.convention), 13, _GREY)
    if analysis.edge is not None and analysis.edge.edge is not None:
        others = [edge.label for edge in analysis.edge.in_range if edge is not analysis.edge.edge]
        also = f"; also in range: {', '.join(others[:3])}" if others else ""
        _write(figure, 0.975, 0.015, f"edge by energy{also}", 13, _GREY, ha="right")


def _axes(figure: Figure, bottom: float, top: float, sharex: Axes | None = None) -> Axes:
    axes = figure.add_axes((_LEFT, bottom, _RIGHT - _LEFT, top - bottom), sharex=sharex)
    axes.tick_params(labelsize=15, direction="in", top=True, right=True, length=6)
    for spine in axes.spines.values():
        spine.set_linewidth(1.2)
    return axes


def _label(axes: Axes, x: str = "", y: str = "") -> None:
    axes.set_xlabel(printable(x), fontsize=18, parse_math=False)
    axes.set_ylabel(_pretty(y), fontsize=18 if len(y) <= _LONG_LABEL else 14, parse_math=False)
    axes.yaxis.set_label_coords(-0.096, 0.5)


def _line(axes: Axes, curve: Curve, colour: str, *, width: float = _WIDTH, style: str = "-") -> None:
    step = max(1, -(-len(curve.x) // _MOST_POINTS))
    marker = "o" if len(curve.x) <= 120 and style == "-" else ""
    axes.plot(
        curve.x[::step],
        curve.y[::step],
        style,
        color=colour,
        linewidth=width,
        label=_pretty(curve.label) or "_nolegend_",
        marker=marker,
        markersize=5,
    )


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        legend = axes.legend(handles, labels, fontsize=16, frameon=False, loc="best")
        for text in legend.get_texts():
            text.set_parse_math(False)


def _bands(axes: Axes, windows: Iterable[Window | None]) -> None:
    for window in windows:
        if window is not None:
            axes.axvspan(*window, color=_BAND, linewidth=0, zorder=0)


def _draw_dichroism(figure: Figure, result: Dichroism, top: float) -> None:
    upper = _axes(figure, 0.435, top)
    lower = _axes(figure, _BOTTOM, 0.435, sharex=upper)
    for axes in (upper, lower):
        _bands(axes, (result.pre_window, result.post_window))
    _line(upper, Curve("mean (XAS)", result.energy, result.xas), _GREY, width=1.8, style="--")
    # The first line is the wider one, so that it still shows where both are the same.
    _line(upper, Curve(result.minus_label, result.energy, result.minus), _BLUE, width=4.6)
    _line(upper, Curve(result.plus_label, result.energy, result.plus), _RED, width=3.2)
    _label(upper, y=f"{result.signal}, norm.")
    upper.tick_params(labelbottom=False)
    upper.margins(y=0.08)
    _legend(upper)
    percent = 100 * result.difference
    lower.fill_between(result.energy, percent, 0, color=_BLACK, alpha=0.18, linewidth=0)
    _line(lower, Curve("", result.energy, percent), _BLACK)
    lower.axhline(0, color=_GREY, linewidth=1.2)
    lower.set_xlim(float(result.energy[0]), float(result.energy[-1]))
    # Room for both signs, and for noise not to look like a signal.
    limit = 1.15 * max(float(np.abs(percent).max()), 1000 * result.noise, 1e-3)
    lower.set_ylim(min(-0.5 * limit, 1.15 * percent.min()), max(0.5 * limit, 1.15 * percent.max()))
    _label(lower, "Photon energy (eV)", f"{result.name} (% of white line)")
    if not result.significant:
        axes_note = "the difference is not above noise"
        lower.text(0.5, 0.9, axes_note, transform=lower.transAxes, fontsize=16, color=_WARN, ha="center", va="top")


def _draw_loop(figure: Figure, result: Loop, top: float) -> None:
    axes = _axes(figure, _BOTTOM, top)
    for curve in result.branches:
        _line(axes, curve, _RED if curve.label == RISING else _BLUE)
    axes.axvline(0, color=_GREY, linewidth=1.0)
    _numbers(axes)
    energies = " and ".join(f"{energy:.1f}" for energy in result.energies)
    _label(
        axes,
        f"Field (T)  at {energies} eV" if energies else "Field (T)",
        result.label if result.label == result.signal else f"{result.label} of {result.signal}",
    )
    _legend(axes)


def _draw_plain(figure: Figure, result: Plain, top: float) -> None:
    divided = 0.40 if result.below else _BOTTOM
    axes = _axes(figure, divided, top)
    _lines(axes, result.curves)
    _label(axes, "" if result.below else result.x_label, result.y_label)
    _legend(axes)
    if result.below:
        axes.tick_params(labelbottom=False)
        below = _axes(figure, _BOTTOM, divided, sharex=axes)
        _lines(below, result.below)
        _label(below, result.x_label, result.below_label)


def _lines(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve, colour in zip(curves, _COLOURS, strict=False):
        _line(axes, curve, colour)
    _numbers(axes)


def _numbers(axes: Axes) -> None:
    """Numbers on the vertical axis in full or as ``250k``, without an offset that is easily overlooked."""
    if max(np.abs(axes.get_ylim())) >= _MANY_COUNTS:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-3, 5))
    axes.yaxis.get_offset_text().set_fontsize(14)
    axes.margins(x=0.01, y=0.12)
