"""The emulator as a process of its own: start, stop, SIGKILL, restart under the same URL, faults, inspection."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.settings import Account, Settings, ingest_site

ROOT = Path(__file__).resolve().parents[3]
INGESTOR = Account("dichroism", "emulated-password-1", ("datasetIngestor", "lifecyclers"))
"""An account with the rights that production needs at least: privileged creation and any lifecycle, nothing more."""

_START_S = 30.0


class EmulatorError(RuntimeError):
    """The emulator did not start; the text ends with its own words."""


class SciCatEmulator:
    """One emulated site in a folder. Also a context manager that starts it and stops it.

    The folder keeps the database, the site file and the server's output, so a killed site can be started again with all
    that it had answered for.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings | None = None,
        *,
        backend: str | None = None,
        keep: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``keep`` lets it go on when this process ends; otherwise it ends too, however this process dies.

        ``environment`` is that of the server, this process's own when None.
        """
        self._environment = environment
        self._folder = folder
        self._keep = keep
        self.settings = settings or ingest_site([INGESTOR])
        if backend:
            self.settings = replace(self.settings, backend=backend)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.url = ""
        """Base of the API, set by the first start and kept by every restart."""

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
    def account(self) -> Account:
        """The first account of the site."""
        return self.settings.accounts[0]

    def start(self) -> str:
        """Start the server, wait until it serves, return its URL."""
        if self._process is not None:
            raise EmulatorError("the emulator is running already")
        self._folder.mkdir(parents=True, exist_ok=True)
        site, url_file, output = (self._folder / name for name in ("site.json", "url", "output.log"))
        with os.fdopen(os.open(site, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.settings.to_json())
        url_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.emulators.scicat", "--state", str(self._folder / "scicat.sqlite")]
        command += ["--site", str(site), "--port", str(self._port), "--url-file", str(url_file)]
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
                raise EmulatorError(f"the SciCat emulator did not start: {output.read_text()[-2000:]}")
            time.sleep(0.02)
        self.url = url_file.read_text()
        self._port = urlsplit(self.url).port or 0
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

    # control

    def fault(self, action: Action, **conditions: Any) -> None:
        """Ask for one fault; ``conditions`` are the fields of :class:`~tests.emulators.scicat.faults.Fault`."""
        self.plan([Fault(action=action, **conditions)])

    def plan(self, faults: Iterable[Fault]) -> None:
        """Ask for many."""
        self._control("POST", "/__faults", [fault.to_json() for fault in faults])

    def faults(self) -> list[dict[str, Any]]:
        """Faults that have not happened yet."""
        return list(self._control("GET", "/__faults"))

    def clear_faults(self) -> None:
        """Forget the faults that have not happened yet."""
        self._control("DELETE", "/__faults")

    def expire_tokens(self) -> None:
        """Every token issued so far expires now."""
        self._control("POST", "/__expire")

    def state(self) -> dict[str, Any]:
        """Counts, duplicates, wrong counters, counters of requests."""
        return dict(self._control("GET", "/__state"))

    def requests(self) -> list[dict[str, Any]]:
        """The access log since the last start: method, URL with query, status (None: no answer was sent)."""
        return list(self._control("GET", "/__requests"))

    def dataset(self, pid: str) -> dict[str, Any] | None:
        """A dataset with all its children, past all rights."""
        found: dict[str, Any] | None = self._control("GET", f"/__dataset?pid={quote(pid, safe='')}")
        return found

    def datasets(self) -> list[dict[str, Any]]:
        """All datasets with their children, past all rights; of pictures only the first characters."""
        return list(self._control("GET", "/__datasets"))

    def remove(self, pid: str) -> None:
        """Delete a dataset with all its children, past all rules: a person tidies up."""
        self._control("DELETE", f"/__dataset?pid={quote(pid, safe='')}")

    def edit(self, pid: str, fields: dict[str, Any]) -> None:
        """Overwrite fields of a dataset, past all rules: what a bug or a person at the database leaves behind."""
        self._control("PATCH", f"/__dataset?pid={quote(pid, safe='')}", fields)

    def _control(self, method: str, path: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")
