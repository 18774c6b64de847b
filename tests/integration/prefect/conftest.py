"""The mirror against a real Prefect server, without Kubernetes: Scans are made as the API would serve them."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from dichroism_crds.kinds import Scan
from dichroism_operator.mirror.names import layout
from dichroism_operator.mirror.pools import prepare
from dichroism_operator.mirror.runs import Runs
from dichroism_operator.mirror.server import TIMEOUT, PrefectServer
from dichroism_operator.mirror.states import scan_run
from tests.prefect.proxy import FaultyProxy
from tests.prefect.server import PrefectServerProcess
from tests.unit.scan_cases import config, scan


def client(url: str, authorization: Callable[[], str] = str) -> PrefectServer:
    """A conversation with a server, without login unless one is given."""
    return PrefectServer(url, httpx.AsyncClient(timeout=TIMEOUT, trust_env=False), authorization=authorization)


@pytest.fixture
def proxy(prefect: PrefectServerProcess) -> Iterator[FaultyProxy]:
    """Stands before the session's server."""
    with FaultyProxy(prefect.url) as between:
        yield between


def new_scan(path: str = "scan.txt", **spec: Any) -> Scan:
    """A fresh Scan that no other test has shown."""
    one = scan(path, **spec)
    one.metadata.uid = str(uuid.uuid4())
    return one


@dataclass
class Mirror:
    """The mirror, prepared, and a look at what the server shows."""

    server: PrefectServer
    runs: Runs
    deployments: dict[str, str]
    prefect: PrefectServerProcess

    def restarted(self) -> "Mirror":
        """What a new process knows: nothing."""
        return Mirror(self.server, Runs(self.server, self.deployments), self.deployments, self.prefect)

    async def show(self, scan: Scan, *, briefly: bool = False) -> None:
        """Show a Scan as it is now."""
        await self.runs.show(scan_run(scan, "als"), briefly=briefly)

    def run(self, scan: Scan) -> dict[str, Any]:
        """The run of a Scan, which is the only one of it."""
        body = {"flow_runs": {"idempotency_key": {"any_": [scan.metadata.uid]}}}
        (run,) = self.prefect.ask("POST", "/flow_runs/filter", body)
        return dict(run)

    def run_id(self, scan: Scan) -> str:
        """Id of its run."""
        return str(self.run(scan)["id"])

    def shown(self, scan: Scan) -> list[str]:
        """Names of all states that its run was told, in order."""
        return [name for _, name in self.prefect.states(self.run_id(scan))]


@pytest.fixture
async def mirror(prefect: PrefectServerProcess, proxy: FaultyProxy) -> AsyncIterator[Mirror]:
    """The mirror, prepared, through the proxy."""
    async with client(proxy.url) as server:
        prepared = await prepare(server, layout(config()), take_over=False)
        yield Mirror(server, Runs(server, prepared.deployments), prepared.deployments, prefect)
