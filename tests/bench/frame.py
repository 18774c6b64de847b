"""What a measurement is, and how the results are shown and kept.

A measurement is a module ``tests.bench.measure_<name>`` with one object ``MEASUREMENT``. It runs real programs and
returns figures by key. No figure is asserted anywhere: a slow machine is not a fault.
"""

import importlib
import json
import os
import pkgutil
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tests.bench

PREFIX = "measure_"
RESULT = Path("build/bench.json")

Figures = dict[str, float]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One group of figures. ``keys`` says for each key what it is, with unit; ``goals`` names those that have one."""

    title: str
    keys: Mapping[str, str]
    run: Callable[[Path, Say], Figures]
    """Gets an empty folder and a way to show progress; returns a value for every key."""
    goals: Mapping[str, str]


def measurements(wanted: Iterable[str] = ()) -> dict[str, Measurement]:
    """The measurements by name, all of them unless some are named.

    Raises:
        ValueError: a name that is not there.
    """
    modules = [one.name for one in pkgutil.iter_modules(tests.bench.__path__)]
    there = sorted(name.removeprefix(PREFIX) for name in modules if name.startswith(PREFIX))
    names = list(wanted) or there
    if unknown := [name for name in names if name not in there]:
        raise ValueError(f"no measurement {', '.join(unknown)}; there are: {', '.join(there)}")
    return {name: importlib.import_module(f"tests.bench.{PREFIX}{name}").MEASUREMENT for name in names}


def machine() -> dict[str, str | int]:
    """Facts without which a figure says nothing."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 2**20),
    }


def table(one: Measurement, figures: Figures) -> str:
    """The figures of one measurement, for people."""
    rows = [(key, f"{figures[key]:,.4g}", one.goals.get(key, ""), text) for key, text in one.keys.items()]
    widths = [max(len(row[i]) for row in (("", "value", "goal", ""), *rows)) for i in range(3)]
    head = f"{one.title}\n  {'':{widths[0]}}  {'value':>{widths[1]}}  {'goal':>{widths[2]}}"
    return "\n".join([head, *(f"  {k:{widths[0]}}  {v:>{widths[1]}}  {g:>{widths[2]}}  {t}" for k, v, g, t in rows)])


def keep(figures: Figures, result: Path = RESULT) -> None:
    """Put the figures into the result file beside those of other measurements, with the facts of this machine."""
    before = json.loads(result.read_text()) if result.exists() else {}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(before | machine() | figures, indent=2, sort_keys=True) + "\n")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
