"""After a task has ended: what it says, what both ends show, and the checksum of each copy."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from globus_sdk import TransferAPIError, TransferClient

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, ItemResult, Progress, TaskState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.connection import GlobusConnection, document
from dichroism_operator.movers.globus.documents import Sent, Skipped, TaskDocument, rows
from dichroism_operator.movers.globus.download import MAX_BYTES, Downloads, TooLargeError
from dichroism_operator.movers.globus.errors import MalformedAnswerError
from dichroism_operator.movers.globus.preparing import look_at_source, look_by_folder
from dichroism_operator.movers.globus.reactions import Do, Reaction, reason_of
from dichroism_operator.movers.globus.results import Claim, account, copy_trouble, verified
from dichroism_operator.movers.hashing import no_checkpoint, sha256_from_disk
from dichroism_operator.movers.mount import Mount

R = TypeVar("R")

log = logging.getLogger(__name__)


class Settling:
    """Makes the results of ended tasks."""

    def __init__(self, connection: GlobusConnection, downloads: Downloads) -> None:
        self._connection = connection
        self._downloads = downloads

    def settle(
        self,
        ended: TaskDocument,
        reaction: Reaction,
        items: Sequence[Item],
        ends: tuple[Collection, Collection],
        *,
        complete: bool,
        code: str | None,
    ) -> Progress:
        """The end of a task.

        Args:
            ended: the task.
            reaction: SETTLE or BISECT.
            items: what it was given; ``complete`` says whether exactly that.
            ends: source and destination.
            complete: see ``items``.
            code: of the trouble that ended it.

        Raises:
            MoverUnavailable: it can't be told now; ask again.
        """
        source, destination = ends
        sent = self._rows(ended.task_id, "successful_transfers", Sent.from_wire)
        skipped = self._rows(ended.task_id, "skipped_errors", Skipped.from_wire) if ended.skipped_errors else []
        paths = {item.path: destination.path(item.path) for item in items}
        said = account(ended, items, paths, sent, skipped, complete=complete)
        results = [*said.troubles, *self._proven(said.claims, source, destination)]
        task = f", task {ended.task_id}"
        if not said.unreached:
            return Progress.of_results(results, items, task)
        if reaction.do == Do.SETTLE and reaction.reason is None:
            text = f"task {ended.task_id} does not tell what became of it"
            lost = {item.path: ItemResult(item.path, Reason.RESULTS_LOST, text) for item in said.unreached}
            # Where the source tells why, that is the reason.
            lost |= {one.path: one for one in look_at_source(source, said.unreached).troubles}
            return Progress.of_results([*results, *lost.values()], items, task)
        if reaction.do == Do.BISECT and len(items) == 1:
            reason = reason_of(code)
            if reason != Reason.TASK_FAILED:
                return Progress.of_results([ItemResult(items[0].path, reason, reaction.message)], items, task)
        return Progress(
            TaskState.FAILED,
            files=ended.files_transferred,
            bytes=ended.bytes_transferred,
            faults=ended.faults,
            message=reaction.message,
            reason=reaction.reason if reaction.do == Do.SETTLE else None,
            over=reaction.do == Do.SETTLE,
            results=tuple(results),
        )

    def _rows(self, task_id: str, what: str, read: Callable[[Mapping[str, Any]], R]) -> list[R]:
        return [read(row) for page in self._pages(task_id, what) for row in page]

    def _pages(self, task_id: str, what: str) -> Iterator[list[Mapping[str, Any]]]:
        marker: Any = None
        while True:
            place = {} if marker is None else {"marker": marker}

            def ask(client: TransferClient, place: dict[str, Any] = place) -> Mapping[str, Any]:
                question = getattr(client, f"task_{what}")
                return document(question(task_id, query_params=place))

            try:
                page = self._connection.call(f"read {what} of task {task_id}", ask)
            except TransferAPIError as error:
                text = f"{what} of task {task_id}: Globus answers {error.http_status} {error.code}"
                raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, text) from error
            try:
                yield rows(page)
            except MalformedAnswerError as error:
                raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what} of task {task_id}: {error}") from error
            if page.get("next_marker") in (None, marker):
                return
            marker = page["next_marker"]

    # both ends

    def _proven(self, claims: Sequence[Claim], source: Collection, destination: Collection) -> list[ItemResult]:
        """One result per claim: the source first, because a copy of a changed source is wrong for that reason."""
        items = [claim.item for claim in claims]
        troubles = {one.path: one for one in look_at_source(source, items).troubles} if items else {}
        unchanged = [item for item in items if item.path not in troubles]
        for item, standing in look_by_folder(destination, unchanged):
            if isinstance(standing, PermissionError):
                text = f"the copy of {item.path} can't be looked at: {standing.strerror}"
                troubles[item.path] = ItemResult(item.path, Reason.PERMISSION_DENIED, text)
            elif trouble := copy_trouble(item, standing):
                troubles[item.path] = trouble
        good = [claim for claim in claims if claim.item.path not in troubles]
        return [*troubles.values(), *(verified(one, self._checksum(one, source, destination)) for one in good)]

    def _checksum(self, claim: Claim, source: Collection, destination: Collection) -> str | None:
        """The sha256 of a copy: as Globus reports it, or read from the nearest place; None where there is no way.

        Source and copy were compared by Globus, so reading either gives it. With the checksum of record Globus compared
        only what it sent.
        """
        item = claim.item
        if claim.sha256 or (claim.sent and item.sha256):
            return claim.sha256 or item.sha256
        try:
            mounted = next((end for end in (destination, source) if end.endpoint.mount), None)
            if mounted:
                return _read_mounted(mounted, item)
            if item.size <= MAX_BYTES:
                size, digest = self._downloads.sha256(destination, item.path)
                return digest if size == item.size else None
        except (MoverUnavailable, OSError, TooLargeError) as error:
            log.warning("%s is recorded without a checksum: %s", item.path, error, extra={"endpoint": destination.name})
        return None


def _read_mounted(end: Collection, item: Item) -> str | None:
    with Mount(end.endpoint) as mount, mount.open(item.path) as fd:
        size, digest = sha256_from_disk(fd, no_checkpoint)
        return digest if size == item.size else None


def nothing_sent(troubles: Sequence[ItemResult]) -> Progress:
    """The end of a task that was not posted, because none of its items may go."""
    return Progress.of_results(troubles, ())
