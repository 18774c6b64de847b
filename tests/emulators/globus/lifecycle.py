"""The life of a task apart from its files: start, pause, cancel, deadline, end, and being forgotten."""

import json

from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import ACTIVE, DELETE, FAILED, INACTIVE, SUCCEEDED, TRANSFER, State, Task

HOUR = 3600.0
DAY = 24 * HOUR
NO_DEADLINE_GIVEN_S = DAY
AFTER_PROGRESS_S = 3 * DAY
PAUSED_S = 90 * DAY
AFTER_PAUSE_S = DAY

_CANCELED = "CANCELED"
_EXPIRED = "EXPIRED"


def pause_message(site: Site, task: Task) -> str | None:
    """Why the task is paused, None when it is not: by itself, or by a rule of one of its collections."""
    if task.paused is not None:
        return task.pause_message or ""
    rules = (site.collections.get(collection) for collection in task.collections)
    return next((rule.paused for rule in rules if rule and rule.paused is not None), None)


def may_run(site: Site, task: Task) -> bool:
    """Whether its files may be worked on now."""
    return task.status == ACTIVE and task.ending is None and pause_message(site, task) is None


def start(site: Site, task: Task) -> None:
    """Its turn has come for the first time."""
    now = site.clock.now()
    site.tasks.update(task, started=now)
    if not task.deadline_given:
        site.tasks.update(task, deadline=now + NO_DEADLINE_GIVEN_S)
    site.tasks.add_event(task, "STARTED", "started", "", now)


def made_progress(site: Site, task: Task) -> None:
    """A file was done: a transfer without a deadline of its own gets more time."""
    if task.type == TRANSFER and not task.deadline_given:
        site.tasks.extend(task, site.clock.now() + AFTER_PROGRESS_S)


def pause(site: Site, task: Task, message: str) -> None:
    """An administrator holds this task."""
    now = site.clock.now()
    site.tasks.update(task, paused=now, pause_message=message, deadline=now + PAUSED_S)
    site.tasks.add_event(task, "PAUSED", "paused by administrator", message, now)


def unpause(site: Site, task: Task) -> None:
    """It goes on."""
    now = site.clock.now()
    site.tasks.update(task, paused=None, pause_message=None, deadline=now + AFTER_PAUSE_S)
    site.tasks.add_event(task, "UNPAUSED", "unpaused", "", now)


def pause_collection(site: Site, collection_id: str, message: str | None) -> None:
    """Set or lift the pause rule of a collection, with the deadlines that come of it."""
    before = site.collections.get(collection_id)
    site.collections.change(collection_id, {"paused": message})
    if before is None or (before.paused is None) == (message is None):
        return
    now = site.clock.now()
    for task in site.tasks.unended():
        if collection_id in task.collections and task.paused is None:
            code, kept = ("UNPAUSED", AFTER_PAUSE_S) if message is None else ("PAUSED", PAUSED_S)
            site.tasks.update(task, deadline=now + kept)
            site.tasks.add_event(task, code, code.lower(), message or "", now)


def deactivate(site: Site, task: Task) -> None:
    """Its credentials have run out: it waits for somebody."""
    site.tasks.update(task, status=INACTIVE)
    site.tasks.add_event(task, "NO_CREDENTIALS", "credentials expired", "", site.clock.now(), error=True)


def reactivate(site: Site, task: Task) -> None:
    """Somebody has renewed its credentials."""
    site.tasks.update(task, status=ACTIVE)


def cancel(site: Site, task: Task, *, admin_message: str | None = None) -> None:
    """Ask for its end; it comes after ``cancel_s``, when no file is in hand any more."""
    now = site.clock.now()
    ending = json.dumps({"code": _CANCELED, "description": "canceled"})
    at = now if admin_message is not None else now + site.limits.cancel_s
    site.tasks.update(task, ending=ending, ending_at=at, admin_message=admin_message)


def expire(site: Site, task: Task) -> None:
    """Its deadline is now."""
    now = site.clock.now()
    site.tasks.update(task, deadline=now, ending_at=now)
    site.tasks.update(task, ending=json.dumps({"code": _EXPIRED, "description": "expired"}))


def apply_deadlines(site: Site) -> None:
    """Expire what is over its deadline; what is queued keeps a day ahead of it."""
    now = site.clock.now()
    for task in site.tasks.unended():
        if task.started is None and not task.deadline_given and pause_message(site, task) is None:
            if task.deadline < now + NO_DEADLINE_GIVEN_S / 2:
                site.tasks.update(task, deadline=now + NO_DEADLINE_GIVEN_S)
        elif task.deadline <= now and task.ending is None:
            expire(site, task)


def is_due_to_end(site: Site, task: Task) -> bool:
    """Whether its end was asked for and its time has come."""
    return task.ending is not None and not task.ended and (task.ending_at or 0) <= site.clock.now()


def end_early(site: Site, task: Task) -> None:
    """End a task whose end was asked for, once no file of it is in hand."""
    ending = json.loads(task.ending or "{}")
    site.tasks.close_items(task, State.EXPIRED if ending["code"] == _EXPIRED else State.CANCELED)
    fail(site, task, ending["code"], ending["description"])


def fail(site: Site, task: Task, code: str, description: str) -> None:
    """End it as FAILED; there is no other status for a task that was canceled or has expired."""
    now = site.clock.now()
    site.tasks.close_items(task, State.CANCELED)
    fatal = json.dumps({"code": code, "description": description})
    site.tasks.update(task, status=FAILED, completion_time=now, fatal=fatal, trouble=None, trouble_details=None)
    site.tasks.add_event(task, code, description, "", now, error=True)


def succeed(site: Site, task: Task) -> None:
    """All its items are done or were skipped."""
    now = site.clock.now()
    site.tasks.update(task, status=SUCCEEDED, completion_time=now, trouble=None, trouble_details=None)
    site.tasks.add_event(task, "SUCCEEDED", "succeeded", "", now)


def forget(site: Site) -> None:
    """Drop the history, and later the tasks, that ended too long ago."""
    now = site.clock.now()
    for task in site.tasks.ended_before(now - site.limits.history_days * DAY, with_history=True):
        site.tasks.drop_history(task)
    for task in site.tasks.ended_before(now - site.limits.task_days * DAY, with_history=False):
        site.tasks.drop(task)


def turns(site: Site, tasks: list[Task]) -> list[Task]:
    """Which tasks are worked on: those that were begun first, then the oldest, so many of each type and client."""
    taken: dict[tuple[str, str], int] = {}
    chosen = []
    for task in sorted(tasks, key=lambda task: (task.started is None, task.seq)):
        allowed = site.limits.deletes_at_once if task.type == DELETE else site.limits.transfers_at_once
        slot = (task.client, task.type)
        if may_run(site, task) and taken.get(slot, 0) < allowed:
            taken[slot] = taken.get(slot, 0) + 1
            chosen.append(task)
    return chosen
