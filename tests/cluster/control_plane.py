"""The provider ``controlplane``: etcd, kube-apiserver, kube-controller-manager and the pod runner as local processes.

Everything listens on 127.0.0.1, on ports that were free. Objects, admission, RBAC, controllers and tokens are the real
ones. Not there: scheduler, kubelet, container images, security contexts, probes, Services and network policy.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.cluster import processes
from tests.cluster.cluster import Cluster, kubeconfig_text
from tests.cluster.errors import ClusterError
from tests.cluster.programs import CONTROL_PLANE, helm_path, kubectl_path, program_path
from tests.cluster.state import MARK, Record, State

NAME = "controlplane"
NODE = "local"
"""Name of the Node object that the pod runner makes."""

ETCD, APISERVER, CONTROLLERS, RUNNER = "etcd", "kube-apiserver", "kube-controller-manager", "podrunner"

_ENABLED_CONTROLLERS = (
    "job-controller",
    "cronjob-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "clusterrole-aggregation-controller",
    "namespace-controller",
    "ttl-after-finished-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)
_REPOSITORY = Path(__file__).parents[2]
_PORT_ATTEMPTS = 5
_START_SECONDS = 180
"""Three, mostly. A component that ends is noticed at once; this is for machines that have much else to do."""
_GOGC = "200"
"""Garbage is collected when the heap is three times what was in use. At Go's own 100 a busy API server spends a quarter
of its time on it: here memory is plenty and cores are few."""

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}
"""Only who and what, and only of service accounts: that is what their Roles are about."""


class _PortTakenError(ClusterError):
    """Another process was quicker to take the port."""


@dataclass(frozen=True)
class ControlPlane(Cluster):
    """A cluster of local processes; see :class:`Cluster` for what callers use.

    Attributes:
        parts: names of its components, each a process.
        api_host: by which name the API server's certificate knows it.
    """

    parts: ClassVar[tuple[str, ...]] = (ETCD, APISERVER, CONTROLLERS, RUNNER)
    api_host: ClassVar[str] = "127.0.0.1"

    def start_apiserver(self) -> None:
        """Start the API server again, on the same port, and wait until it is ready."""
        self._launch_apiserver(self._record())

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """Stop the API server alone, or have it crash; its objects stay in etcd."""
        self._stop(APISERVER, seconds=0 if kill else 10)

    def restart_controllers(self) -> None:
        """Kill and start the controllers, which take up to a minute to come back from an outage of the API server."""
        self._stop(CONTROLLERS, seconds=0)
        self._launch(CONTROLLERS, self._record(), self._controller_flags())

    def restart_runner(self) -> None:
        """Kill and start what runs the pods; those that ran are reported as failed."""
        self._stop(RUNNER, seconds=0)
        self._launch_runner(self._record())

    def reachable(self, port: int) -> str:
        """Host and port at which pods reach what this machine serves on a port of 127.0.0.1: the same."""
        return f"127.0.0.1:{port}"

    def pod_log(self, namespace: str, pod: str) -> str:
        """What the pod's container has written so far."""
        path = self.state.pod_log(namespace, pod)
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def audit_log(self) -> Path:
        """What service accounts asked the API server, one JSON line for each request."""
        return self.state.folder / "audit.log"

    def report(self) -> dict[str, bool]:
        """Which parts are up, by name."""
        running = {name: process.alive() for name, process in self._record().processes.items()}
        up = {name: running.get(name, False) for name in self.parts}
        # Without etcd the server would let us wait; it is not serving then.
        serving = up[ETCD] and up[APISERVER] and self._serving()
        return {**up, APISERVER: serving}

    def start(self) -> None:
        """Start every part of a new cluster and wait until pods can be made."""
        record = self._record()
        self._start_api(record)
        self._launch_runner(record)
        self._wait_for_accounts()

    def _start_api(self, record: Record) -> None:
        self._with_free_port(ETCD, record, self._launch_etcd)
        self._with_free_port(APISERVER, record, self._launch_apiserver)
        self._launch(CONTROLLERS, record, self._controller_flags())

    def _wait_for_accounts(self) -> None:
        # The service account controller is the last of what a first pod needs.
        patience = f"--timeout={_START_SECONDS}s"
        self.kubectl("wait", "--for=create", "serviceaccount/default", patience, timeout=_START_SECONDS + 10)

    def _with_free_port(self, name: str, record: Record, launch: Callable[[Record], None]) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            record.ports[name] = processes.free_port()
            try:
                return launch(record)
            except _PortTakenError:
                if attempt == _PORT_ATTEMPTS - 1:
                    raise
        return None

    def _launch_etcd(self, record: Record) -> None:
        port = record.ports[ETCD]
        flags = [f"--data-dir={self.state.folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{port}"]
        self._launch(ETCD, record, flags)

    def _launch_apiserver(self, record: Record) -> None:
        self._write_kubeconfig(record.ports[APISERVER])
        self._launch(APISERVER, record, self._apiserver_flags(record), ready=self._serving)

    def _launch_runner(self, record: Record) -> None:
        flags = ["-P", "-m", "tests.cluster.podrunner", "--state", str(self.state.folder), "--node", NODE]
        self._launch(RUNNER, record, flags, ready=lambda: self._answers("get", "node", NODE))

    def _apiserver_flags(self, record: Record) -> list[str]:
        folder, port = self.state.folder, record.ports[APISERVER]
        # The server makes this key and its certificate at the first start and finds them again at the next. The key
        # also signs the tokens of service accounts: one secret less to make, and nothing here outlives the folder.
        key = folder / "certs" / "apiserver.key"
        policy = folder / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        return [
            f"--etcd-servers=http://127.0.0.1:{record.ports[ETCD]}",
            f"--cert-dir={key.parent}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.state.folder / 'tokens.csv'}",
            "--endpoint-reconciler-type=none",
            f"--service-account-issuer=https://127.0.0.1:{port}/",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100",
            "--audit-log-maxbackup=1",
            # Without it a polite stop waits for the watches of all clients, up to a minute.
            "--shutdown-watch-termination-grace-period=1s",
        ]

    def _controller_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(_ENABLED_CONTROLLERS)}",
            f"--root-ca-file={self.state.folder / 'certs' / 'apiserver.crt'}",
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def _write_kubeconfig(self, port: int) -> None:
        tokens = self.state.folder / "tokens.csv"
        if not tokens.exists():
            tokens.touch(mode=0o600)
            tokens.write_text(f"{secrets.token_urlsafe(32)},admin,admin,system:masters\n")
        token = tokens.read_text().split(",")[0]
        authority = str(self.state.folder / "certs" / "apiserver.crt")
        server = {"server": f"https://{self.api_host}:{port}", "certificate-authority": authority}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(kubeconfig_text(server, {"token": token}))

    def _launch(self, name: str, record: Record, flags: list[str], ready: Callable[[], bool] = lambda: True) -> None:
        """Start a component, record it, and wait until it serves its port, if it has one, and is ready."""
        if name in record.processes and record.processes[name].alive():
            raise ClusterError(f"{name} of {self.state.folder} runs already; stop it first")
        log = self.state.logs / f"{name}.log"
        before = log.stat().st_size if log.exists() else 0
        command, program = self._command(name)
        process = processes.start([*command, *flags], executable=program, env=self._variables(), log=log)
        record.processes[name] = process
        self.state.write(record)

        def up() -> bool:
            port = record.ports.get(name)
            return (port is None or processes.listens(process, port)) and ready()

        if not processes.wait_until(lambda: not process.alive() or up(), seconds=_START_SECONDS) or not process.alive():
            words = log.read_bytes()[before:].decode(errors="replace")
            failure = _PortTakenError if "address already in use" in words else ClusterError
            raise failure(f"{name} did not start. The end of its log, {log}:\n{words[-2000:]}")

    def _command(self, name: str) -> tuple[list[str], Path]:
        """How a component is called, without its flags, and the file to run."""
        # The Go program knows by its name which component to be, Python by its path which packages it has.
        if name == RUNNER:
            return [sys.executable], Path(sys.executable)
        return [name], program_path(CONTROL_PLANE, name)

    def _variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "PYTHONPATH": str(_REPOSITORY), MARK: self.cluster_id, "GOGC": _GOGC}

    def _serving(self) -> bool:
        return self._answers("get", "--raw=/readyz")

    def _answers(self, *args: str) -> bool:
        try:
            self.kubectl(*args, timeout=15)
        except ClusterError:
            return False
        return True

    def _stop(self, name: str, seconds: float = 10) -> None:
        process = self._record().processes.get(name)
        if process:
            processes.stop(process, seconds=seconds)

    def _record(self) -> Record:
        record = self.state.read()
        if record is None or record.cluster_id != self.cluster_id:
            raise ClusterError(
                f"the cluster of {self.state.folder} is down; start it with `python -m tests.cluster up`"
            )
        return record


def unavailable() -> str | None:
    """Why this machine cannot run the provider; None when it can."""
    if not sys.platform.startswith("linux"):
        return f"the control plane's processes are managed through /proc, and {sys.platform} has none; use CLUSTER=kind"
    return None


def prepare() -> None:
    """Build the control plane and helm."""
    kubectl_path()
    helm_path()


def attach(state: State, record: Record) -> ControlPlane:
    """Hold of the cluster in a state folder, running or about to."""
    return ControlPlane(state, NAME, record.cluster_id, kubectl_path())


def start(state: State, record: Record) -> ControlPlane:
    """Start a new cluster in a state folder that was made ready."""
    cluster = attach(state, record)
    cluster.start()
    return cluster


def stop(state: State, record: Record) -> None:
    """Stop the cluster: everything it and its pods started."""
    processes.stop_marked(MARK, record.cluster_id)
