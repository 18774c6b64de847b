"""Storage, tape and calendar of one beamline with files that are due, and the prune command as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from dichroism_crds.client import Api, NotFound
from dichroism_crds.config import Config, load
from dichroism_crds.kinds import (
    Checksum,
    Content,
    Copy,
    Metadata,
    Prune,
    PrunePhase,
    PruneStatus,
    Scan,
    ScanSpec,
    ScanStatus,
)
from dichroism_crds.names import scan_name
from dichroism_crds.timestamps import from_ns, now, to_ns
from dichroism_operator import calendar
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.lease import GROUP_VERSION
from dichroism_operator.movers.bundle import Member, pack
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.prune.budget import Budget
from dichroism_operator.prune.gate import Gate
from dichroism_operator.prune.job import lease_name, run_prunes
from dichroism_operator.prune.run import Run, Summary
from dichroism_operator.recorder import Recorder

ENDPOINTS = ("data402", "nersc402", "hpss402")
BUNDLE = "2026/bl402-one.tar"
AGE = timedelta(days=10)
"""How long ago the copies were verified; the retention is a day."""
DEADLINE_S = 120
REPOSITORY = Path(__file__).parents[3]
DICHROISM = [sys.executable, "-c", "from dichroism_cli.main import main; main()"]
PROGRAM = [*DICHROISM, "prune"]


@dataclass(frozen=True)
class Ended:
    """How a run ended and what it printed."""

    code: int
    out: str
    log: str


class Reachable(Protocol):
    """Whoever knows how a program reaches the API server: a test cluster, or a process that was told."""

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """Environment variables of the program."""


class Site:
    """Three folders, a configuration, and Prunes in a namespace."""

    def __init__(self, folder: Path, cluster: Reachable, api: Api) -> None:
        self.cluster, self.api = cluster, api
        self.roots = {name: folder / name for name in ENDPOINTS}
        for root in self.roots.values():
            (root / ".dichroism").mkdir(parents=True)
        self.config_file = folder / "config.yml"
        self.environment: dict[str, str] = {}
        self.configure()

    @property
    def data(self) -> Path:
        """Where the files are pruned from."""
        return self.roots["data402"]

    def configure(
        self,
        *,
        after: str = "1d",
        keep: str = "7d",
        needs: str = "[nersc402, hpss402]",
        root_paths: Mapping[str, str] | None = None,
        also_disk: bool = False,
        longer: Mapping[str, str] | None = None,
        remove_empty_folders: bool = False,
        **extra: Any,
    ) -> None:
        """Write config.yml.

        ``also_disk`` prunes the disk copies too, ``longer`` are retentions of single proposals,
        ``remove_empty_folders`` is for ``data402`` alone, ``extra`` are further top-level keys.
        """
        at_site = {name: f"/site/{name}" for name in self.roots} | dict(root_paths or {})
        special = f"proposals: {json.dumps(dict(longer or {}))}" + ", remove_empty_folders: true" * remove_empty_folders
        lines = [f"{name}: {{root_path: {at_site[name]}, mount: {root}}}" for name, root in self.roots.items()]
        lines += [
            "beamlines:",
            "  BL402:",
            "    watch: {root: data402, since: 2026-01-01}",
            "    transfer: {from: data402, to: nersc402}",
            "    archive: {from: nersc402, to: hpss402}",
            "    prune:",
            f"      data402: {{after: {after}, needs: {needs}, {special}}}",
            *(["      nersc402: {after: 2d, needs: [hpss402]}"] if also_disk else []),
            f"trash: {{keep: {keep}}}",
            *(f"{key}: {json.dumps(value)}" for key, value in extra.items()),
        ]
        self.config_file.write_text("\n".join(lines) + "\n")

    def finished_scans(self, count: int, *, prefix: str = "2026/scan") -> list[Scan]:
        """Files on all three endpoints and the Scans that tell of them; nothing is created in the cluster."""
        return self.scans_of([f"{prefix}_{number:04d}.txt" for number in range(count)])

    def scans_of(self, paths: Sequence[str]) -> list[Scan]:
        """Like :meth:`finished_scans`, for files at these paths."""
        bodies = {path: f"content of {path} ".encode() * (number + 1) for number, path in enumerate(paths)}
        for path, body in bodies.items():
            for name in ("data402", "nersc402"):
                write(self.roots[name], path, body)
        tape = self.roots["hpss402"] / BUNDLE
        tape.parent.mkdir(parents=True, exist_ok=True)
        members = [Member(path, len(body), stamp(path) // 1000) for path, body in bodies.items()]
        root = os.open(self.roots["nersc402"], os.O_RDONLY)
        with open(tape, "w+b") as out:
            packed = pack(root, members, out)
        os.close(root)
        assert not packed.left_out
        return [self._scan(path, body) for path, body in bodies.items()]

    def _scan(self, path: str, body: bytes) -> Scan:
        digest = Checksum(value=sha256(body).hexdigest())
        content = Content(size=len(body), modified_at=from_ns(stamp(path)))
        moment = now() - AGE
        copies = [
            Copy(endpoint="nersc402", path=path, size=len(body), checksum=digest, verified_at=moment),
            Copy(endpoint="hpss402", path=BUNDLE, member=path, size=len(body), checksum=digest, verified_at=moment),
        ]
        return Scan(
            metadata=Metadata(name=scan_name("BL402", "data402", path)),
            spec=ScanSpec(beamline="BL402", path=path, size=content.size, modified_at=content.modified_at),
            status=ScanStatus(content=content, copies=copies),
        )

    async def schedule(
        self,
        scans: Sequence[Scan],
        number: int = 1,
        phase: PrunePhase | None = PrunePhase.SCHEDULED,
        endpoint: str = "data402",
    ) -> Prune:
        """Put the Scans on the calendar as the operator does."""
        config = load(self.config_file)
        made = await self.api.create(calendar.build_prune(scans, config.beamlines["BL402"], endpoint, config, number))
        return await self.api.replace_status(made.model_copy(update={"status": PruneStatus(phase=phase)}))

    async def due(self, count: int = 3) -> Prune:
        """That many files that may go now, in one Prune."""
        return await self.schedule(self.finished_scans(count))

    async def read(self, prune: Prune) -> Prune:
        """The Prune as it is now."""
        return await self.api.get(Prune, prune.name)

    async def age_trash(self, prune: Prune) -> None:
        """Let a week pass over the trash of a Prune."""
        fresh = await self.read(prune)
        status = fresh.status.model_copy(update={"trashed_at": now() - timedelta(days=8), "retry_at": None})
        await self.api.replace_status(fresh.model_copy(update={"status": status}))

    def age_folders(self, endpoint: str = "data402") -> None:
        """Let a week pass over the folders of an endpoint, as :meth:`age_trash` does over the trash."""
        then = (now() - timedelta(days=8)).timestamp()
        for folder in self.folders(endpoint):
            os.utime(self.roots[endpoint] / folder, (then, then))

    def folders(self, endpoint: str = "data402") -> set[str]:
        """Paths of the folders of users on an endpoint; links are none."""
        root = self.roots[endpoint]
        found = {str(Path(above, name).relative_to(root)) for above, names, _ in os.walk(root) for name in names}
        return {path for path in found if Path(path).parts[0] != ".dichroism" and not (root / path).is_symlink()}

    async def retry_now(self, prune: Prune) -> None:
        """Let the back-off of a Prune pass."""
        fresh = await self.read(prune)
        status = fresh.status.model_copy(update={"retry_at": now() - timedelta(seconds=1)})
        await self.api.replace_status(fresh.model_copy(update={"status": status}))

    async def forget_lease(self) -> None:
        """Take away the Lease that a killed run left, instead of waiting until it expires."""
        with contextlib.suppress(NotFound):
            await self.api.request("DELETE", self.api.builtin_path(GROUP_VERSION, "leases", lease_name("BL402")))

    def start(
        self, *options: str, endpoint: str = "data402", kubeconfig: Path | None = None
    ) -> "subprocess.Popen[str]":
        """Start the command and return at once."""
        arguments = ["--endpoint", endpoint, "--config", str(self.config_file), "--namespace", self.api.namespace]
        return subprocess.Popen(
            [*PROGRAM, *arguments, *options],
            env=self.cluster.environment(kubeconfig) | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def change_plan(self, *arguments: str) -> Ended:
        """Change what is planned, with a command for people that reads the configuration."""
        return ended(self.start_command("prune", *arguments))

    def start_command(self, name: str, *options: str) -> "subprocess.Popen[str]":
        """Start another subcommand that reads configuration and cluster."""
        return self.start_namespaced(name, *options, "--config", str(self.config_file))

    def start_namespaced(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start another subcommand that reads the cluster."""
        return subprocess.Popen(
            [*DICHROISM, name, *arguments, "--namespace", self.api.namespace],
            env=self.cluster.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, endpoint: str = "data402", kubeconfig: Path | None = None) -> Ended:
        """Run the command to its end."""
        return ended(self.start(*options, endpoint=endpoint, kubeconfig=kubeconfig))

    def run_killed(self, point: str) -> None:
        """Run the command and have it killed at a named instant."""
        self.environment = {"DICHROISM_KILL_AT": point}
        assert self.run().code == -signal.SIGKILL
        self.environment = {}

    async def run_here(
        self, mover: FilesystemMover | None = None, endpoint: str = "data402", catalogue: Catalogue | None = None
    ) -> Summary:
        """Run in this process, which saves starting one."""
        run = run_of(self.api, load(self.config_file), mover or FilesystemMover(), endpoint, catalogue)
        await run_prunes(run)
        return run.summary

    def run_mortal(self, left: int) -> int:
        """Run in a process that is killed at its n-th outside action; the exit code."""
        arguments = [str(self.config_file), self.api.namespace, str(left)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.prune.mortal", *arguments],
            env=self.cluster.environment(),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return ended(process).code

    def switch(self, *arguments: str) -> Ended:
        """Turn the stop switch with the command for people."""
        return ended(self.start_namespaced("prune", *arguments))

    def in_place(self) -> set[str]:
        """Paths of the files that lie where the beamline wrote them."""
        files = (file.relative_to(self.data) for file in self.data.rglob("*") if not file.is_dir())
        return {str(file) for file in files if file.parts[0] != ".dichroism"}

    def in_trash(self) -> dict[str, bytes]:
        """Content of the files in the trash, by name."""
        trash = self.data / ".dichroism" / "trash"
        return {file.name: file.read_bytes() for file in trash.rglob("*") if file.is_file()}

    def copies(self) -> dict[str, bytes]:
        """Everything on the needed endpoints."""
        roots = [self.roots["nersc402"], self.roots["hpss402"]]
        return {str(file): file.read_bytes() for root in roots for file in root.rglob("*") if file.is_file()}


def run_of(
    api: Api,
    config: Config,
    mover: FilesystemMover,
    endpoint: str = "data402",
    catalogue: Catalogue | None = None,
) -> Run:
    """A run without limits worth mentioning."""
    return Run(
        api=api,
        config=config,
        endpoint=config.endpoints[endpoint],
        movers={"filesystem": mover},
        recorder=Recorder(api, "test"),
        gate=Gate(api),
        into_trash=Budget(1000, 10**12),
        out_of_trash=Budget(1000, 10**12),
        catalogue=catalogue,
    )


def ended(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a process."""
    out, log = process.communicate(timeout=DEADLINE_S)
    return Ended(process.returncode, out, log)


def stamp(path: str) -> int:
    """Modification time of a file in nanoseconds, another one for each path, with a rest below the microsecond."""
    seconds = int.from_bytes(sha256(path.encode()).digest()[:3])
    return (
        to_ns(now().replace(year=2026, month=2, day=1, hour=0, minute=0, second=0, microsecond=0)) + seconds * 1_000_123
    )


def write(root: Path, path: str, body: bytes) -> None:
    """Write a file with the modification time that belongs to its path."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    os.utime(file, ns=(stamp(path), stamp(path)))
