"""Reading files for the catalogue, in the worker processes that the operator uses: metadata, and plots."""

import hashlib
import itertools
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from dichroism_operator.previews.jobs import Job, Place
from dichroism_operator.previews.workers import Workers
from tests.bench.frame import Figures, Measurement, Say
from tests.samples import sample_files

FILES = 300
PLOTS = 30


def _jobs(folder: Path) -> list[Job]:
    """Files of both beamlines, about 300 kB each, as they lie on disk."""
    jobs = []
    for beamline in ("BL402", "BL631"):
        for number, sample in enumerate(itertools.islice(sample_files(beamline, points=200), FILES // 2)):
            name = f"{beamline}-{number:04d}"
            (folder / name).write_bytes(sample.content)
            digest = hashlib.sha256(sample.content).hexdigest()
            place = Place(str(folder), name)
            jobs.append(Job(place, len(sample.content), digest, beamline, sample.path))
    return jobs


def measure(folder: Path, say: Say) -> Figures:
    """Describe every file, with as many workers as there are cores; then draw some, one after the other."""
    jobs = _jobs(folder)
    cores = len(os.sched_getaffinity(0))
    workers = Workers(cores)
    say(f"{len(jobs)} files, {sum(job.size for job in jobs) / len(jobs) / 1000:.0f} kB each, {cores} workers")
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(workers.run, jobs[: 4 * cores]))
        began = time.perf_counter()
        answers = list(threads.map(workers.run, jobs))
        seconds = time.perf_counter() - began
    if unread := [answer.unread for answer in answers if answer.description is None]:
        raise RuntimeError(f"{len(unread)} files were not read: {unread[0]}")
    say("plots")
    drawable = [job for job, one in zip(jobs, answers, strict=True) if one.description and one.description.drawable]
    workers.close()
    workers = Workers(1)
    times, sizes = [], []
    for job in [drawable[0], *drawable[:: max(len(drawable) // PLOTS, 1)]]:
        began = time.perf_counter()
        drawn = workers.run(replace(job, picture=True)).description
        times.append(time.perf_counter() - began)
        sizes.append(len(drawn.png or b"") if drawn else 0)
    workers.close()
    return {
        "bcs_files_per_second": len(jobs) / seconds,
        "quicklook_ms": 1000 * statistics.median(times[1:]),
        "quicklook_kb": statistics.median(sizes) / 1000,
    }


MEASUREMENT = Measurement(
    title="Metadata and quick-look plots",
    keys={
        "bcs_files_per_second": "files read, verified and described per second, one worker per core",
        "quicklook_ms": "one plot, reading and verifying included, in a worker that runs already (median)",
        "quicklook_kb": "size of a plot in kB (median)",
    },
    run=measure,
    goals={},
)
