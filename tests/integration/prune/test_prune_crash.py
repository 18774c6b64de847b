"""The prune command killed at any instant: the next run goes on, nothing is lost, nothing goes without its copies."""

import random
import signal

import pytest

from dichroism_crds.kinds import Prune, PrunePhase
from dichroism_operator.lease import DURATION_S
from tests.integration.prune.site import Site

FILES = 5
LOST = "2026/scan_0001.txt"
KEPT = "2026/scan_0003.txt"
SEEDS = (1, 2)
ACTIONS = 2 * (3 + 3 + 3)
"""Before and after: three files renamed, three deleted, three status writes (running, emptying, the end)."""
EMPTYING_ACTIONS = 2 * (3 + 2)
"""Before and after: three files deleted, two status writes."""

pytestmark = pytest.mark.fault


async def due_with_trouble(site: Site, keep: str) -> Prune:
    """Files of which one has lost its copy and one is held."""
    site.configure(keep=keep, holds=[{"path": KEPT, "by": "J. Doe", "reason": "under review"}])
    prune = await site.due(FILES)
    (site.roots["nersc402"] / LOST).unlink()
    return prune


def nothing_is_lost(site: Site, prune: Prune, bodies: dict[str, bytes]) -> None:
    """Each file is in its place, in the trash, or on both needed endpoints; and the two without the right are here."""
    trash = list(site.in_trash().values())
    for path, body in bodies.items():
        there = path in site.in_place()
        copied = (site.roots["nersc402"] / path).exists()
        assert there or body in trash or copied
        if there:
            assert (site.data / path).read_bytes() == body
    assert {LOST, KEPT} <= site.in_place()


async def conclude(site: Site, prune: Prune, bodies: dict[str, bytes], keep: str) -> None:
    """Run to the end and compare with what a run without any kill reaches."""
    assert not (await site.run_here()).troubles
    done = await site.read(prune)
    nothing_is_lost(site, prune, bodies)
    assert done.status.phase == PrunePhase.INCOMPLETE
    assert {item.path: item.reason for item in done.status.kept} == {LOST: "CopyMissing", KEPT: "Held"}
    assert done.status.kept_count == 2
    assert site.in_place() == {LOST, KEPT}
    gone = sum(item.size for item in prune.spec.items if item.path not in (LOST, KEPT))
    in_trash = FILES - 2 if keep == "7d" else 0
    assert (done.status.trashed, len(site.in_trash())) == (in_trash, in_trash)
    assert (done.status.deleted, done.status.bytes_freed) == ((0, 0) if in_trash else (FILES - 2, gone))
    assert [condition.type for condition in done.status.conditions] == ["Complete"]


@pytest.mark.parametrize(
    ("point", "keep"),
    [("file-renamed:1", "7d"), ("file-renamed:3", "7d"), ("file-renamed:2", "0s"), ("trash-emptied", "0s")],
)
async def test_a_run_that_is_killed_at_a_named_instant_is_finished_by_the_next(
    site: Site, point: str, keep: str
) -> None:
    prune = await due_with_trouble(site, keep)
    bodies = {path: (site.data / path).read_bytes() for path in site.in_place()}
    site.run_killed(point)
    nothing_is_lost(site, prune, bodies)
    await site.forget_lease()
    if keep == "0s" and point != "trash-emptied":
        # The date on which files went into the trash died with the run, so it begins anew.
        assert site.run().code == 0
        await site.retry_now(prune)
    await conclude(site, prune, bodies, keep)


async def finish(site: Site, prune: Prune) -> None:
    """Runs as a CronJob makes them, with the back-off and the days in the trash over each time."""
    for _ in range(3):
        assert not (await site.run_here()).troubles
        await site.retry_now(prune)


@pytest.mark.parametrize("action", range(1, ACTIONS + 1))
async def test_a_run_that_is_killed_around_any_outside_action_ends_like_one_that_is_not(
    site: Site, action: int
) -> None:
    """Before and after every rename, every deletion and every status write."""
    prune = await due_with_trouble(site, "0s")
    bodies = {path: (site.data / path).read_bytes() for path in site.in_place()}
    assert site.run_mortal(action) == -signal.SIGKILL
    nothing_is_lost(site, prune, bodies)
    await site.forget_lease()
    await finish(site, prune)
    await conclude(site, prune, bodies, "0s")


@pytest.mark.parametrize("action", range(1, EMPTYING_ACTIONS + 1))
async def test_an_emptying_that_is_killed_around_any_outside_action_counts_right_in_the_end(
    site: Site, action: int
) -> None:
    """A week later, when a run does nothing but empty the trash."""
    prune = await due_with_trouble(site, "7d")
    bodies = {path: (site.data / path).read_bytes() for path in site.in_place()}
    await site.run_here()
    await site.age_trash(prune)
    assert site.run_mortal(action) == -signal.SIGKILL
    nothing_is_lost(site, prune, bodies)
    await site.forget_lease()
    await site.age_trash(prune)
    await site.run_here()
    await site.retry_now(prune)
    await conclude(site, prune, bodies, "0s")


async def test_the_crash_tests_reach_every_outside_action(site: Site) -> None:
    await due_with_trouble(site, "0s")
    assert site.run_mortal(ACTIONS + 1) == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(site: Site, seed: int) -> None:
    prune = await due_with_trouble(site, "0s")
    bodies = {path: (site.data / path).read_bytes() for path in site.in_place()}
    chance = random.Random(seed)
    for _ in range(5):
        site.run_mortal(chance.randint(1, 10))
        nothing_is_lost(site, prune, bodies)
        await site.forget_lease()
    await finish(site, prune)
    await conclude(site, prune, bodies, "0s")


async def test_the_lease_of_a_killed_run_is_taken_over_when_it_expires(site: Site) -> None:
    assert DURATION_S < 60
    prune = await site.due(3)
    site.run_killed("file-renamed:2")
    assert site.run().code == 0
    assert (await site.read(prune)).status.phase == PrunePhase.TRASHED
