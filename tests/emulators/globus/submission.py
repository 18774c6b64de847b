"""Submitting tasks: ids, checks in the order of the service, and the one transaction that makes a task."""

import hashlib
import json
import uuid
from typing import Any

from tests.emulators.globus import lifecycle
from tests.emulators.globus.answers import Answer, Json, Refusal, request_id
from tests.emulators.globus.attempts import UNSEEN
from tests.emulators.globus.call import Call
from tests.emulators.globus.clock import parsed
from tests.emulators.globus.faults import Point, die
from tests.emulators.globus.tasks import ACTIVE, DELETE, TRANSFER

_LABEL_LENGTH = 128
_NOT_OPTIONS = ("DATA", "DATA_TYPE", "submission_id", "label", "deadline")
_SYNC_LEVELS = (None, 0, 1, 2, 3)


async def new_submission_id(call: Call) -> Answer:
    """GET /submission_id."""
    value = str(uuid.uuid1())
    row = (value, call.caller.client_id, call.site.clock.now())
    call.site.store.write("INSERT INTO submission (id, client, issued) VALUES (?, ?, ?)", row)
    return Answer({"DATA_TYPE": "submission_id", "value": value})


async def submit_transfer(call: Call) -> Answer:
    """POST /transfer."""
    return _submit(call, TRANSFER)


async def submit_delete(call: Call) -> Answer:
    """POST /delete."""
    return _submit(call, DELETE)


def _bad(message: str, detail: str = "") -> Refusal:
    return Refusal(400, f"ClientError.BadRequest{detail}", message)


def _submit(call: Call, kind: str) -> Answer:
    body = call.body()
    submission_id = str(body.get("submission_id") or "")
    known_task = _known(call, submission_id)
    if known_task:
        return _result(call, kind, "Duplicate", submission_id, known_task)
    items = _items(body, kind)
    check_label(body.get("label"))
    if body.get("sync_level") not in _SYNC_LEVELS:
        raise _bad(f"sync_level {body['sync_level']!r} is none of 0, 1, 2, 3")
    deadline = given_deadline(call, body)
    collections = _collections(call, body, kind)
    same = _digest(collections, items) if kind == TRANSFER else None
    if same and call.site.tasks.is_running(call.caller.client_id, same):
        message = "A transfer with identical paths has not yet completed"
        raise Refusal(409, "Conflict", message)
    if call.site.tasks.count_unended(call.caller.client_id) >= call.site.limits.pending_tasks:
        message = f"You have the maximum number of pending tasks, {call.site.limits.pending_tasks}"
        raise Refusal(409, "ClientError.Conflict.TooManyPendingJobs", message)
    if call.site.faults.dies_at(Point.BEFORE_INSERT, call.path):
        die()
    task_id = _insert(call, kind, body, items, collections, deadline, same)
    if call.site.faults.dies_at(Point.AFTER_INSERT, call.path):
        call.site.store.commit()
        die()
    return _result(call, kind, "Accepted", submission_id, task_id)


def _known(call: Call, submission_id: str) -> str | None:
    """The task of a submission id that was used before; refused when the id was not given out."""
    if not submission_id:
        raise _bad("submission_id is missing")
    row = call.site.store.row("SELECT client, task_id FROM submission WHERE id = ?", (submission_id,))
    mine = row is not None and row["client"] == call.caller.client_id
    if not mine and (row is not None or call.site.limits.strict_submission_ids):
        raise _bad(f"submission_id '{submission_id}' was not given out to this identity")
    return row["task_id"] if row else None


def _items(body: Json, kind: str) -> list[dict[str, Any]]:
    items = body.get("DATA") or []
    if not items:
        name = "transfer" if kind == TRANSFER else "delete"
        raise _bad(f"A {name} requires at least one item", f".No{name.capitalize()}Items")
    return [_transfer_item(item) if kind == TRANSFER else _delete_item(item) for item in items]


def _transfer_item(item: Json) -> dict[str, Any]:
    paths = [item.get("source_path"), item.get("destination_path")]
    if not all(isinstance(path, str) and path for path in paths):
        raise _bad("an item needs source_path and destination_path")
    if item.get("external_checksum") and item.get("recursive"):
        raise _bad("external_checksum is not for directories")
    if not isinstance(item.get("external_checksum"), str | None):
        raise _bad("external_checksum is no text")
    algorithm = str(item["checksum_algorithm"]).upper() if item.get("checksum_algorithm") else None
    if algorithm and algorithm.lower() not in hashlib.algorithms_available:
        raise _bad(f"checksum_algorithm '{item['checksum_algorithm']}' is not known")
    recursive = item.get("recursive")
    return {
        "source_path": paths[0],
        "destination_path": paths[1],
        "recursive": None if recursive is None else int(bool(recursive)),
        "external_checksum": item.get("external_checksum"),
        "algorithm": algorithm,
        "type": UNSEEN,
    }


def _delete_item(item: Json) -> dict[str, Any]:
    if not isinstance(item.get("path"), str) or not item["path"]:
        raise _bad("an item needs a path")
    return {"source_path": item["path"], "type": UNSEEN}


def check_label(label: Any) -> None:
    """Refuse a label that breaks the rules."""
    if label is None:
        return
    wrong = not isinstance(label, str) or len(label) > _LABEL_LENGTH or label != label.strip()
    if wrong or "\n" in label or "\r" in label:
        raise _bad(f"the label is longer than {_LABEL_LENGTH}, has line breaks, or blanks around it")


def given_deadline(call: Call, body: Json) -> float | None:
    """The deadline in virtual time. A client lives in real time, so it is shifted by what the clock is ahead."""
    if body.get("deadline") is None:
        return None
    try:
        deadline = parsed(str(body["deadline"])) + call.site.clock.ahead
    except ValueError as error:
        raise _bad(f"the deadline is no time: {error}") from error
    if deadline <= call.site.clock.now():
        raise _bad(f"the deadline {body['deadline']} is in the past")
    return deadline


def _collections(call: Call, body: Json, kind: str) -> tuple[str, ...]:
    names = ("source_endpoint", "destination_endpoint") if kind == TRANSFER else ("endpoint",)
    collections = [call.collection(str(body.get(name))) for name in names]
    for collection in collections:
        call.require_rights(collection)
    return tuple(collection.collection_id for collection in collections)


def _digest(collections: tuple[str, ...], items: list[dict[str, Any]]) -> str:
    paths = [[item["source_path"], item["destination_path"]] for item in items]
    return hashlib.sha256(json.dumps([collections, paths]).encode()).hexdigest()


def _insert(
    call: Call,
    kind: str,
    body: Json,
    items: list[dict[str, Any]],
    collections: tuple[str, ...],
    deadline: float | None,
    same: str | None,
) -> str:
    """Task, items and submission id in one transaction."""
    now = call.site.clock.now()
    task = call.site.tasks.add(
        items,
        task_id=str(uuid.uuid1()),
        client=call.caller.client_id,
        type=kind,
        status=ACTIVE,
        label=body.get("label"),
        request_time=now,
        deadline=now + lifecycle.NO_DEADLINE_GIVEN_S if deadline is None else deadline,
        deadline_given=int(deadline is not None),
        source=collections[0],
        destination=collections[1] if kind == TRANSFER else None,
        options=json.dumps({name: value for name, value in body.items() if name not in _NOT_OPTIONS}),
        same=same,
    )
    row = (body["submission_id"], call.caller.client_id, now, task.task_id)
    call.site.store.write("INSERT OR REPLACE INTO submission VALUES (?, ?, ?, ?)", row)
    return task.task_id


def _result(call: Call, kind: str, code: str, submission_id: str, task_id: str) -> Answer:
    name = "transfer" if kind == TRANSFER else "delete"
    message = f"The {name} has been accepted and a task has been created and queued for execution"
    if code == "Duplicate":
        message = f"A {name} with this submission id was accepted before; its task is the answer"
    link = {
        "DATA_TYPE": "link",
        "href": f"/v0.10/task/{task_id}?format=json",
        "rel": "related",
        "resource": "task",
        "title": "related task",
    }
    body = {
        "DATA_TYPE": f"{name}_result",
        "code": code,
        "message": message,
        "request_id": request_id(),
        "resource": call.path,
        "submission_id": submission_id,
        "task_id": task_id,
        "task_link": link,
    }
    return Answer(body, 202 if code == "Accepted" else 200)
