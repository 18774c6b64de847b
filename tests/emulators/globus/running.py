"""Working on tasks: whose turn it is, and one task's items from the first to the last."""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.emulators.globus import lifecycle
from tests.emulators.globus.attempts import Attempts, Result
from tests.emulators.globus.copying import HaltedError, ItemError
from tests.emulators.globus.faults import Point, die
from tests.emulators.globus.settings import Kind
from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import Item, State, Task

_TICK_S = 0.05
"""Real seconds between two looks at deadlines and turns."""
_COMMIT_S = 0.1
"""Real seconds for which progress is gathered into one transaction."""
_READ_AHEAD = 200
_BACK_OFF_DOUBLINGS = 5
_SKIPPABLE = ("FILE_NOT_FOUND", "PERMISSION_DENIED", "AMBIGUOUS_PATH")
_COLLECTION_TROUBLE = ("CONNECT_FAILED",)
"""Errors after which the whole task waits, because every other file would meet them too."""


class Run:
    """One task while it is worked on. It may be halted at any time and taken up again by another run."""

    def __init__(self, site: Site, task: Task, threads: ThreadPoolExecutor, ended: Callable[[], None]) -> None:
        self._site = site
        self._task = task
        self._tasks = site.tasks
        self._halted = False
        self._attempts = Attempts(site, task, threads, lambda: self._halted)
        self._ready: deque[Item] = deque()
        self._cursor = -1
        self._in_hand: dict[asyncio.Task[Result], Item] = {}
        self._held_until = 0.0
        self._fatal: ItemError | None = None
        self._work = asyncio.create_task(self._run())
        self._work.add_done_callback(lambda _: ended())
        self._work.add_done_callback(_report)

    @property
    def over(self) -> bool:
        """Whether nothing is in hand any more."""
        return self._work.done()

    def halt(self) -> None:
        """Stop soon; the file in hand stays as it is."""
        if not self._halted:
            self._halted = True
            self._work.cancel()

    async def wait(self) -> None:
        """Until it is over."""
        await asyncio.wait({self._work})

    async def _run(self) -> None:
        try:
            task = self._task
            if task.started is None:
                lifecycle.start(self._site, task)
            await self._site.clock.sleep_until((task.started or 0) + self._site.limits.start_up_s)
            while not self._fatal:
                self._fill()
                if not self._in_hand and not self._waiting():
                    lifecycle.succeed(self._site, task)
                    return
                await self._step()
        finally:
            self._halted = True
            if self._in_hand:
                await asyncio.wait(self._in_hand)
                self._record(list(self._in_hand))
        if self._fatal and not task.ended:
            lifecycle.fail(self._site, task, self._fatal.code, self._fatal.details)

    def _streams(self) -> int:
        collections = (self._site.collections.get(name) for name in self._task.collections)
        known = [collection for collection in collections if collection]
        one_by_one = any(each.kind == Kind.HPSS or each.quota_bytes is not None for each in known)
        return 1 if one_by_one else self._site.limits.files_at_once

    def _fill(self) -> None:
        """Take items in hand: new ones first, then those that are due to be tried again."""
        now = self._site.clock.now()
        busy = {item.n for item in self._in_hand.values()}
        while len(self._in_hand) < self._streams() and self._held_until <= now:
            item = self._next(busy, now)
            if item is None:
                return
            busy.add(item.n)
            self._in_hand[asyncio.create_task(self._attempts.perform(item))] = item

    def _next(self, busy: set[int], now: float) -> Item | None:
        if not self._ready:
            self._ready.extend(self._tasks.pending(self._task, self._cursor, _READ_AHEAD))
        if self._ready:
            item = self._ready.popleft()
            self._cursor = item.n
            return item
        retrying = self._tasks.retrying(self._task, len(busy) + 1)
        return next((item for item in retrying if item.n not in busy and item.not_before <= now), None)

    def _waiting(self) -> bool:
        return bool(self._tasks.pending(self._task, -1, 1) or self._tasks.retrying(self._task, 1))

    async def _step(self) -> None:
        """Wait until a file is done or the next one is due."""
        due = self._due()
        alarm = None if due is None else asyncio.create_task(self._site.clock.sleep_until(due))
        waited: set[asyncio.Task[Any]] = {*self._in_hand, *filter(None, [alarm])}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if alarm:
                alarm.cancel()
        self._record([attempt for attempt in self._in_hand if attempt.done()])

    def _due(self) -> float | None:
        if len(self._in_hand) >= self._streams():
            return None
        if self._held_until > self._site.clock.now():
            return self._held_until
        busy = {item.n for item in self._in_hand.values()}
        retrying = self._tasks.retrying(self._task, len(busy) + 1)
        return next((item.not_before for item in retrying if item.n not in busy), None)

    def _record(self, done: list[asyncio.Task[Result]]) -> None:
        for attempt in done:
            item = self._in_hand.pop(attempt)
            try:
                result = attempt.result()
            except HaltedError:
                continue
            except ItemError as error:
                self._failed(item, error)
            else:
                if self._site.faults.dies_at(Point.AFTER_COPY, *item.paths):
                    die()
                self._succeeded(item, result)

    def _succeeded(self, item: Item, result: Result) -> None:
        state = State.SYNCED if result.synced else State.SUCCEEDED
        self._tasks.set_item(
            item, state, size=result.size, checksum=result.checksum, algorithm=result.algorithm, type=result.kind
        )
        if result.found:
            self._tasks.add_items(item.task, result.found)
        self._tasks.count_up(self._task, bytes_transferred=result.moved, bytes_checksummed=result.checksummed)
        lifecycle.made_progress(self._site, self._task)
        if self._task.trouble and not self._tasks.retrying(self._task, 1):
            self._tasks.update(self._task, trouble=None, trouble_details=None)

    def _failed(self, item: Item, error: ItemError) -> None:
        now = self._site.clock.now()
        columns = {"error": error.code, "error_details": error.details, "error_time": now}
        if error.fatal:
            self._tasks.set_item(item, State.FAILED, **columns)
            self._fatal = self._fatal or error
        elif error.at_source and error.code in _SKIPPABLE and self._attempts.skips_source_errors:
            self._tasks.set_item(item, State.SKIPPED, **columns)
        else:
            shared = error.code in _COLLECTION_TROUBLE and not self._attempts.was_injected(item)
            doublings = 0 if shared else min(item.attempts, _BACK_OFF_DOUBLINGS)
            due = now + self._site.limits.retry_s * 2**doublings
            self._held_until = due if shared else self._held_until
            columns |= {"attempts": item.attempts + 1, "not_before": due}
            self._tasks.set_item(item, State.RETRYING, **columns)
            self._tasks.update(self._task, trouble=error.code, trouble_details=error.details)
            self._tasks.count_up(self._task, faults=1)
        description = error.code.lower().replace("_", " ")
        self._tasks.add_event(
            self._task, error.code, description, f"{item.source_path}: {error.details}", now, error=True
        )


def _report(work: asyncio.Task[None]) -> None:
    if not work.cancelled() and (error := work.exception()):
        traceback.print_exception(error)


class Scheduler:
    """Lets the right tasks run, ends those that are to end, and makes progress durable."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="file")
        self._runs: dict[str, Run] = {}
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up what was not ended, and look after it from now on."""
        self._loops = [asyncio.create_task(self._every(_TICK_S, self.look)), asyncio.create_task(self._commits())]

    async def stop(self) -> None:
        """Halt everything in good order."""
        for loop in self._loops:
            loop.cancel()
        for run in self._runs.values():
            run.halt()
        for run in self._runs.values():
            await run.wait()
        self._threads.shutdown()

    async def halted(self, task_id: str) -> None:
        """Wait until no file of the task is in hand, then let what is to end end."""
        run = self._runs.get(task_id)
        if run:
            run.halt()
            await run.wait()
        self.look()

    def look(self) -> None:
        """Apply deadlines, turns and ends as they are at this moment."""
        self._runs = {task_id: run for task_id, run in self._runs.items() if not run.over}
        lifecycle.forget(self._site)
        lifecycle.apply_deadlines(self._site)
        tasks = self._site.tasks.unended()
        turns = {task.task_id: task for task in lifecycle.turns(self._site, tasks)}
        for task in tasks:
            running = self._runs.get(task.task_id)
            if running and task.task_id not in turns:
                running.halt()
            elif not running and lifecycle.is_due_to_end(self._site, task):
                lifecycle.end_early(self._site, task)
            elif not running and task.task_id in turns:
                self._runs[task.task_id] = Run(self._site, task, self._threads, self._soon)

    def _soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.look)

    async def _every(self, seconds: float, act: Callable[[], None]) -> None:
        while True:
            act()
            await asyncio.sleep(seconds)

    async def _commits(self) -> None:
        await self._every(_COMMIT_S, self._site.store.commit)
