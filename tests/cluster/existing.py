"""The provider ``kubeconfig``: a cluster that exists already. It is used only when it is asked for by name.

Nothing is started and nothing of it is stopped. The tests make namespaces in it, and cluster-wide objects such as CRDs.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.programs import helm_path, kubectl_path
from tests.cluster.state import Record, State

NAME = "kubeconfig"
VARIABLES = ("DICHROISM_TEST_KUBECONFIG", "KUBECONFIG")


def unavailable() -> str | None:
    """Why there is no such cluster; None when there is one."""
    source = _source()
    if source is None:
        return f"CLUSTER=kubeconfig needs {' or '.join(VARIABLES)} to name the kubeconfig of the cluster to use"
    if not source.is_file():
        return f"CLUSTER=kubeconfig was asked for, but the kubeconfig {source} does not exist"
    return None


def prepare() -> None:
    """Build helm."""
    helm_path()


def attach(state: State, record: Record) -> Cluster:
    """Hold of the cluster in a state folder."""
    return Cluster(state, NAME, record.cluster_id, _kubectl())


def start(state: State, record: Record) -> Cluster:
    """Copy the current context into the state folder, so that it stays the same cluster, and see that it answers."""
    command = [str(_kubectl()), "config", "view", "--raw", "--flatten", "--minify"]
    variables = {**os.environ, "KUBECONFIG": str(_source())}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise CommandError("kubectl config view", done.returncode, done.stderr)
    state.kubeconfig.touch(mode=0o600)
    state.kubeconfig.write_text(done.stdout)
    cluster = attach(state, record)
    if not cluster.healthy():
        raise ClusterError(f"the cluster of {_source()} does not answer /readyz; is it up, and are you logged in?")
    return cluster


def stop(state: State, record: Record) -> None:
    """Leave the cluster as it is."""


def _source() -> Path | None:
    named = [os.environ[name] for name in VARIABLES if os.environ.get(name)]
    return Path(named[0]) if named else None


def _kubectl() -> Path:
    program = shutil.which("kubectl")
    return Path(program) if program else kubectl_path()
