"""Two operators at once: one works, the other waits; and one that wakes up late does no harm."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.fault.campaign import Campaign
from tests.fault.supervisor import LEASE_SECONDS
from tests.fault.test_kills import POINTS
from tests.site import Program, Site

FEW_POINTS = ("transfer-created", "scans-told", "prune-created")
LEASE_LOST = 1


def is_stopped(program: Program) -> bool:
    """Whether the process was stopped by SIGSTOP."""
    assert program.process is not None
    state = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def leads(program: Program) -> bool:
    """Whether it ever worked."""
    return "working on namespace" in program.words()


def finish(site: Site, campaign: Campaign) -> None:
    site.wait_until_succeeded(len(campaign.originals))
    site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")


def test_of_two_operators_started_at_once_one_works_and_the_other_takes_over(site: Site) -> None:
    campaign = Campaign(site)
    both = [site.operator(f"operator-{name}").start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS) for name in "ab"]
    campaign.add(5)
    finish(site, campaign)
    assert [leads(one) for one in both].count(True) == 1
    first, second = sorted(both, key=leads, reverse=True)
    campaign.add(5)
    site.wait_for(lambda: len(site.transfers()) > 2, "work has begun")
    first.kill()
    finish(site, campaign)
    assert leads(second)
    assert second.stop() == 0
    campaign.check()


@pytest.mark.timeout(900)
def test_an_operator_that_stalls_and_wakes_up_when_another_has_taken_over_does_no_harm(site: Site, full: bool) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("whether a process is stopped is read from /proc, which only Linux has")
    campaign = Campaign(site)
    for point in POINTS[:-1] if full else FEW_POINTS:
        campaign.add(3)
        stalled = site.operator(f"stalled-{point}")
        stalled.start(DICHROISM_STOP_AT=point, DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
        site.wait_for(partial(is_stopped, stalled), f"it stopped at {point}")
        assert stalled.process is not None
        try:
            other = site.operator(f"other-{point}").start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
            finish(site, campaign)
        finally:
            os.kill(stalled.process.pid, signal.SIGCONT)
        assert stalled.wait() == LEASE_LOST
        assert "is held by" in stalled.words()
        finish(site, campaign)
        campaign.check()
        assert other.stop() == 0
    assert "Traceback" not in "".join(program.words() for program in site.programs)


def test_a_stalled_operator_takes_no_copy_back_whose_source_was_pruned_meanwhile(site: Site) -> None:
    campaign = Campaign(site)
    campaign.add(3)
    stalled = site.operator("stalled").start(DICHROISM_STOP_AT="task-started", DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
    site.wait_for(lambda: is_stopped(stalled), "it stopped")
    assert stalled.process is not None
    try:
        other = site.operator("other").start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
        finish(site, campaign)
        for beamline, path in campaign.originals:
            (campaign.source(beamline) / path).unlink()
    finally:
        os.kill(stalled.process.pid, signal.SIGCONT)
    assert stalled.wait() == LEASE_LOST
    assert other.stop() == 0
    site.wait_until_succeeded(len(campaign.originals), seconds=1)
