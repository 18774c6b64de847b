"""The Prefect server as a process: start, stop, SIGKILL, restart under the same URL; and what it shows, by its API."""

import base64
import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.cluster.processes import free_port
from tests.prefect.environment import PrefectError, database_template, prefect_python

SERVE = Path(__file__).with_name("serve.py")
START_S = 300.0
"""Only ends a start that hangs: a fresh one takes a quarter of a minute, and minutes on a machine that is busy."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
"""Nothing is told to anybody, and nothing is advertised."""


class PrefectServerProcess:
    """One server with a database in a folder. ``keep`` lets it go on when this process ends."""

    def __init__(self, folder: Path, *, keep: bool = False, auth_string: str = "", csrf: bool = False) -> None:
        self._folder = folder
        self._keep = keep
        self.auth_string = auth_string
        self._csrf = csrf
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._http = httpx.Client(timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ui_url(self) -> str:
        """Where a browser looks."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base of the API."""
        return f"{self.ui_url}/api"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def environment(self) -> dict[str, str]:
        """Environment of Prefect's programs, of the server and of workers: nothing of this user's Prefect."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        return own | _QUIET | {"PREFECT_HOME": str(self._folder), "PREFECT_API_URL": self.url}

    def start(self) -> str:
        """Start it, wait until it serves, return the base of its API."""
        if self._process is not None:
            raise PrefectError("the Prefect server is running already")
        self._folder.mkdir(parents=True, exist_ok=True)
        python, database = prefect_python(), self._folder / "prefect.db"
        first = not database.exists()
        if first and database_template().exists():
            shutil.copyfile(database_template(), database)
        self.port = self.port or free_port()
        settings = {
            "PREFECT_SERVER_API_AUTH_STRING": self.auth_string,
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": str(self._csrf).lower(),
            "PREFECT_UI_API_URL": self.url,
        }
        environment = self.environment() | {key: value for key, value in settings.items() if value}
        environment.pop("PREFECT_API_URL")
        command = [str(python), "-I", str(SERVE), str(self.port), *(["--keep"] if self._keep else [])]
        output = self._folder / "server.log"
        with output.open("ab") as log:
            stdin = subprocess.DEVNULL if self._keep else subprocess.PIPE
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdin=stdin, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + START_S
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise PrefectError(f"the Prefect server did not start:\n{output.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        if first and not database_template().exists():
            self._keep_template(database)
        return self.url

    def _keep_template(self, database: Path) -> None:
        """A copy of the migrated database, made by SQLite itself because the server has it open."""
        scratch = database_template().with_suffix(f".{os.getpid()}")
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(scratch)) as to,
        ):
            source.backup(to)
        scratch.replace(database_template())

    def _healthy(self) -> bool:
        try:
            return self._http.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it in good order; nothing happens when it does not run."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self.kill()

    def kill(self) -> None:
        """SIGKILL: what it has answered survives this."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def close(self) -> None:
        """Stop it and close our connections."""
        self.stop()
        self._http.close()

    # what it shows

    def ask(self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None) -> Any:
        """One request as an administrator; repeated while the database is locked, as every client of it must."""
        headers = {}
        if self.auth_string:
            headers["Authorization"] = f"Basic {base64.b64encode(self.auth_string.encode()).decode()}"
        if self._csrf and method != "GET":
            token = self.ask("GET", "/csrf-token", params={"client": "tests"})["token"]
            headers |= {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"}
        for _ in range(20):
            answer = self._http.request(method, f"{self.url}{path}", json=body, params=params, headers=headers)
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def runs(self, deployment: str) -> dict[str, dict[str, Any]]:
        """All runs of a deployment by their idempotency key."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            body = {"deployments": {"name": {"any_": [deployment]}}, "limit": 200, "offset": len(found)}
            page = self.ask("POST", "/flow_runs/filter", body)
            found |= {run["idempotency_key"] or run["id"]: run for run in page}
            if len(page) < 200:
                return found

    def states(self, run_id: str) -> list[tuple[str, str]]:
        """Type and name of every state of a run, in the order in which they were told."""
        history = self.ask("GET", "/flow_run_states/", params={"flow_run_id": run_id})
        return [(one["type"], one["name"]) for one in sorted(history, key=lambda one: str(one["timestamp"]))]

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """The artifacts of a run."""
        found = self.ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
        return list(found)

    def set_state(self, run_id: str, kind: str, name: str, **more: Any) -> None:
        """What a button of the UI does."""
        body = {"state": {"type": kind, "name": name, "message": "by a person", **more}, "force": True}
        self.ask("POST", f"/flow_runs/{run_id}/set_state", body)

    def clear(self) -> None:
        """Remove all pools, deployments and runs: a test begins with an empty server."""
        for kind in ("flow_runs", "deployments", "flows", "work_pools"):
            while page := self.ask("POST", f"/{kind}/filter", {"limit": 200}):
                if kind == "flow_runs":
                    self.ask("POST", "/flow_runs/bulk_delete", {"limit": 50})
                    continue
                for one in page:
                    self.ask("DELETE", f"/{kind}/{one['name' if kind == 'work_pools' else 'id']}")
