"""Which rights of a Role are used, as the audit log of the API server tells it: who asked for what, and was it let in.

Rights add up and never take away, so a right is needed exactly when some request is allowed by it and by no other.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from dichroism_crds.names import GROUP
from tests.cluster import Cluster


@dataclass(frozen=True, order=True)
class Request:
    """One request; ``resource`` has its subresource, ``name`` is empty for collections."""

    group: str
    resource: str
    verb: str
    name: str
    allowed: bool


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource by one rule of a Role; without a name it holds for every object."""

    rule: int
    group: str
    resource: str
    verb: str
    name: str

    def covers(self, request: Request) -> bool:
        """Whether the request is allowed by this right."""
        same = (self.group, self.resource, self.verb) == (request.group, request.resource, request.verb)
        return same and self.name in ("", request.name)


def rights_of(role: dict[str, Any]) -> list[Right]:
    """All rights that a Role gives, one by one."""
    return [
        Right(number, group, resource, verb, name)
        for number, rule in enumerate(role["rules"])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def requests_of(cluster: Cluster, namespace: str, account: str) -> set[Request]:
    """What a service account has asked of its namespace so far."""
    user = f"system:serviceaccount:{namespace}:{account}"
    return {request for event in _events(cluster) if (request := _request(event, user, namespace))}


def _events(cluster: Cluster) -> Iterator[dict[str, Any]]:
    for line in cluster.audit_log.read_text().splitlines():
        yield json.loads(line)


def _request(event: dict[str, Any], user: str, namespace: str) -> Request | None:
    about = event.get("objectRef", {})
    # A Namespace is an object of itself.
    place = about.get("namespace") or (about.get("name") if about.get("resource") == "namespaces" else None)
    if event["user"]["username"] != user or place != namespace:
        return None
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
    return Request(about.get("apiGroup", ""), resource, event["verb"], about.get("name", ""), allowed)


def not_needed(rights: Iterable[Right], requests: Iterable[Request]) -> set[Right]:
    """Rights without which every request would still be allowed."""
    given = list(rights)
    by = [[right for right in given if right.covers(one)] for one in requests if one.allowed]
    return set(given) - {right for covering in by if len(covering) == 1 for right in covering}


ALL = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
WRITES = ("create", "update", "patch", "delete", "deletecollection")
GROUPS = {
    "scans": GROUP,
    "transfers": GROUP,
    "prunes": GROUP,
    "leases": "coordination.k8s.io",
    "cronjobs": "batch",
    "jobs": "batch",
    "deployments": "apps",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
}


def allowed(cluster: Cluster, namespace: str, account: str, asked: dict[str, tuple[str, ...]]) -> set[str]:
    """Those of the asked calls, as ``verb resource``, that the API server would let the account do on any object."""
    user = f"system:serviceaccount:{namespace}:{account}"
    reviews = []
    for whole, verbs in asked.items():
        resource, _, subresource = whole.partition("/")
        attributes = {
            "namespace": namespace,
            "group": GROUPS.get(resource, ""),
            "resource": resource,
            "subresource": subresource,
        }
        for verb in verbs:
            spec = {"user": user, "resourceAttributes": {**attributes, "verb": verb}}
            reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    answers = cluster.kubectl("create", "-f", "-", "-o", "yaml", input=yaml.safe_dump_all(reviews))
    return {
        f"{where['verb']} {where['resource']}/{where.get('subresource', '')}".rstrip("/")
        for one in yaml.safe_load_all(answers)
        for where in [one["spec"]["resourceAttributes"]]
        if one["status"]["allowed"]
    }
