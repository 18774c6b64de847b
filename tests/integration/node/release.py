"""The chart as a release of helm on a real node: installed with rights in one namespace, pods of the project's image.

The namespace enforces the Pod Security level `restricted`. What a cluster administrator does beforehand is done here:
CRDs, namespace, volumes, and the rights of the account that installs. Everything else is done as that account.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dichroism_crds.kinds import Scan
from tests.chart import CHART, OPERATOR, RELEASE
from tests.cluster import Cluster, CommandError, processes
from tests.cluster.image import project_image
from tests.integration.installer import INSTALLER, administrator, rights
from tests.samples import generate
from tests.site import BEAMLINES, Site

USER = 10001
"""User and group of the image; the folders of the endpoints are theirs."""
SECRET = "credentials"
PATIENCE_S = 300


class Release(Site):
    """A site whose programs are the pods of an installed release."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        super().__init__(cluster, folder)
        self.scicat.start()
        self._prepare()
        self._installer = cluster.kubeconfig_for(self.namespace, INSTALLER)

    # helm

    def values(self, document: Mapping[str, Any] | None = None, **values: Any) -> Path:
        """A file of values: the smallest that a site needs, those given merged over them."""
        image = project_image()
        chosen = {
            "config": yaml.safe_dump(dict(document or self.document()), sort_keys=False),
            "image": {"repository": image.repository, "tag": image.tag, "pullPolicy": "Never"},
            "crds": {"install": False},
            "existingSecret": SECRET,
            "mounts": {name: {"persistentVolumeClaim": {"claimName": name}} for name in self.endpoints},
            "extraEnv": [{"name": "DICHROISM_SWEEP_SECONDS", "value": "10"}],
            "watcher": {"enabled": True},
            "prune": {"schedule": "0 0 1 1 *"},  # no pods that a test does not wait for
        }
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump({**chosen, **values}, sort_keys=False))
        return file

    def helm(self, command: str, *arguments: str) -> str:
        """Run helm on the release as the account that installs."""
        return self.cluster.helm(
            command, RELEASE, *arguments, "-n", self.namespace, kubeconfig=self._installer, timeout=PATIENCE_S + 30
        )

    def install_release(self, document: Mapping[str, Any] | None = None, **values: Any) -> str:
        """`helm install --wait`; returns its notes."""
        return self._apply("install", PATIENCE_S, document, values)

    def upgrade(self, document: Mapping[str, Any] | None = None, *, seconds: int = PATIENCE_S, **values: Any) -> str:
        """`helm upgrade --wait`, at most so long."""
        return self._apply("upgrade", seconds, document, values)

    def _apply(self, command: str, seconds: int, document: Mapping[str, Any] | None, values: Mapping[str, Any]) -> str:
        chosen = str(self.values(document, **values))
        return self.helm(command, str(CHART), "-f", chosen, "--wait", f"--timeout={seconds}s")

    # what pods see

    @property
    def endpoints(self) -> list[str]:
        """Names of all endpoints, each a folder of this machine."""
        return sorted(path.name for path in (self.folder / "endpoints").iterdir())

    def document(self) -> dict[str, Any]:
        """config.yml as data; the chart says where the mounts are, and the catalogue is behind a gate."""
        document = super().document()
        for name in self.endpoints:
            del document[name]["mount"]
        document["scicat"]["url"] = behind_gates(self.cluster, self.scicat.url)
        return document

    def measure(self, beamline: str, count: int, seed: int = 0) -> dict[str, bytes]:
        """A beamline writes files, which belong to the user of the image; their contents by path."""
        target = self.mount(f"data{BEAMLINES[beamline]}")
        staged = self.folder / f"staged-{beamline}-{seed}"
        files = {str(path.relative_to(staged)): path.read_bytes() for path in generate(staged, beamline, count, seed)}
        give(staged)
        shutil.copytree(staged, target, dirs_exist_ok=True, copy_function=os.rename)
        give(target)
        return files

    def copies(self, endpoint: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """What an endpoint holds at the paths of files."""
        places = {path: self.mount(endpoint) / path for path in files}
        return {path: place.read_bytes() for path, place in places.items() if place.exists()}

    # pods

    def pod(self, component: str = "operator") -> dict[str, Any]:
        """The one pod of a component that is not about to end."""
        found = [one for one in self.pods(component) if "deletionTimestamp" not in one["metadata"]]
        assert len(found) == 1, [one["metadata"]["name"] for one in found]
        return found[0]

    def pods(self, component: str) -> list[dict[str, Any]]:
        """All pods of a component."""
        label = f"app.kubernetes.io/component={component}"
        answer = self.cluster.kubectl("get", "pods", "-l", label, "-n", self.namespace, "-o", "json")
        found: list[dict[str, Any]] = json.loads(answer)["items"]
        return found

    def processes(self, component: str = "operator") -> list[int]:
        """Numbers of the processes of the component's container as this machine counts, the first one first."""
        return sorted(processes.marked("HOSTNAME", self.pod(component)["metadata"]["name"]))

    def restarts(self) -> int:
        """How often the operator's container was started anew."""
        return int(self.pod()["status"]["containerStatuses"][0]["restartCount"])

    def last_end(self) -> dict[str, Any]:
        """How the operator's container ended before it was started anew."""
        ended: dict[str, Any] = self.pod()["status"]["containerStatuses"][0]["lastState"]["terminated"]
        return ended

    def wait_until_ready(self) -> None:
        """Wait until the operator is ready."""
        wanted = ("--for=condition=Available", f"deployment/{OPERATOR}", f"--timeout={PATIENCE_S}s")
        self.cluster.kubectl("wait", *wanted, "-n", self.namespace, timeout=PATIENCE_S + 10)

    def words(self) -> dict[str, str]:
        """What each pod logged so far, and what Kubernetes says about all of them."""
        found = {"pods": self.cluster.kubectl("get", "pods", "-n", self.namespace)}
        for name in self.cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "name").split():
            with contextlib.suppress(CommandError):  # it is gone by now
                found[name] = self.cluster.pod_log(self.namespace, name)
        return found

    def close(self) -> None:
        """Take the release away, before what its pods use."""
        self.cluster.delete_namespace(self.namespace)
        self.cluster.kubectl("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=120s", timeout=130)
        for name in self.endpoints:
            self.cluster.kubectl("delete", "persistentvolume", f"{self.namespace}-{name}", "--ignore-not-found")
        super().close()

    # what an administrator does

    def _prepare(self) -> None:
        give(self.folder / "endpoints")
        enforced = "pod-security.kubernetes.io/enforce=restricted"
        self.cluster.kubectl("label", "namespace", self.namespace, enforced)
        account = self.scicat.account
        secrets = {"SCICAT_USERNAME": account.username, "SCICAT_PASSWORD": account.password}
        literals = [f"--from-literal={name}={value}" for name, value in secrets.items()]
        self.cluster.kubectl("create", "secret", "generic", SECRET, *literals, "-n", self.namespace)
        wanted = [*administrator(self.namespace), *rights(self.namespace)]
        for name in self.endpoints:
            wanted += volume(self.namespace, name, self.mount(name))
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(wanted))


def volume(namespace: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """A volume that is a folder of this machine, and its claim: pods of the level `restricted` mount no folder."""
    size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
    volume = f"{namespace}-{name}"
    claimed = {"accessModes": modes, "storageClassName": "", "volumeName": volume, "resources": {"requests": size}}
    held = {
        "capacity": size,
        "accessModes": modes,
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(folder), "type": "Directory"},
        "claimRef": {"namespace": namespace, "name": name},
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": held},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": claimed,
        },
    ]


def behind_gates(cluster: Cluster, url: str) -> str:
    """A URL of this machine as pods reach it."""
    host, port = "127.0.0.1", int(url.split(":")[2].partition("/")[0])
    return url.replace(f"{host}:{port}", cluster.reachable(port))


def give(folder: Path, user: int = USER, group: int = USER) -> None:
    """Make everything in a folder belong to somebody, the user of the image unless told otherwise."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group)


def finished(release: Release, count: int) -> dict[str, Scan]:
    """Wait until so many Scans succeeded."""
    return release.wait_until_succeeded(count, PATIENCE_S)
