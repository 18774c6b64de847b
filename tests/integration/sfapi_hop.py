"""A hop to tape through the emulated Superfacility API, with the unmodified client."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dichroism_crds.config import Endpoint
from dichroism_operator.movers.base import CopyState, CopyToVerify, Item, Progress, Task
from dichroism_operator.movers.bundle import check_bundle
from dichroism_operator.movers.sfapi.connection import Connection
from dichroism_operator.movers.sfapi.mover import SfapiMover
from tests.emulators.sfapi.process import SfapiEmulator
from tests.unit.mover_contract import DEADLINE_SECONDS, Hop, settled

TAPE_ROOT = "/home/a/alsdev/data_mover/4.0.2"
POLL_S = 0.05


@dataclass(frozen=True)
class SfapiHop(Hop):
    """The hop, and the service behind it."""

    service: SfapiEmulator

    @property
    def sfapi(self) -> SfapiMover:
        """The mover with its own type."""
        assert isinstance(self.mover, SfapiMover)
        return self.mover

    def task(self, *items: Item, submission_id: str | None = None, bundle: str | None = None) -> Task:
        """Each task has a label of its own, as in the operator: it is how its job is found."""
        task = super().task(*items, submission_id=submission_id, bundle=bundle)
        return replace(task, label=f"dichroism test {task.submission_id}")

    def verify(self, copies: Sequence[CopyToVerify]) -> dict[CopyToVerify, CopyState]:
        """Ask until every proof is there; what is on tape is read back."""
        asked = {copy: replace(copy, read_back=True) for copy in copies}
        states = self.proven(list(asked.values()))
        return {copy: states[asked[copy]] for copy in copies}

    def proven(self, copies: Sequence[CopyToVerify], endpoint: Endpoint | None = None) -> dict[CopyToVerify, CopyState]:
        """Ask until every proof is there."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            states = dict(self.mover.verify(endpoint or self.destination, copies))
            if CopyState.UNKNOWN not in states.values():
                return states
            time.sleep(POLL_S)
        raise AssertionError("a proof did not come")

    def again(self, task: Task) -> Progress:
        """Start the task as the lane does after a pause, or after a crash of the operator; its end."""
        self.mover.start(replace(task, resumed=True))
        return settled(self.mover, task.submission_id)

    def members_on_tape(self) -> list[str]:
        """Every member of every bundle that has its name, each as often as it is there."""
        found = []
        for path in sorted(self.destination_root.rglob("*.tar")):
            with path.open("rb") as tar:
                found += [member.path for member in check_bundle(tar).members]
        return found

    def work(self, submission_id: str) -> Path:
        """The work folder of a task."""
        return self.source_root / ".dichroism/jobs" / submission_id

    def on_tape(self) -> list[str]:
        """Names of everything on tape, also of what is only on its way."""
        return sorted(path.name for path in self.destination_root.rglob("*") if path.is_file())


def new_hop(service: SfapiEmulator, base: Path, environment: Mapping[str, str] | None = None) -> SfapiHop:
    """A hop between two fresh folders; not mounted, so everything goes through the service."""
    source_root, root = base / "cfs", f"{TAPE_ROOT}/{base.name}"
    (source_root / ".dichroism").mkdir(parents=True)
    source = Endpoint(name="nersc402", root_path=str(source_root))
    tape = Endpoint(name="hpss402", root_path=root)
    destination_root = service.tape / root.lstrip("/")
    settings = service.settings()
    connection = Connection(settings, service.environment() if environment is None else environment)
    mover = SfapiMover(settings, {tape.name: source}, connection, first_poll_s=POLL_S)
    return SfapiHop(mover, source, tape, source_root, destination_root, service)
