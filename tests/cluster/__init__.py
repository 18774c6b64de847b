"""The project's test cluster: a real Kubernetes API, started and stopped by tests, by `make demo` and by hand.

Interface::

    with running(state) as cluster: ...       # dies with this process, whatever ends it
    cluster = up(state); ...; down(state)     # stays until `down`
    cluster = attach(state)                   # one that `up` (or the command line) started

    cluster.kubeconfig                        # Path, administrator
    cluster.environment()                     # os.environ for a program that is to use the cluster
    cluster.kubectl("get", "scans", "-n", ns, input=None) -> str
    cluster.helm("install", ...) -> str
    cluster.namespace() -> str                # a fresh one, ready for pods
    cluster.kubeconfig_for(ns, service_account) -> Path   # RBAC applies to who uses it
    cluster.pod_log(ns, pod) -> str           # what the pod wrote; `kubectl logs` needs a kubelet
    cluster.reachable(port) -> str            # where pods reach a server of this machine
    cluster.restart_apiserver(), .stop_apiserver(), .start_apiserver()   # objects, port and tokens stay
    cluster.restart_runner(), .restart_controllers()

    kubectl_path(), helm_path()               # pinned programs, built on first use

Command line: ``python -m tests.cluster up|down|status|env|build [--state DIR]``. Tests take the fixtures ``cluster``
and ``namespace`` of ``tests/conftest.py``.

The environment variable CLUSTER chooses who provides it: ``controlplane`` (etcd, kube-apiserver and
kube-controller-manager as processes of this machine, pods run as local processes), ``node`` (the same with a real
kubelet, containerd and runc, for root), ``kind`` (where a Docker or Podman engine answers), ``kubeconfig`` (an existing
cluster, named by DICHROISM_TEST_KUBECONFIG or KUBECONFIG; never unasked) and ``auto``, the default: kind, else
controlplane.

Modules: ``providers`` chooses, ``control_plane``, ``node``, ``kind`` and ``existing`` start, ``cluster`` is what
callers hold, ``state`` the record on disk, ``processes`` starts and stops, ``programs`` builds, ``podrunner`` and the
modules named ``pod_*`` run the pods of a control plane. ``node_files``, ``cgroups``, ``gate`` and ``image`` are parts
of a node. Nothing here is installed with the project.
"""

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, CommandError, ProviderUnavailableError
from tests.cluster.programs import helm_path, kubectl_path
from tests.cluster.providers import attach, chosen_provider, down, prepare, running, up

__all__ = [
    "Cluster",
    "ClusterError",
    "CommandError",
    "ProviderUnavailableError",
    "attach",
    "chosen_provider",
    "down",
    "helm_path",
    "kubectl_path",
    "prepare",
    "running",
    "up",
]
