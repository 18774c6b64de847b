"""What a pod asks for, read from its object: pure functions, no files, no API.

Nothing is mounted at absolute paths. Instead each occurrence of a mount path, as a path or the beginning of one, in
command, arguments and values of environment variables is replaced by the real folder: ``--config=/etc/app/config.yml``
becomes ``--config=<pod folder>/volumes/config/config.yml`` where ``/etc/app`` is a mount path. Paths that a program
has built in, or reads from a file, are not replaced.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"

_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_KEYED_FIELD = re.compile(r"(metadata\.(?:labels|annotations))\['([^']+)'\]")
_LOOPBACK_FIELDS = {"status.podIP", "status.hostIP"}


class UnsupportedError(Exception):
    """The pod asks for something that a local process cannot be given."""


@dataclass(frozen=True)
class Mounts:
    """Where the mount paths of a container really are."""

    folders: Mapping[str, Path]

    def rewrite(self, text: str) -> str:
        """Replace mount paths: ``/data`` is one in ``--in=/data/x``, but not in ``/data2`` or ``x/data``."""
        if not self.folders:
            return text
        # Longest first, and all in one pass: a real folder is never searched for mount paths again.
        paths = sorted(self.folders, key=len, reverse=True)
        pattern = rf"(?<![\w./-])({'|'.join(map(re.escape, paths))})(?![\w.-])"
        return re.sub(pattern, lambda found: str(self.folders[found[1]]), text)


def container(pod: Json) -> Json:
    """The pod's only container.

    Raises:
        UnsupportedError: there are more, or it has no command. A test must not pass because something was left out.
    """
    spec = pod["spec"]
    if spec.get("initContainers") or len(spec["containers"]) > 1:
        raise UnsupportedError("the pod has several containers, and the runner starts one process; use CLUSTER=kind")
    only: Json = spec["containers"][0]
    if not only.get("command"):
        raise UnsupportedError("the container names no command, and the runner has no image to take one from; add it")
    return only


def field_value(pod: Json, path: str) -> str:
    """The value of a ``fieldRef``.

    Raises:
        UnsupportedError: there is no such field.
    """
    if path in _LOOPBACK_FIELDS:
        return "127.0.0.1"
    keyed = _KEYED_FIELD.fullmatch(path)
    value: Any = pod
    for part in keyed[1].split(".") if keyed else path.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    if keyed:
        value = value.get(keyed[2], "")
    if not isinstance(value, str):
        raise UnsupportedError(f"the field {path} of a fieldRef is not known to the runner")
    return value


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with ``$(NAME)`` replaced. As in Kubernetes, ``$$`` is ``$``, and an unknown name stays as it is."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else variables.get(found[2], found[0])

    return _REFERENCE.sub(value, text)


def restarts(pod: Json, exit_code: int) -> bool:
    """Whether the container is to be started again after it ended with this exit code."""
    policy = pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def pod_path(pod: Json) -> str:
    """The API path of the pod."""
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
