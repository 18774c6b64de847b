"""Absorption edges between 150 and 1650 eV, and a guess which one a scan shows.

The name of the element is not in the files. Many edges overlap (nickel and lanthanum, iron and fluorine), so it stays a
guess, and what else lies in the range is said with it.
"""

from dataclasses import dataclass

WHITE_LINE_TOLERANCE = 3.0
"""Electron volts. The maximum of cobalt was observed 1 eV below the tabulated edge; monochromators drift, too."""
_CLEAR_BY = 1.5
"""Electron volts by which the nearest edge must be nearer than the next."""


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge and, for L and M edges, its partner (L2, M4) at higher energy. Energies in eV."""

    element: str
    main: float
    second: float | None

    @property
    def name(self) -> str:
        """``L3``, ``M5`` or ``K``."""
        return "K" if self.second is None else "M5" if self.element in _M_EDGES else "L3"

    @property
    def label(self) -> str:
        """``Co L3``."""
        return f"{self.element} {self.name}"


@dataclass(frozen=True, slots=True)
class EdgeGuess:
    """Which edge a scan shows."""

    edge: Edge | None
    """None when the range does not decide."""
    in_range: tuple[Edge, ...]
    """Every edge that the scan covers."""
    assigned_by: str | None = None


# Elam, Ravel and Sieber (2002) as distributed with xraydb 4.5.8.
_K_EDGES = {"C": 284.2, "N": 409.9, "O": 543.1, "F": 696.7, "Na": 1070.8, "Mg": 1303.0, "Al": 1559.0}
_L_EDGES = {
    "Ca": (346.2, 349.7),
    "Sc": (398.7, 403.6),
    "Ti": (453.8, 460.2),
    "V": (512.1, 519.8),
    "Cr": (574.1, 583.8),
    "Mn": (638.7, 649.9),
    "Fe": (706.8, 719.9),
    "Co": (778.1, 793.2),
    "Ni": (852.7, 870.0),
    "Cu": (932.7, 952.3),
    "Zn": (1021.8, 1044.9),
}
_M_EDGES = {
    "Ba": (780.5, 795.7),
    "La": (836.0, 853.0),
    "Ce": (883.8, 902.4),
    "Pr": (928.8, 948.3),
    "Nd": (980.4, 1003.3),
    "Sm": (1083.4, 1110.9),
    "Eu": (1127.5, 1158.6),
    "Gd": (1189.6, 1221.9),
    "Tb": (1241.1, 1276.9),
    "Dy": (1292.0, 1333.0),
    "Ho": (1351.0, 1392.0),
    "Er": (1409.0, 1453.0),
    "Tm": (1468.0, 1515.0),
    "Yb": (1528.0, 1576.0),
    "Lu": (1589.0, 1639.0),
}
EDGES = tuple(
    sorted(
        [Edge(element, energy, None) for element, energy in _K_EDGES.items()]
        + [Edge(element, main, second) for element, (main, second) in (_L_EDGES | _M_EDGES).items()],
        key=lambda edge: edge.main,
    )
)


def guess_edge(low: float, high: float, white_line: float | None = None) -> EdgeGuess:
    """The edge of a scan from ``low`` to ``high`` eV.

    Args:
        low: Start of the range.
        high: End of the range.
        white_line: Energy of the greatest absorption, where the spectrum shows an edge.
    """
    covered = tuple(edge for edge in EDGES if low + WHITE_LINE_TOLERANCE <= edge.main <= high - WHITE_LINE_TOLERANCE)
    if white_line is None:
        return EdgeGuess(covered[0], covered, "energy range") if len(covered) == 1 else EdgeGuess(None, covered)
    nearest = _nearest(covered, white_line)
    if nearest is None:
        return EdgeGuess(None, covered)
    return EdgeGuess(nearest, covered, "energy range" if len(covered) == 1 else "energy range and white line")


def guess_at(*energies: float) -> EdgeGuess:
    """The edge that was chosen for a scan at fixed energies: the first of them that is at an edge decides."""
    near = tuple(
        edge
        for edge in EDGES
        if any(abs(energy - at) <= WHITE_LINE_TOLERANCE for energy in energies for at in _positions(edge))
    )
    for energy in energies:
        nearest = _nearest(near, energy)
        if nearest is not None:
            return EdgeGuess(nearest, near, "fixed energy")
    return EdgeGuess(None, near)


def _positions(edge: Edge) -> tuple[float, ...]:
    return (edge.main,) if edge.second is None else (edge.main, edge.second)


def _nearest(candidates: tuple[Edge, ...], energy: float) -> Edge | None:
    """The candidate whose main edge is at ``energy``, else whose second edge is, if one is clearly nearer."""
    for position in (0, -1):
        distances = sorted((abs(_positions(edge)[position] - energy), edge.element, edge) for edge in candidates)
        near = [entry for entry in distances if entry[0] <= WHITE_LINE_TOLERANCE]
        if near:
            clear = len(near) == 1 or near[1][0] - near[0][0] >= _CLEAR_BY
            return near[0][2] if clear else None
    return None
