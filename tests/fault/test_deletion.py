"""`kubectl delete scan` works at any moment, harms nobody else, and means "start over"."""

import random
import time
from pathlib import Path

from tests.cluster import CommandError
from tests.fault.campaign import Campaign, members_of, original_of
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Site

COUNT = 20
"""Files of each beamline."""
VICTIMS = 10


def test_scans_deleted_at_any_moment_are_gone_at_once_and_their_mates_succeed(site: Site, full: bool) -> None:
    rng = random.Random(7)
    campaign = Campaign(site)
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS) as supervisor:
        names = campaign.add(COUNT)
        site.wait_for(site.transfers, "work has begun")
        victims = rng.sample(names, VICTIMS * (2 if full else 1))
        paths = {scan.name: (scan.spec.beamline, scan.spec.path) for scan in site.scans().values()}
        for victim in victims:
            time.sleep(rng.uniform(0, 1.5))
            # It waits until the object is really gone; a finalizer of ours would let it run into its time limit.
            site.cluster.kubectl("delete", "scan", victim, "-n", site.namespace, "--timeout=20s")
        site.wait_until_succeeded(len(names) - len(victims))
        assert {scan.name for scan in site.scans().values()} == set(names) - set(victims)
        copied = {key: disk for key in map(paths.__getitem__, victims) if (disk := _disk(site, key)).exists()}
        before = {key: original_of(disk) for key, disk in copied.items()}
        assert all(one.sha256 == campaign.originals[key].sha256 for key, one in before.items())

        campaign.tell([paths[victim] for victim in victims])
        site.wait_until_succeeded(len(names))
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    assert {key: original_of(disk) for key, disk in copied.items()} == before, "a copy that was there was made again"
    assert site.scicat.state()["datasets"] == len(names)
    assert not site.scicat.state()["duplicateOrigdatablocks"]
    for scan in site.scans().values():
        key, tape = (scan.spec.beamline, scan.spec.path), scan.status.copies[1]
        held = members_of(site.mount(tape.endpoint) / tape.path)
        assert held[scan.spec.path] == campaign.originals[key].sha256 == original_of(_disk(site, key)).sha256
    assert not supervisor.exit_codes
    assert "Traceback" not in supervisor.program.words()


def _disk(site: Site, key: tuple[str, str]) -> Path:
    return site.mount(f"nersc{key[0][2:]}") / key[1]


def test_a_deleted_transfer_is_let_go_and_its_files_are_planned_again(site: Site) -> None:
    campaign = Campaign(site)
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
        campaign.add(4)
        for transfer in site.wait_for(site.transfers, "work has begun"):
            try:
                site.cluster.kubectl("delete", "transfer", transfer.name, "-n", site.namespace, "--timeout=20s")
            except CommandError as error:
                assert "NotFound" in error.stderr  # noqa: PT017 - only then is there something to look at
        site.wait_until_succeeded(len(campaign.originals))
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    assert site.scicat.state()["datasets"] == len(campaign.originals)
