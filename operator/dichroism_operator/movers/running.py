"""One task of the filesystem mover while it runs, and what it can be asked meanwhile."""

import logging
import threading
from contextlib import suppress
from datetime import timedelta

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, ItemResult, Progress, Task, TaskState
from dichroism_operator.movers.bundling import BundleMaker
from dichroism_operator.movers.copying import Copier
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable, TaskCancelled, TaskRefused
from dichroism_operator.movers.incoming import Incoming
from dichroism_operator.movers.mount import Mount

logger = logging.getLogger(__name__)


class RunningTask:
    """A task from its start to its results. :meth:`run` is called once, in a thread of its own."""

    def __init__(self, task: Task, leftover_age: timedelta) -> None:
        self._task = task
        self._leftover_age = leftover_age
        self._cancelled = threading.Event()
        self._files = 0
        self._bytes = 0
        self._faults = 0
        self._verified: list[ItemResult] = []
        self._end: Progress | None = None

    def progress(self) -> Progress:
        """The state now."""
        return self._end or Progress(TaskState.ACTIVE, files=self._files, bytes=self._bytes, faults=self._faults)

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self._end is not None

    @property
    def ended_by_outage(self) -> bool:
        """Whether it is worth starting again: nothing is wrong with the task itself."""
        return self._end is not None and self._end.reason is not None

    def cancel(self) -> None:
        """Ask it to stop; it does so after at most one block."""
        self._cancelled.set()

    def run(self) -> None:
        """Do the work. Never raises: whatever happens becomes the final state."""
        try:
            self._end = self._work()
        except MoverUnavailable as outage:
            self._fail(str(outage), outage.reason)
        except TaskCancelled:
            self._fail("cancelled; the files that were finished stay")
        except TaskRefused as refusal:
            self._fail(str(refusal))
        except Exception as error:
            # A fault of this program must not leave the task active for ever.
            logger.exception("task failed", extra={"submission_id": self._task.submission_id})
            self._fail(f"unexpected {type(error).__name__}: {error}. See the operator's log")

    def _fail(self, message: str, reason: Reason | None = None) -> None:
        verified = self._verified
        self._end = Progress(
            TaskState.FAILED,
            files=len(verified),
            bytes=self._size_of(verified),
            faults=self._faults,
            message=message,
            reason=reason,
            results=tuple(verified),
        )

    def _checkpoint(self, _count: int) -> None:
        if self._cancelled.is_set():
            raise TaskCancelled

    def _work(self) -> Progress:
        task = self._task
        self._checkpoint(0)
        with Mount(task.source) as source, Mount(task.destination) as destination:
            source.require_apart(destination)
            for mount in (destination, source) if task.bundle else (destination,):
                with Incoming(mount, task.submission_id) as incoming:
                    incoming.sweep(self._leftover_age)
            if task.bundle:
                outcome = BundleMaker(task, source, destination, self._checkpoint).make()
                return self._done(list(outcome.results), outcome.sha256, outcome.size)
            return self._done(self._copy_all(source, destination))

    def _copy_all(self, source: Mount, destination: Mount) -> list[ItemResult]:
        """Copy every item. When the task can't go on, what was finished before is settled all the same."""
        troubles: list[ItemResult] = []
        with Incoming(destination, self._task.submission_id) as incoming:
            copier = Copier(source, destination, incoming, self._checkpoint)
            try:
                for item in self._task.items:
                    self._copy(copier, item, troubles)
            except (MoverUnavailable, TaskCancelled):
                with suppress(MoverUnavailable):
                    self._verified = [result for result in copier.settle() if result.verified]
                raise
            return [*copier.settle(), *troubles]

    def _copy(self, copier: Copier, item: Item, troubles: list[ItemResult]) -> None:
        self._checkpoint(0)
        try:
            copier.copy(item)
        except FileTrouble as trouble:
            troubles.append(ItemResult(item.path, trouble.reason, str(trouble)))
            self._faults += 1
        else:
            self._files += 1
            self._bytes += item.size

    def _done(
        self, results: list[ItemResult], bundle_sha256: str | None = None, bundle_size: int | None = None
    ) -> Progress:
        verified = [result for result in results if result.verified]
        return Progress(
            TaskState.DONE,
            files=len(verified),
            bytes=self._size_of(verified),
            faults=len(results) - len(verified),
            message=f"{len(verified)} of {len(results)} files verified",
            results=tuple(results),
            bundle_sha256=bundle_sha256,
            bundle_size=bundle_size,
        )

    def _size_of(self, results: list[ItemResult]) -> int:
        sizes = {item.path: item.size for item in self._task.items}
        return sum(sizes[result.path] for result in results)
