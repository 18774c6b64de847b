"""How many requests the Globus hop makes per file, and how fast it is beside one task per file on the same service.

The operator, the cluster and the moved bytes are real, and the service has the limits of the real one: 5 s until a task
starts, 3 tasks at a time, 20 requests a second. How fast Globus itself moves bytes is not measured here.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from globus_sdk import TransferClient, TransferData

from dichroism_crds.kinds import Step
from dichroism_crds.timestamps import from_ns
from tests import cluster as clusters
from tests.bench.frame import Figures, Measurement, Say
from tests.bench.sites import started
from tests.cluster import Cluster
from tests.emulators.globus.sdk import transfer_client
from tests.fault.campaign import succeeded
from tests.samples.filler import write_filler
from tests.site import GlobusSite

BATCHES = {1: "_1", 20: "_20", 200: "", 1000: "_1000"}
"""Files that wait when the operator starts, and the end of the key."""
FILE_BYTES = 20_000
MANY = 3000
"""Files of the throughput: three batches as large as they get."""
ALONE = 18
"""Files of the baseline: six rounds of the three tasks that the service works on."""
TELLERS = 4
"""How many tell files at the same time."""
TRICKLE, TRICKLE_EVERY_S = 60, 1.0
PATIENCE_S = 600.0


def run(folder: Path, say: Say) -> Figures:
    """Measure all of it on a cluster of its own."""
    with clusters.running(folder / "cluster") as cluster:
        figures: Figures = {}
        for count, suffix in BATCHES.items():
            with _site(cluster, folder / f"batch-{count}") as site:
                figures[f"globus_calls_per_file{suffix}"] = _calls_per_file(site, count, say)
        with _site(cluster, folder / "many") as site:
            figures["globus_files_per_minute"] = _files_per_minute(site, say)
            figures["baseline_files_per_minute"] = _one_by_one(site, say)
        with _site(cluster, folder / "trickle") as site:
            figures["close_to_cfs_p99_s"] = _close_to_cfs(site, say)
        figures["globus_speed_up"] = figures["globus_files_per_minute"] / figures["baseline_files_per_minute"]
        return figures


@contextmanager
def _site(cluster: Cluster, folder: Path) -> Iterator[GlobusSite]:
    site = GlobusSite(cluster, folder)
    try:
        site.install(site.first_hop_alone())
        yield site
    finally:
        site.close()


def _write(site: GlobusSite, count: int, name: str = "scan") -> list[str]:
    """Files of one day at 4.0.2."""
    day = site.mount("data402") / "2026" / "261122"
    day.mkdir(parents=True, exist_ok=True)
    paths = [f"2026/261122/{name}{number:05d}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        write_filler(site.mount("data402") / path, FILE_BYTES, number)
    return paths


def _tell(site: GlobusSite, paths: list[str]) -> None:
    bodies = [site.scan_body("BL402", path) for path in paths]
    with ThreadPoolExecutor(TELLERS) as tellers:
        parts = [bodies[start : start + 200] for start in range(0, len(bodies), 200)]
        assert sum(map(len, tellers.map(site.create_scans, parts))) == len(paths)


def _arrive(site: GlobusSite, count: int) -> float:
    """Start the operator, which was told of all files before; seconds until all are recorded as verified."""
    operator = started(site)
    began = time.monotonic()

    end = time.monotonic() + PATIENCE_S
    while _verified(site) < count:
        assert time.monotonic() < end, f"{count} files are not verified after {PATIENCE_S:.0f} s"
        assert operator.running, f"the operator ended: {operator.words()[-1000:]}"
        time.sleep(1)  # Who looks all the time measures himself.
    seconds = time.monotonic() - began
    operator.stop()
    return seconds


def _verified(site: GlobusSite) -> int:
    """Files of Transfers that are over, without reading what else is in these large objects."""
    files = "{range .items[*]}{.status.phase} {.status.files}{'\\n'}{end}"
    shown = site.cluster.kubectl("get", "transfers", "-n", site.namespace, "-o", f"jsonpath={files}")
    return sum(int(line.split()[1]) for line in shown.splitlines() if line.split()[:1] == ["Succeeded"])


def _requests(site: GlobusSite) -> int:
    return sum(count for call, count in site.globus.state()["calls"].items() if " /v0.10/" in call)


def _calls_per_file(site: GlobusSite, count: int, say: Say) -> float:
    _tell(site, _write(site, count))
    seconds = _arrive(site, count)
    requests = _requests(site)
    say(f"{requests} requests for {count} files in {len(site.transfers())} batches, {seconds:.0f} s")
    return requests / count


def _files_per_minute(site: GlobusSite, say: Say) -> float:
    """From the operator's first look at the waiting files until the last one is recorded as verified."""
    say(f"telling {MANY} files")
    _tell(site, _write(site, MANY))
    seconds = _arrive(site, MANY)
    say(f"{MANY} files in {seconds:.0f} s, {_requests(site)} requests")
    return MANY / seconds * 60


def _one_by_one(site: GlobusSite, say: Say) -> float:
    """One task per file with the same options, all submitted at once, polled together: the best that it can do."""
    client = transfer_client(site.globus)
    try:
        began = time.monotonic()
        tasks = [_submit(client, site, path) for path in _write(site, ALONE, "alone")]
        while not all(_done(client, tasks)):
            time.sleep(1)
        seconds = time.monotonic() - began
    finally:
        client.close()
    say(f"{ALONE} files with a task each in {seconds:.0f} s")
    return ALONE / seconds * 60


def _submit(client: TransferClient, site: GlobusSite, path: str) -> str:
    data = TransferData(
        site.collections["data402"],
        site.collections["nersc402"],
        sync_level="checksum",
        verify_checksum=True,
        preserve_timestamp=True,
    )
    data.add_item(f"/{path}", f"/{path}", recursive=False)
    return str(client.submit_transfer(data)["task_id"])


def _done(client: TransferClient, tasks: list[str]) -> list[bool]:
    answer = client.task_list(limit=1000, filter={"task_id": tasks})
    return [task["status"] == "SUCCEEDED" for task in answer["DATA"]]


def _close_to_cfs(site: GlobusSite, say: Say) -> float:
    """From the last write of a file until its copy is verified, one file a second, watcher included."""
    site.watcher().start()
    started(site)
    written: dict[str, datetime] = {}
    folder = site.mount("data402") / "2026" / "261122"
    folder.mkdir(parents=True)
    for number in range(TRICKLE):
        file = folder / f"scan{number:05d}.txt"
        write_filler(file, FILE_BYTES, number)
        written[f"2026/261122/{file.name}"] = from_ns(file.stat().st_mtime_ns)
        time.sleep(TRICKLE_EVERY_S)
    scans = site.wait_until_succeeded(TRICKLE, PATIENCE_S)
    times = [scans[path].condition(Step.TRANSFERRED).last_transition_time for path in written]
    waits = sorted((end - written[path]).total_seconds() for path, end in zip(written, times, strict=True) if end)
    assert len(waits) == TRICKLE
    assert all(succeeded(scan) for scan in scans.values())
    say(f"median {waits[TRICKLE // 2]:.0f} s from the last write to the verified copy, {_requests(site)} requests")
    return waits[math.ceil(0.99 * TRICKLE) - 1]


MEASUREMENT = Measurement(
    title="Globus hop against the emulator (5 s start-up, 3 tasks at a time, 20 requests/s)",
    keys={
        "globus_calls_per_file_1": "requests to the Transfer API for a batch of 1 file, start of the operator included",
        "globus_calls_per_file_20": "requests per file, batch of 20",
        "globus_calls_per_file": "requests per file, batch of 200",
        "globus_calls_per_file_1000": "requests per file, batch of 1,000",
        "globus_files_per_minute": f"{MANY} waiting files of {FILE_BYTES} bytes until verified and recorded",
        "baseline_files_per_minute": "the same service with one task per file",
        "globus_speed_up": "the former over the latter",
        "close_to_cfs_p99_s": "seconds from last write to verified copy, one file a second, of which 2 s quiet period",
    },
    run=run,
    goals={"globus_calls_per_file": "<= 0.05", "globus_speed_up": ">= 100"},
)
