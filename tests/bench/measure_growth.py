"""What very many unfinished Scans cost: memory, a restart, the speed of the files that go their way meanwhile.

The tape is away, as for a day of maintenance, so that every Scan waits for its bundle with all that it carries by then.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dichroism_crds.kinds import ConditionStatus, Scan, Step
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.timestamps import now
from tests import cluster as clusters
from tests.backlog import LIVE, create, scan_before_tape
from tests.bench.frame import Figures, Measurement, Say
from tests.bench.ledger import Requests, etcd_bytes
from tests.bench.sites import started, write
from tests.cluster import Cluster
from tests.site import BEAMLINES, Program, Site

SIZES = (1_000, 10_000, 20_000, 50_000)
"""Unfinished Scans; the goal for memory is at 20,000, the one for a restart at 10,000."""
MEMORY_AT, RESTART_AT = 20_000, 10_000
LIVE_FILES, FILE_BYTES = 100, 300_000
"""Of each beamline, sent on their way at each size."""
SETTLE_S = 20.0
PATIENCE_S = 1800.0


def run(folder: Path, say: Say) -> Figures:
    """One namespace that grows."""
    with clusters.running(folder / "cluster") as cluster, _site(cluster, folder / "site") as site:
        idle, at_work = _without_backlog(site)
        say(f"operator without Scans: {idle:.0f} MB, with its workers {at_work:.0f} MB")
        empty = etcd_bytes(cluster)
        figures: Figures = {"operator_idle_mb": idle, "operator_at_work_mb": at_work}
        made = 0
        for size in SIZES:
            _grow(site, made, size)
            made = size
            say(f"{size} unfinished Scans are there")
            found = {
                "etcd_bytes_per_unfinished_scan": (etcd_bytes(cluster) - empty) / size,
                **_restart_and_send(site, size, say),
            }
            figures |= {f"{key}_{size}": value for key, value in found.items()}
        figures["operator_kb_per_scan"] = (figures[f"operator_mb_{MEMORY_AT}"] - at_work) * 1000 / MEMORY_AT
        figures["restart_seconds"] = figures[f"restart_seconds_{RESTART_AT}"]
        return figures


@contextmanager
def _site(cluster: Cluster, folder: Path) -> Iterator[Site]:
    site = Site(cluster, folder)
    try:
        site.scicat.start()
        site.install(site.document() | {"history": {"keep": 100_000}})
        for number in BEAMLINES.values():
            (site.mount(f"hpss{number}") / PRIVATE_DIR).rmdir()
        yield site
    finally:
        site.close()


def _without_backlog(site: Site) -> tuple[float, float]:
    """Memory before the first file, and once the workers that read files and draw have been needed."""
    operator = _started(site)
    time.sleep(SETTLE_S)
    idle = memory_mb(operator)
    bodies = write(site, "live0", LIVE_FILES, FILE_BYTES)
    site.create_scans(bodies)
    _until_copied(site, bodies)
    time.sleep(SETTLE_S)
    at_work = memory_mb(operator)
    operator.stop()
    return idle, at_work


def _grow(site: Site, made: int, size: int) -> None:
    for beamline in BEAMLINES:
        numbers = range(made // len(BEAMLINES), size // len(BEAMLINES))
        create(site.cluster, (scan_before_tape(site.namespace, beamline, number, now()) for number in numbers))


def _started(site: Site) -> Program:
    name = f"operator-{len(site.programs)}"
    return started(site, name, PATIENCE_S, DICHROISM_SWEEP_SECONDS="60")


def _restart_and_send(site: Site, size: int, say: Say) -> Figures:
    """One file waits for the operator's start; the others come when it is at work."""
    first, *others = write(site, f"live{size}", LIVE_FILES, FILE_BYTES)
    site.create_scans([first])
    began = time.monotonic()
    operator = _started(site)
    _until_copied(site, [first])
    restart = time.monotonic() - began
    say(f"{size}: work goes on {restart:.1f} s after the start")
    time.sleep(SETTLE_S)
    memory = memory_mb(operator)
    before = Requests.so_far(site.cluster)
    began = time.monotonic()
    site.create_scans(others)
    _until_copied(site, others)
    seconds = time.monotonic() - began
    writes = Requests.so_far(site.cluster).since(before).writes() / len(others)
    say(f"{size}: {memory:.0f} MB, {len(others)} files copied and catalogued in {seconds:.0f} s")
    operator.stop()
    return {
        "restart_seconds": restart,
        "operator_mb": memory,
        "live_scans_per_second": len(others) / seconds,
        "writes_per_live_scan": writes,
    }


def _until_copied(site: Site, bodies: list[dict[str, Any]]) -> None:
    wanted = {Scan.parse(body).name for body in bodies}

    def done() -> bool:
        return wanted <= {scan.name for scan in site.objects(Scan, LIVE) if _is_catalogued(scan)}

    site.wait_for(done, "the files are copied and catalogued", PATIENCE_S)


def _is_catalogued(scan: Scan) -> bool:
    return all(scan.condition(step).status == ConditionStatus.TRUE for step in (Step.TRANSFERRED, Step.CATALOGUED))


def memory_mb(program: Program) -> float:
    """What a program and the processes that it started hold, MB; memory that they share counts once."""
    assert program.process is not None
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # it has just ended
    family = {program.process.pid}
    while added := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= added
    return sum(_pss_kib(pid) for pid in family) * 1024 / 1e6


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


CURVES = {
    "etcd_bytes_per_unfinished_scan": "bytes in etcd for each Scan",
    "restart_seconds": "s from the start of the operator until a waiting file is copied and catalogued",
    "operator_mb": "MB of memory of the operator with its workers",
    "live_scans_per_second": f"new files a second through copy and catalogue beside them, {2 * LIVE_FILES} at once",
    "writes_per_live_scan": "Kubernetes writes for each of these",
}
MEASUREMENT = Measurement(
    title="Growth: unfinished Scans whose tape is away",
    keys={
        "operator_idle_mb": "memory of the operator before the first file, MB",
        "operator_at_work_mb": "the same with the workers that read files and draw, MB",
        "operator_kb_per_scan": f"memory beside that for each of {MEMORY_AT:,} unfinished Scans, kB",
        "restart_seconds": f"restart with {RESTART_AT:,} unfinished Scans until work goes on",
    }
    | {f"{key}_{size}": f"{size:,} Scans: {text}" for key, text in CURVES.items() for size in SIZES},
    run=run,
    goals={"operator_idle_mb": "<= 150", "operator_kb_per_scan": "<= 14", "restart_seconds": "<= 20"},
)
