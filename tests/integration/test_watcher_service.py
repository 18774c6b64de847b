"""The watcher as a service: what systemd hears of the real process over a real socket."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dichroism_crds.names import PRIVATE_DIR
from tests.cluster.cluster import kubeconfig_text
from tests.site import PYTHON

DEADLINE_S = 30


class Service:
    """A watcher of two folders that systemd would have started, while nobody answers at the API's address."""

    def __init__(self, folder: Path) -> None:
        self.roots = [folder / "data402", folder / "data631"]
        ends = {root.name: {"name": root.name, "root_path": str(root)} for root in self.roots}
        ends |= {
            f"cfs{root.name[4:]}": {"name": f"cfs{root.name[4:]}", "root_path": f"/cfs/{root.name}"}
            for root in self.roots
        }
        beamlines = {
            f"BL{root.name[4:]}": {
                "watch": {"root": root.name, "since": "2026-11-01", "interval": "100ms"},
                "transfer": {"from": root.name, "to": f"cfs{root.name[4:]}"},
            }
            for root in self.roots
        }
        (folder / "config.yml").write_text(yaml.safe_dump({**ends, "beamlines": beamlines}))
        (folder / "kubeconfig").write_text(kubeconfig_text({"server": "https://127.0.0.1:9"}, {"token": "none"}))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(DEADLINE_S)
        environment = {
            "KUBECONFIG": str(folder / "kubeconfig"),
            "NOTIFY_SOCKET": str(folder / "notify"),
            "STATE_DIRECTORY": str(folder),
            "WATCHDOG_USEC": "600000",
        }
        command = [str(PYTHON.parent / "dichroism"), "watcher", "--config", str(folder / "config.yml")]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)

    def hear(self, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The next words that are as wanted."""
        while True:
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError as error:
                raise TimeoutError(self.log.read_text()) from error
            said = dict(line.split("=", 1) for line in message.split("\n"))
            if wanted(said):
                return said


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    made.socket.close()


def test_it_is_started_without_api_and_folders_says_what_is_wrong_and_is_fed_all_the_same(service: Service) -> None:
    service.hear(lambda said: said.get("READY") == "1")
    said = service.hear(lambda said: "No such file" in said.get("STATUS", ""))
    assert said["WATCHDOG"] == "1", "a restart mends no folder"
    for root in service.roots:
        (root / PRIVATE_DIR).mkdir(parents=True)
    service.hear(lambda said: "BL402: the Scans are not known yet" in said.get("STATUS", ""))
    service.process.send_signal(signal.SIGTERM)
    service.hear(lambda said: said.get("STOPPING") == "1")
    assert service.process.wait(DEADLINE_S) == 0


def test_one_that_does_not_run_on_feeds_nobody(service: Service) -> None:
    service.hear(lambda said: "WATCHDOG" in said)
    service.process.send_signal(signal.SIGSTOP)
    service.socket.settimeout(2)
    with pytest.raises(TimeoutError):
        service.hear(lambda said: False)
