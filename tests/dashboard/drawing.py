"""Draws the panels of a Grafana dashboard from a Prometheus: the same queries, places, units and legends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tests.dashboard.prometheus import Prometheus, Series

PAPER, INK, GRID = "#181b1f", "#ccccdc", "#34373c"
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffcb7d", "#96d98d", "#c4a7e7")
THRESHOLD = {"green": "#37872d", "red": "#c4162a"}
_ROW_INCHES = 0.32


def _plain(value: float) -> str:
    return f"{value:g}"


_UNITS: dict[str, Callable[[float], str]] = {
    "bytes": lambda value: _si(value, "B"),
    "Bps": lambda value: _si(value, "B/s"),
    "s": lambda value: f"{value:.3g} s",
}


def draw(dashboard: dict[str, Any], prometheus: Prometheus, namespace: str, start: float, end: float, to: Path) -> None:
    """Draw all panels over a span of Unix times into one PNG."""
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    with mpl.rc_context({"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(16, rows * _ROW_INCHES + 0.4), facecolor="#111217", dpi=100)
        for panel in panels:
            place = panel["gridPos"]
            box = (
                place["x"] / 24 + 0.004,
                1 - (place["y"] + place["h"]) / rows + 0.3 / rows,
                place["w"] / 24 - 0.008,
                (place["h"] - 0.4) / rows,
            )
            if panel["type"] == "row":
                figure.text(box[0], box[1] + box[3] / 2, panel["title"], fontsize=11, va="center", weight="bold")
                continue
            found = [
                (target["legendFormat"], one)
                for target in panel["targets"]
                for one in prometheus.over(_filled(target["expr"], namespace), start, end)
            ]
            if panel["type"] == "stat":
                _stat(figure, box, panel, found)
            else:
                _lines(figure, box, panel, found, (start, end))
        figure.savefig(to, facecolor=figure.get_facecolor())


def _filled(query: str, namespace: str) -> str:
    return query.replace("$namespace", namespace).replace("$__rate_interval", "15s")


def _panel(figure: Figure, box: tuple[float, ...], panel: dict[str, Any], margin: float) -> Axes:
    """The panel's paper with its title; returns axes inside it."""
    x, y, w, h = box
    paper = figure.add_axes((x, y, w, h), facecolor=PAPER, xticks=[], yticks=[])
    paper.spines[:].set_color(GRID)
    paper.set_title(panel["title"], fontsize=9, loc="left", pad=-12, x=0.01)
    return figure.add_axes((x + w * margin, y + h * 0.27, w * (1 - margin * 1.4), h * 0.56), facecolor=PAPER)


def _stat(figure: Figure, box: tuple[float, ...], panel: dict[str, Any], found: list[tuple[str, Series]]) -> None:
    axes = _panel(figure, box, panel, 0.05)
    value = found[0][1][1][-1][1] if found else float("nan")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    color = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    axes.set(facecolor=THRESHOLD[color], xticks=[], yticks=[])
    axes.text(0.5, 0.5, f"{value:g}", fontsize=22, ha="center", va="center", color="white", transform=axes.transAxes)


def _lines(
    figure: Figure,
    box: tuple[float, ...],
    panel: dict[str, Any],
    found: list[tuple[str, Series]],
    span: tuple[float, float],
) -> None:
    axes = _panel(figure, box, panel, 0.08)
    form = _UNITS.get(panel["fieldConfig"]["defaults"]["unit"], _plain)
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    fixed = {
        one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"]
        for one in panel["fieldConfig"]["overrides"]
    }
    below: dict[float, float] = {}
    for number, (legend, (labels, values)) in enumerate(found):
        named = legend
        for label, value in labels.items():
            named = named.replace(f"{{{{{label}}}}}", value)
        minutes = [(moment - span[0]) / 60 for moment, _ in values]
        base = [below.get(moment, 0.0) if stacked else 0.0 for moment, _ in values]
        heights = [value + under for (_, value), under in zip(values, base, strict=True)]
        below |= {moment: height for (moment, _), height in zip(values, heights, strict=True)}
        color = fixed.get(named, COLORS[number % len(COLORS)])
        axes.plot(minutes, heights, color=color, linewidth=1, label=named)
        axes.fill_between(minutes, base, heights, color=color, alpha=0.4 if stacked else 0.1, linewidth=0)
    axes.grid(color=GRID, linewidth=0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=7, length=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, (span[1] - span[0]) / 60)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} min"))
    if found:
        columns = max(1, panel["gridPos"]["w"] // 3)
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.08, -0.12), ncols=columns, fontsize=6, frameon=False, labelcolor=INK
        )


def _si(value: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G"):
        if abs(value) < 1000:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} T{unit}"
