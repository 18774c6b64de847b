"""Who installs the chart with rights in one namespace: `admin` as it is shipped, and what the request asks for."""

from typing import Any

import yaml

from tests.pages import page

INSTALLER = "installer"
"""Service account that may do in its namespace what its administrator may, and what the request page asks for."""
BUILT_IN = tuple(f"system:aggregate-to-{role}" for role in ("admin", "edit", "view"))
"""The parts of the role `admin` that come with Kubernetes; the role itself may have learned of our kinds."""


def asked_rights() -> str:
    """The Role and its RoleBinding that the request to the administrators shows, as text."""
    (rights,) = [block.text for block in page("request-to-nersc").blocks if block.file == "rights.yaml"]
    return rights


def administrator(namespace: str) -> list[dict[str, Any]]:
    """The account as the built-in `admin` of a namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": INSTALLER, "namespace": namespace}}
    return [account, *(_binding(namespace, {"kind": "ClusterRole", "name": role}) for role in BUILT_IN)]


def rights(namespace: str) -> list[dict[str, Any]]:
    """What the request asks for beside that."""
    role, binding = yaml.safe_load_all(asked_rights())
    role["metadata"]["namespace"] = namespace
    return [role, _binding(namespace, {key: binding["roleRef"][key] for key in ("kind", "name")})]


def _binding(namespace: str, role: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{INSTALLER}-{role['name'].replace(':', '-')}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
        "subjects": [{"kind": "ServiceAccount", "name": INSTALLER, "namespace": namespace}],
    }
