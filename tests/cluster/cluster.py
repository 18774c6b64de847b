"""What callers hold of a running cluster, whoever provides it."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.programs import helm_path
from tests.cluster.state import MARK, State

TOKEN_DAYS = 30
"""Long enough that a watcher does not ask for another token."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        state: its folder.
        provider: ``controlplane``, ``node``, ``kind`` or ``kubeconfig``.
        cluster_id: value of its mark.
        kubectl_program: the kubectl to use with it.
    """

    state: State
    provider: str
    cluster_id: str
    kubectl_program: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state.kubeconfig

    def exports(self) -> dict[str, str]:
        """The variables that make kubectl, helm and the project's own programs use this cluster."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            # By default what a server offers is cached by its address, and another cluster may have had this one.
            "KUBECACHEDIR": str(self.state.folder / "kubectl-cache"),
            "HELM_CACHE_HOME": str(self.state.folder / "helm"),
            "HELM_CONFIG_HOME": str(self.state.folder / "helm"),
            "HELM_DATA_HOME": str(self.state.folder / "helm"),
            "PATH": os.pathsep.join([str(self.kubectl_program.parent), os.environ.get("PATH", os.defpath)]),
        }

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """The environment for a program that is to use the cluster; it is stopped with the cluster at the latest.

        Args:
            kubeconfig: who it is, such as :meth:`kubeconfig_for` made; the administrator when None.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
        chosen = {"KUBECONFIG": str(kubeconfig)} if kubeconfig else {}
        return {**inherited, **self.exports(), MARK: self.cluster_id, **chosen}

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as subprocess.run names it
        kubeconfig: Path | None = None,
        timeout: float = 60,
    ) -> str:
        """Run kubectl and return what it wrote.

        Args:
            *args: its arguments.
            input: text for its standard input, for ``-f -``.
            kubeconfig: who asks; the administrator when None.
            timeout: seconds until it is killed.

        Raises:
            CommandError: it ended with an error, kept in ``stderr``.
        """
        return self._run(self.kubectl_program, args, input, kubeconfig, timeout)

    def helm(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as subprocess.run names it
        kubeconfig: Path | None = None,
        timeout: float = 300,
        major: int = 3,
    ) -> str:
        """Run helm of a major version and return what it wrote; the other arguments are those of :meth:`kubectl`."""
        return self._run(helm_path(major), args, input, kubeconfig, timeout)

    def namespace(self, prefix: str = "test") -> str:
        """Make a namespace with a name of its own in which pods can be made at once; return its name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        # Controllers add these two, later than usual just after a restart of the API server. Pods need them.
        # One at a time: for several, kubectl takes the first look that finds none of them for a failure.
        for added in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
            self.kubectl("wait", "--for=create", added, "-n", name, "--timeout=60s", timeout=70)
        return name

    def delete_namespace(self, name: str) -> None:
        """Have a namespace deleted, without waiting for it."""
        self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig that acts as a service account, so that RBAC applies to whoever uses it.

        The token comes from the TokenRequest API and is valid for 30 days. ``namespace`` is the default namespace.
        """
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        duration = f"--duration={24 * TOKEN_DAYS}h"
        token = self.kubectl("create", "token", service_account, "-n", namespace, duration).strip()
        path = self.state.folder / "kubeconfigs" / f"{namespace}.{service_account}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(kubeconfig_text(view["clusters"][0]["cluster"], {"token": token}, namespace))
        return path

    def pod_log(self, namespace: str, pod: str) -> str:
        """What the pod's container has written so far."""
        return self.kubectl("logs", pod, "-n", namespace)

    @property
    def audit_log(self) -> Path:
        """What service accounts asked the API server, one JSON line for each request."""
        raise self._cannot("show who asked what")

    def reachable(self, port: int) -> str:
        """Host and port at which pods reach what this machine serves on a port of 127.0.0.1."""
        raise self._cannot("show its pods a port of this machine")

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """Stop the API server alone; its objects stay.

        Args:
            kill: as a crash would, without a word to its clients.
        """
        raise self._cannot("stop its API server")

    def start_apiserver(self) -> None:
        """Start the API server again, on the same port, and wait until it is ready."""
        raise self._cannot("start its API server")

    def restart_apiserver(self, *, kill: bool = False) -> None:
        """Stop and start the API server; the arguments are those of :meth:`stop_apiserver`."""
        self.stop_apiserver(kill=kill)
        self.start_apiserver()

    def restart_controllers(self) -> None:
        """Kill and start what runs the controllers, so that they are at work again at once."""
        raise self._cannot("restart its controllers")

    def restart_runner(self) -> None:
        """Kill and start what runs the pods; those that ran are reported as failed."""
        raise self._cannot("restart what runs its pods")

    def report(self) -> dict[str, bool]:
        """Which parts are up, by name."""
        try:
            self.kubectl("get", "--raw=/readyz", timeout=15)
        except ClusterError:
            return {"api server": False}
        return {"api server": True}

    def healthy(self) -> bool:
        """Whether every part is up."""
        return all(self.report().values())

    def _cannot(self, what: str) -> ClusterError:
        return ClusterError(f"a cluster of provider {self.provider} cannot {what}; use CLUSTER=controlplane")

    def _run(
        self, program: Path, args: tuple[str, ...], text: str | None, kubeconfig: Path | None, timeout: float
    ) -> str:
        shown = " ".join([program.name, *args[:3]])
        try:
            done = subprocess.run(
                [program, *args],
                input="" if text is None else text,
                env=self.environment(kubeconfig),
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"`{shown}` did not end within {timeout} s; is the cluster up?") from error
        if done.returncode != 0:
            raise CommandError(shown, done.returncode, done.stderr)
        return done.stdout


def kubeconfig_text(cluster: Mapping[str, str], user: Mapping[str, str], namespace: str = "default") -> str:
    """A kubeconfig with one cluster, one user and one context.

    Args:
        cluster: server and certificate authority, as in a kubeconfig.
        user: credentials, as in a kubeconfig.
        namespace: the default namespace.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": dict(cluster)}],
        "users": [{"name": "test", "user": dict(user)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    return yaml.safe_dump(config, sort_keys=False)
