"""How soon a file is noticed, how fast a burst is, what a million files on disk cost, against a real API server."""

import asyncio
import os
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from dichroism_crds.config.models import Watch
from dichroism_crds.kinds import Scan
from dichroism_crds.names import PRIVATE_DIR
from dichroism_watcher.journal_file import JournalFile, Row
from dichroism_watcher.records import FileContent
from tests import chart
from tests.api import acting
from tests.bench.frame import Figures, Measurement, Say
from tests.cluster import Cluster, running
from tests.cluster.processes import free_port
from tests.site import PYTHON

LATE_FILES = 300
"""Files whose latency is measured, one at a time."""
PAUSE_S = 0.25
"""Between two of them."""
BURST_FILES = 20_000
BURST_QUIET_S = 5
FOLDERS, FILES_PER_FOLDER = 1000, 1000
PASSES = 2
"""Passes over the million files, the first of them at start; the slower counts."""
CONTENT = b"x" * 500
DEFAULT_QUIET_S = Watch.model_fields["quiet_period"].default.total_seconds()
WAIT_S = 1800


class Site:
    """One folder, one watcher of it under the rights of the chart."""

    def __init__(self, cluster: Cluster, folder: Path, name: str, **watch: str) -> None:
        self.cluster, self.folder = cluster, folder / name
        self.root = self.folder / "data"
        (self.root / PRIVATE_DIR).mkdir(parents=True)
        self.namespace = cluster.namespace("bench")
        ends = {"data402": {"name": "data402", "root_path": "/site/data402", "mount": str(self.root)}}
        ends |= {"nersc402": {"name": "nersc402", "root_path": "/cfs/402"}}
        beamline = {
            "watch": {"root": "data402", "since": "2000-01-01", **watch},
            "transfer": {"from": "data402", "to": "nersc402"},
        }
        document = {**ends, "beamlines": {"BL402": beamline}}
        chart.install(cluster, self.namespace, document)
        self.config = self.folder / "config.yml"
        self.config.write_text(yaml.safe_dump(document))
        self.journal = self.folder / "journal.db"
        self.port = free_port()

    def metric(self, name: str) -> float:
        """A metric of the watcher, NaN while it does not answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError), opener.open(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"dichroism_watcher_{name}{{"):
                    return float(line.split()[-1])
        return float("nan")

    @contextmanager
    def watched(self) -> Iterator[subprocess.Popen[bytes]]:
        """The watcher runs, and has looked at everything once."""
        command = [str(PYTHON.parent / "dichroism"), "watcher", "--config", str(self.config)]
        command += ["--namespace", self.namespace, "--journal", str(self.journal), "--log-format", "json"]
        command += ["--health-port", str(self.port)]
        kubeconfig = self.cluster.kubeconfig_for(self.namespace, chart.WATCHER)
        log = self.folder / "watcher.log"
        with log.open("wb") as writing:
            process = subprocess.Popen(command, env=self.cluster.environment(kubeconfig), stderr=writing)
        try:
            wait_for(lambda: b'"watching"' in log.read_bytes())
            yield process
            if process.poll() is not None:
                raise RuntimeError(f"the watcher ended: {log.read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait()

    @contextmanager
    def told(self) -> Iterator[dict[str, float]]:
        """When each Scan was seen by a watch of ours: by path, on the monotonic clock (s)."""
        seen: dict[str, float] = {}
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._follow(seen))

        def run() -> None:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.close()

    async def _follow(self, seen: dict[str, float]) -> None:
        version = ""

        def note(told: str) -> None:
            nonlocal version
            version = told

        async with acting(self.cluster, self.namespace) as api:
            _ = [one async for one in api.list_pages(api.path(Scan), on_version=note)]
            async for event in api.watch(api.path(Scan), version, seconds=WAIT_S):
                if event["type"] == "ADDED":
                    seen.setdefault(event["object"]["spec"]["path"], time.monotonic())


def wait_for(what: Callable[[], Any], seconds: float = WAIT_S) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise RuntimeError(f"nothing came within {seconds:.0f} s")
        time.sleep(0.05)


def latency(cluster: Cluster, folder: Path, say: Say) -> Figures:
    """From the close of a file to its Scan, at the default configuration; the quiet period is taken off."""
    site = Site(cluster, folder, "latency")
    closed: dict[str, float] = {}
    with site.watched(), site.told() as seen:
        say(f"{LATE_FILES} files, then a quiet period of {DEFAULT_QUIET_S:.0f} s")
        time.sleep(5)
        for number in range(LATE_FILES):
            path = Path(f"2026/2611{22 + number // 100}") / f"TrajScan{number:05d}.txt"
            (site.root / path).parent.mkdir(parents=True, exist_ok=True)
            (site.root / path).write_bytes(CONTENT)
            closed[str(path)] = time.monotonic()
            time.sleep(PAUSE_S)
        wait_for(lambda: len(seen) == LATE_FILES, DEFAULT_QUIET_S + 300)
    late = sorted(seen[path] - at - DEFAULT_QUIET_S for path, at in closed.items())
    return {"watch_latency_p50_s": late[len(late) // 2], "watch_latency_p99_s": late[int(len(late) * 0.99)]}


def burst(cluster: Cluster, folder: Path, say: Say) -> Figures:
    """Files that appear all at once, as a tree that is moved in; the quiet period is taken off."""
    site = Site(cluster, folder, "burst", quiet_period=f"{BURST_QUIET_S}s")
    outside = site.folder / "outside"
    for number in range(BURST_FILES):
        path = outside / f"{number // 1000:02d}" / f"{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
    with site.watched(), site.told() as seen:
        time.sleep(5)
        say(f"{BURST_FILES} files at once")
        began = time.monotonic()
        outside.rename(site.root / "burst")
        wait_for(lambda: len(seen) == BURST_FILES)
        took = max(seen.values()) - began - BURST_QUIET_S
    return {"watch_burst_files_per_second": BURST_FILES / took}


def million(cluster: Cluster, folder: Path, say: Say) -> Figures:
    """Memory and duration of a pass while a million files, all carried long ago, are on disk and in the journal."""
    site = Site(cluster, folder, "million", full_pass="1s")
    count = FOLDERS * FILES_PER_FOLDER
    say(f"making {count:,} files")
    moment = int((datetime.now(UTC) - timedelta(days=30)).timestamp())
    journal = JournalFile.open(site.journal)
    for number in range(FOLDERS):
        name = f"2026/{number:04d}"
        place = site.root / name
        place.mkdir(parents=True)
        rows = []
        for index in range(FILES_PER_FOLDER):
            path = f"{place}/TrajScan{number:04d}-1_{index:04d}.txt"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            os.truncate(path, 300_000)  # a size without blocks on disk
            os.utime(path, (moment, moment))
            found = os.stat(path)
            content = FileContent(found.st_size, found.st_mtime_ns // 1000)
            rows.append(Row("BL402", f"{name}/{Path(path).name}", content, found.st_dev, found.st_ino, safe=True))
        journal.write(rows, (), {})
    journal.close()
    say("watching them")
    with site.watched() as process:
        took: set[float] = set()

        def another() -> bool:
            if (seconds := site.metric("last_pass_seconds")) > 0 and seconds not in took:
                took.add(seconds)
                say(f"a pass took {seconds:.1f} s")
            return len(took) == PASSES

        wait_for(another)
        if (settled := site.metric("settled")) != count:
            raise RuntimeError(f"the watcher took {settled:.0f} files for done instead of {count}")
        peak = peak_bytes(process.pid)
    return {"watch_million_mb": peak / 1e6, "watch_million_pass_s": max(took)}


def peak_bytes(process: int) -> int:
    """Most memory that a process ever had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def run(folder: Path, say: Say) -> Figures:
    """Measure one after the other, each with the machine for itself."""
    with running(folder / "cluster") as cluster:
        figures: Figures = {}
        for part in (latency, burst, million):
            figures |= part(cluster, folder, say)
            say(", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    return figures


MEASUREMENT = Measurement(
    title="The watcher",
    keys={
        "watch_latency_p50_s": f"close of a file to its Scan, half of {LATE_FILES}, minus the quiet period (s)",
        "watch_latency_p99_s": "the same, 99 of 100 (s)",
        "watch_burst_files_per_second": f"Scans a second for {BURST_FILES:,} files that appear at once",
        "watch_million_mb": f"most memory with {FOLDERS * FILES_PER_FOLDER:,} files on disk and in the journal (MB)",
        "watch_million_pass_s": "whole pass over them, the slower of two (s)",
    },
    run=run,
    goals={
        "watch_latency_p99_s": "<= 1",
        "watch_burst_files_per_second": ">= 200",
        "watch_million_mb": "< 100",
        "watch_million_pass_s": "< 30",
    },
)
