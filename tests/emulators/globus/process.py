"""The emulator as a process of its own: start, stop, SIGKILL, restart under the same URL, faults, inspection."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.emulators.globus.faults import Action, Fault, Point
from tests.emulators.globus.settings import Client, Collection, Limits, Settings

ROOT = Path(__file__).resolve().parents[3]
CLIENT = Client("6e5c0a5e-0d0d-4b0a-9b5e-3c1f6f1f0001", "emulated-client-secret-1")
"""The service account of a service that has one."""

_START_S = 30.0


class EmulatorError(RuntimeError):
    """The emulator did not start; the text ends with its own words."""


class GlobusEmulator:
    """One emulated service in a folder. Also a context manager that starts it and stops it.

    The folder keeps the database, the settings and the server's output, so a killed service can be started again with
    all that it had answered for.
    """

    def __init__(
        self,
        folder: Path,
        collections: Sequence[Collection] | Settings,
        *,
        limits: Limits | None = None,
        keep: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``collections`` belong to a service with one client, unless whole settings are given.

        ``keep`` lets it go on when this process ends; otherwise it ends too, however this process dies.
        ``environment`` is that of the server, this process's own when None.
        """
        self._environment = environment
        self._folder = folder
        self._keep = keep
        if isinstance(collections, Settings):
            self.settings = collections
        else:
            self.settings = Settings((CLIENT,), tuple(collections), limits or Limits())
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Base of both services, set by the first start and kept by every restart."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def client(self) -> Client:
        """The first client of the service."""
        return self.settings.clients[0]

    def sdk_environment(self, client: Client | None = None) -> dict[str, str]:
        """Variables with which a process finds this service through the SDK, and its credentials."""
        client = client or self.client
        return {
            "GLOBUS_SDK_SERVICE_URL_TRANSFER": self.url,
            "GLOBUS_SDK_SERVICE_URL_AUTH": self.url,
            "GLOBUS_CLIENT_ID": client.client_id,
            "GLOBUS_CLIENT_SECRET": client.client_secret,
        }

    def start(self) -> str:
        """Start the server, wait until it serves, return its URL."""
        if self._process is not None:
            raise EmulatorError("the emulator is running already")
        self._folder.mkdir(parents=True, exist_ok=True)
        settings, url_file, output = (self._folder / name for name in ("settings.json", "url", "output.log"))
        with os.fdopen(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.settings.to_json())
        url_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.emulators.globus", "--state", str(self._folder / "globus.sqlite")]
        command += ["--settings", str(settings), "--url-file", str(url_file)]
        with output.open("ab") as log:
            stdin = subprocess.DEVNULL if self._keep else subprocess.PIPE
            command += [] if self._keep else ["--until-stdin-closes"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=stdin, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while not url_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise EmulatorError(f"the Globus emulator did not start: {output.read_text()[-2000:]}")
            time.sleep(0.02)
        self.url = url_file.read_text()
        return self.url

    def stop(self) -> None:
        """End it in good order; nothing happens when it does not run."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """SIGKILL: what it has answered must survive this."""
        self._end(subprocess.Popen.kill)

    def _end(self, signal_it: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is None:
            return
        signal_it(self._process)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def restart(self) -> str:
        """Kill it and start it again with the same state under the same URL."""
        self.kill()
        return self.start()

    def wait_until_dead(self, timeout: float = 30.0) -> None:
        """Until it has killed itself at a point that it was told; raises TimeoutExpired when it does not."""
        if self._process is not None:
            self._process.wait(timeout)
            self.kill()

    # control

    def fault(self, action: Action, **conditions: Any) -> None:
        """Ask for one fault; ``conditions`` are the fields of :class:`~tests.emulators.globus.faults.Fault`."""
        self._control("POST", "fault", [Fault(action=action, **conditions).to_json()])

    def kill_at(self, point: Point, path: str = "", *, skip: int = 0) -> None:
        """Let it kill itself at a point, for a request or file whose path matches, after ``skip`` of them."""
        self.fault(Action.KILL, point=point, path=path, skip=skip)

    def faults(self) -> list[dict[str, Any]]:
        """Faults that have not happened yet."""
        return list(self._control("GET", "fault"))

    def clear_faults(self) -> None:
        """Forget the faults that have not happened yet."""
        self._control("DELETE", "fault")

    def set_clock(self, *, rate: float | None = None, advance: float = 0.0) -> float:
        """Virtual seconds in a real one (1 real, 0 stands still), a jump in seconds; returns the virtual time."""
        return float(self._control("POST", "clock", {"rate": rate, "advance": advance})["now"])

    def set_collection(self, collection_id: str, **fields: Any) -> None:
        """Change fields of a collection: down, quota_bytes, read_only, paused, bytes_per_second, permissions ..."""
        self._control("POST", "endpoint", {"collection_id": collection_id} | fields)

    def pause(self, task_id: str, message: str = "maintenance") -> None:
        """An administrator pauses a task."""
        self._control("POST", "pause", {"task_id": task_id, "message": message})

    def unpause(self, task_id: str) -> None:
        """The task goes on."""
        self._control("POST", "unpause", {"task_id": task_id})

    def cancel_by_admin(self, task_id: str, message: str = "not here") -> None:
        """An administrator cancels a task."""
        self._control("POST", "cancel-admin", {"task_id": task_id, "message": message})

    def deactivate(self, task_id: str) -> None:
        """The credentials of a task expire: it becomes INACTIVE."""
        self._control("POST", "inactive", {"task_id": task_id})

    def activate(self, task_id: str) -> None:
        """The credentials are there again."""
        self._control("POST", "activate", {"task_id": task_id})

    def expire(self, task_id: str) -> None:
        """The deadline of a task is now."""
        self._control("POST", "expire", {"task_id": task_id})

    def purge(self, task_id: str, *, whole: bool = False) -> None:
        """Forget the files of an ended task, or the whole task, as time does."""
        self._control("POST", "purge", {"task_id": task_id, "whole": whole})

    def expire_tokens(self) -> None:
        """Every token issued so far expires now."""
        self._control("POST", "expire-tokens")

    def state(self) -> dict[str, Any]:
        """Virtual time, tasks, submission ids, counters of requests, files too small for tape, secrets in URLs."""
        return dict(self._control("GET", "state"))

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks of everybody, oldest first, as get_task shows them."""
        return list(self.state()["tasks"])

    def calls(self) -> list[dict[str, Any]]:
        """All requests since the state was made: method, path, query, status (None: no answer), identity, time."""
        return list(self._control("GET", "calls"))

    def _control(self, method: str, route: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        base = urlsplit(self.url)
        request = urllib.request.Request(f"http://{base.netloc}/_emul/{route}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
