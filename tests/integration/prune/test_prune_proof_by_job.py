"""Nothing is pruned before a job has proven the copy on tape; what it finds is taken by a later run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.prune.site import BUNDLE, Site

pytestmark = pytest.mark.cluster

TAPE = "/home/a/alsdev"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path / "sfapi") as started:
        yield started


def to_tape(site: Site, service: SfapiEmulator) -> None:
    """The archive is reached by jobs alone, which run where the disk copies lie."""
    roots = {"nersc402": str(site.roots["nersc402"]), "hpss402": TAPE}
    site.configure(root_paths=roots, keep="0s", sfapi=service.section())
    text = site.config_file.read_text().replace(f", mount: {site.roots['hpss402']}", "")
    site.config_file.write_text(text.replace("to: hpss402}", "to: hpss402, mover: sfapi}"))
    site.environment = service.environment()


async def test_files_wait_for_the_proof_and_go_with_it(site: Site, service: SfapiEmulator) -> None:
    to_tape(site, service)
    prune = await site.due(3)
    bundle = (site.roots["hpss402"] / BUNDLE).read_bytes()
    service.store(f"{TAPE}/{BUNDLE}", bundle)
    assert site.run().code == 0
    waiting = await site.read(prune)
    assert {item.reason for item in waiting.status.kept} == {"AwaitingVerification"}
    assert len(site.in_place()) == 3
    service.wait_for_jobs()
    assert len(service.jobs()) == 1, "all members of a bundle are proven together"
    await site.retry_now(prune)
    assert site.run().code == 0
    assert site.in_place() == set()
    assert len(service.jobs()) == 1


async def test_a_bundle_that_is_gone_keeps_its_files(site: Site, service: SfapiEmulator) -> None:
    to_tape(site, service)
    prune = await site.due(2)
    assert site.run().code == 0
    service.wait_for_jobs()
    await site.retry_now(prune)
    assert site.run().code == 0
    assert {item.reason for item in (await site.read(prune)).status.kept} == {"CopyMissing"}
    assert len(site.in_place()) == 2
