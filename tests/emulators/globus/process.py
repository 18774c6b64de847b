"""The emulator as a process of its own: start, stop, SIGKILL, restart under the same URL, faults, inspection."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.emulators.globus.faults import Action, Fault, Point
from tests.emulators.globus.settings import Client, Collection, Limits, Settings
from tests.emulators.server_process import ServerProcess

CLIENT = Client("6e5c0a5e-0d0d-4b0a-9b5e-3c1f6f1f0001", "emulated-client-secret-1")
"""The service account of a service that has one."""


class GlobusEmulator(ServerProcess):
    """One emulated service in a folder."""

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

        ``keep`` and ``environment`` are those of the process.
        """
        super().__init__(folder, keep=keep, environment=environment)
        if isinstance(collections, Settings):
            self.settings = collections
        else:
            self.settings = Settings((CLIENT,), tuple(collections), limits or Limits())

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

    def prepare(self) -> list[str]:
        """Write the settings, which hold secrets; returns module and arguments."""
        settings = self.folder / "settings.json"
        with os.fdopen(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.settings.to_json())
        state = ["--state", str(self.folder / "globus.sqlite"), "--settings", str(settings)]
        return ["tests.emulators.globus", *state, "--url-file", str(self.url_file)]

    def wait_until_dead(self, timeout: float = 30.0) -> None:
        """Until it has killed itself at a point that it was told; raises TimeoutExpired when it does not."""
        if self._process is not None:
            self._process.wait(timeout)
            self.kill()

    # control

    def fault(self, action: Action, **conditions: Any) -> None:
        """Ask for one fault; ``conditions`` are the fields of :class:`~tests.emulators.globus.faults.Fault`."""
        self._control("POST", "/_emul/fault", [Fault(action=action, **conditions).to_json()])

    def kill_at(self, point: Point, path: str = "", *, skip: int = 0) -> None:
        """Let it kill itself at a point, for a request or file whose path matches, after ``skip`` of them."""
        self.fault(Action.KILL, point=point, path=path, skip=skip)

    def faults(self) -> list[dict[str, Any]]:
        """Faults that have not happened yet."""
        return list(self._control("GET", "/_emul/fault"))

    def clear_faults(self) -> None:
        """Forget the faults that have not happened yet."""
        self._control("DELETE", "/_emul/fault")

    def set_clock(self, *, rate: float | None = None, advance: float = 0.0) -> float:
        """Virtual seconds in a real one (1 real, 0 stands still), a jump in seconds; returns the virtual time."""
        return float(self._control("POST", "/_emul/clock", {"rate": rate, "advance": advance})["now"])

    def set_collection(self, collection_id: str, **fields: Any) -> None:
        """Change fields of a collection: down, quota_bytes, read_only, paused, bytes_per_second, permissions ..."""
        self._control("POST", "/_emul/endpoint", {"collection_id": collection_id} | fields)

    def pause(self, task_id: str, message: str = "maintenance") -> None:
        """An administrator pauses a task."""
        self._control("POST", "/_emul/pause", {"task_id": task_id, "message": message})

    def unpause(self, task_id: str) -> None:
        """The task goes on."""
        self._control("POST", "/_emul/unpause", {"task_id": task_id})

    def cancel_by_admin(self, task_id: str, message: str = "not here") -> None:
        """An administrator cancels a task."""
        self._control("POST", "/_emul/cancel-admin", {"task_id": task_id, "message": message})

    def deactivate(self, task_id: str) -> None:
        """The credentials of a task expire: it becomes INACTIVE."""
        self._control("POST", "/_emul/inactive", {"task_id": task_id})

    def activate(self, task_id: str) -> None:
        """The credentials are there again."""
        self._control("POST", "/_emul/activate", {"task_id": task_id})

    def expire(self, task_id: str) -> None:
        """The deadline of a task is now."""
        self._control("POST", "/_emul/expire", {"task_id": task_id})

    def purge(self, task_id: str, *, whole: bool = False) -> None:
        """Forget the files of an ended task, or the whole task, as time does."""
        self._control("POST", "/_emul/purge", {"task_id": task_id, "whole": whole})

    def expire_tokens(self) -> None:
        """Every token issued so far expires now."""
        self._control("POST", "/_emul/expire-tokens")

    def state(self) -> dict[str, Any]:
        """Virtual time, tasks, submission ids, counters of requests, files too small for tape, secrets in URLs."""
        return dict(self._control("GET", "/_emul/state"))

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks of everybody, oldest first, as get_task shows them."""
        return list(self.state()["tasks"])

    def calls(self) -> list[dict[str, Any]]:
        """All requests since the state was made: method, path, query, status (None: no answer), identity, time."""
        return list(self._control("GET", "/_emul/calls"))
