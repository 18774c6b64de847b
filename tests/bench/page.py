"""The page of figures in the documentation: ``make bench PAGE=1`` writes the kept ones into docs/performance.md."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tests.bench import frame
from tests.bench.frame import Measurement
from tests.bench.measure_growth import CURVES, SIZES

PAGE = Path("docs/performance.md")
GROWTH = Path("docs/images/growth.png")
BEGIN, END = "<!-- figures: written by make bench PAGE=1 -->\n", "<!-- end of the figures -->\n"
FACTS = ("commit", "cpu", "cores", "memory_gb", "kernel", "python")


def write(result: Path = frame.RESULT) -> None:
    """Put the figures that are kept into the page and draw the curves of growth.

    Raises:
        ValueError: figures are missing; a page of parts would compare different commits.
    """
    figures = json.loads(result.read_text()) if result.exists() else {}
    everything = frame.measurements().values()
    if missing := sorted(key for one in everything for key in one.keys if key not in figures):
        raise ValueError(f"{result} lacks {', '.join(missing)}: run `make bench` without BENCH first")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    facts = ", ".join(f"{name.replace('_', ' ')} {figures[name]}" for name in FACTS)
    text = "\n".join([f"Measured with {facts}.\n", *(_table(one, figures) for one in everything)])
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    _draw(figures)


def _table(one: Measurement, figures: Mapping[str, Any]) -> str:
    rows = [
        f"| `{key}` | {figures[key]:,.4g} | {_escaped(one.goals.get(key, ''))} | {_escaped(text)} |"
        for key, text in one.keys.items()
    ]
    return "\n".join([f"### {one.title}\n", "| key | value | goal | what |", "|---|---:|---:|---|", *rows, ""])


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def _draw(figures: Mapping[str, Any]) -> None:
    figure = Figure(figsize=(13, 3), layout="constrained")
    for panel, (key, title) in zip(figure.subplots(1, len(CURVES)), CURVES.items(), strict=True):
        values = [figures[f"{key}_{size}"] for size in SIZES]
        panel.plot(SIZES, values, "o-", color="#3f51b5")
        panel.set_title("\n".join(textwrap.wrap(title, 30)), fontsize=9)
        panel.set_xlabel("unfinished Scans")
        panel.set_ylim(0, 1.1 * max(values))
        panel.grid(alpha=0.3)
    figure.savefig(GROWTH, dpi=110)
