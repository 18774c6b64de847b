"""A flight check through Globus: it notices what really breaks, and leaves nothing behind."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.config import Config, load
from dichroism_crds.reasons import Reason
from dichroism_operator.flight.check import FlightCheck
from dichroism_operator.flight.field import FLIGHT, STANDING
from dichroism_operator.flight.result import FlightResult, Leg, Outcome
from dichroism_operator.movers.globus.connection import GlobusConnection
from dichroism_operator.movers.globus.mover import GlobusMover
from tests.emulators.globus.faults import Action
from tests.emulators.globus.process import GlobusEmulator
from tests.integration.globus_hop import globus_service, new_endpoint, restored

HOP = "data402-nersc402"
CONTENT = b"nothing in particular" * 500
GRACE_S = 0.5
DICHROISM = Path(sys.executable).parent / "dichroism"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with globus_service(tmp_path_factory.mktemp("globus")) as emulator:
        yield emulator


class Way:
    """A beamline whose one hop goes by Globus, with the standing file in its place."""

    def __init__(self, service: GlobusEmulator, folder: Path) -> None:
        self.service = service
        source, destination = service.settings.collections
        (self.source, self.source_root), (self.destination, self.destination_root) = (
            new_endpoint(service, "data402", source),
            new_endpoint(service, "nersc402", destination),
        )
        self.config_file = folder / "config.yml"
        (self.source_root / FLIGHT).mkdir()
        self.standing = self.source_root / FLIGHT / STANDING
        self.standing.write_bytes(CONTENT)

    def config(self, **source: Any) -> Config:
        """The document; ``source`` changes the endpoint of the source."""
        ends = {
            one.name: {"root_path": f"/elsewhere/{one.name}", "globus_path": one.globus_path, "uuid": one.uuid}
            for one in (self.source, self.destination)
        }
        ends["data402"] |= source
        beamline = {
            "watch": {"root": "data402", "since": "2026-01-01"},
            "transfer": {"from": "data402", "to": "nersc402", "mover": "globus"},
        }
        self.config_file.write_text(yaml.safe_dump(ends | {"beamlines": {"BL402": beamline}}))
        return load(self.config_file, {})

    def fly(self, *, secret: str = "", **source: Any) -> dict[str, Leg]:
        """Make a check; its legs by name."""
        return {leg.name: leg for leg in self.result(secret=secret, **source).legs}

    def result(self, *, secret: str = "", grace_s: float = GRACE_S, **source: Any) -> FlightResult:
        config = self.config(**source)
        environment = self.service.sdk_environment() | ({"GLOBUS_CLIENT_SECRET": secret} if secret else {})
        connection = GlobusConnection(environment, per_second=1000)
        with GlobusMover(connection, first_poll_s=0.03, stuck_grace_s=0.3) as mover:
            check = FlightCheck(config, config.beamlines["BL402"], {"globus": mover}, limit_s=60, grace_s=grace_s)
            return asyncio.run(check.fly())

    def command(self) -> "subprocess.Popen[str]":
        """The check as a process of its own."""
        self.config()
        command = [str(DICHROISM), "flight-check", "--config", str(self.config_file), "--beamline", "BL402"]
        environment = self.service.sdk_environment() | {"PATH": "/usr/bin:/bin", "DICHROISM_GLOBUS_POLL_SECONDS": "0.1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def task(self) -> dict[str, Any]:
        """The transfer task of the check that runs now."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for task in self.service.tasks():
                if task["type"] == "TRANSFER" and task["status"] == "ACTIVE":
                    return task
            time.sleep(0.05)
        raise AssertionError("no task is under way")

    def left(self) -> list[str]:
        """Files of ours at the destination."""
        return sorted(path.name for path in self.destination_root.rglob("*") if path.is_file())


@pytest.fixture
def way(service: GlobusEmulator, tmp_path: Path) -> Iterator[Way]:
    with restored(service):
        made = Way(service, tmp_path)
        yield made
        assert made.standing.read_bytes() == CONTENT
        assert not [path for path in made.destination_root.iterdir() if path.name != ".dichroism"]


def test_the_standing_file_is_sent_compared_and_deleted_each_time(way: Way, service: GlobusEmulator) -> None:
    for _ in range(2):
        result = way.result()
        assert result.passed, result.summary
        sent = [one for one in service.tasks() if str(one["label"]).startswith(f"dichroism flight-check {result.id}")]
        assert [one["files_transferred"] for one in sent] == [1], "it was sent, not found there"
        assert not way.left()
    assert f"{len(CONTENT)} bytes sent and compared" in result.legs[0].message


def test_without_the_standing_file_people_are_told_which_one_is_missing(way: Way) -> None:
    way.standing.rename(way.standing.with_name("other"))
    leg = way.fly()[HOP]
    way.standing.with_name("other").rename(way.standing)
    assert (leg.outcome, leg.reason) == (Outcome.FAILED, Reason.SOURCE_MISSING)
    assert f"{FLIGHT}/{STANDING} is not on data402" in leg.message


def test_where_the_source_is_mounted_a_new_file_is_written_and_removed(way: Way) -> None:
    legs = way.fly(mount=str(way.source_root))
    assert (legs[HOP].outcome, legs["cleanup"].outcome) == (Outcome.PASSED, Outcome.PASSED), legs
    assert "65536 bytes" in legs[HOP].message
    assert not way.left()
    assert [path.name for path in (way.source_root / FLIGHT).iterdir() if path.is_file()] == [STANDING]


def test_credentials_that_are_refused_are_noticed(way: Way) -> None:
    legs = way.fly(secret="expired")
    assert (legs[HOP].outcome, legs[HOP].reason) == (Outcome.FAILED, Reason.CREDENTIALS_REFUSED)
    assert "GLOBUS_CLIENT_SECRET" in legs[HOP].message
    assert "expired" not in legs[HOP].message


def test_a_token_that_expired_alone_is_renewed(way: Way, service: GlobusEmulator) -> None:
    service.expire_tokens()
    assert way.result().passed


@pytest.mark.parametrize("first", [True, False], ids=["first check", "later check"])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"quota_bytes": 1}, Reason.DESTINATION_FULL),
        ({"paused": "the robot is repaired"}, Reason.ENDPOINT_PAUSED),
        ({"read_only": True}, Reason.PERMISSION_DENIED),
        ({"down": True}, Reason.ENDPOINT_UNAVAILABLE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_breaks_at_a_collection_is_noticed_and_named(
    way: Way, service: GlobusEmulator, first: bool, trouble: dict[str, Any], reason: Reason
) -> None:
    if not first:
        assert way.result().passed
    service.set_collection(way.destination.uuid or "", **trouble)
    leg = way.fly()[HOP]
    assert (leg.outcome, leg.reason) == (Outcome.FAILED, reason), leg
    assert leg.message
    assert not [one for one in service.tasks() if one["status"] == "ACTIVE"], "a task was left behind"


def test_a_login_of_the_collection_that_expires_under_way_is_noticed(way: Way, service: GlobusEmulator) -> None:
    service.set_collection(way.destination.uuid or "", bytes_per_second=1000)
    with ThreadPoolExecutor(1) as thread:
        flying = thread.submit(way.fly)
        service.deactivate(way.task()["task_id"])
        leg = flying.result(timeout=240)[HOP]
    assert (leg.outcome, leg.reason) == (Outcome.FAILED, Reason.CREDENTIALS_REFUSED), leg


def test_a_hiccup_of_the_service_is_no_failure(way: Way, service: GlobusEmulator) -> None:
    service.fault(Action.STATUS, status=503, code="ServiceUnavailable", path="/submission_id", times=4)
    assert way.result(grace_s=60).passed


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_check_that_is_ended_leaves_nothing_that_hinders_the_next(
    way: Way, service: GlobusEmulator, kind: signal.Signals
) -> None:
    service.set_collection(way.destination.uuid or "", bytes_per_second=1000)
    with way.command() as check:
        task = way.task()
        check.send_signal(kind)
        check.communicate(timeout=240)
    if kind == signal.SIGTERM:
        ended = {one["task_id"]: one["status"] for one in service.tasks()}[task["task_id"]]
        assert (check.returncode, ended, way.left()) == (130, "FAILED", [])
    service.set_collection(way.destination.uuid or "", bytes_per_second=None)
    result = way.result()
    assert result.passed, result.summary
    assert not way.left()


def test_the_command_tells_each_leg_and_its_time(way: Way, service: GlobusEmulator) -> None:
    with way.command() as check:
        said, _ = check.communicate(timeout=240)
    assert check.returncode == 0, said
    heading, hop, *_, verdict = said.splitlines()
    assert heading.split() == ["LEG", "RESULT", "SECONDS", "WHAT"]
    assert hop.split()[:2] == [HOP, "passed"]
    assert verdict == "BL402: works"
