"""What measurements of the operator do alike: files of both beamlines, and an operator that is at work."""

from typing import Any

from tests.fault.test_two_operators import leads
from tests.samples.filler import write_filler
from tests.site import BEAMLINES, Program, Site


def started(site: Site, name: str = "operator", seconds: float = 60, **environment: str) -> Program:
    """An operator that has its Lease; keyword arguments are added to its environment."""
    operator = site.operator(name).start(**environment)
    site.wait_for(lambda: leads(operator), "the operator works", seconds)
    return operator


def write(site: Site, folder: str, count: int, size: int) -> list[dict[str, Any]]:
    """So many files of each beamline, each of ``size`` bytes, in a folder; their Scans, not created yet."""
    bodies = []
    for beamline, number in BEAMLINES.items():
        root = site.mount(f"data{number}")
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            path = f"{folder}/scan{index:05d}.txt"
            write_filler(root / path, size, index)
            bodies.append(site.scan_body(beamline, path))
    return bodies
