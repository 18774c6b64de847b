"""All parts of the soak as real processes, and how each is reached: instruments, watcher, operator, services."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from dichroism_crds.names import ANNOTATION_RETRY, ANNOTATION_UNDO, OPERATOR_LEASE, PRIVATE_DIR
from dichroism_crds.timestamps import format_time, from_ns
from dichroism_operator.movers.choice import GLOBUS_GRACE, GLOBUS_POLL
from tests import chart
from tests.cluster import Cluster, ClusterError
from tests.emulators.apiproxy.process import ApiProxy
from tests.fault.globus_campaign import RATE
from tests.fault.instrument import SINCE_S
from tests.fault.supervisor import Supervisor
from tests.prefect.server import PrefectServerProcess
from tests.site import BEAMLINES, PYTHON, GlobusSite, Program, TapeSite
from tests.soak import evidence
from tests.soak.records import Key, World, Written

QUIET_S, SOURCE_S, DISK_S = 2.0, 25.0, 180.0
"""Quiet period, and retention at the source and on disk. What is in a trash comes back if a needed copy goes."""
AT_ONCE = 6
EVERY_S = 1.0
PLENTY = 10**6
KOPF_GAVE_UP = '"logger": "kopf._core.reactor.running"'
SOURCES, DISKS = ("data402", "data631"), ("nersc402", "nersc631")
"""Endpoints that are pruned; those of one beamline one after the other."""
ROOT = Path(__file__).parents[2]
LEASE_S = "20"
"""A shorter one is lost on a busy machine."""


class SoakSite(TapeSite, GlobusSite):
    """BL402 goes through Globus and the Superfacility API, BL631 through mounted folders.

    Every program reaches the API server through a proxy of its account, which can lose and refuse requests.
    """

    def __init__(self, cluster: Cluster, folder: Path, seed: int) -> None:
        super().__init__(cluster, folder)
        self.holds: list[dict[str, str]] = []
        self.proxies: dict[str, ApiProxy] = {}
        self.mirror: dict[str, str] = {}
        self._seed = seed
        self._environments: dict[str, dict[str, str]] = {}

    def document(self) -> dict[str, Any]:
        """config.yml as data: all movers, short retention, everything pruned that may be."""
        document = super().document() | {"attempts": 20, "schedule": {"flush": "4s"}, "trash": {"keep": "10s"}}
        document["hpss631"]["mount"] = str(self.mount("hpss631"))
        plain = document["beamlines"]["BL631"]
        plain["transfer"]["mover"] = plain["archive"]["mover"] = "filesystem"
        for name, beamline in document["beamlines"].items():
            number = BEAMLINES[name]
            beamline["watch"] |= {
                "since": format_time(from_ns(SINCE_S * 10**9)),
                "quiet_period": f"{round(QUIET_S * 1000)}ms",
                "full_pass": "5s",
            }
            beamline["archive"]["bundle"] = {"target": "100MB", "max_files": 100, "max_age": "5s"}
            beamline["prune"][f"data{number}"]["after"] = f"{SOURCE_S:.0f}s"
            beamline["prune"][f"nersc{number}"]["after"] = f"{DISK_S:.0f}s"
        return document | {"holds": self.holds, "prefect": {"enabled": bool(self.mirror)}}

    def write_config(self) -> None:
        """What people changed; the prune job reads it at its next start."""
        unfinished = self.config_file.with_suffix(".new")
        unfinished.write_text(yaml.safe_dump(self.document(), sort_keys=False))
        unfinished.replace(self.config_file)

    def environment(self, account: str) -> dict[str, str]:
        """Environment of a program, with the way through its proxy."""
        if account not in self._environments:
            made = super().environment(account) | {GLOBUS_POLL: "0.5", GLOBUS_GRACE: "1.5"} | self.mirror
            proxy = ApiProxy(
                self.folder / "proxies" / account,
                Path(made["KUBECONFIG"]),
                seed=self._seed,
                environment=self.cluster.environment(),
            )
            self.proxies[account] = proxy.__enter__()
            self._environments[account] = made | {"KUBECONFIG": str(proxy.kubeconfig)}
        return self._environments[account]

    def close(self) -> None:
        """Stop everything that this site started."""
        super().close()
        for proxy in self.proxies.values():
            proxy.__exit__(None, None, None)


class Soak:
    """The running whole. A context manager."""

    def __init__(
        self, cluster: Cluster, folder: Path, seed: int, *, prefect: bool, every: float = EVERY_S, files: int = PLENTY
    ) -> None:
        """``files`` of each beamline at most, one ``every`` so many seconds; a set counts as one."""
        self.cluster, self.folder, self.seed = cluster, folder, seed
        self._every, self._files = every, files
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.not_tried: dict[str, str] = {}
        self.gone_since: dict[Key, float] = {}
        self.restored: list[tuple[Key, str]] = []
        self.broken_words: list[str] = []
        self.began = time.monotonic()
        self.prune_kills: list[str] = []
        """Instants at which the next prune runs are killed."""
        self.suspended: set[str] = set()
        """Scans that people have suspended."""
        self.undone: set[str] = set()
        """Prunes that people have taken back."""
        self.journal = folder / "state" / "journal.sqlite"
        self.site = SoakSite(cluster, folder, seed)
        self.prefect = PrefectServerProcess(folder / "prefect") if prefect else None
        self._writers: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self.site.close)
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _begin(self) -> None:
        if self.prefect:
            self._stack.callback(self.prefect.close)
            self.prefect.start()
            self.site.mirror = {"PREFECT_API_URL": self.prefect.url}
        self.site.globus.set_clock(rate=RATE)
        self.site.install()
        self.site.write_config()
        self.operator = self._keep(self.site.operator(), DICHROISM_LEASE_SECONDS=LEASE_S)
        self.journal.parent.mkdir()
        watch = ("watcher", "--journal", str(self.journal), "--log-format", "json")
        self.watcher = self._keep(self.site.program("watcher", chart.WATCHER, *watch))
        self.second = self.site.operator("operator-second")
        self.pruners = {name: self.site.prune(name, name=f"prune-{name}") for name in SOURCES + DISKS}
        self._stack.callback(self.end_writing)
        for number, (beamline, digits) in enumerate(BEAMLINES.items()):
            self._writers[beamline] = self._instrument(beamline, self.site.mount(f"data{digits}"), number)

    def _keep(self, program: Program, **environment: str) -> Supervisor:
        return self._stack.enter_context(Supervisor(program, **environment))

    # --- instruments

    def _instrument(self, beamline: str, root: Path, number: int) -> subprocess.Popen[bytes]:
        outside = root / PRIVATE_DIR / "outside"
        outside.mkdir()
        command = [sys.executable, "-m", "tests.fault.instrument", "--root", root, "--outside", outside]
        command += ["--seed", self.seed * 10 + number, "--files", self._files, "--at-once", AT_ONCE, "--quiet", QUIET_S]
        command += ["--log", self._log_of(beamline), "--beamline", beamline, "--every", self._every]
        return subprocess.Popen(list(map(str, command)), cwd=ROOT)

    def _log_of(self, beamline: str) -> Path:
        return self.folder / f"instrument-{beamline}.jsonl"

    def written(self) -> list[Written]:
        """Every file that an instrument is done with."""
        logs = {beamline: self._log_of(beamline) for beamline in BEAMLINES}
        return [one for name, log in logs.items() for one in evidence.read_outcomes(log, name, QUIET_S)]

    def end_writing(self) -> dict[str, int]:
        """Let the instruments finish what they have begun; their exit codes by name."""
        for writer in self._writers.values():
            if writer.poll() is None:
                writer.send_signal(signal.SIGTERM)
        for writer in self._writers.values():
            try:
                writer.wait(90)
            except subprocess.TimeoutExpired:
                writer.kill()
        return {f"instrument of {name}": writer.wait() for name, writer in self._writers.items()}

    # --- people and their commands

    def command(self, *arguments: str, name: str = "by-hand", seconds: float = 60) -> tuple[int, str]:
        """A command of ``dichroism`` as an administrator gives it; its exit code and what it said."""
        log = self.folder / f"{name}.log"
        environment = self.site.environment(chart.WATCHER) | {"KUBECONFIG": str(self.cluster.kubeconfig)}
        program = Program(name, [str(PYTHON.parent / "dichroism"), *arguments], environment, log)
        before = log.stat().st_size if log.exists() else 0
        program.start()
        try:
            code = program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.kill()
            code = -signal.SIGKILL
        return code, program.words().encode()[before:].decode(errors="replace")

    def kubectl(self, *arguments: str) -> str | None:
        """What kubectl says; None when the API server does not serve just now."""
        try:
            return self.cluster.kubectl(*arguments, "-n", self.site.namespace)
        except ClusterError:
            return None

    def objects(self, plural: str) -> list[dict[str, Any]] | None:
        """All objects of a kind; None when the API server does not serve just now."""
        try:
            return evidence.objects(self.site, plural)
        except ClusterError:
            return None

    def kill_operator(self) -> None:
        """SIGKILL. Its Lease ends with it, as if its time were over, unless the other one may hold it."""
        self.operator.program.kill()
        if not self.second.running:
            self.take_lease(OPERATOR_LEASE)

    def take_lease(self, name: str) -> None:
        """The Lease of somebody who was killed ends, as if its time were over."""
        self.kubectl("delete", "lease", name, "--ignore-not-found")

    def take_back(self) -> None:
        """People let go on what they have suspended or taken back; what can't be told now stays for the next time."""
        for name in sorted(self.suspended):
            if self.kubectl("patch", "scan", name, "--type=merge", "-p", '{"spec": {"suspend": false}}') is not None:
                self.suspended.discard(name)
        for name in sorted(self.undone):
            if self.kubectl("annotate", "prune", name, f"{ANNOTATION_UNDO}-") is not None:
                self.undone.discard(name)

    def retry_suspicious(self, scans: Iterable[Mapping[str, Any]]) -> None:
        """A person says of every file that shrank that it is right so."""
        for scan in scans:
            told = evidence.told_of(scan)
            token = f"{scan['metadata']['generation']}"
            asked = scan["metadata"].get("annotations", {}).get(ANNOTATION_RETRY)
            if "SuspiciousRewrite" in told.reasons and asked != token:
                self.kubectl("annotate", "scan", told.name, f"{ANNOTATION_RETRY}={token}", "--overwrite")
                self.counts["shrunk files retried by a person"] += 1

    # --- looking

    def look_for_gone(self, written: Iterable[Written]) -> None:
        """Note which files have left their source since the last look."""
        moment = time.time()
        for one in written:
            file = self.site.mount(f"data{BEAMLINES[one.beamline]}") / one.path
            if one.key not in self.gone_since and not os.path.lexists(file):
                self.gone_since[one.key] = moment

    def evidence(self) -> World:
        """Everything as it is now, read by ourselves."""
        unreadable: list[str] = []
        site = self.site
        return World(
            written=self.written(),
            found=list(evidence.everything_found(site, unreadable)),
            scans=[evidence.told_of(one) for one in evidence.objects(site, "scans")],
            datasets=[evidence.entry_of(one) for one in site.scicat.datasets()],
            planned=evidence.planned_in(evidence.objects(site, "prunes")),
            deliveries=list(evidence.deliveries_of(evidence.objects(site, "transfers"))),
            tasks=evidence.tasks_in(site.folder / "globus" / "globus.sqlite"),
            restored=self.restored,
            unreadable=unreadable,
            gone_since=self.gone_since,
            retention_s=SOURCE_S,
            broken_words=self.broken_words,
        )

    def operator_mb(self) -> float:
        """Memory of the operator now (MB), 0 when it does not run."""
        process = self.operator.program.process
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{process.pid}/status").read_text() if process else ""
            return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)
        return 0.0

    def tracebacks(self) -> list[str]:
        """Logs of ours with a Traceback in them; that of a watch which kopf gives up is its way to end the process."""
        logs = [
            *self.folder.glob("*.log"),
            *self.folder.glob("*/output.log"),
            *self.folder.glob("proxies/*/output.log"),
        ]
        return [log.name for log in logs if _has_traceback(log.read_text(errors="replace"))]


def _has_traceback(words: str) -> bool:
    return any("Traceback" in line and KOPF_GAVE_UP not in line for line in words.splitlines())


@contextmanager
def stopped(programs: Sequence[Program]) -> Iterator[None]:
    """SIGSTOP for as long as it lasts."""
    held = [one.process for one in programs if one.running and one.process]
    for process in held:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in held:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
