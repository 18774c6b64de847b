"""Globus: the login, each collection of a hop, and tasks of ours that nothing here waits for."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from globus_sdk import TransferAPIError

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Endpoint
from dichroism_crds.kinds import Transfer
from dichroism_operator.doctor import globus_collection
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem, warning
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.endpoints import Use
from dichroism_operator.doctor.globus_collection import Trouble, remedy_of
from dichroism_operator.doctor.place import Place
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.connection import CLIENT_ID, CLIENT_SECRET, document
from dichroism_operator.threads import in_daemon_thread

_MOVER = "globus"
_LABEL = re.compile(r"dichroism ([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}) (\S+) \S+\Z")


def checks(place: Place) -> list[Check]:
    """Nothing where no hop goes by Globus."""
    hops = [hop for one in place.beamlines for hop in (one.transfer, one.archive) if hop and hop.mover == _MOVER]
    if place.config is None or not hops:
        return []
    used = {name for hop in hops for name in (hop.source, hop.destination)}
    collections = [
        Check(f"globus/{one.name}", "its collection lets us list and rename", partial(_collection, place, one))
        for one in place.endpoints
        if one.name in used
    ]
    return [
        Check("globus/login", "Globus takes our credentials", partial(_login, place)),
        *collections,
        Check("globus/tasks", "every task of ours stands in a Transfer and gets on", partial(_tasks, place)),
    ]


async def _login(place: Place) -> Findings:
    if not place.has_secrets(CLIENT_ID, CLIENT_SECRET) and await place.role() not in (Role.OPERATOR, Role.PRUNER):
        text = "no credentials for Globus are set here"
        return [not_checked(text, f"Set {CLIENT_ID} and {CLIENT_SECRET}, or run this in the operator's pod")]
    try:
        return [ok(f"logged in as {await place.globus.identity()}")]
    except MoverUnavailable as error:
        return [problem(str(error), remedy_of(error.reason, "the service account"))]


async def _collection(place: Place, endpoint: Endpoint) -> Findings:
    if endpoint.uuid is None or endpoint.has_placeholder:
        text = "the configuration names no collection, so nothing is moved"
        return [problem(text, f"Put the collection's UUID into {endpoint.name}.uuid")]
    identity = await place.globus.require()
    use = Use.of(endpoint.name, place.beamlines)
    may_write = use.writes_as(await place.role()) is not False
    try:
        described = await place.globus.document_of(endpoint)
    except (MoverUnavailable, TransferAPIError) as error:
        trouble = Trouble.of(error)
        return [problem(trouble.message, remedy_of(trouble.reason, identity))]
    look = partial(globus_collection.look, place.globus, endpoint, described, may_write=may_write)
    return globus_collection.judge(endpoint, identity, await in_daemon_thread(look))


# tasks


@dataclass(frozen=True, slots=True)
class OurTask:
    """A task that has not ended and whose label is one of ours: ``dichroism <namespace> <transfer> <submission>``."""

    task_id: str
    namespace_uid: str
    transfer: str
    status: str
    is_paused: bool
    trouble: str

    @classmethod
    def parse(cls, wire: dict[str, Any]) -> "OurTask | None":
        """From the document of the service; None when it is somebody else's, or carries no Transfer."""
        label = _LABEL.match(str(wire.get("label") or ""))
        if label is None:
            return None
        nice = str(wire.get("nice_status") or "")
        return cls(
            task_id=str(wire.get("task_id")),
            namespace_uid=label[1],
            transfer=label[2],
            status=str(wire.get("status")),
            is_paused=bool(wire.get("is_paused")),
            trouble="" if nice in ("OK", "Queued") else nice,
        )

    def stands_in(self, transfers: Collection[str]) -> bool:
        """Whether one of these Transfers is the task's; a very long name has ``~`` in place of its middle."""
        head, cut, tail = self.transfer.partition("~")
        if not cut:
            return self.transfer in transfers
        return any(name.startswith(head) and name.endswith(tail) for name in transfers)


async def _tasks(place: Place) -> Findings:
    identity = await place.globus.require()
    try:
        listed = await in_daemon_thread(partial(_unfinished, place))
    except (MoverUnavailable, TransferAPIError) as error:
        trouble = Trouble.of(error)
        return [problem(trouble.message, remedy_of(trouble.reason, identity))]
    tasks = [task for wire in listed if (task := OurTask.parse(wire))]
    if not tasks:
        return [ok("no task of ours is under way")]
    api = await place.cluster.api()
    try:
        known = {one.name async for one in api.list_metadata(Transfer)}
    except ApiError as error:
        return [not_checked(f"the Transfers can't be listed: {error.message}", "Run this in the operator's pod")]
    return judge_tasks(tasks, known, await _namespace_uid(api))


def _unfinished(place: Place) -> list[dict[str, Any]]:
    query: dict[str, str | list[str]] = {"type": "TRANSFER", "status": ["ACTIVE", "INACTIVE"]}
    answer = place.globus.ask("list our tasks", lambda client: document(client.task_list(limit=1000, filter=query)))
    rows = answer.get("DATA")
    return rows if isinstance(rows, list) else []


async def _namespace_uid(api: Api) -> str | None:
    """Tells our installation from others with the same account; None where we may not read the namespace."""
    try:
        namespace = await api.request("GET", f"/api/v1/namespaces/{api.namespace}")
    except ApiError:
        return None
    return str(namespace["metadata"]["uid"])


def judge_tasks(tasks: list[OurTask], known: Collection[str], own_uid: str | None) -> list[Finding]:
    """Tasks that a person has to look at.

    Args:
        tasks: those under way with a label of ours.
        known: names of the Transfers in our namespace.
        own_uid: uid of our namespace; None where it can't be read, then every installation's tasks are ours.
    """
    ours = [task for task in tasks if own_uid is None or task.namespace_uid == own_uid]
    findings = []
    for task in ours:
        if not task.stands_in(known):
            elsewhere = "" if own_uid else ", unless it is of another installation with the same account"
            text = f"task {task.task_id} was started for Transfer {task.transfer}, which is not there{elsewhere}"
            findings.append(warning(text, f"Its end is waited for. To end it now: globus task cancel {task.task_id}"))
        elif task.is_paused:
            text = f"task {task.task_id} of {task.transfer} is paused by an administrator"
            findings.append(problem(text, f"globus task show {task.task_id} says why; ask the administrator"))
        elif task.status == "INACTIVE":
            text = f"task {task.task_id} of {task.transfer} is INACTIVE: the collection's credentials expired"
            findings.append(problem(text, "Have the owner of the collection renew its credentials"))
        elif task.trouble:
            text = f"task {task.task_id} of {task.transfer} meets {task.trouble}"
            findings.append(warning(text, f"globus task event-list {task.task_id} says at which file"))
    many = "1 task is" if len(ours) == 1 else f"{len(ours)} tasks are"
    return findings or [ok(f"{many} under way, in Transfers, and getting on")]
