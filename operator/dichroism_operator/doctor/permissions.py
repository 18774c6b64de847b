"""What each of our programs asks of the Kubernetes API, and whether the account that runs here may do it.

A test renders the chart and compares its Roles with :func:`needed`, so neither can change without the other.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dichroism_crds import heartbeat
from dichroism_crds.client import Api
from dichroism_crds.names import GROUP, OPERATOR_LEASE, STOP_PRUNE_CONFIGMAP
from dichroism_operator.archive_request import config_map_name
from dichroism_operator.audit import result as audit
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.kubernetes import asking
from dichroism_operator.doctor.place import Place
from dichroism_operator.flight import result as flight
from dichroism_operator.prune.job import lease_name

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_LEASES = "coordination.k8s.io"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One verb on one kind of object, on a single one where ``name`` is given. ``resource`` may be ``scans/status``."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        """As people say it: ``update leases dichroism-operator``."""
        return f"{self.verb} {self.resource} {self.name}".rstrip()


def needed(role: Role, namespace: str, beamlines: Iterable[str]) -> tuple[Permission, ...]:
    """Everything that a program asks for; nothing for a person.

    Args:
        role: which program.
        namespace: where it works.
        beamlines: names of the beamlines; each has Leases for pruning, its watcher, its flight checks and its audits.
    """
    match role:
        case Role.OPERATOR:
            return (
                *_all(GROUP, ["scans"], ["get", "list", "watch", "delete"]),
                *_all(GROUP, ["transfers", "prunes"], ["get", "list", "create", "delete"]),
                *_all(GROUP, ["scans/status", "transfers/status", "prunes/status"], ["update"]),
                Permission("", "namespaces", "get", namespace),
                Permission("batch", "cronjobs", "list"),
                *_lease(OPERATOR_LEASE),
                *(Permission(_LEASES, "leases", "get", heartbeat.lease_name(one)) for one in beamlines),
                *(Permission(_LEASES, "leases", "get", flight.lease_name(one)) for one in beamlines),
                *(Permission(_LEASES, "leases", "get", audit.lease_name(one)) for one in beamlines),
                Permission("", "events", "create"),
                *(Permission("", "configmaps", "get", config_map_name(one)) for one in beamlines),
                Permission("", "configmaps", "get", STOP_PRUNE_CONFIGMAP),
            )
        case Role.PRUNER:
            return (
                *_all(GROUP, ["prunes"], ["get", "list"]),
                Permission(GROUP, "prunes/status", "update"),
                Permission(GROUP, "scans", "get"),
                Permission("", "configmaps", "get", STOP_PRUNE_CONFIGMAP),
                *_lease(*map(lease_name, beamlines)),
                Permission("", "events", "create"),
            )
        case Role.WATCHER:
            return (
                *_all(GROUP, ["scans"], ["get", "list", "watch", "create", "patch"]),
                Permission(_LEASES, "leases", "create"),
                *(Permission(_LEASES, "leases", "patch", heartbeat.lease_name(one)) for one in beamlines),
            )
        case Role.FLIGHT:
            return (
                Permission(_LEASES, "leases", "create"),
                *(Permission(_LEASES, "leases", "patch", flight.lease_name(one)) for one in beamlines),
            )
        case Role.AUDIT:
            return (
                *_all(GROUP, ["scans", "prunes"], ["list"]),
                Permission(_LEASES, "leases", "create"),
                *(Permission(_LEASES, "leases", "patch", audit.lease_name(one)) for one in beamlines),
            )
        case Role.PERSON:
            return ()


def _all(group: str, resources: Sequence[str], verbs: Sequence[str]) -> tuple[Permission, ...]:
    return tuple(Permission(group, resource, verb) for resource in resources for verb in verbs)


def _lease(*names: str) -> tuple[Permission, ...]:
    """A name can't be demanded of a creation."""
    used = (Permission(_LEASES, "leases", verb, name) for name in names for verb in ("get", "update"))
    return (Permission(_LEASES, "leases", "create"), *used)


def judge(role: Role, username: str, asked: Sequence[Permission], refused: Sequence[Permission]) -> list[Finding]:
    """What the answers mean; ``refused`` are those of ``asked`` that the API server would not let us do."""
    if role == Role.PERSON:
        return [
            not_checked(
                f"{username or 'this account'} is none of the chart's service accounts, so nothing is asked of it",
                "Run this in the operator's pod, or name a program with --role",
            )
        ]
    if not refused:
        return [ok(f"{username} may do all {len(asked)} things that the {role} does")]
    told = ", ".join(map(str, refused))
    return [
        problem(
            f"{username} may not: {told}. The {role} stops or waits where it needs that",
            "Upgrade the chart with the config.yml in use; its Roles grant exactly this. See what is granted: "
            f"kubectl get role -l app.kubernetes.io/component={role} -o yaml",
        )
    ]


def checks(place: Place) -> list[Check]:
    """The permissions of the account here."""
    proves = "the account may do everything that its program does"
    return [Check("kubernetes/permissions", proves, asking(place, _look))]


async def _look(place: Place, api: Api) -> Findings:
    _, identity = await place.cluster.connected()
    role = await place.role()
    asked = needed(role, api.namespace, [beamline.name for beamline in place.beamlines])
    answers = await asyncio.gather(*(_may(api, one) for one in asked))
    refused = [one for one, may in zip(asked, answers, strict=True) if not may]
    return judge(role, identity.username, asked, refused)


async def _may(api: Api, permission: Permission) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "namespace": api.namespace,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": permission.verb,
        "name": permission.name,
    }
    body: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = await api.request("POST", _REVIEWS, body=body)
    return bool(answer.get("status", {}).get("allowed"))
