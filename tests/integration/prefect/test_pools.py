"""Pools, queues and deployments: the names that staff know, made once, and never at the cost of somebody else's."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dichroism_operator.mirror.names import POOL_TYPE, layout
from dichroism_operator.mirror.pools import PoolInUse, prepare
from dichroism_operator.mirror.server import PrefectServer
from tests.integration.prefect.conftest import Mirror, client
from tests.prefect.proxy import FaultyProxy
from tests.prefect.server import PrefectServerProcess
from tests.unit.scan_cases import config

POOL = "new_file_dichroism_pool"
CHANGES = ("POST /api/work_pools/ ", "PATCH", "POST /api/deployments/ ", "POST /api/flows/ ")
DICHROISM = Path(sys.executable).parent / "dichroism"


async def refused(prefect: PrefectServerProcess) -> str:
    """Why the mirror keeps its hands off."""
    async with client(prefect.url) as server:
        with pytest.raises(PoolInUse) as caught:
            await prepare(server, layout(config()), take_over=False)
    return str(caught.value)


async def test_everything_has_the_name_that_staff_know_and_is_paused(
    empty_prefect: PrefectServerProcess, mirror: Mirror
) -> None:
    ask = mirror.prefect.ask
    pools = {one["name"]: one for one in ask("POST", "/work_pools/filter", {})}
    assert pools.keys() == {POOL, "dispatcher_dichroism_pool"}
    assert all(one["is_paused"] and one["type"] == POOL_TYPE for one in pools.values())
    queues = {one["name"] for one in ask("POST", f"/work_pools/{POOL}/queues/filter", {})}
    assert queues == {"default", "new_file_402_queue", "test_transfers_dichroism_queue"}
    deployments = {one["name"]: one for one in ask("POST", "/deployments/filter", {})}
    assert deployments.keys() == {"run_dichroism_dispatcher", "new_file_402", "test_transfers_dichroism"}
    assert all(one["paused"] and "kubectl annotate scan" in one["description"] for one in deployments.values())


async def test_a_second_look_changes_nothing_and_a_pool_set_going_is_paused_again(
    mirror: Mirror, proxy: FaultyProxy
) -> None:
    changing = [line for line in proxy.log if f"{line[0]} {line[1]} ".startswith(CHANGES)]
    again = await prepare(mirror.server, layout(config()), take_over=False)
    assert (again.deployments, again.changes) == (mirror.deployments, ())
    assert [line for line in proxy.log if f"{line[0]} {line[1]} ".startswith(CHANGES)] == changing
    mirror.prefect.ask("PATCH", f"/work_pools/{POOL}", {"is_paused": False})
    again = await prepare(mirror.server, layout(config()), take_over=False)
    assert again.changes == (f"work pool {POOL}, paused again",)
    assert mirror.prefect.ask("GET", f"/work_pools/{POOL}")["is_paused"]


async def test_a_pool_of_another_type_is_left_untouched_unless_it_is_taken_over(
    empty_prefect: PrefectServerProcess,
) -> None:
    made = empty_prefect.ask("POST", "/work_pools/", {"name": POOL, "type": "process"})
    assert "'process'" in await refused(empty_prefect)
    assert empty_prefect.ask("GET", f"/work_pools/{POOL}") == made
    assert len(empty_prefect.ask("POST", "/work_pools/filter", {})) == 1
    async with client(empty_prefect.url) as server:
        await prepare(server, layout(config()), take_over=True)
        taken = empty_prefect.ask("GET", f"/work_pools/{POOL}")
        again = await prepare(server, layout(config()), take_over=False)
    assert (taken["is_paused"], taken["type"]) == (True, "process")
    assert again.changes == (), "it stays ours when takeOver is taken back"


async def test_a_pool_with_a_live_worker_is_left_untouched(empty_prefect: PrefectServerProcess) -> None:
    empty_prefect.ask("POST", "/work_pools/", {"name": POOL, "type": POOL_TYPE})
    beat = {"name": "worker-7", "heartbeat_interval_seconds": 30}
    empty_prefect.ask("POST", f"/work_pools/{POOL}/workers/heartbeat", beat)
    assert "worker-7" in await refused(empty_prefect)
    assert not empty_prefect.ask("GET", f"/work_pools/{POOL}")["is_paused"]


async def test_a_deployment_of_the_flows_that_ran_here_is_left_untouched(empty_prefect: PrefectServerProcess) -> None:
    flow = empty_prefect.ask("POST", "/flows/", {"name": "new_402_file_flow"})
    body = {"name": "new_file_402", "flow_id": flow["id"], "entrypoint": "move.py:process_new_402_file"}
    made = empty_prefect.ask("POST", "/deployments/", body)
    assert "new_402_file_flow/new_file_402" in await refused(empty_prefect)
    assert empty_prefect.ask("GET", f"/deployments/{made['id']}") == made
    assert not empty_prefect.ask("POST", "/work_pools/filter", {})


def init(folder: Path, prefect: PrefectServerProcess, **environment: str) -> subprocess.CompletedProcess[str]:
    """`dichroism prefect init` with the example's two beamlines."""
    document = yaml.safe_load((Path(__file__).parents[3] / "config.yml").read_text())
    (folder / "config.yml").write_text(yaml.safe_dump(document))
    command = [str(DICHROISM), "prefect", "--config", str(folder / "config.yml"), "init"]
    variables = {"PATH": "/usr/bin:/bin", "PREFECT_API_URL": prefect.url} | environment
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)


def test_init_makes_everything_by_hand_and_says_so(tmp_path: Path, empty_prefect: PrefectServerProcess) -> None:
    first, second = init(tmp_path, empty_prefect), init(tmp_path, empty_prefect)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    for name in ("dispatcher_631_queue", "new_631_file_flow/new_file_631", "new_file_402_queue"):
        assert name in first.stdout
    assert "made: work pool" in first.stdout
    assert second.stdout.endswith("everything was there\n")


def test_init_says_what_is_missing_and_repeats_no_secret(tmp_path: Path, empty_prefect: PrefectServerProcess) -> None:
    done = init(tmp_path, empty_prefect, PREFECT_API_URL="")
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "PrefectNotConfigured")
    done = init(tmp_path, empty_prefect, PREFECT_API_URL="https://jane:hunter2@empty_prefect.example.org/api")
    assert done.returncode == 1
    assert "hunter2" not in done.stderr
    done = init(tmp_path, empty_prefect, PREFECT_API_URL=empty_prefect.ui_url)
    assert done.returncode == 1
    assert "/api" in done.stderr


def test_the_server_is_named_as_missing_when_nobody_listens(
    tmp_path: Path, empty_prefect: PrefectServerProcess
) -> None:
    done = init(tmp_path, empty_prefect, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "PrefectUnavailable")


def test_the_conversation_needs_no_prefect_package() -> None:
    assert PrefectServer.__module__ in sys.modules
    assert "prefect" not in sys.modules
