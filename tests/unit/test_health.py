"""Liveness: a lane that makes no turns and a watch that delivers nothing are trouble, one that merely waits is not."""

import time

import pytest
from aiohttp.test_utils import make_mocked_request

from dichroism_crds.client import Api
from dichroism_operator.health import STALE_LIMIT_S, TURN_LIMIT_S, Health
from dichroism_operator.runtime import Operator
from tests.unit.scan_cases import config


@pytest.fixture
def operator() -> Operator:
    """An operator whose lanes are there and were not started."""
    health, api = Health(), Api.__new__(Api)  # the API is never asked for anything
    api.namespace = "als"
    operator = Operator(config(), api, health)
    health.lanes = {lane.name: lane for lane in operator.lanes}
    return operator


async def answer(health: Health) -> tuple[int, str]:
    """Status and text of /livez."""
    said = await health.livez(make_mocked_request("GET", "/livez"))
    return said.status, said.text or ""


async def test_a_process_whose_lanes_make_their_turns_is_alive(operator: Operator) -> None:
    assert await answer(operator.health) == (200, "ok\n")


async def test_a_lane_that_made_no_turn_for_long_is_named(operator: Operator) -> None:
    for lane in operator.lanes:
        lane.last_turn = time.monotonic() - TURN_LIMIT_S - 1
        status, text = await answer(operator.health)
        assert status == 500
        assert text.startswith(f"lane {lane.name} made no turn")
        lane.beat()
        assert await answer(operator.health) == (200, "ok\n")


async def test_a_watch_that_is_behind_for_a_moment_is_no_trouble_and_for_long_it_is() -> None:
    health, moment = Health(), time.monotonic()
    health.watch_stale_since = lambda: moment
    assert await answer(health) == (200, "ok\n")
    health.watch_stale_since = lambda: moment - STALE_LIMIT_S - 1
    status, text = await answer(health)
    assert status == 500
    assert "the watch of Scans delivered nothing" in text


async def test_readiness_says_what_is_missing() -> None:
    health = Health()
    request = make_mocked_request("GET", "/readyz")
    assert (await health.readyz(request)).status == 503
    health.not_ready = "the installed CRDs are older"
    said = await health.readyz(request)
    assert (said.status, said.text) == (503, "the installed CRDs are older\n")
    health.not_ready = None
    assert (await health.readyz(request)).status == 200
