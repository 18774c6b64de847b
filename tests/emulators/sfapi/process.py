"""The emulator as a process of its own: start, stop, SIGKILL, restart under the same URL, faults, inspection."""

import hashlib
import json
import sys
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from joserfc.jwk import RSAKey

from dichroism_crds.config import Superfacility
from tests.emulators.server_process import ROOT, EmulatorError, ServerProcess
from tests.emulators.sfapi import faults
from tests.emulators.sfapi.places import hash_file
from tests.emulators.sfapi.slurm import Slurm


@cache
def _key(number: int) -> RSAKey:
    """A key pair of a client; making one takes a while."""
    return RSAKey.generate_key(2048, parameters={"kid": f"key-{number}"}, private=True)


class SfapiEmulator(ServerProcess):
    """One emulated service in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tape = folder / "tape"
        """What lies on tape, by its path there."""
        for name in ("", "tape", "hashes", "faults", "bin", "jobs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, module in (("hsi", "hsi"), ("squeue", "slurm squeue")):
            program = folder / "bin" / name
            line = f'PYTHONPATH={ROOT} exec {sys.executable} -S -m tests.emulators.sfapi.{module} "$@"'
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)
        python = folder / "bin" / "python3"  # Without what is installed: the job may use the standard library alone.
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        python.chmod(0o755)
        self._clients = 0
        self.secret = ""
        self.client_id = ""
        self.new_client()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.slurm.lose_all()

    @property
    def slurm(self) -> Slurm:
        """The batch system, which goes on without the service."""
        return Slurm(self.folder)

    # clients

    def new_client(self, *, lives_s: float = 2 * 86400) -> None:
        """Make a client as a person would, valid for two days; the older ones stay as they are."""
        self._clients += 1
        key = _key(self._clients % 3)
        self.client_id = f"client{self._clients:07d}"
        self.secret = json.dumps(key.as_dict(private=True))
        self._put_client(key.as_dict(private=False), time.time() + lives_s)

    def expire_client(self) -> None:
        """The client ends now, as it does after two days."""
        clients = json.loads((self.folder / "clients.json").read_text())
        self._put_client(clients[self.client_id]["key"], time.time() - 1)

    def _put_client(self, key: Any, expires: float) -> None:
        file = self.folder / "clients.json"
        clients = json.loads(file.read_text()) if file.exists() else {}
        clients[self.client_id] = {"key": key, "expires": expires}
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(clients))
        unfinished.replace(file)

    def environment(self) -> dict[str, str]:
        """Variables with the credentials of the newest client."""
        return {"SFAPI_CLIENT_ID": self.client_id, "SFAPI_CLIENT_SECRET": self.secret}

    def settings(self, **more: Any) -> Superfacility:
        """The section of the configuration with which the service is reached."""
        return Superfacility.model_validate(self.section() | more)

    def section(self) -> dict[str, Any]:
        """The same as it stands in a file."""
        return {"url": f"{self.url}/api/v1.2", "token_url": f"{self.url}/c2id/token", "prepare": [], "options": []}

    def prepare(self) -> list[str]:
        """Module and arguments; the folder was made ready before."""
        return ["tests.emulators.sfapi", "--state", str(self.folder)]

    # faults and states

    def fault(self, action: faults.Action, **conditions: Any) -> None:
        """Ask for one fault, see :mod:`tests.emulators.sfapi.faults`."""
        faults.add(self.folder / "faults", action, **conditions)

    def clear_faults(self) -> None:
        """Forget the faults that have not happened, and end outages."""
        faults.clear(self.folder / "faults")
        self.tape_down(False)
        self.hold(False)

    def waiting_faults(self) -> list[dict[str, Any]]:
        """Faults that have not happened."""
        return faults.waiting(self.folder / "faults")

    def tape_down(self, down: bool) -> None:
        """The tape archive is in maintenance."""
        _flag(self.folder / "tape-down", down)

    def hold(self, held: bool) -> None:
        """The queue starts nothing; when it goes on, what waits begins."""
        _flag(self.folder / "hold", held)
        if not held and self._process:
            self._control("POST", "/_emul/begin")

    def expire_tokens(self) -> None:
        """Every token ends now."""
        self._control("POST", "/_emul/expire-tokens")

    def store(self, path: str, content: bytes) -> None:
        """Put a file on tape with its hash, as an earlier job did."""
        target = self.tape / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        hash_file(self.folder, path).write_text(json.dumps(hashlib.sha256(content).hexdigest()))

    def wait_for_jobs(self) -> None:
        """Until no job waits or runs."""
        deadline = time.monotonic() + 120
        while any(job["state"] in ("PENDING", "RUNNING") for job in self.jobs()):
            if time.monotonic() > deadline:
                raise EmulatorError(f"a job did not end: {self.jobs()}")
            time.sleep(0.05)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of everybody, oldest first: id, name, state."""
        return self.slurm.rows()

    def calls(self) -> list[dict[str, Any]]:
        """All requests: method, path, status (None: no answer)."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def hsi_calls(self) -> list[str]:
        """All command lines that the archive was given."""
        file = self.folder / "hsi.log"
        return [line.split("\t", 1)[1] for line in file.read_text().splitlines()] if file.exists() else []


def _flag(file: Path, there: bool) -> None:
    if there:
        file.touch()
    else:
        file.unlink(missing_ok=True)
