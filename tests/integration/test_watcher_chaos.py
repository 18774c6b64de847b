"""Slow writers, a watcher killed again and again, an API server restarted: every file one Scan, none too early."""

import itertools
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.integration.test_watcher_process import Site, crds, describes, site
from tests.samples import SampleFile, sample_files

__all__ = ["crds", "site"]  # fixtures of this module too

FILES = 200
WRITERS = 10
QUIET_S = 3
KILLS = 8
SEED = 631


class Writer(threading.Thread):
    """An instrument: appends each of its files piece by piece, and measures its own longest pause."""

    def __init__(self, root: Path, samples: list[SampleFile], seed: int) -> None:
        super().__init__(daemon=True)
        self.root, self.samples, self.rng = root, samples, random.Random(seed)
        self.longest_pause: dict[Path, float] = {}

    def run(self) -> None:
        for sample in self.samples:
            path = self.root / sample.path
            path.parent.mkdir(parents=True, exist_ok=True)
            last, longest = time.monotonic(), 0.0
            for piece in self.pieces(sample.content):
                with open(path, "ab") as file:
                    file.write(piece)
                longest = max(longest, time.monotonic() - last)
                last = time.monotonic()
                time.sleep(self.rng.uniform(0.0, 0.6))
            self.longest_pause[path] = longest

    def pieces(self, content: bytes) -> list[bytes]:
        cuts = sorted(self.rng.sample(range(1, len(content)), 3)) if len(content) > 4 else []
        return [content[start:end] for start, end in itertools.pairwise([0, *cuts, len(content)])]


@pytest.mark.fault
def test_every_file_gets_exactly_one_scan_and_never_of_a_part_of_it(site: Site, cluster: Cluster) -> None:
    rng = random.Random(SEED)
    site.write_config(QUIET_S)
    samples = list(itertools.islice(sample_files("BL402", SEED, points=5), FILES))
    writers = [Writer(site.roots["data402"], samples[number::WRITERS], SEED + number) for number in range(WRITERS)]
    site.start()
    for writer in writers:
        writer.start()
    for kill in range(KILLS):
        time.sleep(rng.uniform(0.5, 7.0))
        if kill == KILLS // 2 and cluster.provider == "controlplane":
            cluster.restart_apiserver()
        site.stop(signal.SIGKILL)
        site.start()
    for writer in writers:
        writer.join()
    files = {path: pause for writer in writers for path, pause in writer.longest_pause.items()}
    assert len(files) == FILES
    site.until(lambda: len(site.scans()) >= FILES, "files without a Scan")
    scans = site.scans()
    assert set(scans) == set(map(str, files))
    for path, pause in files.items():
        scan = scans[str(path)]
        assert describes(scan, path)
        # A Scan that was made of a part of the file had to be changed since, which its generation counts. A writer that
        # this machine held up for longer than the quiet period has broken its own promise.
        assert scan["metadata"]["generation"] == 1 or pause >= QUIET_S, f"{path} was taken before it was finished"
