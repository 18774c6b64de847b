"""Files go through an emulated Globus while everything happens that can: nothing is lost, nothing is sent twice.

The operator and the service are real processes that are killed for real. One beamline is mounted here, the other can be
seen through the service alone. What is done to them stands in ``globus_troubles``, what must be true in
``globus_campaign``.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.killpoints import Point
from tests.cluster import Cluster
from tests.emulators.globus.faults import Action
from tests.fault.globus_campaign import GlobusCampaign
from tests.fault.globus_troubles import TROUBLES
from tests.site import GlobusSite

POINTS: tuple[Point, ...] = (
    "submission-id-fetched",
    "transfer-created",
    "task-posted",
    "task-started",
    "task-done",
    "scans-told",
    "transfer-closed",
)
"""Every named point of the hop, from planned to applied."""
UNMOUNTED = ("data631", "nersc631")
SEED = 20261123
FILES = 5000
ROUNDS, KILLS_A_POINT = 3, 8
"""In the full form: how often each trouble is made, and the operator is killed at each point."""
SIZES = "GLOBUS_CHAOS"
"""Variable: files, rounds of all troubles and kills at each point, such as ``600,1,3``, in place of both forms."""


@pytest.fixture
def globus_site(cluster: Cluster, tmp_path: Path, full: bool) -> Iterator[GlobusSite]:
    site = GlobusSite(cluster, tmp_path, unmounted=UNMOUNTED)
    try:
        # Several troubles may meet in one file, which none of them makes hopeless.
        site.install(site.first_hop_alone(attempts=5 if full else 2))
        yield site
    finally:
        site.close()


def plan(campaign: GlobusCampaign, rounds: int, kills: int) -> list[str]:
    """What happens, in a random order: names of troubles and of kill points."""
    steps = [*[one.__name__ for one in TROUBLES] * rounds, *POINTS * kills]
    campaign.rng.shuffle(steps)
    return steps


def sizes(full: bool) -> tuple[int, int, int]:
    """Files at least, rounds of all troubles, kills at each point."""
    if wanted := os.environ.get(SIZES):
        files, rounds, kills = map(int, wanted.split(","))
        return files, rounds, kills
    return (FILES, ROUNDS, KILLS_A_POINT) if full else (0, 1, 1)


def corrupt_for_ever(campaign: GlobusCampaign) -> None:
    """One copy is wrong however often it is written: it is singled out, and the others arrive."""
    campaign.running()
    keys = campaign.write(campaign.wave)
    wrong = campaign.rng.choice(keys)
    campaign.globus.fault(Action.CORRUPT_WRITE, path=campaign.chosen([wrong]), times=None)
    campaign.hopeless[wrong] = Reason.CHECKSUM_MISMATCH
    campaign.tell(keys)


@pytest.mark.timeout(5400)
def test_every_file_arrives_or_says_why_and_nothing_is_sent_twice(
    globus_site: GlobusSite, kills: Counter[str], tables: dict[str, str], full: bool
) -> None:
    files, rounds, kills_a_point = sizes(full)
    waves = len(TROUBLES) * rounds + len(POINTS) * kills_a_point
    wave = max(3, -(-files // waves // 2))
    campaign = GlobusCampaign(globus_site, SEED, wave=wave, stalled_s=60 * full)
    troubles = {one.__name__: one for one in TROUBLES}
    began = time.monotonic()
    corrupt_for_ever(campaign)
    for number, step in enumerate(plan(campaign, rounds, kills_a_point)):
        print(f"{time.monotonic() - began:5.0f} s: {number + 1} of {waves}, {step}", flush=True)
        if step in troubles:
            troubles[step](campaign)
            if full:
                campaign.kill("a random instant")
        else:
            campaign.kill(f"before {step}")
            campaign.killed_at(step)
    counts = campaign.check_hop(campaign.finish(900 if files else 240))
    kills.update(campaign.ends)
    tables["globus"] = "\n".join(f"{count:7d}  {what}" for what, count in counts.items())
    assert not campaign.unended()
    assert campaign.running().stop() == 0
    assert "Traceback" not in "".join(program.words() for program in globus_site.programs)
    assert "Traceback" not in (globus_site.folder / "globus" / "output.log").read_text()
    assert counts["files"] >= files
    assert min(campaign.ends[point] for point in POINTS) >= kills_a_point
    if full:
        assert counts["kills"] >= 100
