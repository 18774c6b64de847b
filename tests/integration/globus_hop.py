"""A hop between two fresh collections of an emulated Globus service, for tests of the mover."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_operator.movers.globus.connection import GlobusConnection
from dichroism_operator.movers.globus.mover import GlobusMover
from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.globus.settings import ALGORITHMS, Collection, Limits
from tests.unit.mover_contract import Hop

QUICK = Limits(start_up_s=0.0, retry_s=0.05, requests_per_second=0.0)
GRACE_S = 0.3
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

    def tasks(self) -> list[dict[str, object]]:
        """Transfer tasks of this hop, oldest first."""
        mine = f"{self.destination.globus_path}/"
        return [task for task in self.service.tasks() if str(task["destination_base_path"]).startswith(mine)]

    def calls(self) -> list[str]:
        """Requests to the Transfer API so far, method and path without ids of tasks and collections."""
        return [f"{call['method']} {call['path']}" for call in self.service.calls() if "oauth2" not in call["path"]]


def quick_mover(service: GlobusEmulator) -> GlobusMover:
    """A mover that polls and gives up at once."""
    connection = GlobusConnection(service.sdk_environment(), per_second=1000)
    return GlobusMover(connection, first_poll_s=0.03, stuck_grace_s=GRACE_S)


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
