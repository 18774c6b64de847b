"""Prefect is shown everything and holds nothing up: it is down, comes back, and the operator dies in between."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import Scan
from dichroism_crds.names import OPERATOR_LEASE
from dichroism_crds.timestamps import EPOCH, now
from dichroism_operator.mirror.feed import SCANS_WATERMARK
from tests.backlog import LIVE, create, finished_scan
from tests.cluster import Cluster
from tests.cluster.processes import free_port
from tests.fault.campaign import Campaign
from tests.fault.conftest import quick
from tests.fault.supervisor import Supervisor
from tests.prefect.server import PrefectServerProcess
from tests.probe import ask, metric
from tests.site import Site, open_site

KILL_AFTER = 15
"""Runs that the first operator brings up to date before it is killed."""
LEASE_SECONDS = "10"
"""Longer than elsewhere: ten thousand Scans keep the API server busy for seconds."""


@dataclass(frozen=True)
class Scale:
    """Files before the outage ends and after it, and Scans that were finished before; seconds that only end a hang."""

    during: int
    after: int
    finished: int
    seconds: float


SMALL, FULL = Scale(5, 0, 60, 900), Scale(250, 250, 10_000, 5400)


@pytest.fixture
def mirrored(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A site whose runs are shown in Prefect; nothing started."""
    with open_site(cluster, tmp_path) as opened:
        opened.install(quick(opened, prefect={"enabled": True}))
        yield opened


def make_backlog(site: Site, count: int) -> set[str]:
    """Create so many finished Scans; returns their uids."""
    moment = now() - timedelta(hours=1)
    made = create(site.cluster, (finished_scan(site.namespace, "BL402", number, moment) for number in range(count)))
    return {scan.metadata.uid or "" for scan in made}


def sum_of(port: int, name: str) -> float:
    """Sum of a metric over all its labels."""
    status, text = ask(port, "/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def watermark(site: Site) -> datetime:
    """How far the mirror has come, as the Lease keeps it; the epoch while it keeps nothing."""
    lease = site.cluster.kubectl("get", "lease", OPERATOR_LEASE, "-n", site.namespace, "-o", "json")
    found = re.search(rf'"{re.escape(SCANS_WATERMARK)}": "([^"]+)"', lease)
    return datetime.fromisoformat(found[1]) if found else EPOCH


def check_mirror(site: Site, prefect: PrefectServerProcess, backlog: set[str]) -> None:
    """One run for each object, complete, in order, with one page."""
    live = {scan.metadata.uid or "": scan for scan in site.objects(Scan) if scan.metadata.uid not in backlog}
    runs = prefect.runs("new_file_402") | prefect.runs("new_file_631")
    assert runs.keys() == live.keys() | backlog
    assert Counter(run["state_name"] for run in runs.values()) == {"Completed": len(runs)}
    artifacts = prefect.ask("POST", "/artifacts/count", {"artifacts": {"key": {"like_": "bl"}}})
    transfers = prefect.runs("run_dichroism_dispatcher")
    assert transfers.keys() == {transfer.metadata.uid for transfer in site.transfers()}
    assert {run["state_name"] for run in transfers.values()} <= {"Completed", "Failed"}
    assert artifacts == len(runs) + len(transfers)
    for uid, scan in live.items():
        names = [name for _, name in prefect.states(runs[uid]["id"])]
        assert len(names) == len(set(names)), "told twice"
        assert names[-1] == "Completed"
        assert "Pending" not in names[1:]
        steps = names[:-1][int(names[0] == "Pending") :]  # of an outage only what is worth showing is told later
        # Which of catalogue and tape is first is not the same for all: each tells in the order of its own times.
        moments = [scan.condition(step).last_transition_time or EPOCH for step in steps]
        assert moments == sorted(moments), (scan.name, steps, moments)


def ended(prefect: PrefectServerProcess) -> int:
    """How many runs have come to an end."""
    states = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}}
    return int(prefect.ask("POST", "/flow_runs/count", states))


def kept_up(port: int) -> bool:
    """Whether Prefect shows everything."""
    waiting = [metric(port, f'dichroism_mirror_waiting{{kind="{kind}"}}') for kind in ("Scan", "Transfer")]
    return waiting == [0, 0] and metric(port, "dichroism_mirror_lag_seconds") == 0


@pytest.mark.timeout(7200)
def test_prefect_catches_up_after_an_outage_and_a_death_and_the_pipeline_does_not_notice(
    mirrored: Site, prefect: PrefectServerProcess, full: bool
) -> None:
    site, port, scale = mirrored, free_port(), FULL if full else SMALL
    prefect.clear()
    prefect.stop()
    campaign = Campaign(site)
    started = time.monotonic()
    backlog = make_backlog(site, scale.finished)
    print(f"{scale.finished} finished Scans made in {time.monotonic() - started:.0f} s")
    operator = site.operator(port=port)
    environment = {"PREFECT_API_URL": prefect.url, "DICHROISM_LEASE_SECONDS": LEASE_SECONDS}
    with Supervisor(operator, DICHROISM_KILL_AT=f"run-shown:{KILL_AFTER}", **environment) as mortal:
        started = time.monotonic()
        campaign.add(scale.during)
        during = len(campaign.originals)
        site.wait_until_succeeded(during, scale.seconds, LIVE)
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
        took = time.monotonic() - started
        print(f"Prefect down: {during} live Scans done in {took:.0f} s, {during / took:.1f}/s")
        off = 'dichroism_mirror_off{reason="PrefectUnavailable"}'
        site.wait_for(lambda: metric(port, off) == 1, "the mirror is off")
        site.wait_for(lambda: watermark(site) > EPOCH, "the watermark is kept", seconds=60)
        assert watermark(site) < now() - timedelta(minutes=30)
        prefect.start()
        started = time.monotonic()
        site.wait_for(lambda: -9 in mortal.exit_codes, "the operator dies while it catches up", scale.seconds)
    with Supervisor(operator, **environment):
        if scale.after:
            again = time.monotonic()
            campaign.add(scale.after)
            site.wait_until_succeeded(len(campaign.originals), scale.seconds, LIVE)
            count, took = len(campaign.originals) - during, time.monotonic() - again
            print(f"Prefect catching up: {count} live Scans done in {took:.0f} s, {count / took:.1f}/s")
        expected = len(backlog) + len(campaign.originals) + len(site.transfers())
        site.wait_for(lambda: ended(prefect) >= expected, "all runs have ended", scale.seconds)
        site.wait_for(lambda: kept_up(port), "Prefect shows everything", seconds=120)
        took = time.monotonic() - started
        print(f"Prefect shows all {expected} runs {took:.0f} s after it was back, {expected / took:.1f}/s")
        requests = sum_of(port, "dichroism_mirror_requests_total")
        print(f"{requests:.0f} requests to Prefect since the operator was started again")
        site.wait_for(lambda: watermark(site) > now() - timedelta(minutes=5), "the watermark has moved", seconds=120)
    check_mirror(site, prefect, backlog)
    assert "Traceback" not in operator.words()


def test_a_pool_that_others_use_turns_the_mirror_off_and_nothing_else(
    mirrored: Site, empty_prefect: PrefectServerProcess
) -> None:
    site, port = mirrored, free_port()
    made: dict[str, Any] = empty_prefect.ask(
        "POST", "/work_pools/", {"name": "new_file_dichroism_pool", "type": "docker"}
    )
    campaign = Campaign(site)
    with Supervisor(site.operator(port=port), PREFECT_API_URL=empty_prefect.url):
        campaign.add(2)
        site.wait_until_succeeded(len(campaign.originals))
        site.wait_for(lambda: site.events(OPERATOR_LEASE).get("PoolInUse"), "an Event says so")
        assert metric(port, 'dichroism_mirror_off{reason="PoolInUse"}') == 1
        status, text = ask(port, "/readyz")
        assert status == 200
        said = text.splitlines()
    assert (said[0], said[1].split(":")[0:2]) == ("ok", ["the Prefect mirror is off", " PoolInUse"])
    assert empty_prefect.ask("GET", "/work_pools/new_file_dichroism_pool") == made
    campaign.check()
