"""A hop between two fresh collections of an emulated Globus service, for tests of the mover."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.config import Endpoint
from dichroism_crds.timestamps import now
from dichroism_operator.movers.base import Item, Progress, Task
from dichroism_operator.movers.globus.connection import GlobusConnection
from dichroism_operator.movers.globus.mover import GlobusMover
from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.globus.settings import ALGORITHMS, Collection, Limits
from tests.unit.mover_contract import DEADLINE_SECONDS, Hop, sha256

QUICK = Limits(start_up_s=0.0, retry_s=0.05, requests_per_second=0.0)
_UNTROUBLED = {
    "down": False,
    "quota_bytes": None,
    "read_only": False,
    "paused": None,
    "permissions": None,
    "requires_consent": False,
    "bytes_per_second": None,
    "checksum_algorithms": ALGORITHMS,
    "rename_overwrites": True,
}


@dataclass(frozen=True)
class GlobusHop(Hop):
    """A hop whose mover is the one for Globus, and the service behind it."""

    service: GlobusEmulator

    @property
    def globus(self) -> GlobusMover:
        """The mover as what it is."""
        assert isinstance(self.mover, GlobusMover)
        return self.mover

    def fresh(self) -> "GlobusHop":
        """The same hop in a process that knows nothing of what was done before."""
        return replace(self, mover=quick_mover(self.service))

    @property
    def label(self) -> str:
        """How the labels of all tasks of this hop begin."""
        return f"dichroism {self.source_root.parent.name} "

    def task(self, *items: Item, submission_id: str | None = None, bundle: str | None = None) -> Task:
        """A task with a label of its own, made durable just now."""
        task = super().task(*items, submission_id=submission_id, bundle=bundle)
        return replace(task, label=f"{self.label}lane-000001 {task.submission_id}", created_at=now())

    def tasks(self) -> list[dict[str, Any]]:
        """Transfer tasks of this hop as the service has them, oldest first."""
        return [task for task in self.service.tasks() if str(task["label"]).startswith(self.label)]

    def task_of(self, task: Task) -> dict[str, Any]:
        """The one task of a submission."""
        (found,) = [one for one in self.tasks() if one["label"] == task.label]
        return found

    def started(self, *items: Item) -> Task:
        """A task that was begun."""
        task = self.task(*items)
        self.mover.start(task)
        return task

    def until(self, task: Task, wanted: Callable[[Progress], Any]) -> Progress:
        """Poll until the progress is as wanted."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not wanted(progress := self.mover.poll([task.submission_id])[task.submission_id]):
            assert time.monotonic() < deadline, progress
            time.sleep(0.01)
        return progress

    def verified(self, progress: Progress, *items: Item) -> None:
        """Assert that each item has the bytes of its source at the destination and its checksum in the results."""
        results = {result.path: result for result in progress.results}
        for item in items:
            result = results[item.path]
            assert result.verified, result
            content = (self.source_root / item.path).read_bytes()
            assert self.at_destination(item.path).read_bytes() == content
            assert result.sha256 == sha256(content)


def quick_mover(service: GlobusEmulator) -> GlobusMover:
    """A mover that polls and gives up at once."""
    connection = GlobusConnection(service.sdk_environment(), per_second=1000)
    return GlobusMover(connection, first_poll_s=0.03, stuck_grace_s=0.3)


def new_endpoint(service: GlobusEmulator, name: str, collection: Collection) -> tuple[Endpoint, Path]:
    """An endpoint with a prepared folder of its own in a collection, and the folder."""
    root = f"/site/{uuid.uuid4()}/{name}"
    folder = Path(collection.root) / root.lstrip("/")
    (folder / ".dichroism").mkdir(parents=True)
    return Endpoint(name=name, root_path="/elsewhere", globus_path=root, uuid=collection.collection_id), folder


def new_hop(service: GlobusEmulator) -> GlobusHop:
    """A hop between two fresh folders of the two collections of the service."""
    source, destination = service.settings.collections
    ends = new_endpoint(service, "data402", source), new_endpoint(service, "nersc402", destination)
    return GlobusHop(quick_mover(service), ends[0][0], ends[1][0], ends[0][1], ends[1][1], service)


@contextmanager
def restored(service: GlobusEmulator) -> Iterator[None]:
    """Whatever is done to collections, faults and the clock is undone at the end."""
    try:
        yield
    finally:
        service.clear_faults()
        service.set_clock(rate=1.0)
        for collection in service.settings.collections:
            service.set_collection(collection.collection_id, **_UNTROUBLED)


@contextmanager
def globus_service(folder: Path, limits: Limits = QUICK) -> Iterator[GlobusEmulator]:
    """A service with two collections that the SDK of this process is led to; it must not have failed in itself."""
    collections = [Collection(str(uuid.uuid4()), str(folder / place), display_name=place) for place in ("dtn", "cfs")]
    for collection in collections:
        Path(collection.root).mkdir(parents=True)
    with (
        GlobusEmulator(folder / "service", collections, limits=limits) as service,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in service.sdk_environment().items():
            patch.setenv(name, value)
        yield service
    assert "Traceback" not in (folder / "service" / "output.log").read_text()
