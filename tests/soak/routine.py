"""What goes on all the time beside operator and watcher: prune runs as of CronJobs, time that passes, restores.

A thread of its own, so that no run waits for a trouble to be over.
"""

import json
import random
import signal
import subprocess
import threading
from types import TracebackType
from typing import Any, Self

from dichroism_crds.killpoints import ENV as KILL_AT
from tests.fault.campaign import files_below
from tests.site import BEAMLINES, Program
from tests.soak import evidence
from tests.soak.world import DISKS, SOURCES, Soak

PAUSE_S = 1.0
RUN_S, RESTORE_S = 120.0, 60.0
RESTORED_AT_ONCE = 3
LONG_AGO = "2026-01-01T00:00:00.000000Z"


class Routine:
    """A context manager: all of it goes on inside."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._rng = random.Random(soak.seed + 1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="routine", daemon=True)
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self.error and error is None:
            raise self.error

    def _go_on(self) -> None:
        try:
            while not self._ending.is_set():
                for endpoints in (SOURCES, DISKS):
                    if self._ending.wait(PAUSE_S):
                        return
                    prune(self._soak, *endpoints)
                let_time_pass(self._soak)
                if not self._ending.is_set():
                    restore_some(self._soak, self._rng, RESTORED_AT_ONCE, RESTORE_S)
        except BaseException as error:  # told by the main thread
            self.error = error


def prune(soak: Soak, *endpoints: str) -> None:
    """One run of each endpoint's prune job, killed at an instant if a trouble asked for that."""
    for endpoint in endpoints:
        point = soak.prune_kills.pop() if soak.prune_kills else ""
        soak.pruners[endpoint].start(**({KILL_AT: point} if point else {}))
    for endpoint in endpoints:
        program = soak.pruners[endpoint]
        _ended(program)
        soak.counts["prune runs"] += 1
        if program.process and program.process.returncode == -signal.SIGKILL:
            soak.counts["prune runs killed"] += 1
            soak.take_lease(f"dichroism-prune-bl{endpoint[-3:]}")


def _ended(program: Program) -> None:
    assert program.process is not None
    try:
        program.process.wait(RUN_S)
    except subprocess.TimeoutExpired:
        program.kill()


def let_time_pass(soak: Soak) -> None:
    """The virtual calendar: whatever a Prune or a Scan waits for with a back-off, its hour has come."""
    for prune_ in soak.objects("prunes") or []:
        if prune_.get("status", {}).get("retryAt", LONG_AGO) > LONG_AGO:
            _patch(soak, "prune", prune_["metadata"]["name"], {"status": {"retryAt": LONG_AGO}})
            soak.counts["back-offs over"] += 1


def _patch(soak: Soak, kind: str, name: str, patch: dict[str, Any]) -> None:
    soak.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))


def restore_some(soak: Soak, rng: random.Random, count: int, seconds: float) -> list[str]:
    """Bring random archived files of each beamline back from tape, and keep what came; what did not come as text.

    From a mounted archive at once, else by a job, which is given up after so many ``seconds``.
    """
    missing = []
    scans = [evidence.told_of(one) for one in soak.objects("scans") or []]
    for beamline, number in BEAMLINES.items():
        archived = sorted(
            (one.path, copy.sha256)
            for one in scans
            if one.beamline == beamline and (copy := one.copies.get(f"hpss{number}")) and copy.sha256
        )
        chosen = rng.sample(archived, min(count, len(archived)))
        if not chosen:
            continue
        folder = soak.folder / "restored" / f"{beamline}-{soak.counts['restores']}"
        soak.counts["restores"] += 1
        arguments = ["--to", str(folder), "--beamline", beamline, "--config", str(soak.site.config_file)]
        arguments += ["--namespace", soak.site.namespace, "--", *(path for path, _ in chosen)]
        code, said = soak.command("restore", *arguments, name="restore", seconds=seconds)
        found = dict(files_below(folder))
        soak.restored += [((beamline, path), digest) for path, digest in found.items()]
        soak.counts["files restored"] += len(found)
        missing += [f"{path}: exit code {code}: {said[-300:]}" for path, _ in chosen if path not in found]
    return missing
