"""What systemd hears over its socket: a real unix socket, of the same kind."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_watcher.service import SOCKET, WATCHDOG_PROCESS, WATCHDOG_TIME, ServiceManager

SOON_US = "60000"


class Systemd:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    async def hear(self) -> dict[str, str]:
        async with asyncio.timeout(30):
            said = await asyncio.get_running_loop().sock_recv(self.socket, 4096)
        return dict(line.split("=", 1) for line in said.decode().split("\n"))


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    named = str(tmp_path / "notify") if request.param == "a path" else f"@dichroism-test-{os.getpid()}"
    made = Systemd(named)
    yield made
    made.socket.close()


async def test_it_is_told_ready_then_fed_with_the_status_and_at_the_end_stopping(systemd: Systemd) -> None:
    manager = ServiceManager({SOCKET: systemd.address, WATCHDOG_TIME: SOON_US, WATCHDOG_PROCESS: str(os.getpid())})
    words = iter(["starting", "1 file\nWATCHDOG=trigger"])
    task = asyncio.create_task(manager.keep_told(lambda: next(words, "on"), lambda: True))
    assert await systemd.hear() == {"READY": "1", "STATUS": "starting"}
    assert await systemd.hear() == {"WATCHDOG": "1", "STATUS": "1 file WATCHDOG=trigger"}, "a status adds no variable"
    task.cancel()
    while (said := await systemd.hear()) != {"STOPPING": "1"}:
        assert said == {"WATCHDOG": "1", "STATUS": "on"}


async def test_what_is_not_alive_does_not_feed_the_watchdog(systemd: Systemd) -> None:
    manager = ServiceManager({SOCKET: systemd.address, WATCHDOG_TIME: SOON_US})
    alive = True
    task = asyncio.create_task(manager.keep_told(lambda: "on", lambda: alive))
    assert "READY" in await systemd.hear()
    assert "WATCHDOG" in await systemd.hear()
    alive = False
    while "WATCHDOG" in await systemd.hear():
        pass
    for _ in range(3):
        assert await systemd.hear() == {"STATUS": "on"}
    task.cancel()


async def test_a_watchdog_for_another_process_is_not_fed(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dichroism_watcher.service.STATUS_EVERY_S", 0.02)
    manager = ServiceManager({SOCKET: systemd.address, WATCHDOG_TIME: SOON_US, WATCHDOG_PROCESS: "1"})
    task = asyncio.create_task(manager.keep_told(lambda: "on", lambda: True))
    assert await systemd.hear() == {"READY": "1", "STATUS": "on"}
    for _ in range(3):
        assert await systemd.hear() == {"STATUS": "on"}
    task.cancel()


@pytest.mark.parametrize("environment", [{}, {SOCKET: ""}, {SOCKET: "vsock:2:1234"}], ids=str)
async def test_without_a_service_manager_nothing_is_done(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)
    assert not manager.listens
    await manager.keep_told(lambda: "on", lambda: True)


async def test_a_manager_that_went_away_is_logged_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = ServiceManager({SOCKET: str(tmp_path / "nobody")})
    manager.tell(READY=1)
    manager.tell(READY=1)
    assert len([one for one in caplog.records if one.name == "dichroism_watcher.service"]) == 1
