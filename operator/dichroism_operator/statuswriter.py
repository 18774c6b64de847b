"""The one place where a Scan's status is written: changes are functions, applied to a fresh read, written together.

A write waits a moment for the next change of the same Scan, so that two steps that end together cost one write. The
board learns of a change before it is written; whoever needs it durable awaits :meth:`StatusWriter.submit`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dichroism_crds.client import Api, ApiError, Conflict, Invalid, NotFound
from dichroism_crds.config import Config
from dichroism_crds.kinds import Scan, ScanPhase, Step
from dichroism_crds.timestamps import now
from dichroism_operator import lifecycle
from dichroism_operator.board import Board
from dichroism_operator.metrics import STATUS_WRITES

Change = Callable[[Scan], bool]
"""Changes a Scan in place and says whether it applied; it is called again on a fresh copy after a conflict."""

LINGER_S = 1.0
REQUESTS = 16
_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pending:
    uid: str
    change: Change
    done: asyncio.Future[Scan | None]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A Scan as it will be, and of each change whether it applied."""

    scan: Scan
    results: list[bool]


@dataclass(slots=True)
class _Entry:
    seen: Scan | None
    waiting: list[_Pending] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    draft: _Draft | None = None


class StatusWriter:
    """Applies changes to Scans and writes them with the resourceVersion they were read at."""

    def __init__(
        self,
        api: Api,
        config: Config,
        board: Board,
        pauses: Mapping[tuple[str, Step], str],
        failed: Callable[[Scan], None],
    ) -> None:
        """``failed`` is told of every Scan whose phase became Failed."""
        self._failed = failed
        self._api = api
        self._config = config
        self._board = board
        self._pauses = pauses
        self._open: dict[str, _Entry] = {}
        self._slots = asyncio.Semaphore(REQUESTS)
        self._closing = False

    def is_open(self, name: str) -> bool:
        """Whether a write of this Scan is under way; a watch event about it is older than what we know."""
        return name in self._open

    def preview(self, name: str) -> Scan | None:
        """The Scan as it will be written, while a write is under way: the next step need not wait for it.

        It has no resourceVersion, as nobody has written it yet.
        """
        entry = self._open.get(name)
        if entry is None or entry.draft is None:
            return None
        scan = entry.draft.scan
        metadata = scan.metadata.model_copy(update={"resource_version": None})
        return scan.model_copy(update={"metadata": metadata, "status": scan.status.to_change()})

    async def update(self, scan: Scan, change: Change) -> Scan | None:
        """:meth:`submit` for a Scan that was read a moment ago, or that :meth:`preview` gave."""
        return await self.submit(scan.name, scan.metadata.uid or "", change, scan)

    async def submit(self, name: str, uid: str, change: Change, seen: Scan | None = None) -> Scan | None:
        """Apply a change and return the Scan as it was written, once that is durable.

        ``seen``, the Scan as the API served it a moment ago, saves a read: if it has changed since, the API server
        refuses the write, and the change is applied to a fresh one.

        None: the Scan is gone, is another one by now (uid), refuses the write, or the change did not apply to it.
        """
        pending = _Pending(uid, change, asyncio.get_running_loop().create_future())
        entry = self._open.get(name)
        if entry is None:
            entry = self._open[name] = _Entry(seen)
            entry.waiting.append(pending)
            entry.task = asyncio.create_task(self._work(name, entry), name=f"write {name}")
        else:
            entry.waiting.append(pending)
        entry.arrived.set()
        return await asyncio.shield(pending.done)

    async def flush(self) -> None:
        """Write everything now, before the process ends."""
        self._closing = True
        for entry in self._open.values():
            entry.arrived.set()
        await asyncio.gather(*(entry.task for entry in self._open.values() if entry.task), return_exceptions=True)

    async def _work(self, name: str, entry: _Entry) -> None:
        batch: list[_Pending] = []
        try:
            while entry.waiting:
                scan = await self._start_from(name, entry)
                draft = await self._linger(entry, scan)
                batch, entry.waiting = entry.waiting, []
                await self._write(name, scan, draft, batch)
        except BaseException as error:
            # Nobody may wait for ever for a write that will not happen.
            for pending in (*batch, *entry.waiting):
                if isinstance(error, Exception) and not pending.done.done():
                    pending.done.set_exception(error)
                pending.done.cancel()
            raise
        finally:
            self._open.pop(name, None)

    async def _start_from(self, name: str, entry: _Entry) -> Scan | None:
        """What was handed in, a few Scans at a time: a thousand at once would hold up everything, the Lease as well."""
        seen, entry.seen = entry.seen, None
        if seen is None or seen.metadata.resource_version is None:
            return await self._read(name)
        async with self._slots:
            await asyncio.sleep(0)
        return seen

    async def _read(self, name: str) -> Scan | None:
        for attempt in range(10**9):
            try:
                async with self._slots:
                    return await self._api.get(Scan, name)
            except NotFound:
                return None
            except ApiError as error:
                log.warning("Scan %s cannot be read: %s", name, error, extra={"scan": name})
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
        return None

    async def _linger(self, entry: _Entry, scan: Scan | None) -> _Draft | None:
        """Wait for further changes of this Scan, and give it with all that arrived; the board sees each at once."""
        deadline = asyncio.get_running_loop().time() + LINGER_S
        draft = None
        while scan is not None:
            if draft is None or len(entry.waiting) > len(draft.results):
                draft = entry.draft = self._draft(scan, entry.waiting)
                self._show(draft.scan)
            entry.arrived.clear()
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self._closing:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await entry.arrived.wait()
        return draft

    def _draft(self, scan: Scan, batch: list[_Pending]) -> _Draft:
        """Apply changes to a copy; they touch nothing but its status."""
        changed = scan.model_copy(update={"status": scan.status.to_change()})
        results = [pending.uid == scan.metadata.uid and pending.change(changed) for pending in batch]
        beamline = self._config.beamlines.get(scan.spec.beamline)
        if any(results) and beamline:
            pauses = {step: text for (name, step), text in self._pauses.items() if name == scan.spec.beamline}
            lifecycle.derive(changed, beamline, self._config.attempts, now(), pauses)
        return _Draft(changed, results)

    def _show(self, scan: Scan) -> None:
        beamline = self._config.beamlines.get(scan.spec.beamline)
        steps = lifecycle.configured_steps(beamline) if beamline else frozenset()
        self._board.put(scan, lifecycle.open_steps(scan, steps, self._config.attempts))

    async def _write(self, name: str, scan: Scan | None, draft: _Draft | None, batch: list[_Pending]) -> None:
        for attempt in range(10**9):
            if scan is None:
                self._board.drop(name)
                self._settle(batch, None, "gone")
                return
            draft = draft or self._draft(scan, batch)
            changed = draft.scan
            try:
                if changed.status != scan.status:
                    async with self._slots:
                        changed = await self._api.replace_status(changed)
                    if ScanPhase.FAILED == changed.status.phase != scan.status.phase:
                        self._failed(changed)
                self._show(changed)
                self._settle(batch, _Draft(changed, draft.results), "written")
            except Conflict:
                STATUS_WRITES.labels("conflict").inc()
                scan, draft = await self._read(name), None
                continue
            except NotFound:
                scan = None
                continue
            except Invalid as error:
                # A Scan that refuses the write must not jam its batch-mates.
                log.error("Scan %s refuses its status: %s", name, error, extra={"scan": name})
                self._settle(batch, None, "refused")
            except ApiError as error:
                log.warning("status of Scan %s cannot be written: %s", name, error, extra={"scan": name})
                await asyncio.sleep(error.retry_after or _RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                scan, draft = await self._read(name), None
                continue
            return

    def _settle(self, batch: list[_Pending], written: _Draft | None, outcome: str) -> None:
        STATUS_WRITES.labels(outcome).inc()
        for index, pending in enumerate(batch):
            if not pending.done.done():
                pending.done.set_result(written.scan if written and written.results[index] else None)
