"""What the programs of a node are told: the configuration files of containerd, its network, kubelet and kube-proxy.

Paths such as /run/containerd are those of the node's own namespaces. Everything else lies in the node's folder.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.image import PAUSE_IMAGE

ADDRESS = "172.31.255.1"
"""Of the node, in a network of its own: every node has the same."""
NAME = "node"
"""Of the Node object."""
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
NETWORK_PROGRAMS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins puts the programs that make a pod's network."""

_POD_NETWORK = "10.244.0.0/24"


def write(folder: Path, kubeconfig: Path, cgroup: str) -> None:
    """Write all of them into the node's folder, which is made.

    Args:
        folder: of the node.
        kubeconfig: with which kubelet and kube-proxy reach the API server.
        cgroup: name of the node's folder in each hierarchy of control groups.
    """
    for name in ("kubelet", "containerd", "network"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "containerd.toml").write_text(_containerd(folder))
    (folder / "network" / "10-node.conflist").write_text(json.dumps(_network()))
    (folder / "resolv.conf").touch()
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(folder, cgroup)))
    (folder / "kube-proxy.yaml").write_text(yaml.safe_dump(_proxy(kubeconfig)))


def _containerd(folder: Path) -> str:
    return f"""\
version = 2
root = "{folder / "containerd"}"
state = "{Path(CONTAINERD_SOCKET).parent}"
oom_score = 0
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A score below that of containerd itself takes a right that a container's root may not have.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{NETWORK_PROGRAMS}"
    conf_dir = "{folder / "network"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _network() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/pod-addresses",
        "ranges": [[{"subnet": _POD_NETWORK}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _kubelet(folder: Path, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        # Who is in the node's network may ask it anything. It is a network of this node's pods alone, and no keys have
        # to be made.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "resolvConf": str(folder / "resolv.conf"),
        # An image that is removed is lost: there is no registry to have it from again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "0.0.0.0",
        "hostnameOverride": NAME,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": _POD_NETWORK,
        "mode": "iptables",
        # No limits of its own: they would be written for the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
