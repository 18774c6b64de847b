"""The Lease against a real API server whose answers are late: nobody takes what its holder has just renewed."""

import asyncio
from pathlib import Path

import pytest

from dichroism_operator.lease import Lease, LeaseLostError
from tests.api import acting, connected
from tests.cluster import Cluster
from tests.emulators.apiproxy.faults import Action
from tests.emulators.apiproxy.process import ApiProxy

NAME = "one"
DURATION_S = 2


async def test_a_lease_that_was_renewed_while_the_first_look_was_on_its_way_is_not_taken(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with ApiProxy(tmp_path / "proxy", cluster.kubeconfig, environment=cluster.environment()) as proxy:
        async with acting(cluster, namespace) as near, connected(proxy.kubeconfig, namespace) as slow:
            holder, other = Lease(near, NAME, "holder", DURATION_S), Lease(slow, NAME, "other", DURATION_S)
            assert await holder.try_acquire()
            proxy.fault(Action.DELAY, method="GET", path="leases", seconds=DURATION_S + 1.5)
            first = asyncio.create_task(other.try_acquire())
            await asyncio.sleep(DURATION_S + 1)
            assert await holder.try_acquire()
            assert not await first
            assert not await other.try_acquire()
            holder.check_held()


async def test_a_holder_whom_nobody_answers_stops_in_time_and_says_why(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with ApiProxy(tmp_path / "proxy", cluster.kubeconfig, environment=cluster.environment()) as proxy:
        async with connected(proxy.kubeconfig, namespace) as api:
            lease = Lease(api, NAME, "holder", DURATION_S)
            assert await lease.try_acquire()
            proxy.fault(Action.DELAY, path="leases", seconds=60, times=None)
            with pytest.raises(LeaseLostError, match="could not be renewed: no answer in time"):
                await lease.hold()
