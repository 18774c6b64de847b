"""What befalls our own processes, and what people do: one context manager each, in force inside, undone after."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import get_args

from dichroism_crds.killpoints import ENV as KILL_AT
from dichroism_crds.names import STOP_PRUNE_CONFIGMAP
from dichroism_watcher import killpoints as watcher_points
from tests.fault.disturbances import lose_journal
from tests.site import BEAMLINES
from tests.soak.world import LEASE_S, Soak, stopped

OPERATOR_POINTS = (
    *("transfer-created", "order-uploaded", "task-posted", "task-started", "task-done", "scans-told"),
    *("transfer-closed", "dataset-written", "archive-recorded", "prune-created", "prune-told", "prune-scheduled"),
)
PRUNE_POINTS = ("copies-verified", "file-renamed", "trash-emptied")
PLAIN = re.compile(r"[\w/-]+\.txt")
"""Paths that need no quotes in a configuration."""
HELD = 5
"""Files that people put a hold on at a time."""


@contextmanager
def operator_killed(soak: Soak) -> Iterator[None]:
    """SIGKILL at any instant; the next one dies at a named one."""
    point = f"{soak.rng.choice(OPERATOR_POINTS)}:{soak.rng.randint(1, 3)}"
    soak.operator.next_life(environment={KILL_AT: point})
    soak.kill_operator()
    yield
    soak.operator.next_life()


@contextmanager
def operator_frozen(soak: Soak) -> Iterator[None]:
    """SIGSTOP, perhaps for longer than its Lease lasts."""
    with stopped([soak.operator.program]):
        yield


@contextmanager
def second_operator(soak: Soak) -> Iterator[None]:
    """Another one is started, and takes over from the first, which is killed."""
    soak.kill_operator()
    soak.second.start(DICHROISM_LEASE_SECONDS=LEASE_S)
    yield
    soak.second.kill()


@contextmanager
def watcher_killed(soak: Soak) -> Iterator[None]:
    """SIGKILL at any instant; the next one dies at a named one."""
    point = f"{soak.rng.choice(get_args(watcher_points.Point))}:{soak.rng.randint(1, 3)}"
    soak.watcher.next_life(environment={KILL_AT: point})
    soak.watcher.program.kill()
    yield
    soak.watcher.next_life()


@contextmanager
def watcher_frozen(soak: Soak) -> Iterator[None]:
    """SIGSTOP."""
    with stopped([soak.watcher.program]):
        yield


@contextmanager
def journal_lost(soak: Soak) -> Iterator[None]:
    """The watcher dies, and its journal is damaged before it comes back."""
    soak.watcher.next_life(partial(lose_journal, soak.journal.parent, soak.rng))
    soak.watcher.program.kill()
    yield


@contextmanager
def prune_killed(soak: Soak) -> Iterator[None]:
    """The next prune runs die at named instants, and one that runs now at once."""
    soak.prune_kills += [f"{soak.rng.choice(PRUNE_POINTS)}:{soak.rng.randint(1, 3)}" for _ in range(2)]
    for program in soak.pruners.values():
        if program.running and program.process:
            with suppress(ProcessLookupError):
                program.process.send_signal(signal.SIGKILL)
    yield


@contextmanager
def prune_frozen(soak: Soak) -> Iterator[None]:
    """Prune runs stand still."""
    with stopped(list(soak.pruners.values())):
        yield


@contextmanager
def pruning_stopped(soak: Soak) -> Iterator[None]:
    """Somebody turns the stop switch on, and off again."""
    soak.command("prune", "stop", "--reason", "soak", "--namespace", soak.site.namespace)
    yield
    soak.kubectl("delete", "configmap", STOP_PRUNE_CONFIGMAP, "--ignore-not-found")


@contextmanager
def prune_undone(soak: Soak) -> Iterator[None]:
    """Somebody wants back what lies in the trash, and lets pruning have it again later."""
    trashed = [one for one in soak.objects("prunes") or [] if one.get("status", {}).get("trashed", 0)]
    name = soak.rng.choice(trashed)["metadata"]["name"] if trashed else None
    if name:
        soak.command("prune", "undo", name, "--reason", "soak", "--namespace", soak.site.namespace)
        soak.counts["Prunes undone"] += 1
        soak.undone.add(name)
    yield
    soak.take_back()


@contextmanager
def files_held(soak: Soak) -> Iterator[None]:
    """Somebody puts a hold on files; none of those that lie at their source when it counts may go until it is over."""
    files = [one for one in soak.written() if one.scan and one.key not in soak.gone_since and PLAIN.fullmatch(one.path)]
    chosen = soak.rng.sample(files, min(HELD, len(files)))
    soak.site.holds += [{"path": one.path, "by": "soak", "reason": "held"} for one in chosen]
    soak.site.write_config()
    in_force = _runs_ended(soak)
    places = {one.key: soak.site.mount(f"data{BEAMLINES[one.beamline]}") / one.path for one in chosen}
    there = {key: file for key, file in places.items() if in_force and file.exists()}
    yield
    soak.broken_words += [f"{key}: gone while it was held" for key, file in there.items() if not file.exists()]
    soak.counts["files held"] += len(there)
    soak.site.holds.clear()
    soak.site.write_config()


def _runs_ended(soak: Soak) -> bool:
    """Wait until every prune run that may not know of the hold has ended; False when one stands still."""
    for program in soak.pruners.values():
        if program.process:
            try:
                program.process.wait(60)
            except subprocess.TimeoutExpired:
                return False
    return True


@contextmanager
def scans_suspended(soak: Soak) -> Iterator[None]:
    """Somebody suspends some Scans for a while."""
    names = sorted(one["metadata"]["name"] for one in soak.objects("scans") or [])
    for name in soak.rng.sample(names, min(3, len(names))):
        soak.suspended.add(name)
        soak.kubectl("patch", "scan", name, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    yield
    soak.take_back()
