"""A watcher among faults: its folders, its journal, its way to the API, the instruments, what must be true at the end.

The checks read disk and API by other means than the watcher does.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from dichroism_crds.kinds import Scan
from dichroism_crds.names import ANNOTATION_MOVED_TO, LABEL_ORIGIN, PRIVATE_DIR
from dichroism_crds.timestamps import format_time, from_ns
from tests import chart
from tests.api import acting
from tests.cluster import Cluster
from tests.cluster.processes import free_port
from tests.emulators.apiproxy.process import ApiProxy
from tests.fault.instrument import SINCE_S, Outcome, outcomes_in
from tests.fault.supervisor import WITHOUT_ROOT
from tests.site import PYTHON

BEAMLINES = {"BL402": "data402", "BL631": "data631"}
FULL_PASS_S = 2
Key = tuple[str, str]
"""Beamline and path."""
Listed = dict[Key, dict[str, Any]]


class Watching:
    """Two beamlines, one watcher, which is a process under the rights of the chart. Also a context manager.

    Attributes:
        roots: the folders as the instruments see them, by beamline.
        seen_roots: the same folders as the watcher sees them.
        state: folder of the watcher's journal.
        counts: what happened, for people.
    """

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, *, quiet: float, seed: int) -> None:
        self.cluster, self.namespace, self.folder, self.quiet = cluster, namespace, folder, quiet
        self.roots = {name: folder / "storage" / endpoint for name, endpoint in BEAMLINES.items()}
        self.seen_roots = dict(self.roots)
        self.state = folder / "state"
        self.log = folder / "watcher.log"
        self.port = free_port()
        self.counts: Counter[str] = Counter()
        self.writers: list[subprocess.Popen[bytes]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.collected: set[Key] = set()
        self._prefix: tuple[str, ...] = WITHOUT_ROOT
        self._environment: dict[str, str] = {}
        self._seed = seed
        self._log_at = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.state.mkdir()
        chart.install(self.cluster, self.namespace, self.document())
        kubeconfig = self.cluster.kubeconfig_for(self.namespace, chart.WATCHER)
        self.proxy = self._stack.enter_context(
            ApiProxy(self.folder / "proxy", kubeconfig, seed=self._seed, environment=self.cluster.environment())
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for writer in self.writers:
            writer.kill()
            writer.wait()
        self._stack.close()

    def prepare(self) -> None:
        """Make the folders and the configuration; whatever is to be mounted is mounted before."""
        for name, root in self.roots.items():
            (root / PRIVATE_DIR).mkdir(parents=True, exist_ok=True)
            self.outside(name).mkdir(exist_ok=True)
        (self.folder / "config.yml").write_text(yaml.safe_dump(self.document(), sort_keys=False))

    def outside(self, beamline: str) -> Path:
        """A folder on the same file system as the beamline's, which nobody watches."""
        return self.roots[beamline] / PRIVATE_DIR / "outside"

    def document(self) -> dict[str, Any]:
        """The configuration: everything quick."""
        ends = {
            name: {"name": name, "root_path": f"/site/{name}", "mount": str(self.seen_roots[beamline])}
            for beamline, name in BEAMLINES.items()
        }
        ends |= {f"nersc{name[-3:]}": {"name": f"nersc{name[-3:]}", "root_path": f"/cfs/{name}"} for name in ends}
        watch = {
            "since": format_time(from_ns(SINCE_S * 10**9)),
            "quiet_period": f"{round(self.quiet * 1000)}ms",
            "interval": "500ms",
            "full_pass": f"{FULL_PASS_S}s",
        }
        beamlines = {
            name: {"watch": {"root": root, **watch}, "transfer": {"from": root, "to": f"nersc{root[-3:]}"}}
            for name, root in BEAMLINES.items()
        }
        return {**ends, "beamlines": beamlines}

    # --- the watcher

    def start(self, **environment: str) -> None:
        """Start it; keyword arguments are added to its environment."""
        command = [*self._prefix, str(PYTHON.parent / "dichroism"), "watcher"]
        command += ["--config", str(self.folder / "config.yml"), "--namespace", self.namespace, "--log-format", "json"]
        command += ["--journal", str(self.state / "journal.sqlite"), "--health-port", str(self.port), "--rate", "500"]
        with self.log.open("ab") as log:
            self._log_at = log.tell()
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self.cluster.environment(self.proxy.kubeconfig) | self._environment | environment,
            )

    def is_up(self, seconds: float) -> bool:
        """Wait until this life has begun to watch; False when it ends before, as at a named instant."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            running = self.running
            with self.log.open("rb") as log:
                log.seek(self._log_at)
                if b'"watching"' in log.read():
                    return True
            if not running:
                return False
            time.sleep(0.05)
        return False

    def always(self, **environment: str) -> None:
        """Add to the environment of every later start."""
        self._environment |= environment

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> int | None:
        """SIGKILL; returns how it ended, if it was started."""
        if self.process is None:
            return None
        with suppress(ProcessLookupError):
            self.process.kill()
        code = self.process.wait()
        self.process = None
        return code

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(30)
        self.process = None
        return code

    def ready(self) -> bool:
        """Whether it has looked at every folder and knows every Scan."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError), opener.open(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    # --- the instruments

    def write(self, writers: int, files: int, at_once: int) -> None:
        """Start so many instruments at the beamlines in turn; each writes so many files, so many of them at a time."""
        for _ in range(writers):
            beamline = list(BEAMLINES)[len(self.writers) % len(BEAMLINES)]
            seed = self._seed * 1000 + len(self.writers)
            command = [sys.executable, "-m", "tests.fault.instrument", "--root", str(self.roots[beamline])]
            command += ["--outside", str(self.outside(beamline)), "--seed", str(seed), "--files", str(files)]
            command += [
                "--at-once",
                str(at_once),
                "--quiet",
                str(self.quiet),
                "--log",
                str(self._outcomes(len(self.writers))),
            ]
            self.writers.append(subprocess.Popen(command, cwd=Path(__file__).parents[2]))

    def _outcomes(self, writer: int) -> Path:
        return self.folder / f"instrument{writer}.jsonl"

    @property
    def writing(self) -> bool:
        """Whether an instrument still writes."""
        return any(writer.poll() is None for writer in self.writers)

    def outcomes(self) -> dict[Key, Outcome]:
        """What the instruments said of their files so far."""
        found: dict[Key, Outcome] = {}
        for number in range(len(self.writers)):
            beamline = list(BEAMLINES)[number % len(BEAMLINES)]
            found |= {(beamline, one.path): one for one in outcomes_in(self._outcomes(number))}
        return found

    # --- the API

    def scans(self) -> Listed:
        """All Scans, as plain objects."""
        return asyncio.run(self._scans())

    async def _scans(self) -> Listed:
        async with acting(self.cluster, self.namespace) as api:
            return {(one["spec"]["beamline"], one["spec"]["path"]): one async for one in api.list_pages(api.path(Scan))}

    def safe(self) -> set[Key]:
        """Files of which the watcher's journal says that all is done."""
        asked = "SELECT beamline, path, name FROM file JOIN folder ON folder.id = file.folder WHERE safe"
        where = f"file:{self.state / 'journal.sqlite'}?mode=ro"
        try:
            with closing(sqlite3.connect(where, uri=True, timeout=10)) as books:
                return {(beamline, f"{path}/{name}" if path else name) for beamline, path, name in books.execute(asked)}
        except sqlite3.DatabaseError:
            return set()  # lost or damaged by the test, and the watcher has not begun another yet

    # --- what must be true

    def lacking(self, scans: Listed) -> list[str]:
        """Files that should have a Scan with their present content and have none, each with what is there instead."""
        found = []
        for key, outcome in self.outcomes().items():
            if not outcome.scan or key in self.collected:
                continue
            scan = self._scan_of(key, outcome, scans)
            if scan is None:
                found.append(f"{key}: no Scan ({outcome.style})")
            elif (is_ := content_of(scan)) != (should := content_on(self.roots[key[0]] / key[1])):
                found.append(f"{key}: the Scan has {is_}, the file {should} ({outcome.style})")
        return found

    def _scan_of(self, key: Key, outcome: Outcome, scans: Listed) -> dict[str, Any] | None:
        if key in scans:
            return scans[key]
        former = scans.get((key[0], outcome.former or ""))
        return former if former and moved_to(former) == key[1] else None

    def superfluous(self, scans: Listed) -> list[str]:
        """Scans that should not be there: of nothing, of what is no finished file, or a second one of a file."""
        outcomes = self.outcomes()
        formers = {(key[0], one.former): key for key, one in outcomes.items() if one.former}
        found = []
        for key, scan in scans.items():
            outcome = outcomes.get(key)
            if key in formers:
                if moved_to(scan) and formers[key] in scans:
                    found.append(f"{key}: told as moved, and its new path has a Scan too")
            elif outcome is None:
                found.append(f"{key}: nobody wrote it")
            elif not outcome.scan and outcome.pause < self.quiet:
                found.append(f"{key}: no finished file ({outcome.style})")
            elif key in self.collected and scan["metadata"]["labels"].get(LABEL_ORIGIN) != "recovered":
                found.append(f"{key}: was done and collected, and came back as if it were new")
            elif key in self.collected and not self.counts["journal lost after collection"]:
                found.append(f"{key}: was done and collected, and came back although the journal knew it")
        return found

    def partial(self, scans: Listed) -> list[str]:
        """Scans that spoke of more contents than their file ever had: one of them was a part."""
        outcomes = self.outcomes()
        found = []
        for key, scan in scans.items():
            outcome = outcomes.get(key)
            # A writer that this machine held up for longer than the quiet period has broken its own promise.
            if outcome is None or outcome.pause >= self.quiet:
                continue
            if (told := scan["metadata"]["generation"]) > outcome.contents:
                found.append(f"{key}: {told} contents told of {outcome.contents} ({outcome.style})")
        return found

    def quarantine_is_told(self) -> list[str]:
        """Files whose names cannot be carried and of which the log has no word."""
        told = set()
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if record["message"].startswith("quarantined"):
                    told.add((record.get("beamline"), record.get("path")))
        return [
            f"{key}: not told"
            for key, outcome in self.outcomes().items()
            if outcome.style == "name that cannot be carried" and key not in told
        ]

    def wait_for(self, what: Callable[[], Any], reason: Callable[[], object], seconds: float) -> None:
        """Wait for something that must come; the deadline only ends a test that has failed."""
        end = time.monotonic() + seconds
        while True:
            asked = time.monotonic()
            if what():
                return
            assert self.running, f"the watcher died:\n{self.words()}"
            assert time.monotonic() < end, f"{reason()}\n{self.words()}"
            time.sleep(0.2 + time.monotonic() - asked)  # with many files the question itself is work

    def words(self, lines: int = 25) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def content_of(scan: dict[str, Any]) -> tuple[int, str]:
    """Size and time that a Scan tells."""
    return scan["spec"]["size"], scan["spec"]["modifiedAt"]


def content_on(file: Path) -> tuple[int, str] | None:
    """Size and time of a file as a Scan should have them."""
    try:
        found = os.lstat(file)
    except FileNotFoundError:
        return None
    return found.st_size, format_time(from_ns(found.st_mtime_ns))


def moved_to(scan: dict[str, Any]) -> str | None:
    """Where the watcher told that the file went."""
    told: str | None = scan["metadata"].get("annotations", {}).get(ANNOTATION_MOVED_TO)
    return told
