"""Routes about tasks that exist: look, list, change, cancel, and what became of each file."""

import fnmatch
from collections.abc import Callable

from tests.emulators.globus import documents, lifecycle
from tests.emulators.globus.answers import Answer, Json, Refusal, request_id
from tests.emulators.globus.attempts import FILE
from tests.emulators.globus.call import Call
from tests.emulators.globus.clock import parsed
from tests.emulators.globus.submission import check_label, given_deadline
from tests.emulators.globus.tasks import Item, State, Task

_MOST = 1000
_FEW = 10
_IN_COLUMNS = ("task_id", "status", "type")
_ORDERS = ("request_time", "completion_time", "deadline", "label", "status", "type", "task_id")


def _result(call: Call, code: str, message: str) -> Answer:
    body = {"DATA_TYPE": "result", "code": code, "message": message}
    return Answer(body | {"resource": call.path, "request_id": request_id()})


def _in_range(text: str) -> Callable[[float | None], bool]:
    first, _, last = text.partition(",")
    try:
        low, high = (parsed(first) if first else 0.0), (parsed(last) if last else float("inf"))
    except ValueError as error:
        raise Refusal(400, "ClientError.BadRequest", f"the filter has no time in {text!r}") from error
    return lambda moment: moment is not None and low <= moment <= high


def _label_matches(label: str | None, wanted: str) -> bool:
    if wanted.startswith("~"):
        return fnmatch.fnmatchcase((label or "").lower(), wanted[1:].lower())
    return label == wanted.removeprefix("=")


def _clause(name: str, text: str) -> Callable[[Task], bool]:
    values = text.split(",")
    if name == "label":
        return lambda task: any(_label_matches(task.label, value) for value in values)
    if name in ("request_time", "completion_time"):
        within = _in_range(text)
        return lambda task: within(getattr(task, name))
    raise Refusal(400, "ClientError.BadRequest", f"tasks cannot be filtered by '{name}'")


async def task_list(call: Call) -> Answer:
    """GET /task_list."""
    columns: dict[str, list[str]] = {}
    clauses = []
    for clause in filter(None, call.query.get("filter", "").split("/")):
        name, colon, text = clause.partition(":")
        if not colon:
            raise Refusal(400, "ClientError.BadRequest", f"the filter '{clause}' has no colon")
        if name in _IN_COLUMNS:
            columns[name] = text.split(",")
        else:
            clauses.append(_clause(name, text))
    found = call.site.tasks.of(call.caller.client_id, columns)
    found = [task for task in found if all(matches(task) for matches in clauses)]
    for order in reversed(call.query.get("orderby", "request_time DESC").split(",")):
        name, _, direction = order.strip().partition(" ")
        if name not in _ORDERS or direction.upper() not in ("", "ASC", "DESC"):
            raise Refusal(400, "ClientError.BadRequest", f"tasks cannot be ordered by '{order}'")
        found.sort(key=lambda task: (getattr(task, name) or "", task.seq), reverse=direction.upper() == "DESC")
    limit, offset = call.number("limit", _FEW, _MOST), call.number("offset", 0, 10**9)
    rows = [documents.task_document(call.site, task) for task in found[offset : offset + limit]]
    body = {"DATA_TYPE": "task_list", "length": len(rows), "limit": limit, "offset": offset, "total": len(found)}
    return Answer(body | {"DATA": rows})


async def get_task(call: Call) -> Answer:
    """GET /task/ID."""
    return Answer(documents.task_document(call.site, call.task()))


async def update_task(call: Call) -> Answer:
    """PUT /task/ID: label and deadline only."""
    task, body = call.task(), call.body()
    if task.ended:
        raise Refusal(409, "ClientError.Conflict", f"the task '{task.task_id}' has ended")
    if "label" in body:
        check_label(body["label"])
        call.site.tasks.update(task, label=body["label"])
    deadline = given_deadline(call, body)
    if deadline is not None:
        call.site.tasks.update(task, deadline=deadline, deadline_given=1)
    return _result(call, "Updated", "Updated task successfully")


async def cancel_task(call: Call) -> Answer:
    """POST /task/ID/cancel: waits until the files in hand are let go."""
    task = call.task()
    if task.ended:
        return _result(call, "TaskComplete", "The task completed before the cancel request was processed.")
    if task.ending is None:
        lifecycle.cancel(call.site, task)
    await call.scheduler.halted(task.task_id)
    if not call.task().ended:
        return _result(call, "CancelAccepted", "The cancel request was accepted, the task will end soon.")
    return _result(call, "Canceled", "The task has been cancelled successfully.")


async def event_list(call: Call) -> Answer:
    """GET /task/ID/event_list: newest first."""
    chosen = call.query.get("filter", "")
    if chosen not in ("", "is_error:0,1", "is_error:1"):
        raise Refusal(400, "ClientError.BadRequest", f"events cannot be filtered by '{chosen}'")
    found = call.site.tasks.events(call.task(), errors_only=chosen == "is_error:1")
    limit, offset = call.number("limit", _FEW, _MOST), call.number("offset", 0, 10**9)
    rows = [documents.event_document(row) for row in found[offset : offset + limit]]
    body = {"DATA_TYPE": "event_list", "length": len(rows), "limit": limit, "offset": offset, "total": len(found)}
    return Answer(body | {"DATA": rows})


def _page(
    call: Call, name: str, states: tuple[State, ...], kinds: tuple[str, ...], row: Callable[[Item], Json]
) -> Answer:
    task, size = call.task(), call.site.limits.page_size
    marker = call.number("marker", 0, 10**9)
    items = call.site.tasks.page(task, states, marker - 1, size + 1, kinds)
    following = items[size].n if len(items) > size else None
    body: Json = {"DATA_TYPE": name, "marker": marker, "next_marker": following}
    return Answer(body | {"DATA": [row(item) for item in items[:size]]})


async def successful_transfers(call: Call) -> Answer:
    """GET /task/ID/successful_transfers: files that were sent, not those that were right already."""
    return _page(call, "successful_transfers", (State.SUCCEEDED,), (FILE,), documents.successful_transfer)


async def skipped_errors(call: Call) -> Answer:
    """GET /task/ID/skipped_errors."""
    return _page(call, "skipped_errors", (State.SKIPPED,), (), documents.skipped_error)


async def pause_info(call: Call) -> Answer:
    """GET /task/ID/pause_info."""
    task = call.task()
    source, destination = (call.site.collections.get(name or "") for name in (task.source, task.destination))
    rules = [
        {"DATA_TYPE": "pause_rule_limited", "endpoint_id": each.collection_id, "message": each.paused}
        for each in (source, destination)
        if each and each.paused is not None
    ]
    body = {"DATA_TYPE": "pause_info_limited", "pause_rules": rules}
    own = task.pause_message if task.paused is not None else None
    return Answer(body | {"source_pause_message": own, "destination_pause_message": None})
