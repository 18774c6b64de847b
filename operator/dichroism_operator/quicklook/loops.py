"""Hysteresis: signal against field, one curve for the rising and one for the falling field.

Two energies or two helicities make an asymmetry ``(a - b) / (a + b)``, which is free of everything that both see.
One of each makes the plain signal, which still shows the loop.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dichroism_operator.bcs import BcsFile
from dichroism_operator.bcs.table import Floats
from dichroism_operator.quicklook.conditions import Conditions, clusters
from dichroism_operator.quicklook.detectors import Signal
from dichroism_operator.quicklook.edges import WHITE_LINE_TOLERANCE, guess_at
from dichroism_operator.quicklook.groups import positions
from dichroism_operator.quicklook.light import Light
from dichroism_operator.quicklook.results import Curve, Loop
from dichroism_operator.quicklook.runs import Rows, Run, averaged, common_grid, runs, whole

RISING, FALLING = "field rising", "field falling"
_SAME_ENERGY = 0.5
"""Electron volts between two energies that count as different."""


class _Condition(NamedTuple):
    energy: float
    helicity: float


def hysteresis(scan: BcsFile, given: Conditions, light: Light, signal: Signal) -> Loop | str:
    """The loop of a scan whose axis is the field; a text when its rows make none."""
    field = given.axis.values
    grouped, notes = _by_condition(given, light, len(scan))
    loops = {key: whole(runs(scan, field, signal.values, rows))[0] for key, rows in grouped.items()}
    loops = {key: found for key, found in loops.items() if found}
    if not loops:
        return "no sweep of the field was completed"
    pair = _pair(loops)
    energies = tuple(dict.fromkeys(key.energy for key in (pair or loops) if np.isfinite(key.energy)))
    edge = guess_at(*energies)
    if len(loops) > (2 if pair else 1):
        notes.append(f"shown: {2 if pair else 1} of {len(loops)} energies or helicities")
    if pair is None:
        found = next(iter(loops.values()))
        branches = [Curve(name, grid, values) for name, grid, values in _branches(found)]
        return Loop(
            channel=signal.channel,
            signal=signal.label,
            edge=edge,
            notes=tuple(notes),
            branches=tuple(branches),
            label=signal.label,
            mode=None,
            convention=None,
            energies=energies[:1],
        )
    (first, second), name = pair, _pair_names(pair)
    branches = _asymmetries(loops[first], loops[second])
    if not branches:
        return "the two energies or helicities were not measured over the same fields"
    return Loop(
        channel=signal.channel,
        signal=signal.label,
        edge=edge,
        notes=tuple(notes),
        branches=tuple(branches),
        label="asymmetry",
        mode="helicity-switching" if first.energy == second.energy else "field-switching",
        convention="asymmetry = (I({0}) - I({1})) / (I({0}) + I({1}))".format(*name),
        energies=energies,
    )


def _by_condition(given: Conditions, light: Light, rows: int) -> tuple[dict[_Condition, Rows], list[str]]:
    """Rows by energy and helicity, those with most rows first; of several sample positions the first."""
    energy = clusters(given.energy, _SAME_ENERGY) if given.energy is not None else np.full(rows, np.nan)
    usable = np.ones(rows, dtype=bool)
    notes = []
    for place in positions(given).values():
        usable &= place == place[0]
        notes = ["first of several sample positions in the file"]
    table = np.column_stack([np.round(np.nan_to_num(energy, nan=-1), 2), light.helicity])
    found: dict[_Condition, Rows] = {}
    for key in np.unique(table[usable], axis=0)[:100]:
        members = np.flatnonzero(usable & (table == key).all(axis=1))
        found[_Condition(float(key[0]) if key[0] >= 0 else float("nan"), float(key[1]))] = members
    return dict(sorted(found.items(), key=lambda item: -len(item[1]))), notes


def _pair(loops: dict[_Condition, list[Run]]) -> tuple[_Condition, _Condition] | None:
    """Two conditions that differ in the energy alone or in the helicity alone; the one at a main edge is the first."""
    keys = list(loops)
    for one in keys:
        for other in keys:
            same_energy, same_helicity = one.energy == other.energy, one.helicity == other.helicity
            if same_energy and one.helicity > 0 > other.helicity:
                return one, other
            if same_helicity and one.energy < other.energy:
                return (one, other) if _at_main_edge(one.energy) or not _at_main_edge(other.energy) else (other, one)
    return None


def _at_main_edge(energy: float) -> bool:
    guessed = guess_at(energy).in_range
    return any(abs(edge.main - energy) <= WHITE_LINE_TOLERANCE for edge in guessed)


def _pair_names(pair: tuple[_Condition, _Condition]) -> tuple[str, str]:
    first, second = pair
    if first.energy != second.energy:
        return f"{first.energy:.1f} eV", f"{second.energy:.1f} eV"
    return "helicity +", "helicity -"


def _branches(found: Sequence[Run]) -> list[tuple[str, Floats, Floats]]:
    named = [(RISING, [run for run in found if run.rising]), (FALLING, [run for run in found if not run.rising])]
    averages = [(name, common_grid(members), members) for name, members in named if members]
    return [(name, grid, averaged(members, grid)) for name, grid, members in averages]


def _asymmetries(first: Sequence[Run], second: Sequence[Run]) -> list[Curve]:
    curves = []
    for name, rising in ((RISING, True), (FALLING, False)):
        ones, others = ([run for run in found if run.rising is rising] for found in (first, second))
        if not ones or not others:
            continue
        grid = common_grid([*ones, *others])
        a, b = averaged(ones, grid), averaged(others, grid)
        if grid[-1] > grid[0] and np.all(a + b != 0):
            curves.append(Curve(name, grid, (a - b) / (a + b)))
    return curves
