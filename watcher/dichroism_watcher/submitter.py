"""From a finished file to a Scan that the API holds: waiting for a turn, asking, and what is done about refusals.

What a file is decides ``recognise``, a single request makes ``submit``; here requests are ordered and repeated. Files
that just appeared go before those that may have been carried earlier.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dichroism_crds import timestamps
from dichroism_crds.client import Api, ApiError, Denied, NotFound
from dichroism_crds.names import Origin, scan_name
from dichroism_watcher import killpoints
from dichroism_watcher.daemon_thread import in_daemon_thread
from dichroism_watcher.journal import Journal
from dichroism_watcher.journal_file import JournalBrokenError, Row
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.recognise import is_safe, origin_of, places_before, was_there
from dichroism_watcher.records import Changes, FileContent, Submission
from dichroism_watcher.root import Root, RootUnavailableError
from dichroism_watcher.submit import How, NotNowError, Remedy, build_scan, note_moved, put_scan, remedy
from dichroism_watcher.throttle import Throttle, backoff

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Requests:
    """What became of the requests so far."""

    accepted: int = 0
    moved: int = 0
    errors: int = 0


class Submitter:
    """The workers of one beamline; what an answer brings about goes to ``act``."""

    def __init__(
        self,
        name: str,
        endpoint: str,
        root: Root,
        api: Api,
        throttle: Throttle,
        journal: Journal,
        ledger: Ledger,
        act: Callable[[Changes], None],
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.requests = Requests()
        self._root = root
        self._api = api
        self._throttle = throttle
        self._journal = journal
        self._ledger = ledger
        self._act = act
        self._queue: asyncio.PriorityQueue[tuple[bool, int, str]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._failures: dict[str, int] = {}

    def put(self, path: str) -> None:
        """A file is finished."""
        after = was_there(self._ledger.changed_ns(path), self._met_until())
        self._queue.put_nowait((after, next(self._order), path))

    def _met_until(self) -> int | None:
        return self._journal.met_until(self.name, self.endpoint)

    async def run(self, listed: asyncio.Event) -> None:
        """Work for ever, once the Scans were ``listed``: before, nobody knows which files have theirs."""
        await listed.wait()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._throttle.in_flight):
                tasks.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            _, _, path = await self._queue.get()
            # Taken only now: what was finished when it was queued may have changed while it waited.
            submission = self._ledger.take(path)
            if submission is None:
                self._failures.pop(path, None)
                continue
            try:
                await self._submit(path, submission)
            except JournalBrokenError:
                raise
            except Exception as error:  # one file's trouble, even a mistake of ours, must not stop the others
                self._failed(path, submission.content, error)

    async def _submit(self, path: str, submission: Submission) -> None:
        row = self._journal.row(self.name, path)
        if is_safe(submission, row):
            self._act(self._ledger.proven_safe(path, submission.content))
            return
        before = None
        if self._ledger.known(path) is None:  # else that Scan is told the content, wherever it came from
            standing = self._ledger.standing_for(path, submission.content)
            if standing is not None:
                self._act(self._ledger.moved(path, standing, submission.content, time.monotonic()))
                return
            before = await self._place_before(path, submission)
        async with self._throttle.slot():
            now = self._ledger.take(path)
            if now != submission:  # it changed while it waited for its turn
                if now is not None:
                    self._queue.put_nowait((False, next(self._order), path))
                return
            if before is not None:
                await self._move(path, submission, before)
            else:
                origin = origin_of(submission, row, self._met_until())
                await self._create(path, submission.content, origin)

    async def _create(self, path: str, content: FileContent, origin: Origin) -> None:
        scan = build_scan(self.name, self.endpoint, path, content, origin)
        how = await put_scan(self._api, scan)
        killpoints.reach("scan-created" if how is How.CREATED else "scan-updated")
        self._answered(path)
        self.requests.accepted += 1
        modified = timestamps.format_time(timestamps.from_ns(content.mtime_us * 1000))
        log.info(
            "accepted",
            extra=self._extra(path, scan=scan.name, size=content.size, modified=modified, how=how.value, origin=origin),
        )
        self._act(self._ledger.accepted(path, content, time.monotonic()))

    def _answered(self, path: str) -> None:
        if self._throttle.answered():
            log.info("the API answers again", extra=self._extra())
        self._failures.pop(path, None)

    # --- files that were moved

    async def _place_before(self, path: str, submission: Submission) -> Row | None:
        """Where the file was when it was copied, if it is there no more."""
        rows = self._journal.rows_of(self.name, submission.device, submission.inode, submission.content)
        for row in places_before(path, rows, self._ledger.known):
            if await in_daemon_thread(lambda: self._is_free(row.path)):  # noqa: B023 - awaited right here
                return row
        return None

    def _is_free(self, path: str) -> bool:
        """Whether nothing is at a path, proven with the root in its place."""
        try:
            self._root.check()
            (self._root.path / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except (OSError, RootUnavailableError):
            return False
        return False

    async def _move(self, path: str, submission: Submission, row: Row) -> None:
        """The file is the one of another path, whose Scan learns where it is now; there is no second one."""
        scan = scan_name(self.name, self.endpoint, row.scan)
        told = await note_moved(self._api, scan, path)
        if not told and not row.safe:
            raise NotNowError(f"Scan {scan} is gone before it succeeded; this file gets its own")
        killpoints.reach("move-annotated")
        self._answered(path)
        self.requests.moved += 1
        log.info("moved: its content has its Scan already", extra=self._extra(path, scan=scan, before=row.path))
        content = submission.content
        self._journal.remove(*row.key)
        self._journal.put(Row(self.name, path, content, submission.device, submission.inode, row.safe, row.scan))
        if row.safe:
            self._act(self._ledger.proven_safe(path, content))
        else:
            self._act(self._ledger.moved(path, row.scan, content, time.monotonic()))

    # --- refusals

    def _failed(self, path: str, content: FileContent, error: Exception) -> None:
        self.requests.errors += 1
        scan = scan_name(self.name, self.endpoint, path)
        match remedy(error):
            case Remedy.REST:
                self._failures.pop(path, None)
                log.error(
                    "quarantined: the API refuses the Scan of this file, which is not copied until it changes",
                    extra=self._extra(path, scan=scan, reason=str(error)),
                )
                self._act(self._ledger.refused(path, content, str(error)))
            case Remedy.PAUSE_ALL:
                first = not self._throttle.failing
                self._throttle.failed(error.retry_after if isinstance(error, ApiError) else None)
                self._report_outage(error, first=first)
                self._again_later(path, error)
            case Remedy.RETRY_FILE:
                wait = self._again_later(path, error)
                log.warning(
                    "not accepted yet, asked again later",
                    extra=self._extra(path, scan=scan, reason=f"{type(error).__name__}: {error}", wait=round(wait, 1)),
                )

    def _again_later(self, path: str, error: Exception) -> float:
        failures = self._failures[path] = self._failures.get(path, 0) + 1
        wait = backoff(failures, error.retry_after if isinstance(error, ApiError) else None)
        asyncio.get_running_loop().call_later(wait, self.put, path)
        return wait

    def _report_outage(self, error: Exception, *, first: bool) -> None:
        """Tell of an API that does not serve us: once, and again and again when only a person can mend it."""
        if first or isinstance(error, Denied | NotFound):
            log.error(
                "the API does not serve us; files wait on disk and are tried again",
                extra=self._extra(reason=f"creating Scans: {type(error).__name__}: {error}"),
            )

    def _extra(self, path: str | None = None, **fields: object) -> dict[str, object]:
        return {"beamline": self.name, **({} if path is None else {"path": path}), **fields}
