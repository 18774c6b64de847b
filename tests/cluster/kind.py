"""The provider ``kind``: a cluster in containers, where a Docker or Podman engine answers.

A client alone does not count: many machines have one without an engine behind it.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import CommandError, ProviderUnavailableError
from tests.cluster.programs import helm_path, kubectl_path
from tests.cluster.state import Record, State

NAME = "kind"
_CONFIG = Path(__file__).with_name("kind.yaml")
_ENGINES = ("docker", "podman")
_ANSWER_SECONDS = 20
_START_SECONDS = 600


@cache
def engine() -> str | None:
    """The first engine that answers; None when there is none."""
    for name in _ENGINES:
        program = shutil.which(name)
        if program and _answers([program, "info"]):
            return name
    return None


def unavailable() -> str | None:
    """Why this machine cannot run the provider; None when it can."""
    if engine() is None:
        found = [name for name in _ENGINES if shutil.which(name)]
        seen = f"{' and '.join(found)} found, but `info` fails" if found else f"no {' or '.join(_ENGINES)} found"
        return f"kind needs a running container engine: {seen}. Start one, or use CLUSTER=controlplane"
    if shutil.which("kind") is None:
        return f"{engine()} answers, but there is no `kind` on PATH. Install it, or use CLUSTER=controlplane"
    return None


def prepare() -> None:
    """Build helm."""
    helm_path()


def attach(state: State, record: Record) -> Cluster:
    """Hold of the cluster in a state folder."""
    program = shutil.which("kubectl")
    return Cluster(state, NAME, record.cluster_id, Path(program) if program else kubectl_path())


def start(state: State, record: Record) -> Cluster:
    """Start a new cluster and wait until its node is ready."""
    options = ["--config", str(_CONFIG), "--kubeconfig", str(state.kubeconfig), "--wait", "180s"]
    _kind("create", "cluster", "--name", _name(record), *options)
    return attach(state, record)


def stop(state: State, record: Record) -> None:
    """Delete the cluster."""
    _kind("delete", "cluster", "--name", _name(record), "--kubeconfig", str(state.kubeconfig))


def _name(record: Record) -> str:
    return f"dichroism-{record.cluster_id}"


def _kind(*args: str) -> None:
    reason = unavailable()
    if reason:
        raise ProviderUnavailableError(reason)
    chosen = {"KIND_EXPERIMENTAL_PROVIDER": engine() or ""}
    done = subprocess.run(
        ["kind", *args], env={**os.environ, **chosen}, capture_output=True, text=True, timeout=_START_SECONDS
    )
    if done.returncode != 0:
        raise CommandError(" ".join(["kind", *args[:2]]), done.returncode, done.stderr)


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_ANSWER_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
