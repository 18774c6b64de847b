"""No space is left at a destination (a real, small file system): the lane waits for space, and nobody is blamed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_crds.kinds import ConditionStatus, Transfer, TransferPhase
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator.movers.bundle import MANIFEST
from tests.cluster import Cluster, processes
from tests.fault.campaign import Campaign, files_below, members_of
from tests.fault.conftest import FULL_COUNTS, quick
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.probe import metric
from tests.site import Site, open_site

SIZE = 2 * 1024 * 1024
LEFT = 12 * 1024
"""Bytes left free: less than any file of the campaign."""


@pytest.fixture(params=["nersc402", pytest.param("hpss402", marks=FULL_COUNTS)])
def full_endpoint(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A site one of whose destinations is a file system of 2 MB with nearly nothing free."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system can only be mounted by root on Linux; run the tests as root to try this fault")
    with open_site(cluster, tmp_path) as site:
        folder = site.mount(request.param)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        try:
            (folder / PRIVATE_DIR).mkdir()
            (folder / PRIVATE_DIR / "ballast").write_bytes(bytes(SIZE - LEFT - 4096 * 4))
            site.install(quick(site))
            yield site, request.param
        finally:
            site.close()
            subprocess.run(["umount", folder], check=True)


def test_a_full_destination_pauses_its_lane_alone_until_there_is_space(full_endpoint: tuple[Site, str]) -> None:
    site, endpoint = full_endpoint
    campaign = Campaign(site)
    port = processes.free_port()
    with Supervisor(site.operator(port=port), DICHROISM_LEASE_SECONDS=LEASE_SECONDS) as supervisor:
        campaign.add(6)
        originals = {path: one.sha256 for (_, path), one in campaign.originals.items()}

        def waiting() -> Transfer | None:
            shown = [one for one in site.transfers() if one.spec.destination == endpoint and not one.finished]
            full = [
                one for one in shown for said in one.status.conditions if said.reason == Reason.DESTINATION_FULL.value
            ]
            return full[0] if full else None

        transfer = site.wait_for(waiting, "the Transfer says that the destination is full")
        site.wait_for(lambda: _others_succeeded(site), "the other beamline succeeded")
        lane = transfer.name.rpartition("-")[0]
        paused = f'dichroism_lane_paused{{lane="{lane}",reason="DestinationFull"}}'
        site.wait_for(lambda: metric(port, paused) == 1, "the lane is paused")  # now and then it tries again
        assert endpoint in transfer.status.message
        assert [(one.status, one.reason) for one in transfer.status.conditions] == [
            (ConditionStatus.FALSE, Reason.DESTINATION_FULL)
        ]
        event = site.events(transfer.name)[EventReason.LANE_PAUSED]
        assert Reason.DESTINATION_FULL in event
        assert "Free space" in event
        scans = [one for one in site.scans().values() if one.spec.beamline == "BL402"]
        assert all(one.copy_on(endpoint) is None for one in scans)
        assert {(one.status.attempts.transferred, one.status.attempts.archived) for one in scans} == {(0, 0)}
        for path, sha256 in files_below(site.mount(endpoint)):  # a small one may have found room
            held = members_of(site.mount(endpoint) / path) if path.endswith(".tar") else {path: sha256}
            held.pop(MANIFEST, None)
            assert held.items() <= originals.items(), "something half-way stands under a final name"

        (site.mount(endpoint) / PRIVATE_DIR / "ballast").unlink()
        site.wait_until_succeeded(len(campaign.originals))
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
        assert metric(port, paused) == 0
        assert EventReason.LANE_RESUMED in site.events(transfer.name)
        assert {one.status.phase for one in site.transfers()} == {TransferPhase.SUCCEEDED}
    assert not supervisor.exit_codes
    campaign.check()


def _others_succeeded(site: Site) -> bool:
    scans = [one for one in site.scans().values() if one.spec.beamline == "BL631"]
    return all(one.condition("Succeeded").status == ConditionStatus.TRUE for one in scans)
