"""The catalogue learns what pruning removed and put back: late if it must be, but always."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dichroism_crds.config import load
from dichroism_crds.kinds import ConditionStatus, Dataset, Prune, PrunePhase, find_condition
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator.catalogue.base import Presence
from dichroism_operator.catalogue.credentials import PASSWORD, USERNAME
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.prune import outcome
from dichroism_operator.prune.record import OvertakenError, Record
from dichroism_operator.prune.telling import tell_catalogue
from tests.emulators.scicat.faults import Action
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import ingest_site
from tests.integration.prune.site import Site, run_of
from tests.integration.scicat_site import catalogue_for, new_case

DISK = "nersc402"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), ingest_site([INGESTOR])) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: SciCatEmulator) -> Iterator[SciCatEmulator]:
    yield running
    if running.pid is None:
        running.start()
    running.clear_faults()


@dataclass
class Listed:
    """A site whose files are in the catalogue."""

    site: Site
    emulator: SciCatEmulator

    async def due(self, count: int, endpoint: str = DISK) -> Prune:
        """That many files with datasets, in one Prune."""
        catalogue = catalogue_for(self.emulator)
        scans = self.site.finished_scans(count)
        for scan in scans:
            name = f"{self.site.api.namespace}-{scan.name}"
            scan.status.dataset = Dataset(pid=catalogue.ensure_dataset(new_case(scan=name).entry).pid)
        return await self.site.schedule(scans, endpoint=endpoint)

    async def run(self, endpoint: str = DISK) -> Any:
        return await self.site.run_here(endpoint=endpoint, catalogue=catalogue_for(self.emulator))

    def lifecycles(self, prune: Prune) -> list[dict[str, Any]]:
        found = [self.emulator.dataset(item.dataset or "") for item in prune.spec.items]
        return [one["datasetlifecycle"] for one in found if one]

    def on_disk(self, prune: Prune) -> list[bool]:
        return [one["isOnCentralDisk"] for one in self.lifecycles(prune)]

    async def told(self, prune: Prune) -> tuple[str, str]:
        condition = find_condition((await self.site.read(prune)).status.conditions, outcome.CATALOGUE_TOLD)
        return condition.status, condition.reason


@pytest.fixture
def listed(site: Site, emulator: SciCatEmulator) -> Listed:
    site.configure(also_disk=True, scicat={"url": emulator.url})
    return Listed(site, emulator)


TOLD = (ConditionStatus.TRUE, Reason.TOLD)


async def test_a_file_that_left_the_disk_is_told_as_such(listed: Listed) -> None:
    prune = await listed.due(3)
    assert listed.on_disk(prune) == [True, True, True]
    summary = await listed.run()
    assert (summary.told, summary.untold) == (1, 0)
    assert await listed.told(prune) == TOLD
    since = (await listed.site.read(prune)).status.trashed_at
    assert since is not None
    for lifecycle in listed.lifecycles(prune):
        assert lifecycle["isOnCentralDisk"] is False
        assert lifecycle["dateOfDiskPurging"][:19] == f"{since:%Y-%m-%dT%H:%M:%S}"
        assert lifecycle["retrieveStatusMessage"] == f"removed from nersc402 on {since:%Y-%m-%d}; copies on hpss402"
        assert lifecycle["retrieveReturnMessage"]["removedFrom"].keys() == {DISK}
        assert lifecycle["retrievable"] is False


async def test_a_file_that_left_the_acquisition_storage_alone_is_still_on_disk(listed: Listed) -> None:
    prune = await listed.due(2, endpoint="data402")
    await listed.run("data402")
    assert await listed.told(prune) == TOLD
    for lifecycle in listed.lifecycles(prune):
        assert lifecycle["isOnCentralDisk"] is True
        assert lifecycle["retrieveStatusMessage"] == ""
        assert lifecycle["retrieveReturnMessage"]["removedFrom"].keys() == {"data402"}


async def test_what_is_taken_back_is_on_disk_again(listed: Listed) -> None:
    prune = await listed.due(3)
    await listed.run()
    listed.site.switch("undo", prune.name, "--reason", "wanted")
    await listed.run()
    assert await listed.told(prune) == TOLD
    for lifecycle in listed.lifecycles(prune):
        assert lifecycle["isOnCentralDisk"] is True
        assert (lifecycle["retrieveStatusMessage"], lifecycle["retrieveReturnMessage"]) == ("", {})


async def test_an_undo_that_is_killed_before_it_wrote_anything_is_told(listed: Listed) -> None:
    prune = await listed.due(2)
    await listed.run()
    for file in (listed.site.roots[DISK] / ".dichroism/trash" / prune.name).iterdir():
        index = int(file.name.partition("-")[0])
        file.rename(listed.site.roots[DISK] / prune.spec.items[index].path)
    listed.site.switch("undo", prune.name, "--reason", "wanted")
    await listed.run()
    assert listed.on_disk(prune) == [True, True]


async def test_a_catalogue_that_is_down_delays_no_deletion_and_is_told_when_it_is_back(listed: Listed) -> None:
    prune = await listed.due(3)
    listed.emulator.kill()
    summary = await listed.run()
    assert (summary.trashed, summary.untold, summary.troubles) == (3, 1, [])
    assert await listed.told(prune) == (ConditionStatus.FALSE, Reason.CATALOGUE_UNAVAILABLE)
    await listed.site.age_trash(prune)
    summary = await listed.run()
    assert summary.deleted == 3
    assert (await listed.site.read(prune)).status.phase == PrunePhase.PRUNED
    assert await listed.told(prune) == (ConditionStatus.FALSE, Reason.CATALOGUE_UNAVAILABLE)
    assert EventReason.CATALOGUE_NOT_TOLD in await reasons_of_events(listed.site)

    listed.emulator.start()
    assert (await listed.run()).told == 1
    assert listed.on_disk(prune) == [False, False, False]
    assert await listed.told(prune) == TOLD


async def reasons_of_events(site: Site) -> set[str]:
    found = await site.api.request("GET", site.api.builtin_path("v1", "events"))
    return {event["reason"] for event in found["items"]}


async def test_one_refused_dataset_does_not_keep_the_others_from_being_told(listed: Listed) -> None:
    prune = await listed.due(3)
    refused = prune.spec.items[1].dataset or ""
    listed.emulator.fault(Action.STATUS, method="PATCH", path=f"{refused}/datasetlifecycle", status=400)
    await listed.run()
    assert listed.on_disk(prune) == [False, True, False]
    assert await listed.told(prune) == (ConditionStatus.FALSE, Reason.REFUSED_BY_CATALOGUE)
    await listed.run()
    assert listed.on_disk(prune) == [False, False, False]
    assert await listed.told(prune) == TOLD


async def test_a_dataset_that_somebody_removed_needs_no_telling(listed: Listed) -> None:
    prune = await listed.due(2)
    listed.emulator.remove(prune.spec.items[0].dataset or "")
    await listed.run()
    assert listed.on_disk(prune) == [False]
    assert await listed.told(prune) == TOLD


@pytest.mark.parametrize("action", [Action.DROP_AFTER, Action.DROP_BEFORE, Action.HTML, Action.EXPIRE])
async def test_a_lost_answer_is_asked_for_again_and_tells_the_same(listed: Listed, action: Action) -> None:
    prune = await listed.due(1)
    listed.emulator.fault(action, method="PATCH", path="datasetlifecycle", status=502)
    await listed.run()
    await listed.run()
    assert await listed.told(prune) == TOLD
    assert listed.on_disk(prune) == [False]
    asked = len(listed.emulator.requests())
    await listed.run()
    assert len(listed.emulator.requests()) == asked


async def test_a_run_that_is_killed_after_its_first_rename_leaves_the_rest_to_be_told(listed: Listed) -> None:
    prune = await listed.due(3, endpoint="data402")
    listed.site.run_killed("file-renamed:2")
    assert (await listed.told(prune))[0] == ConditionStatus.FALSE
    await listed.site.forget_lease()
    await listed.run("data402")
    assert await listed.told(prune) == TOLD
    assert all(one["retrieveReturnMessage"]["removedFrom"] for one in listed.lifecycles(prune))


async def test_the_command_tells_with_the_credentials_of_its_environment(listed: Listed) -> None:
    prune = await listed.due(2)
    without = listed.site.run(endpoint=DISK)
    assert without.code == 0, without.log
    assert "the catalogue has still to be told of 1 Prune" in without.out
    assert await listed.told(prune) == (ConditionStatus.FALSE, Reason.CATALOGUE_LOGIN_FAILED)
    listed.site.environment = {USERNAME: INGESTOR.username, PASSWORD: INGESTOR.password}
    ran = listed.site.run(endpoint=DISK)
    assert "the catalogue was told of 1 Prune" in ran.out
    assert listed.on_disk(prune) == [False, False]
    assert INGESTOR.password not in without.log + ran.log + ran.out


async def test_files_that_no_catalogue_lists_need_no_telling(listed: Listed) -> None:
    prune = await listed.site.due(2)
    await listed.run("data402")
    types = [condition.type for condition in (await listed.site.read(prune)).status.conditions]
    assert types == [outcome.COMPLETE]


async def test_nothing_is_called_told_that_moved_while_it_was_told(listed: Listed) -> None:
    prune = await listed.due(2)
    listed.emulator.kill()
    await listed.run()
    listed.emulator.start()
    listed.site.switch("undo", prune.name, "--reason", "wanted")
    catalogue = catalogue_for(listed.emulator)
    run = run_of(listed.site.api, load(listed.site.config_file), FilesystemMover(), DISK, catalogue)
    run.note_untold(await listed.site.read(prune))
    tell, undone = catalogue.record_presence, threading.Lock()

    def meanwhile(pid: str, presence: Presence) -> None:
        tell(pid, presence)
        if undone.acquire(blocking=False):
            assert listed.site.run(endpoint=DISK).code == 0

    catalogue.record_presence = meanwhile  # type: ignore[method-assign]
    await tell_catalogue(run)
    assert False in listed.on_disk(prune)
    assert (await listed.told(prune))[0] == ConditionStatus.FALSE
    assert (run.summary.told, run.summary.untold) == (0, 1)
    await listed.run()
    assert await listed.told(prune) == TOLD
    assert listed.on_disk(prune) == [True, True]


async def test_telling_does_not_take_a_prune_from_the_run_that_works_on_it(listed: Listed) -> None:
    prune = await listed.due(1)
    working = Record(listed.site.api, prune, dry_run=False)
    await working.write(lambda one: outcome.running(one, one.spec.not_before))
    other = await listed.site.read(prune)
    status = outcome.told(other, Reason.TOLD, "1 of 1 dataset told", other.spec.not_before)
    await listed.site.api.replace_status(other.model_copy(update={"status": status}))
    await working.write(lambda one: one.status.model_copy(update={"trashed": 1}))
    assert find_condition(working.prune.status.conditions, outcome.CATALOGUE_TOLD).reason == Reason.TOLD

    other = await listed.site.read(prune)
    await listed.site.api.replace_status(
        other.model_copy(update={"status": other.status.model_copy(update={"deleted": 1})})
    )
    with pytest.raises(OvertakenError):
        await working.write(lambda one: one.status.model_copy(update={"trashed": 2}))
