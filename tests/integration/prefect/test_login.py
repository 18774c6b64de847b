"""Who we are: basic auth and CSRF at a server of our own, a key at Prefect Cloud; no secret is ever shown."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_operator.mirror.access import (
    AUTH_STRING,
    CLOUD_REQUESTS_PER_MINUTE,
    KEY,
    authorization,
    requests_per_minute,
)
from dichroism_operator.mirror.errors import MirrorOff, Trouble
from dichroism_operator.mirror.names import layout
from dichroism_operator.mirror.pools import prepare
from dichroism_operator.mirror.runs import Runs
from dichroism_operator.mirror.server import Pace
from dichroism_operator.mirror.states import scan_run
from tests.integration.prefect.conftest import client, new_scan
from tests.integration.prefect.test_runs import WHOLE, reach
from tests.prefect.proxy import FaultyProxy, Rule
from tests.prefect.server import PrefectServerProcess
from tests.unit.scan_cases import config

PASSWORD = "dichroism:a-password-of-the-tests"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServerProcess]:
    """A server that asks for a password and for CSRF tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    with PrefectServerProcess(folder, auth_string=PASSWORD, csrf=True) as server:
        yield server


async def test_a_password_and_csrf_are_given_and_a_rotated_file_is_read_again(
    guarded: PrefectServerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "auth"
    file.write_text("dichroism:yesterdays-password\n")
    environment = {f"{AUTH_STRING}_FILE": str(file)}
    with caplog.at_level(logging.DEBUG):
        async with client(guarded.url, lambda: authorization(environment)) as server:
            with pytest.raises(MirrorOff) as refused:
                await prepare(server, layout(config()), take_over=False)
            assert refused.value.trouble == Trouble.LOGIN_FAILED
            file.write_text(PASSWORD)
            prepared = await prepare(server, layout(config()), take_over=False)
            one = reach(new_scan(), 5)
            await Runs(server, prepared.deployments).show(scan_run(one, "als"))
    run = guarded.runs("new_file_402")[one.metadata.uid or ""]
    assert [name for _, name in guarded.states(run["id"])] == WHOLE
    assert "password" not in caplog.text + str(refused.value)


async def test_a_secret_that_cannot_be_read_is_named_by_its_variable(guarded: PrefectServerProcess) -> None:
    environment = {f"{KEY}_FILE": "/nonexistent/key"}
    async with client(guarded.url, lambda: authorization(environment)) as server:
        with pytest.raises(MirrorOff, match=f"{KEY}_FILE") as refused:
            await prepare(server, layout(config()), take_over=False)
    assert refused.value.trouble == Trouble.LOGIN_FAILED


async def test_the_key_of_cloud_travels_in_the_header_alone_and_is_echoed_nowhere(proxy: FaultyProxy) -> None:
    proxy.fault(Rule("work_pools", times=2, status=403))
    async with client(proxy.url, lambda: authorization({KEY: "pnu_of_the_tests"})) as server:
        with pytest.raises(MirrorOff) as refused:
            await prepare(server, layout(config()), take_over=False)
    assert proxy.headers[0]["Authorization"] == "Bearer pnu_of_the_tests"
    assert not any("pnu_of_the_tests" in path for _, path, _ in proxy.log)
    assert "pnu_of_the_tests" not in str(refused.value)


async def test_a_budget_keeps_requests_apart_and_cloud_has_one_by_default() -> None:
    assert requests_per_minute(None, {}) is None
    assert requests_per_minute(None, {KEY: "x"}) == CLOUD_REQUESTS_PER_MINUTE
    assert requests_per_minute(30, {KEY: "x"}) == 30
    pace = Pace(60)
    await pace.wait()
    assert pace._next > 0
