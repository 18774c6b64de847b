"""How fast Scans go through their whole life, and what each costs the API server and etcd.

Copies, hashes, fsync and bundles are real, and so are the API server and etcd. The catalogue is the emulator, which
answers at once; everything shares the cores of one machine.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dichroism_crds.kinds import Scan, ScanPhase, Transfer
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.timestamps import now
from tests import cluster as clusters
from tests.api import acting
from tests.backlog import AT_ONCE, create, scan_before_tape
from tests.bench.frame import Figures, Measurement, Say
from tests.bench.ledger import Requests, etcd_bytes
from tests.bench.sites import started, write
from tests.cluster import Cluster
from tests.site import Site

FILE_BYTES = 300_000
DAY = "2026/261122"
FILES = 1000
"""Of each beamline, for the throughput: one batch of the first hop."""
REPEATS = 3
"""Of which the median counts: the same run takes up to a fifth longer or shorter."""
BATCH = 200
SINGLES = 40
STATUS_SCANS, STATUS_ROUNDS = 200, 10
COPIED = [phase for phase in ScanPhase if phase != ScanPhase.PENDING]
PATIENCE_S = 1200.0
LOOK_S = 0.5


def run(folder: Path, say: Say) -> Figures:
    """Measure all of it on a cluster of its own."""
    with clusters.running(folder / "cluster") as cluster:
        with _site(cluster, folder / "plain") as site:
            figures: Figures = {"api_status_writes_per_second": _status_writes(site, say)}
        runs = []
        for number in range(REPEATS):
            with _site(cluster, folder / f"many{number}") as site:
                runs.append(_throughput(site, say))
        figures |= {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        with _site(cluster, folder / "batch") as site:
            figures["writes_per_scan"] = _writes_of_a_batch(site, say)
        with _site(cluster, folder / "single", flush="1m") as site:
            figures["writes_per_scan_single"] = _writes_of_singles(site, say)
        return figures


@contextmanager
def _site(cluster: Cluster, folder: Path, flush: str = "2s") -> Iterator[Site]:
    """Nothing started; bundles and Prunes are closed ``flush`` after the first file that waits."""
    site = Site(cluster, folder)
    try:
        site.scicat.start()
        document = site.document() | {"schedule": {"flush": flush}}
        for beamline in document["beamlines"].values():
            beamline["archive"]["bundle"] = {"max_age": flush}
        site.install(document)
        yield site
    finally:
        site.close()


def _wait_until_all(site: Site, *phases: ScanPhase) -> None:
    """Wait until the API server finds no Scan outside these phases."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{site.namespace}/scans"
    others: dict[str, str | int] = {"limit": 1, "fieldSelector": ",".join(f"status.phase!={phase}" for phase in phases)}

    async def look() -> None:
        async with acting(site.cluster, site.namespace) as api, asyncio.timeout(PATIENCE_S):
            while (await api.request("GET", path, query=others))["items"]:  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(LOOK_S)

    asyncio.run(look())


def _status_writes(site: Site, say: Say) -> float:
    """What the API server takes of plain writes of a Scan's status, so many at a time, from one process."""
    scans = (scan_before_tape(site.namespace, "BL402", number, now()) for number in range(STATUS_SCANS))
    made = create(site.cluster, scans)

    async def write_all() -> float:
        slots = asyncio.Semaphore(AT_ONCE)
        async with acting(site.cluster, site.namespace) as api:

            async def again(scan: Scan) -> None:
                for round_ in range(STATUS_ROUNDS):
                    async with slots:
                        status = scan.status.model_copy(update={"message": f"round {round_}"})
                        scan = await api.replace_status(scan.model_copy(update={"status": status}))

            began = time.monotonic()
            await asyncio.gather(*map(again, made))
            return STATUS_SCANS * STATUS_ROUNDS / (time.monotonic() - began)

    rate = asyncio.run(write_all())
    say(f"{rate:.0f} plain status writes a second")
    return rate


def _throughput(site: Site, say: Say) -> Figures:
    """From the operator's first look at the waiting Scans until all are done; then what is left of them in etcd."""
    empty = etcd_bytes(site.cluster)
    count = 2 * FILES
    bodies = write(site, DAY, FILES, FILE_BYTES)
    say(f"{count} files written")
    site.create_scans(bodies)
    operator = started(site)
    began = time.monotonic()
    _wait_until_all(site, ScanPhase.PRUNE_SCHEDULED)
    seconds = time.monotonic() - began
    say(f"{count} Scans in {seconds:.0f} s")
    assert operator.stop() == 0
    full = etcd_bytes(site.cluster)
    # What collection does a day later at the earliest; Events end by themselves.
    site.delete_all(Scan, Transfer)
    site.cluster.kubectl("delete", "--raw", f"/api/v1/namespaces/{site.namespace}/events", timeout=PATIENCE_S)
    kept = etcd_bytes(site.cluster)
    say(f"etcd: {(full - empty) / count:.0f} B a Scan, {(kept - empty) / count:.0f} B after collection")
    return {
        "scans_per_second": count / seconds,
        "etcd_bytes_per_live_scan": (full - empty) / count,
        "etcd_bytes_per_scan": (kept - empty) / count,
    }


def _writes_of_a_batch(site: Site, say: Say) -> float:
    """The files wait when the operator starts, so that each lane has one batch."""
    before = Requests.so_far(site.cluster)
    site.create_scans(write(site, DAY, BATCH, FILE_BYTES))
    operator = started(site)
    _wait_until_all(site, ScanPhase.PRUNE_SCHEDULED)
    operator.stop()
    return _per_scan(before, site, 2 * BATCH, f"{BATCH} files a batch", say)


def _writes_of_singles(site: Site, say: Say) -> float:
    """Every file is told when the one before is on its way; bundles and Prunes fill as they do in production."""
    before = Requests.so_far(site.cluster)
    operator = started(site)
    bodies = write(site, DAY, SINGLES // 2, FILE_BYTES)
    for body in bodies:
        site.create_scans([body])
        _wait_until_all(site, *COPIED)
    _wait_until_all(site, ScanPhase.PRUNE_SCHEDULED)
    operator.stop()
    return _per_scan(before, site, SINGLES, "one file a batch", say)


def _per_scan(before: Requests, site: Site, count: int, how: str, say: Say) -> float:
    spent = Requests.so_far(site.cluster).since(before)
    writes = spent.writes() / count
    say(f"{how}: {writes:.2f} writes and {spent.events() / count:.2f} Events a Scan")
    return writes


MEASUREMENT = Measurement(
    title=f"The whole life of a Scan ({FILE_BYTES // 1000} kB, both beamlines, sha256, fsync, bundles, catalogue)",
    keys={
        "scans_per_second": f"{2 * FILES} waiting Scans until all conditions are written",
        "api_status_writes_per_second": f"plain status writes that the API server takes, {AT_ONCE} at a time",
        "writes_per_scan": f"Kubernetes writes for a Scan, creation, Transfers and Prunes included, {BATCH} a batch",
        "writes_per_scan_single": "the same with one file for each Transfer of the first hop",
        "etcd_bytes_per_live_scan": "bytes in etcd for a finished Scan while it is there, Transfers and Events too",
        "etcd_bytes_per_scan": "bytes in etcd for a Scan after it was collected: the calendar",
    },
    run=run,
    goals={
        "scans_per_second": ">= 40",
        "writes_per_scan": "<= 5.2",
        "writes_per_scan_single": "<= 9.2",
        "etcd_bytes_per_scan": "<= 1,500",
    },
)
