"""Routes that the real service does not have: ask for trouble, turn the clock, look inside. Under ``/_emul/``."""

import json
from collections import Counter
from typing import Any

from tests.emulators.globus import lifecycle
from tests.emulators.globus.access import expire_tokens
from tests.emulators.globus.answers import Answer, Json, Refusal
from tests.emulators.globus.documents import task_document
from tests.emulators.globus.faults import Fault
from tests.emulators.globus.running import Scheduler
from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import Task

PREFIX = "/_emul/"


async def answer(site: Site, scheduler: Scheduler, method: str, path: str, body: bytes) -> Answer:
    """Serve one control request."""
    document: Any = json.loads(body or b"{}")
    match method, path.removeprefix(PREFIX):
        case "POST", "fault":
            return Answer([site.faults.add(Fault.from_json(each)).to_json() for each in document], 201)
        case "GET", "fault":
            return Answer(site.faults.pending())
        case "DELETE", "fault":
            site.faults.clear()
            return Answer([])
        case "POST", "clock":
            site.clock.set(rate=document.get("rate"), advance=document.get("advance", 0.0))
            return Answer({"now": site.clock.now(), "rate": site.clock.rate})
        case "GET", "clock":
            return Answer({"now": site.clock.now(), "rate": site.clock.rate})
        case "POST", "endpoint":
            return Answer(_change_collection(site, document))
        case "POST", "expire-tokens":
            expire_tokens(site)
            return Answer({})
        case "GET", "calls":
            return Answer(site.store.calls())
        case "GET", "state":
            return Answer(_state(site))
        case "POST", ("pause" | "unpause" | "cancel-admin" | "inactive" | "activate" | "expire" | "purge") as action:
            await _act(site, scheduler, action, document)
            return Answer({})
    raise Refusal(404, "ClientError.NotFound", f"no control route {method} {path}")


def _change_collection(site: Site, document: Json) -> Json:
    changes = dict(document)
    collection_id = changes.pop("collection_id")
    if "paused" in changes:
        lifecycle.pause_collection(site, collection_id, changes.pop("paused"))
    changed = site.collections.change(collection_id, changes)
    return {"collection_id": changed.collection_id, "root": changed.root}


async def _act(site: Site, scheduler: Scheduler, action: str, document: Json) -> None:
    task = site.tasks.get(document["task_id"])
    if task is None:
        raise Refusal(404, "ClientError.NotFound", f"no task {document['task_id']}")
    match action:
        case "pause":
            lifecycle.pause(site, task, document.get("message", ""))
        case "unpause":
            lifecycle.unpause(site, task)
        case "cancel-admin":
            lifecycle.cancel(site, task, admin_message=document.get("message", ""))
        case "inactive":
            lifecycle.deactivate(site, task)
        case "activate":
            lifecycle.reactivate(site, task)
        case "expire":
            lifecycle.expire(site, task)
        case _:
            _purge(site, task, whole=bool(document.get("whole")))
    if action not in ("unpause", "activate", "purge"):
        await scheduler.halted(task.task_id)
    scheduler.look()


def _purge(site: Site, task: Task, *, whole: bool) -> None:
    """What time does: the history goes first, then the task."""
    if not task.ended:
        raise Refusal(409, "ClientError.Conflict", f"the task {task.task_id} has not ended")
    if whole:
        site.tasks.drop(task)
    else:
        site.tasks.drop_history(task)


def _state(site: Site) -> Json:
    """Tasks with their documents, counters of requests, files that are too small for tape."""
    tasks = site.tasks.all()
    submissions = site.store.rows("SELECT id, client, task_id FROM submission ORDER BY issued")
    calls = Counter(f"{row['method']} {row['path']}" for row in site.store.rows("SELECT method, path FROM call"))
    tape = site.store.rows("SELECT path, size FROM tape")
    return {
        "now": site.clock.now(),
        "tasks": [task_document(site, task) | {"client": task.client} for task in tasks],
        "submissions": [dict(row) for row in submissions],
        "calls": dict(calls),
        "small_tape_files": [dict(row) for row in tape],
        "secrets_in_urls": _secrets_in_urls(site),
    }


def _secrets_in_urls(site: Site) -> int:
    secrets = [client.client_secret for client in site.settings.clients]
    secrets += [row["token"] for row in site.store.rows("SELECT token FROM token")]
    urls = [row["path"] + row["query"] for row in site.store.rows("SELECT path, query FROM call")]
    return sum(any(secret in url for secret in secrets) for url in urls)
