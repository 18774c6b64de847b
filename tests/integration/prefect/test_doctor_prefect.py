"""Prefect as doctor sees it: each part is broken in turn, and the finding names it with its remedy."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_operator.mirror.names import layout
from dichroism_operator.mirror.pools import prepare
from tests.integration.doctor.asking import Answer, ask
from tests.integration.prefect.conftest import client
from tests.prefect.server import PrefectServerProcess
from tests.unit.scan_cases import config

POOL = "new_file_dichroism_pool"
EXAMPLE = Path(__file__).parents[3] / "config.yml"
CHECKS = ("server", "pools", "limits", "old-flows")


@pytest.fixture
def doctor(empty_prefect: PrefectServerProcess, tmp_path: Path) -> Callable[..., Answer]:
    def asked(role: str = "operator", take_over: bool = False, **environment: str) -> Answer:
        document = yaml.safe_load(EXAMPLE.read_text()) | {"prefect": {"enabled": True, "takeOver": take_over}}
        del document["beamlines"]["BL631"]
        (tmp_path / "config.yml").write_text(yaml.safe_dump(document))
        options = ["--config", str(tmp_path / "config.yml"), "--role", role, "--only", "prefect"]
        return ask({"PREFECT_API_URL": empty_prefect.url} | environment, *options)

    return asked


def prepared(prefect: PrefectServerProcess) -> None:
    """Everything of ours is there."""

    async def make() -> None:
        async with client(prefect.url) as server:
            await prepare(server, layout(config()), take_over=False)

    asyncio.run(make())


def test_a_mirror_that_works_is_fine(empty_prefect: PrefectServerProcess, doctor: Callable[..., Answer]) -> None:
    doctor().assert_found("prefect/pools", "warning", "not made yet", "dichroism prefect init")
    prepared(empty_prefect)
    answer = doctor()
    assert answer.code == 0
    for name in CHECKS:
        answer.assert_fine(f"prefect/{name}")
    doctor(take_over=True).assert_found("prefect/pools", "warning", "takeOver is still set", "Remove takeOver")


def test_a_missing_address_is_a_problem_of_the_operator_alone(doctor: Callable[..., Answer]) -> None:
    answer = doctor(PREFECT_API_URL="")
    answer.assert_found("prefect/server", "problem", "PREFECT_API_URL is not set", "Secret of the operator")
    answer.assert_found("prefect/pools", "not_checked", "needs the address")
    doctor("watcher", PREFECT_API_URL="").assert_found("prefect/server", "not_checked", "is not set here")


def test_a_server_that_does_not_answer_is_named_once(doctor: Callable[..., Answer]) -> None:
    answer = doctor(PREFECT_API_URL="http://127.0.0.1:9/api")
    answer.assert_found("prefect/server", "problem", "no connection to Prefect", "copies do not wait")
    for name in CHECKS[1:]:
        answer.assert_found(f"prefect/{name}", "not_checked", "could not be asked", "prefect/server")


def test_a_pool_of_somebody_else_is_named_and_left_alone(
    empty_prefect: PrefectServerProcess, doctor: Callable[..., Answer]
) -> None:
    made = empty_prefect.ask("POST", "/work_pools/", {"name": POOL, "type": "process"})
    doctor().assert_found("prefect/pools", "problem", "has the type 'process'", "cut-over")
    doctor(take_over=True).assert_found("prefect/pools", "warning", "has the type 'process'", "takes it")
    assert empty_prefect.ask("GET", f"/work_pools/{POOL}") == made


def test_limits_are_named(empty_prefect: PrefectServerProcess, doctor: Callable[..., Answer]) -> None:
    prepared(empty_prefect)
    empty_prefect.ask("PATCH", f"/work_pools/{POOL}", {"concurrency_limit": 4})
    empty_prefect.ask("PATCH", f"/work_pools/{POOL}/queues/new_file_402_queue", {"concurrency_limit": 2})
    (made,) = empty_prefect.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["new_file_402"]}}})
    empty_prefect.ask("PATCH", f"/deployments/{made['id']}", {"concurrency_limit": 1})
    ((severity, message, remedy),) = doctor().found("prefect/limits")
    assert severity == "warning"
    for what in (f"work pool {POOL}", f"work queue {POOL}/new_file_402_queue", "new_402_file_flow/new_file_402"):
        assert what in message
    assert "Remove these limits" in remedy


def scheduled(prefect: PrefectServerProcess, flow: str, deployment: str, **fields: Any) -> None:
    """A run that waits for its day, as the flows of before made them."""
    made = prefect.ask("POST", "/flows/", {"name": flow})
    body = {"name": deployment, "flow_id": made["id"], "entrypoint": "prune.py:run"}
    there = prefect.ask("POST", "/deployments/", body)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2030-01-01T00:00:00Z"}}
    prefect.ask("POST", f"/deployments/{there['id']}/create_flow_run", {"state": state, **fields})


def test_prune_runs_of_earlier_flows_are_named_and_those_of_other_beamlines_are_not(
    empty_prefect: PrefectServerProcess, doctor: Callable[..., Answer]
) -> None:
    prepared(empty_prefect)
    scheduled(empty_prefect, "prune_globus_endpoint", "prune_data832", parameters={"relative_path": "2026/x"})
    doctor().assert_fine("prefect/old-flows")
    scheduled(empty_prefect, "prune_globus_endpoint", "prune_data402", name="delete 402 scan")
    answer = doctor()
    assert answer.code == 1
    answer.assert_found("prefect/old-flows", "problem", "are scheduled, 1 (", "delete their deployments")
    answer.assert_found("prefect/old-flows", "problem", "delete 402 scan")
