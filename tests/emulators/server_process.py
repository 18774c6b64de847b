"""A server of the emulators as a process of its own: start, stop, SIGKILL, restart with its state and URL."""

import json
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
_START_S = 30.0


class EmulatorError(RuntimeError):
    """An emulator did not start, or not do what was waited for; the text ends with its own words."""


class ServerProcess(ABC):
    """One server in a folder. Also a context manager that starts it and stops it.

    The folder keeps the state and the server's output, so a killed server can be started again with all that it had
    answered for.
    """

    def __init__(self, folder: Path, *, keep: bool = False, environment: Mapping[str, str] | None = None) -> None:
        """``keep`` lets it go on when this process ends; otherwise it ends too, however this process dies.

        ``environment`` is that of the server, this process's own when None.
        """
        self.folder = folder
        self._keep = keep
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Base of the service, set by the first start and kept by every restart."""

    @property
    def url_file(self) -> Path:
        """Where the server writes its URL once it serves."""
        return self.folder / "url"

    @abstractmethod
    def prepare(self) -> list[str]:
        """Write what the server reads at its start; returns its module and arguments."""

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

    def start(self) -> str:
        """Start the server, wait until it serves, return its URL."""
        if self._process is not None:
            raise EmulatorError("the emulator is running already")
        self.folder.mkdir(parents=True, exist_ok=True)
        module, *arguments = self.prepare()
        self.url_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", module, *arguments, *([] if self._keep else ["--until-stdin-closes"])]
        output = self.folder / "output.log"
        with output.open("ab") as log:
            stdin = subprocess.DEVNULL if self._keep else subprocess.PIPE
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=stdin, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while not self.url_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise EmulatorError(f"{module} did not start: {output.read_text()[-2000:]}")
            time.sleep(0.02)
        self.url = self.url_file.read_text()
        return self.url

    def stop(self) -> None:
        """End it in good order; nothing happens when it does not run."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """SIGKILL: what it has answered must survive this."""
        self._end(subprocess.Popen.kill)

    def _end(self, signal_it: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        signal_it(process)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()

    def restart(self) -> str:
        """Kill it and start it again with the same state under the same URL."""
        self.kill()
        return self.start()

    def _control(self, method: str, path: str, document: Any = None) -> Any:
        """Ask the emulator for what no client of the real service could; the JSON of the answer."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://{urlsplit(self.url).netloc}{path}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
