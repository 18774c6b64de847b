"""The proxy as a process of its own: start and stop it, ask for faults and outages, see what happened."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.emulators.apiproxy.__main__ import KUBECONFIG, PORTS
from tests.emulators.apiproxy.faults import Action, Fault

ROOT = Path(__file__).resolve().parents[3]
_START_S = 30.0


class ApiProxy:
    """A context manager: the proxy runs inside, and ends with this process at the latest.

    Programs use it with :attr:`kubeconfig`. It acts for the user of the kubeconfig that it was given, so RBAC applies.
    """

    def __init__(
        self, folder: Path, kubeconfig: Path, *, seed: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment`` is that of the proxy's process, this process's own when None."""
        self._folder = folder
        self._upstream = kubeconfig
        self._seed = seed
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control_port = 0

    @property
    def kubeconfig(self) -> Path:
        """The way through the proxy."""
        return self._folder / KUBECONFIG

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        ports = self._folder / PORTS
        ports.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.emulators.apiproxy", "--kubeconfig", str(self._upstream)]
        command += ["--folder", str(self._folder), "--seed", str(self._seed)]
        output = self._folder / "output.log"
        with output.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while not ports.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"the proxy did not start: {output.read_text()[-2000:]}")
            time.sleep(0.02)
        self._control_port = json.loads(ports.read_text())["control"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def fault(self, action: Action, **conditions: Any) -> None:
        """Ask for a fault; ``conditions`` are the fields of :class:`~tests.emulators.apiproxy.faults.Fault`."""
        self._control("POST", "/faults", [Fault(action=action, **conditions).to_json()])

    def weather(self, chance: float) -> None:
        """Faults of every kind from now on, each hitting requests with this chance; watches live a few seconds."""
        for action in (Action.LOSE_BEFORE, Action.LOSE_AFTER, Action.CUT):
            self.fault(action, chance=chance, times=None)
        self.fault(Action.REFUSE, status=429, retry_after=1, chance=chance, times=None)
        for status in (500, 503, 504):
            self.fault(Action.REFUSE, status=status, chance=chance / 3, times=None)
        self.fault(Action.DELAY, seconds=0.5, chance=chance, times=None)
        self.fault(Action.CUT, seconds=3.0, times=None, watch=True)

    def clear(self) -> None:
        """Fair weather from now on."""
        self._control("DELETE", "/faults")

    def outage(self, seconds: float | None = None) -> None:
        """Cut every connection and refuse new ones for so long, or until :meth:`end_outage`."""
        self._control("POST", "/outage", {"seconds": seconds})

    def end_outage(self) -> None:
        """Serve again, if it does not."""
        self._control("DELETE", "/outage")

    def counts(self) -> Counter[str]:
        """What happened to requests so far, by kind."""
        return Counter(self._control("GET", "/counts"))

    def _control(self, method: str, path: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        url = f"http://127.0.0.1:{self._control_port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, data=body, method=method), timeout=30) as answer:
            return json.loads(answer.read())
