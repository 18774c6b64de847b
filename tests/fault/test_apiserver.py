"""The API server goes away under the operator, for a moment and for longer than a Lease lasts."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.fault.campaign import Campaign
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Site

LEASE_LOST = 1


@pytest.fixture
def stoppable(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, whose API server is running again after the test."""
    if cluster.provider != "controlplane":
        pytest.skip(f"the API server of provider {cluster.provider} cannot be stopped; use CLUSTER=controlplane")
    yield cluster
    if not cluster.healthy():
        cluster.start_apiserver()
    cluster.restart_controllers()  # the next test needs them, and they come back from an outage slowly


def finish(site: Site, campaign: Campaign) -> None:
    site.wait_until_succeeded(len(campaign.originals))
    site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    campaign.check()


def test_a_restart_of_the_api_server_during_work_changes_nothing(stoppable: Cluster, site: Site, full: bool) -> None:
    campaign = Campaign(site)
    with Supervisor(site.operator()) as supervisor:
        for crash in (False, True) * (5 if full else 1):
            campaign.add(8)
            site.wait_for(site.transfers, "work has begun")
            stoppable.restart_apiserver(kill=crash)
        finish(site, campaign)
    assert set(supervisor.exit_codes) <= {LEASE_LOST}
    assert "unexpected end" not in supervisor.program.words()


def test_an_operator_that_lost_its_lease_in_an_outage_ends_and_its_successor_goes_on(
    stoppable: Cluster, site: Site, full: bool
) -> None:
    campaign = Campaign(site)
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS) as supervisor:
        campaign.add(10)
        site.wait_for(site.transfers, "work has begun")
        stoppable.stop_apiserver(kill=True)
        time.sleep(30 if full else 5)
        late = campaign.write(1)
        stoppable.start_apiserver()
        campaign.tell(late)
        finish(site, campaign)
    assert supervisor.exit_codes
    assert set(supervisor.exit_codes) == {LEASE_LOST}
    assert "could not be renewed" in supervisor.program.words()
    assert "unexpected end" not in supervisor.program.words()
