"""What happens to a file, the Lease, the switch or the API server while a run is at work on it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dichroism_crds.client import NotFound, Unavailable
from dichroism_crds.config import Endpoint, load
from dichroism_crds.kinds import Prune, PrunePhase, Scan
from dichroism_crds.reasons import KeptReason
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.job import lease_name, run_prunes
from tests.cluster import Cluster
from tests.integration.prune.site import Site, run_of

FIRST = "2026/scan_0000.txt"
SECOND = "2026/scan_0001.txt"
THIRD = "2026/scan_0002.txt"
LEASE = lease_name("BL402")


class WatchedMover(FilesystemMover):
    """The real mover, with somebody else acting right before its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.before_rename: dict[str, Callable[[], Any]] = {}
        self.before_delete: Callable[[], Any] = lambda: None

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        self.before_rename.get(old, lambda: None)()
        super().rename(endpoint, old, new)

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        self.before_delete()
        super().delete_private(endpoint, paths)


def from_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Any]) -> Callable[[], None]:
    """Do asynchronous work out of the mover's thread."""
    return lambda: asyncio.run_coroutine_threadsafe(work(), loop).result(60)


async def served_again(site: Site, prune: Prune) -> None:
    """Wait until the API server serves what a run reads; each kind is served again at a time of its own."""
    kinds = [site.api.path(kind) for kind in (Scan, Prune)]
    kinds += [site.api.builtin_path("coordination.k8s.io/v1", "leases"), site.api.builtin_path("v1", "configmaps")]
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable, NotFound):
                await site.read(prune)
                for path in kinds:
                    await site.api.request("GET", path, query={"limit": 1, "resourceVersion": "0"})
                return
            await asyncio.sleep(0.2)


async def test_a_file_exchanged_in_the_last_moment_is_put_back(site: Site) -> None:
    prune = await site.due(2)
    mover = WatchedMover()
    mover.before_rename[FIRST] = lambda: (site.data / FIRST).write_bytes(b"new measurement")
    await site.run_here(mover)
    after = await site.read(prune)
    assert {item.path: item.reason for item in after.status.kept} == {FIRST: KeptReason.SOURCE_CHANGED}
    assert (site.data / FIRST).read_bytes() == b"new measurement"
    assert len(site.in_trash()) == after.status.trashed == 1


async def test_a_file_exchanged_before_a_crash_is_put_back_by_the_next_run(site: Site) -> None:
    site.configure(keep="0s")
    prune = await site.due(2)
    site.run_killed("file-renamed:1")
    await site.forget_lease()
    (name,) = site.in_trash()
    file = site.data / ".dichroism" / "trash" / prune.name / name
    file.write_bytes(b"new measurement")
    site.run()
    assert (site.data / FIRST).read_bytes() == b"new measurement"
    assert site.in_trash() == {}


@pytest.mark.parametrize("remove", [True, False])
async def test_a_file_removed_or_linked_in_the_last_moment_is_settled(site: Site, remove: bool) -> None:
    prune = await site.due(2)
    elsewhere = site.data.parent / "elsewhere.txt"

    def act() -> None:
        (site.data / FIRST).rename(elsewhere)
        if not remove:
            (site.data / FIRST).symlink_to(elsewhere)

    mover = WatchedMover()
    mover.before_rename[FIRST] = act
    await site.run_here(mover)
    after = await site.read(prune)
    reason = KeptReason.ALREADY_GONE if remove else KeptReason.SOURCE_MOVED
    assert {item.path: item.reason for item in after.status.kept} == {FIRST: reason}
    assert after.status.phase == PrunePhase.TRASHED
    assert elsewhere.exists()


async def test_the_switch_stops_a_run_before_its_next_batch(site: Site) -> None:
    prune = await site.due(60)
    mover = WatchedMover()
    loop = asyncio.get_running_loop()
    mover.before_rename[FIRST] = from_thread(loop, lambda: stopswitch.stop(site.api, "wait", "J. Doe"))
    summary = await site.run_here(mover)
    assert summary.stopped
    after = await site.read(prune)
    assert (after.status.phase, after.status.trashed) == (PrunePhase.RUNNING, 50)
    assert len(site.in_place()) == 10
    await stopswitch.resume(site.api)
    await site.run_here()
    assert (await site.read(prune)).status.phase == PrunePhase.TRASHED


async def test_the_switch_stops_the_deletion_too_and_the_counts_are_right(site: Site) -> None:
    site.configure(keep="0s")
    prune = await site.due(60)
    mover = WatchedMover()
    loop = asyncio.get_running_loop()
    mover.before_delete = from_thread(loop, lambda: stopswitch.stop(site.api, "wait", "J. Doe"))
    assert (await site.run_here(mover)).stopped
    after = await site.read(prune)
    assert (after.status.deleted, after.status.trashed) == (50, 10)
    assert len(site.in_trash()) == 10
    assert after.status.bytes_freed == sum(sorted(item.size for item in prune.spec.items)[:50])


async def test_a_lost_lease_stops_a_run_before_its_next_file(site: Site) -> None:
    prune = await site.due(3)
    mover = WatchedMover()
    path = site.api.builtin_path("coordination.k8s.io/v1", "leases", LEASE)

    async def steal() -> None:
        lease = await site.api.request("GET", path)
        lease["spec"] |= {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}
        await site.api.request("PUT", path, body=lease)
        await asyncio.sleep(8)  # renewals are 5 s apart

    mover.before_rename[FIRST] = from_thread(asyncio.get_running_loop(), steal)
    summary = await site.run_here(mover)
    assert len(summary.troubles) == 1
    assert site.in_place() == {SECOND, THIRD}
    assert (await site.read(prune)).status.phase == PrunePhase.RUNNING


async def test_a_run_that_is_asked_to_end_stops_before_its_next_file_and_gives_its_lease_back(site: Site) -> None:
    prune = await site.due(3)
    mover = WatchedMover()
    run = run_of(site.api, load(site.config_file), mover)
    mover.before_rename[FIRST] = lambda: setattr(run.gate, "signalled", True)
    await run_prunes(run)
    assert run.summary.stopped
    after = await site.read(prune)
    assert (after.status.phase, after.status.trashed) == (PrunePhase.RUNNING, 1)
    lease = await site.api.request("GET", site.api.builtin_path("coordination.k8s.io/v1", "leases", LEASE))
    assert not lease["spec"].get("holderIdentity")


async def test_a_prune_that_is_suspended_while_it_runs_goes_no_further(site: Site) -> None:
    prune = await site.due(60)
    mover = WatchedMover()
    suspend = {"spec": {"suspend": True}}
    loop = asyncio.get_running_loop()
    mover.before_rename[FIRST] = from_thread(loop, lambda: site.api.patch(Prune, prune.name, suspend))
    await site.run_here(mover)
    after = await site.read(prune)
    assert (after.status.phase, after.status.trashed, after.status.kept_count) == (PrunePhase.HELD, 50, 10)


async def test_a_prune_that_is_deleted_while_it_runs_goes_no_further(site: Site) -> None:
    prune = await site.due(60)
    mover = WatchedMover()
    loop = asyncio.get_running_loop()
    mover.before_rename[FIRST] = from_thread(loop, lambda: site.api.delete(Prune, prune.name))
    summary = await site.run_here(mover)
    assert summary.unfinished == 1
    assert len(site.in_trash()) == 50
    assert len(site.in_place()) == 10


async def test_an_api_server_that_goes_away_stops_a_run(site: Site, cluster: Cluster) -> None:
    prune = await site.due(60)
    mover = WatchedMover()
    mover.before_rename[FIRST] = cluster.stop_apiserver
    try:
        summary = await site.run_here(mover)
    finally:
        cluster.start_apiserver()
    assert summary.stopped
    assert not summary.troubles
    assert len(site.in_trash()) <= 50
    assert len(site.in_place()) >= 10
    await served_again(site, prune)
    await site.forget_lease()
    await site.run_here()
    assert (await site.read(prune)).status.trashed == 60


async def test_an_endpoint_that_goes_away_blames_no_file_for_good(site: Site) -> None:
    prune = await site.due(3)
    aside = site.data.parent / "aside"
    mover = WatchedMover()
    mover.before_rename[SECOND] = lambda: site.data.rename(aside)
    summary = await site.run_here(mover)
    assert summary.troubles
    after = await site.read(prune)
    assert after.status.phase == PrunePhase.INCOMPLETE
    unavailable = KeptReason.ENDPOINT_UNAVAILABLE
    assert {item.path: item.reason for item in after.status.kept} == {SECOND: unavailable, THIRD: unavailable}
    aside.rename(site.data)
    await site.retry_now(prune)
    await site.run_here()
    done = await site.read(prune)
    assert (done.status.phase, done.status.trashed, done.status.kept_count) == (PrunePhase.TRASHED, 3, 0)
