"""Bundles go to tape through an emulated NERSC while everything dies: each file ends in exactly one verified bundle.

Operator, service and jobs are real processes that are killed for real, half-way and at named points. The counts at the
end are read from the tape and the cluster, not from what anybody reported.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dichroism_crds.kinds import Scan, TransferPhase
from dichroism_operator.killpoints import Point
from tests.cluster import Cluster
from tests.fault.campaign import OperatedCampaign, copy_on, files_below, members_of, original_of, succeeded
from tests.fault.test_hpss_faults import KILL_POINTS
from tests.site import BEAMLINES, TapeSite

SEED = 20261123
FILES, KILLS = 2000, 50
"""In the full form."""
FEW_FILES, FEW_KILLS = 16, 4
POINTS: tuple[Point, ...] = (
    "transfer-created",
    "order-uploaded",
    "task-posted",
    "task-started",
    "task-done",
    "scans-told",
)
PATIENCE_S = 240.0


@pytest.fixture
def tape_site(cluster: Cluster, tmp_path: Path) -> Iterator[TapeSite]:
    site = TapeSite(cluster, tmp_path)
    try:
        document = site.without_catalogue()
        for beamline in document["beamlines"].values():
            beamline["archive"]["bundle"] = {"target": "100MB", "max_age": "1s"}
        site.install(document)
        yield site
    finally:
        site.close()


class TapeCampaign(OperatedCampaign):
    """Files on their way to tape, and what kills whoever carries them."""

    site: TapeSite

    def __init__(self, site: TapeSite, wave: int) -> None:
        """``wave``: files of each beamline told before each kill."""
        super().__init__(site, SEED)
        self.rng = random.Random(SEED)
        self.wave = wave
        self.kills: Counter[str] = Counter()

    # kills

    def kill_operator_at_a_point(self) -> None:
        """The operator dies at a named instant of the hop, with files to carry."""
        point = self.rng.choice(POINTS)
        if self.operator and self.operator.running:
            self.operator.kill()
        operator = self.start(DICHROISM_KILL_AT=point)
        self.add(self.wave)
        self.site.wait_for(lambda: not operator.running, f"the operator was killed at {point}", PATIENCE_S)
        assert operator.wait() == -signal.SIGKILL
        self.operator = None

    def kill_job_at_a_point(self) -> None:
        """A job dies at a named instant of its work."""
        self._until_met(lambda: self.site.sfapi.fault("end-job", point=self.rng.choice(KILL_POINTS)))

    def kill_job_during_its_put(self) -> None:
        """A job dies while half of the bundle is on tape."""
        self._until_met(lambda: self.site.sfapi.fault("hsi-dies", command="^put"))

    def kill_one_of_two_jobs(self) -> None:
        """A submission is taken twice, and one of the two jobs dies."""
        self.site.sfapi.fault("twice")
        self._until_met(lambda: self.site.sfapi.fault("end-job", point=self.rng.choice(KILL_POINTS)))

    def kill_service(self) -> None:
        """The API dies in the middle of whatever it does, and comes back."""
        self.running()
        self.add(self.wave)
        time.sleep(self.rng.uniform(0.5, 4.0))
        self.site.sfapi.kill()
        time.sleep(self.rng.uniform(0.5, 2.0))
        self.site.sfapi.start()

    def _until_met(self, ask: Callable[[], None]) -> None:
        ask()
        self.running()
        self.add(self.wave)

        def met() -> bool:
            self.running()
            return not self.site.sfapi.waiting_faults()

        self.site.wait_for(met, "the fault was met", PATIENCE_S)

    # the end

    def finish(self, seconds: float) -> dict[str, Scan]:
        """Wait until every file is where it should be."""
        self.site.sfapi.clear_faults()

        def done() -> dict[str, Scan] | None:
            self.running()
            scans = self.site.objects(Scan)
            return {one.name: one for one in scans} if all(map(succeeded, scans)) else None

        found: dict[str, Scan] = self.site.wait_for(done, "every file is on tape", seconds)
        return found

    def count(self, scans: dict[str, Scan]) -> dict[str, int]:
        """What is true at the end, counted on the tape itself."""
        on_tape: Counter[tuple[str, str, str]] = Counter()
        bundles = halves = 0
        for beamline, number in BEAMLINES.items():
            root = self.site.mount(f"hpss{number}")
            for path, _ in files_below(root):
                if not path.endswith(".tar"):
                    halves += 1
                    continue
                bundles += 1
                on_tape.update(
                    (beamline, member, digest)
                    for member, digest in members_of(root / path).items()
                    if member != "MANIFEST.tsv"
                )
        for scan in scans.values():
            key = (scan.spec.beamline, scan.spec.path)
            copy = copy_on(scan, f"hpss{BEAMLINES[key[0]]}")
            root = self.site.mount(copy.endpoint)
            assert members_of(root / copy.path)[copy.member or ""] == self.originals[key].sha256, key
            assert original_of(self.source(key[0]) / key[1]) == self.originals[key], key
        right = {(*key, original.sha256) for key, original in self.originals.items()}
        return {
            "files": len(self.originals),
            "in exactly one bundle": sum(1 for one in right if on_tape[one] == 1),
            "strange or doubled": sum(on_tape.values()) - len(right),
            "bundles": bundles,
            "half files without a bundle's name": halves,
            "jobs": len(self.site.sfapi.jobs()),
            "kills": sum(self.kills.values()),
        }


@pytest.mark.timeout(7200)
def test_every_file_ends_in_exactly_one_verified_bundle(
    tape_site: TapeSite, tables: dict[str, str], full: bool
) -> None:
    files, kills = (FILES, KILLS) if full else (FEW_FILES, FEW_KILLS)
    campaign = TapeCampaign(tape_site, wave=max(1, files // kills // len(BEAMLINES)))
    ways = [
        campaign.kill_job_at_a_point,
        campaign.kill_operator_at_a_point,
        campaign.kill_job_during_its_put,
        campaign.kill_service,
        campaign.kill_one_of_two_jobs,
    ]
    began = time.monotonic()
    for number in range(kills):
        way = ways[number % len(ways)]
        print(f"{time.monotonic() - began:5.0f} s: {number + 1} of {kills}, {way.__name__}", flush=True)
        way()
        campaign.kills[way.__name__] += 1
    counts = campaign.count(campaign.finish(1800 if full else PATIENCE_S))
    tables["hpss"] = "\n".join(f"{count:7d}  {what}" for what, count in (counts | campaign.kills).items())
    assert counts["in exactly one bundle"] == counts["files"] == files
    assert counts["strange or doubled"] == 0
    assert {one.status.phase for one in tape_site.transfers()} == {TransferPhase.SUCCEEDED}
    assert "Traceback" not in "".join(program.words() for program in tape_site.programs)
    assert "Traceback" not in (tape_site.folder / "sfapi" / "output.log").read_text()
