"""The operator is killed (SIGKILL) with work in flight, again and again, and everything ends as if it had not been."""

import random
import signal
import time
from collections import Counter
from typing import get_args

import pytest

from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_operator import killpoints
from tests.fault.campaign import Campaign, succeeded
from tests.fault.supervisor import LEASE_SECONDS
from tests.site import Program, Site

ELSEWHERE = frozenset(
    {"copies-verified", "file-renamed", "trash-emptied", "order-uploaded", "task-posted", "run-shown", "file-restored"}
)
"""Points of the prune job, of restore, the movers of outside services and the mirror, which have tests of their own."""
POINTS = tuple(point for point in get_args(killpoints.Point) if point not in ELSEWHERE)
"""Every kill point of the operator with the embedded movers."""
OFTEN = frozenset({"dataset-written", "archive-recorded"})
"""Points that are reached once per Scan, so the kill may come at a later one of a wave."""
AT_RANDOM = "a random instant"
LONGEST_LIFE_S = 9.0


def killed_at(site: Site, operator: Program, point: str) -> None:
    """Let it run until it kills itself at the point."""
    while True:
        operator.start(DICHROISM_KILL_AT=point, DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
        site.wait_for(lambda: not operator.running, f"the operator was killed at {point}", 90)
        code = operator.wait()
        if code == -signal.SIGKILL:
            return
        assert code == 1, f"exit code {code}"  # a slow machine made it lose its Lease


def killed_after(operator: Program, seconds: float) -> None:
    """Let it run for so long, then kill it from outside."""
    operator.start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    time.sleep(seconds)
    operator.kill()


@pytest.mark.timeout(1800)
def test_an_operator_killed_anywhere_loses_nothing_and_does_nothing_twice(
    site: Site, kills: Counter[str], full: bool
) -> None:
    rng = random.Random(20261122)
    points = [*POINTS * (2 if full else 1), *[AT_RANDOM] * (12 if full else 3)]
    rng.shuffle(points)
    campaign, wave = Campaign(site), 3
    for number, point in enumerate(points):
        campaign.add(wave)
        for scan in rng.sample([one for one in site.scans().values() if succeeded(one)] or [*site.scans().values()], 1):
            site.annotate(scan.name, ANNOTATION_RETRY, f"Catalogued@{number}")
        operator = site.operator(f"operator-{number:02d}")
        if point == AT_RANDOM:
            killed_after(operator, rng.uniform(1, LONGEST_LIFE_S))
        else:
            killed_at(site, operator, f"{point}:{rng.randint(1, wave)}" if point in OFTEN else point)
        kills[point] += 1
    if full and (missing := 200 - len(campaign.originals)) > 0:
        campaign.add(missing // 2)
    last = site.operator("operator-last").start()
    site.wait_until_succeeded(len(campaign.originals))
    site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    site.wait_for(lambda: "is ours" in last.words(), "the last one leads")
    assert last.stop() == 0
    campaign.check()
    assert "Traceback" not in "".join(program.words() for program in site.programs)
