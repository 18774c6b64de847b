"""The provider ``node``: the control plane with a real kubelet, containerd and runc, in namespaces of their own.

Pods run from images, as another user, in control groups, with probes and Services. Network, mounts and processes of the
node are apart from this machine's, so several can run at once and each ends with one kill. The API server has the same
address inside and outside: a gate (``gate``) carries the connections of this machine to it. Not there: network policy,
names of Services (DNS), a registry, volumes on demand, and any way out of the node's network but through gates.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.cluster import cgroups, control_plane, node_files, processes
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import APISERVER, CONTROLLERS, ETCD, ControlPlane
from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.image import Image, pause_image
from tests.cluster.image import missing as missing_for_images
from tests.cluster.programs import KUBELET, kubectl_path, program_path
from tests.cluster.state import Record, State

NAME = "node"
SPACE, GATE, CONTAINERD, SCHEDULER, KUBELET_PART, PROXY = (
    "namespaces",
    "gate",
    "containerd",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)

_NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Programs, and the Debian packages that have them."""
_SEPARATE = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation=private")
_COVERED = ("/run", "/var/run", "/var/lib", "/var/log")
"""Folders of which the node has its own."""
_SPACE_PROGRAM = Path(__file__).with_name("node_space.sh")
_START_SECONDS = 120


@dataclass(frozen=True)
class Node(ControlPlane):
    """A cluster with one real node; see :class:`Cluster` for what callers use."""

    parts: ClassVar[tuple[str, ...]] = (
        *(SPACE, GATE, CONTAINERD),
        *(ETCD, APISERVER, CONTROLLERS, SCHEDULER),
        *(KUBELET_PART, PROXY),
    )
    api_host: ClassVar[str] = "localhost"

    @property
    def folder(self) -> Path:
        """The node's own folder: configuration, images, volumes of pods."""
        return self.state.folder / "node"

    @property
    def cgroup(self) -> str:
        """Name of its folder in each hierarchy of control groups."""
        return f"dichroism-{self.cluster_id}"

    def load(self, image: Image) -> None:
        """Import an image, so that pods can name it; there is no registry to pull one from."""
        done = subprocess.run(
            [*self._within("mnt", "net"), "ctr", "-n=k8s.io", "images", "import", "--digests=false", image.archive],
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode != 0:
            raise CommandError("ctr images import", done.returncode, done.stderr)

    def reachable(self, port: int) -> str:
        """Host and port at which pods reach what this machine serves on a port of 127.0.0.1, through a gate."""
        record = self._record()
        space = record.processes[SPACE].pid
        self._open_gate(f"{GATE}-{port}", record, port, node_files.ADDRESS, f"--listen-in={space}", network_of=space)
        return f"{node_files.ADDRESS}:{port}"

    def pod_log(self, namespace: str, pod: str) -> str:
        """What the pod's container has written so far."""
        return Cluster.pod_log(self, namespace, pod)

    def restart_runner(self) -> None:
        """A kubelet is not killed here: its pods would go on, other than those of the pod runner."""
        raise self._cannot("restart what runs its pods")

    def start(self) -> None:
        """Start every part of a new cluster and wait until the node is ready for pods."""
        covered = [path for path in _COVERED if self.state.folder.is_relative_to(path)]
        if covered:
            raise ClusterError(f"the node covers {covered[0]} with a folder of its own; choose another --state")
        record = self._record()
        cgroups.make(self.cgroup)
        node_files.write(self.folder, self.kubeconfig, self.cgroup)
        logs = self.state.logs / "node"
        logs.mkdir()
        ready = self.folder / "ready"
        self._launch(SPACE, record, [str(self.folder), node_files.ADDRESS, str(logs)], ready=ready.exists)
        self._launch(CONTAINERD, record, [f"--config={self.folder / 'containerd.toml'}"], ready=self._containerd_ready)
        self.load(pause_image())
        self._start_api(record)
        kubeconfig = f"--kubeconfig={self.kubeconfig}"
        self._launch(SCHEDULER, record, [kubeconfig, "--leader-elect=false", "--secure-port=0"])
        named = [f"--hostname-override={node_files.NAME}", f"--node-ip={node_files.ADDRESS}"]
        self._launch(KUBELET_PART, record, [f"--config={self.folder / 'kubelet.yaml'}", kubeconfig, *named])
        self._launch(PROXY, record, [f"--config={self.folder / 'kube-proxy.yaml'}"])
        node = f"node/{node_files.NAME}"
        for condition in ("create", "condition=Ready"):
            self.kubectl(
                "wait", f"--for={condition}", node, f"--timeout={_START_SECONDS}s", timeout=_START_SECONDS + 10
            )
        self._wait_for_accounts()

    def _launch_apiserver(self, record: Record) -> None:
        port, space = record.ports[APISERVER], record.processes[SPACE].pid
        self._open_gate(GATE, record, port, "127.0.0.1", f"--connect-in={space}", network_of=os.getpid())
        super()._launch_apiserver(record)

    def _open_gate(self, name: str, record: Record, port: int, address: str, network: str, *, network_of: int) -> None:
        """Have what connects to the address and port, in one network, reach the same port of 127.0.0.1 in the other."""
        if name not in record.processes or not record.processes[name].alive():
            self._launch(
                name,
                record,
                [f"{address}:{port}", f"127.0.0.1:{port}", network],
                ready=lambda: processes.listens(record.processes[name], port, network_of),
            )

    def _apiserver_flags(self, record: Record) -> list[str]:
        return [
            *super()._apiserver_flags(record),
            # For pods: the Service `kubernetes` leads to the node's address.
            "--bind-address=0.0.0.0",
            f"--advertise-address={node_files.ADDRESS}",
            "--endpoint-reconciler-type=lease",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _controller_flags(self) -> list[str]:
        return [*super()._controller_flags(), "--controllers=*"]

    def _command(self, name: str) -> tuple[list[str], Path]:
        if name == SPACE:
            command = ["unshare", *_SEPARATE, "--kill-child=KILL", "bash", str(_SPACE_PROGRAM)]
        elif name.startswith(GATE):
            command = [sys.executable, "-P", "-m", "tests.cluster.gate"]
        elif name == CONTAINERD:
            # A mask of 077 would make the roots of all images unreadable for those who are not root.
            command = ["bash", "-c", 'umask 022; exec "$@"', name, *self._within("mnt", "net", "pid"), name]
        elif name in (KUBELET_PART, PROXY):
            command = [*self._within("mnt", "net", "pid"), str(program_path(KUBELET, name))]
        else:
            program = program_path(KUBELET, name) if name == SCHEDULER else super()._command(name)[1]
            command = [*self._within("net"), str(program)]
        return command, Path(shutil.which(command[0]) or command[0])

    def _within(self, *namespaces: str) -> list[str]:
        """The beginning of a command that runs in namespaces of the node."""
        space = Path("/proc") / str(self._record().processes[SPACE].pid) / "ns"
        places = {"net": space / "net", "mnt": space / "mnt", "pid": space / "pid_for_children"}
        options = {"net": "--net", "mnt": "--mount", "pid": "--pid"}
        return ["nsenter", *(f"{options[name]}={places[name]}" for name in namespaces), "--"]

    def _containerd_ready(self) -> bool:
        asked = [*self._within("mnt", "net"), "ctr", "version"]
        return subprocess.run(asked, capture_output=True, timeout=30).returncode == 0


def unavailable() -> str | None:
    """Why this machine cannot run the provider; None when it can."""
    if not sys.platform.startswith("linux"):
        return f"a node is made of Linux namespaces, and this is {sys.platform}; use CLUSTER=kind"
    if os.geteuid() != 0:
        return "CLUSTER=node makes namespaces, mounts and control groups, which only root may; use CLUSTER=controlplane"
    packages = {package for name, package in _NEEDED.items() if shutil.which(name) is None} | {*missing_for_images()}
    if not (node_files.NETWORK_PROGRAMS / "bridge").exists():
        packages.add("containernetworking-plugins")
    if packages:
        return f"CLUSTER=node needs these Debian packages: {' '.join(sorted(packages))}. Install them with apt-get"
    tried = subprocess.run(["unshare", *_SEPARATE, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"CLUSTER=node needs namespaces of its own, and they are refused here: {tried.stderr.strip()}"
    try:
        cgroups.make("dichroism-try")
    except OSError as error:
        return f"CLUSTER=node needs control groups of its own, and they are refused here: {error}"
    cgroups.remove("dichroism-try")
    return None


def prepare() -> None:
    """Build the control plane, the programs of a node, and the image of what holds a pod's namespaces."""
    control_plane.prepare()
    program_path(KUBELET, KUBELET_PART)
    pause_image()


def attach(state: State, record: Record) -> Node:
    """Hold of the cluster in a state folder, running or about to."""
    return Node(state, NAME, record.cluster_id, kubectl_path())


def start(state: State, record: Record) -> Node:
    """Start a new cluster in a state folder that was made ready."""
    cluster = attach(state, record)
    cluster.start()
    return cluster


def stop(state: State, record: Record) -> None:
    """Stop the cluster. The processes that carry its mark are gone, and with the first of them all of its pods."""
    cgroup = attach(state, record).cgroup
    processes.wait_until(lambda: cgroups.remove(cgroup), seconds=30)
