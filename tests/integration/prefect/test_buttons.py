"""Hands off: no button in Prefect and no worker makes anything of the mirror run, and what they change is put right."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.kinds import Scan, TransferPhase
from dichroism_crds.timestamps import format_time, now
from dichroism_operator.mirror import upkeep
from dichroism_operator.mirror.states import transfer_run
from tests.integration.prefect.conftest import Mirror, new_scan
from tests.integration.prefect.test_runs import failed, reach
from tests.prefect.environment import prefect_python
from tests.prefect.server import PrefectServerProcess
from tests.unit.test_mirror_feed import transfer

POOL = "new_file_dichroism_pool"


@contextmanager
def worker(prefect: PrefectServerProcess, folder: Path, pool: str) -> Iterator[None]:
    """A real worker that would run whatever it is given, in any kind of pool."""
    program = prefect_python().with_name("prefect")
    command = [str(program), "worker", "start", "--pool", pool, "--type", "process", "--name", "eager"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=prefect.environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(Exception):  # the server takes it for alive for a while
            prefect.ask("DELETE", f"/work_pools/{pool}/workers/eager")


async def put_right(mirror: Mirror) -> int:
    return await upkeep.put_right(mirror.server, mirror.runs, list(mirror.deployments.values()))


def current(mirror: Mirror, one: Scan) -> tuple[str, str]:
    run = mirror.prefect.ask("GET", f"/flow_runs/{mirror.run_id(one)}")
    return run["state_name"], run["empirical_policy"]["retry_type"]


def press_retry(mirror: Mirror, run_id: str) -> None:
    """What the button does: a scheduled state, and the right for workers to run it."""
    details = {"scheduled_time": format_time(now() - timedelta(seconds=5))}
    mirror.prefect.ask("PATCH", f"/flow_runs/{run_id}", {"empirical_policy": {"retry_type": "reschedule"}})
    mirror.prefect.set_state(run_id, "SCHEDULED", "AwaitingRetry", state_details=details)


async def test_cancel_and_retry_are_put_right(empty_prefect: PrefectServerProcess, mirror: Mirror) -> None:
    running, broken, whole = reach(new_scan("a.txt"), 2), failed(new_scan("b.txt")), reach(new_scan("c.txt"), 5)
    for one in (running, broken, whole):
        await mirror.show(one)
    mirror.prefect.set_state(mirror.run_id(running), "CANCELLING", "Cancelling")
    press_retry(mirror, mirror.run_id(broken))
    mirror.prefect.set_state(mirror.run_id(whole), "CANCELLED", "Cancelled")
    assert await put_right(mirror) == 3
    assert [current(mirror, one) for one in (running, broken, whole)] == [
        ("Catalogued", "in_process"),
        ("Failed", "in_process"),
        ("Completed", "in_process"),
    ]
    assert await put_right(mirror) == 0


async def test_a_step_after_a_button_was_pressed_is_shown_all_the_same(mirror: Mirror) -> None:
    one = reach(new_scan(), 2)
    await mirror.show(one)
    mirror.prefect.set_state(mirror.run_id(one), "CANCELLED", "Cancelled")
    await mirror.restarted().show(reach(one, 3))
    assert current(mirror, one)[0] == "Archived"


async def test_a_run_that_somebody_started_in_the_ui_is_left_alone(
    empty_prefect: PrefectServerProcess, mirror: Mirror
) -> None:
    path = f"/deployments/{mirror.deployments['new_file_402']}/create_flow_run"
    started = mirror.prefect.ask("POST", path, {"name": "by hand"})
    assert await put_right(mirror) == 0
    assert mirror.prefect.ask("GET", f"/flow_runs/{started['id']}")["state_type"] == "SCHEDULED"


async def test_the_run_of_an_object_that_is_gone_is_closed_and_of_one_that_is_there_is_not(
    empty_prefect: PrefectServerProcess, mirror: Mirror
) -> None:
    there, gone = reach(new_scan("a.txt"), 2), reach(new_scan("b.txt"), 2)
    for one in (there, gone):
        await mirror.show(one)
    later = mirror.restarted()

    async def present() -> set[str]:
        return {there.metadata.uid or ""}

    async def nobody_asks() -> set[str]:
        raise AssertionError

    deployments = list(mirror.deployments.values())
    assert await upkeep.close_gone(mirror.server, mirror.runs, deployments, nobody_asks) == 0
    assert await upkeep.close_gone(later.server, later.runs, deployments, present) == 1
    assert (current(mirror, there)[0], current(mirror, gone)[0]) == ("Catalogued", "Cancelled")
    assert await put_right(mirror) == 0


@pytest.mark.timeout(240)
async def test_a_real_worker_runs_nothing_of_the_mirror(
    empty_prefect: PrefectServerProcess, mirror: Mirror, tmp_path: Path
) -> None:
    running, broken = reach(new_scan("a.txt"), 2), failed(new_scan("b.txt"))
    for one in (running, broken):
        await mirror.show(one)
    press_retry(mirror, mirror.run_id(broken))
    path = f"/deployments/{mirror.deployments['new_file_402']}/create_flow_run"
    by_hand = mirror.prefect.ask("POST", path, {"name": "by hand"})["id"]
    # The worker shows that it works on a run of a pool of its own, which differs in nothing but the pause.
    with worker(mirror.prefect, tmp_path, POOL):
        end = time.monotonic() + 90
        while time.monotonic() < end:
            workers = mirror.prefect.ask("POST", f"/work_pools/{POOL}/workers/filter", {})
            if any(one["name"] == "eager" and one["last_heartbeat_time"] for one in workers):
                break
            await asyncio.sleep(0.5)
        else:
            raise AssertionError((tmp_path / "worker.log").read_text())
        await asyncio.sleep(6)  # it asks for runs more often than that
        states = {
            name: mirror.prefect.states(name) for name in (mirror.run_id(running), mirror.run_id(broken), by_hand)
        }
        assert [history[-1][0] for history in states.values()] == ["RUNNING", "SCHEDULED", "SCHEDULED"]
        mirror.prefect.ask("PATCH", f"/work_pools/{POOL}", {"is_paused": False})
        mirror.prefect.ask("PATCH", f"/deployments/{mirror.deployments['new_file_402']}", {"paused": False})
        end = time.monotonic() + 60
        while mirror.prefect.states(by_hand)[-1][0] == "SCHEDULED":
            assert time.monotonic() < end, "the worker takes nothing at all, so this test says nothing"
            await asyncio.sleep(0.5)
        assert mirror.prefect.states(mirror.run_id(running))[-1] == ("RUNNING", "Catalogued")


async def test_a_transfer_is_a_run_of_the_dispatcher(mirror: Mirror) -> None:
    uid = str(uuid.uuid4())
    for phase in (TransferPhase.PENDING, TransferPhase.ACTIVE, TransferPhase.SUCCEEDED):
        one = transfer(1, phase)
        one.metadata.uid = uid
        await mirror.runs.show(transfer_run(one, "als"))
    run = mirror.prefect.runs("run_dichroism_dispatcher")[uid]
    assert (run["work_pool_name"], run["work_queue_name"]) == ("dispatcher_dichroism_pool", "dispatcher_402_queue")
    assert run["parameters"] == {"file_path": "a/b.txt", "beamline": "BL402", "is_export_control": False}
    assert [name for _, name in mirror.prefect.states(run["id"])] == ["Pending", "Running", "Completed"]
    assert len(mirror.prefect.artifacts(run["id"])) == 1
