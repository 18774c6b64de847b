"""Choosing who provides the cluster, and its life: up, attach, down, and running with a process."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.cluster import control_plane, existing, kind, node, processes
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, ProviderUnavailableError
from tests.cluster.state import MARK, Record, State

_REPOSITORY = Path(__file__).parents[2]


class Provider(Protocol):
    """What a provider's module offers."""

    NAME: str

    def unavailable(self) -> str | None:
        """Why this machine cannot run it; None when it can."""

    def prepare(self) -> None:
        """Build what it needs, so that a start is fast; it takes minutes where nothing of it is in the cache."""

    def attach(self, state: State, record: Record) -> Cluster:
        """Hold of a cluster that is there."""

    def start(self, state: State, record: Record) -> Cluster:
        """Start a new one."""

    def stop(self, state: State, record: Record) -> None:
        """Stop it."""


_PROVIDERS: dict[str, Provider] = {module.NAME: module for module in (control_plane, kind, node, existing)}
DEFAULT_STATE = _REPOSITORY / "build" / "cluster"


def chosen_provider(name: str | None = None) -> str:
    """The provider that is asked for by name, or by CLUSTER, and that this machine can run.

    Raises:
        ProviderUnavailableError: it cannot, or there is no such provider.
    """
    asked = name or os.environ.get("CLUSTER") or "auto"
    if asked == "auto":
        return kind.NAME if kind.unavailable() is None else _usable(control_plane.NAME)
    return _usable(asked)


def prepare() -> None:
    """Build what the chosen provider needs; nothing where that is in the cache.

    Raises:
        ClusterError: a build failed, or the provider cannot run here.
    """
    _PROVIDERS[chosen_provider()].prepare()


def up(folder: Path = DEFAULT_STATE, provider: str | None = None) -> Cluster:
    """The cluster of a state folder: the one that is up there, else a new one. It stays until :func:`down`.

    Args:
        folder: its state folder.
        provider: who provides it; CLUSTER decides when None.

    Raises:
        ClusterError: it cannot be started; what was started before is stopped again.
    """
    chosen, state = chosen_provider(provider), State(folder.resolve())
    with state.locked():
        record = state.read()
        if record and record.provider == chosen:
            cluster = _PROVIDERS[chosen].attach(state, record)
            if cluster.healthy():
                return cluster
        _clear(state)
        return _start(state, _make(state, chosen))


def attach(folder: Path = DEFAULT_STATE) -> Cluster:
    """Hold of a cluster that was started in a state folder.

    Raises:
        ClusterError: none was.
    """
    state = State(folder.resolve())
    record = state.read()
    if record is None:
        raise ClusterError(f"no cluster in {state.folder}; start one with `python -m tests.cluster up`")
    return _provider(record).attach(state, record)


def down(folder: Path = DEFAULT_STATE) -> bool:
    """Stop the cluster of a state folder and remove everything but its logs; False when there was none."""
    state = State(folder.resolve())
    if state.read() is None:
        return False
    with state.locked():
        return _clear(state)


@contextlib.contextmanager
def running(folder: Path, provider: str | None = None) -> Iterator[Cluster]:
    """A new cluster that dies with this process, however it ends.

    A warden, a process of its own, holds the other end of a pipe. The kernel closes it even when this process is
    killed, and the warden then takes the cluster down. (The kernel's own signal at a parent's death is tied to the
    thread that started the child, and a test may restart a part from a thread that ends.)
    """
    chosen, state = chosen_provider(provider), State(folder.resolve())
    with state.locked():
        _clear(state)
        record = _make(state, chosen)
        reading, writing = os.pipe()
        warden = _start_warden(state, reading)
        os.close(reading)
        try:
            cluster = _start(state, record)
        except BaseException:
            os.close(writing)
            raise
    try:
        yield cluster
    finally:
        down(state.folder)
        os.close(writing)
        processes.wait_until(lambda: not warden.alive(), seconds=10)


def _start(state: State, record: Record) -> Cluster:
    try:
        return _provider(record).start(state, record)
    except BaseException:
        _clear(state)
        raise


def _make(state: State, provider: str) -> Record:
    record = Record(provider)
    state.make(record)
    return record


def _clear(state: State) -> bool:
    record = state.read()
    if record is None:
        return False
    # Programs that were given the cluster's environment carry its mark too, whoever provides it.
    processes.stop_marked(MARK, record.cluster_id)
    _provider(record).stop(state, record)
    state.clear()
    return True


def _start_warden(state: State, reading: int) -> processes.Process:
    variables = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    command = [sys.executable, "-P", "-m", "tests.cluster.warden", str(state.folder)]
    return processes.start(
        command, executable=Path(sys.executable), env=variables, log=state.logs / "warden.log", stdin=reading
    )


def _usable(name: str) -> str:
    if name not in _PROVIDERS:
        raise ProviderUnavailableError(f"CLUSTER={name} is not known; choose auto, {', '.join(_PROVIDERS)}")
    reason = _PROVIDERS[name].unavailable()
    if reason:
        raise ProviderUnavailableError(reason)
    return name


def _provider(record: Record) -> Provider:
    if record.provider not in _PROVIDERS:
        raise ClusterError(f"the recorded provider {record.provider!r} is not known; was it made by another version?")
    return _PROVIDERS[record.provider]
