"""The mover for Globus collections: tasks of the Transfer service, each posted once whatever happens to us or to it.

This module keeps the submissions and wires the parts: ``preparing`` before a task, ``submission`` posts it, ``flights``
polls, ``reactions`` decides, ``settling`` gives the results; ``collection`` looks and renames, ``deletion`` deletes.
"""

import threading
import time
from collections.abc import Collection as AbstractCollection
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from globus_sdk import TransferAPIError

from dichroism_crds.config import Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now, same_time, to_ns
from dichroism_operator import killpoints
from dichroism_operator.movers.base import CopyState, CopyToVerify, FileStat, Progress, Task, TaskState
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable, NotARegularFileError
from dichroism_operator.movers.globus import deletion, reactions, submission
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.connection import GlobusConnection, document
from dichroism_operator.movers.globus.documents import TaskDocument
from dichroism_operator.movers.globus.download import MAX_BYTES, Downloads, TooLargeError
from dichroism_operator.movers.globus.flights import FIRST_POLL_S, Flight, Flights
from dichroism_operator.movers.globus.preparing import clear_the_way, legal, look_at_source
from dichroism_operator.movers.globus.reactions import STUCK_GRACE_S, Do
from dichroism_operator.movers.globus.results import RESOLUTION
from dichroism_operator.movers.globus.settling import Settling, nothing_sent
from dichroism_operator.movers.listing import Listed, What
from dichroism_operator.movers.mount import Mount, private_path
from dichroism_operator.movers.verifying import verify_copies

SETTLING_THREADS = 4
"""Ended tasks whose results are read at the same time."""


class GlobusMover(Closing):
    """The :class:`~dichroism_operator.movers.base.Mover` for Globus collections; a context manager, or close it."""

    verifies_by_job = False

    def __init__(
        self,
        connection: GlobusConnection | None = None,
        *,
        first_poll_s: float = FIRST_POLL_S,
        stuck_grace_s: float = STUCK_GRACE_S,
    ) -> None:
        """Ask nothing yet.

        Args:
            connection: with the credentials of the environment unless one is given.
            first_poll_s: seconds from the start of a task to its first poll; the later ones come further apart.
            stuck_grace_s: seconds for which a file may hold up its task.
        """
        self._first_poll_s = first_poll_s
        self._stuck_grace_s = stuck_grace_s
        self._connection = connection or GlobusConnection()
        self._downloads = Downloads(self._connection)
        self._settling = Settling(self._connection, self._downloads)
        self._flights = Flights(lambda ids: submission.read(self._connection, ids), self._first_poll_s)
        self._pool = ThreadPoolExecutor(SETTLING_THREADS, thread_name_prefix="globus-settling")
        self._collections: dict[str, Collection] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Wait for what is being read and close the connections; tasks go on at the service."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._connection.close()

    def _collection(self, endpoint: Endpoint) -> Collection:
        with self._lock:
            known = self._collections.get(endpoint.name)
            if known is None or known.endpoint != endpoint:
                known = self._collections[endpoint.name] = Collection(self._connection, endpoint)
            return known

    # tasks

    def new_submission_id(self) -> str:
        """An id that the service gave out for one task."""
        return submission.new_submission_id(self._connection)

    def start(self, task: Task) -> str | None:
        """Post the task, or find the one that was posted with this submission id.

        Raises:
            TaskRefused: the service will not take it as it stands.
            MoverUnavailable: try again later; nothing is posted twice.
        """
        flight = self._flights.get(task.submission_id)
        if flight and (flight.task_id or flight.end):
            return flight.task_id
        maybe_posted = task.resumed or flight is not None
        if maybe_posted and (found := submission.find(self._connection, task.label)):
            return self._adopt(flight or self._unknown(task), found)
        if task.created_at and now() - task.created_at > submission.SUBMISSION_LIFE:
            self._expired(task, "it was made durable more than 12 h ago and never used")
            return None
        flight = flight or self._prepare(task)
        return flight.task_id if flight.task_id or flight.end else self._post(flight)

    def _prepare(self, task: Task) -> Flight:
        """Look at both ends and clear the way; from here on the same items are posted, however often."""
        source, destination = self._collection(task.source), self._collection(task.destination)
        destination.probe()
        paths = legal(task.items)
        there = look_at_source(source, paths.good)
        free = clear_the_way(destination, there.good)
        troubles = (*paths.troubles, *there.troubles, *free.troubles)
        flight = Flight(task, (source, destination), free.good, complete=True, troubles=troubles)
        if not free.good:
            flight.end = nothing_sent(troubles)
        return self._flights.put(flight)

    def _unknown(self, task: Task) -> Flight:
        """A task that an earlier process posted: which of the items it was given is not known."""
        ends = (self._collection(task.source), self._collection(task.destination))
        paths = legal(task.items)
        return Flight(task, ends, paths.good, complete=False, troubles=paths.troubles)

    def _post(self, flight: Flight) -> str | None:
        task = flight.task
        source, destination = flight.ends
        data = submission.transfer_data(task, flight.items, source, destination, now() + submission.DEADLINE)
        try:
            task_id = submission.submit(self._connection, data)
        except submission.SubmissionRefusedError as refusal:
            if found := submission.find(self._connection, task.label):
                return self._adopt(flight, found)
            self._expired(task, str(refusal))
            return None
        except MoverUnavailable as outage:
            if outage.reason == Reason.CONFLICTING_TASK and (found := submission.find(self._connection, task.label)):
                return self._adopt(flight, found)
            raise
        except Exception:
            self._flights.drop(task.submission_id)
            raise
        killpoints.reach("task-posted")
        self._flights.posted(flight, task_id)
        return task_id

    def _adopt(self, flight: Flight, found: TaskDocument) -> str:
        self._flights.put(flight)
        self._flights.posted(flight, found.task_id)
        return found.task_id

    def _expired(self, task: Task, why: str) -> None:
        ends = (self._collection(task.source), self._collection(task.destination))
        flight = self._flights.put(Flight(task, ends, (), complete=True))
        text = f"the submission id can't be used any more ({why}); the files are planned again"
        flight.end = Progress(TaskState.FAILED, message=text, reason=Reason.SUBMISSION_EXPIRED, over=True)

    def poll(self, submission_ids: AbstractCollection[str]) -> Mapping[str, Progress]:
        """State of each task; most calls are answered from memory, for all lanes of the process together.

        Raises:
            MoverUnavailable: the service does not answer. What holds up one task alone is in its progress.
        """
        for flight in self._flights.refresh():
            try:
                self._react(flight)
            except MoverUnavailable as outage:
                _hold(flight, outage)
        return {one: self._progress(one) for one in submission_ids}

    def _progress(self, submission_id: str) -> Progress:
        flight = self._flights.get(submission_id)
        if flight is None or (flight.task_id is None and flight.end is None):
            return Progress(TaskState.LOST)
        if flight.settling and flight.settling.done():
            settling, flight.settling = flight.settling, None
            flight.due = 0.0  # When the results can't be read now, the next poll leads here again.
            try:
                flight.end = settling.result()
            except MoverUnavailable as outage:
                _hold(flight, outage)
        return flight.progress()

    def _react(self, flight: Flight) -> None:
        """Do what the table says about a task that was just read."""
        if flight.document is None:
            flight.document = self._read_alone(flight.task_id or "")
        if flight.document is None:
            text = f"Globus does not know task {flight.task_id} any more"
            flight.end = Progress(TaskState.FAILED, message=text, reason=Reason.RESULTS_LOST, over=True)
            return
        seen = flight.document
        flight.reaction = reaction = reactions.react(seen, canceled_for=flight.canceled_for)
        if reaction.do not in (Do.CANCEL, Do.REVIVE):
            flight.held_since = None
        match reaction.do:
            case Do.CANCEL | Do.REVIVE:
                self._held_up(flight, seen)
            case Do.LOST:
                flight.end = Progress(TaskState.FAILED, message=reaction.message, reason=reaction.reason, over=True)
            case Do.SETTLE | Do.BISECT:
                flight.code = flight.code or seen.fatal_code
                flight.settling = self._pool.submit(self._settle, flight, seen, reaction)

    def _read_alone(self, task_id: str) -> TaskDocument | None:
        """A task that was in no list: None only when the service says that there is no such task."""
        try:
            return self._connection.call(
                f"read task {task_id}",
                lambda client: TaskDocument.from_wire(document(client.get_task(task_id))),
            )
        except TransferAPIError as error:
            if error.http_status == 404:
                return None
            text = f"read task {task_id}: Globus answers {error.http_status} {error.code}"
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, text) from error

    def _held_up(self, flight: Flight, seen: TaskDocument) -> None:
        """Cancel a task that can't go on: after a grace, and after a look whether a file or an endpoint is to blame."""
        reaction = flight.reaction
        if reaction is None or flight.canceled_for:
            return
        flight.held_since = flight.held_since or time.monotonic()
        if time.monotonic() - flight.held_since < self._stuck_grace_s:
            return
        if reaction.do == Do.REVIVE:
            for end in flight.ends:
                end.probe(again=True)
        reason = reaction.reason or Reason.TASK_FAILED
        if seen.nice_status == "PERMISSION_DENIED" and not self._is_writable(flight.ends[1]):
            reason = Reason.PERMISSION_DENIED
        flight.code = seen.nice_status
        submission.cancel(self._connection, seen.task_id)
        flight.canceled_for = reason
        flight.due = 0.0

    def _is_writable(self, collection: Collection) -> bool:
        """Whether we may make a folder there; one an hour at most is left behind."""
        try:
            collection.make_folder(f"{PRIVATE_DIR}/write-test")
            collection.make_one(f"{PRIVATE_DIR}/write-test/{now():%Y%m%dT%H}")
        except PermissionError:
            return False
        except MoverUnavailable as outage:
            if outage.reason == Reason.PERMISSION_DENIED:
                return False
            raise
        return True

    def _settle(self, flight: Flight, seen: TaskDocument, reaction: reactions.Reaction) -> Progress:
        if not flight.items:
            return nothing_sent(flight.troubles)
        progress = self._settling.settle(
            seen, reaction, flight.items, flight.ends, complete=flight.complete, code=flight.code
        )
        return _with_troubles(progress, flight)

    def running_labels(self, prefix: str) -> frozenset[str]:
        """Labels of our running tasks, whoever posted them."""
        return submission.running_labels(self._connection, prefix)

    def forget(self, submission_id: str) -> None:
        """Drop a task that has ended."""
        flight = self._flights.get(submission_id)
        if flight and flight.end:
            self._flights.drop(submission_id)

    def cancel(self, submission_id: str) -> None:
        """Cancel the task; it ends FAILED, with the files that were finished in its results."""
        flight = self._flights.get(submission_id)
        if flight and flight.task_id and not flight.end:
            submission.cancel(self._connection, flight.task_id)
            flight.due = 0.0

    # files

    def stat(self, endpoint: Endpoint, paths: Sequence[str]) -> Mapping[str, FileStat | None]:
        """What lies at each path, no link followed."""
        return self._collection(endpoint).stat(paths)

    def verify(self, endpoint: Endpoint, copies: Sequence[CopyToVerify]) -> Mapping[CopyToVerify, CopyState]:
        """Read each copy again: from a mount, else up to 64 MB by HTTPS; what can't be read is UNKNOWN."""
        if endpoint.mount:
            with Mount(endpoint) as mount:
                return verify_copies(mount, copies)
        collection = self._collection(endpoint)
        files = [copy for copy in copies if copy.bundle is None]
        for copy in files:
            check_relative_path(copy.path)
        found = collection.look(copy.path for copy in files)
        states = dict.fromkeys(copies, CopyState.UNKNOWN)
        for copy in files:
            entry = found[copy.path]
            if entry is None:
                states[copy] = CopyState.MISSING
            elif entry.stat is None or not _as_recorded(copy, entry.stat):
                states[copy] = CopyState.DIFFERS
            elif copy.size <= MAX_BYTES:
                states[copy] = self._read_again(collection, copy)
        return states

    def _read_again(self, collection: Collection, copy: CopyToVerify) -> CopyState:
        try:
            same = self._downloads.sha256(collection, copy.path) == (copy.size, copy.sha256)
        except FileNotFoundError:
            return CopyState.MISSING
        except TooLargeError:
            return CopyState.DIFFERS
        return CopyState.VERIFIED if same else CopyState.DIFFERS

    def read_https(self, endpoint: Endpoint, path: str, limit: int = MAX_BYTES) -> bytes:
        """A file through the HTTPS server of the endpoint's collection.

        Raises:
            FileTrouble: SOURCE_MISSING when it is not there, TOO_LARGE beyond ``limit`` bytes.
            MoverUnavailable: it can't be read now, or there is no such server.
        """
        try:
            return self._downloads.read(self._collection(endpoint), check_relative_path(path), limit)
        except FileNotFoundError as error:
            raise FileTrouble(Reason.SOURCE_MISSING, str(error)) from error
        except TooLargeError as error:
            raise FileTrouble(Reason.TOO_LARGE, str(error)) from error

    def list_folder(self, endpoint: Endpoint, folder: str) -> Iterator[Listed]:
        """Entries of a folder of users, page by page; the collection does not tell when an inode changed.

        Raises:
            PermissionError: the storage lets us in, but not there.
            MoverUnavailable: it can't be told now.
        """
        collection = self._collection(endpoint)
        collection.probe()
        for page in collection.pages(folder):
            if not page:
                # After the look: storage that went away meanwhile must not read as an empty folder.
                collection.probe(again=True)
            for entry in page.values():
                if entry.stat:
                    modified_us = to_ns(entry.stat.modified_at) // 1000
                    yield Listed(entry.name, What.FILE, entry.stat.size, modified_us)
                else:
                    yield Listed(entry.name, What.FOLDER if entry.is_folder else What.OTHER)

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        """Rename a regular file; at least one of the two paths is inside ``.dichroism/``."""
        self._collection(endpoint).rename(old, new)

    def list_private(self, endpoint: Endpoint, folder: str) -> Mapping[str, FileStat]:
        """Regular files directly in a folder inside ``.dichroism/``."""
        private_path(folder)
        collection = self._collection(endpoint)
        collection.probe(again=True)
        if not collection.is_plain_folder(folder):
            return {}
        listed = collection.list_folder(folder)
        return {name: entry.stat for name, entry in listed.items() if entry.stat}

    def make_private(self, endpoint: Endpoint, folder: str) -> None:
        """Make a folder inside ``.dichroism/``."""
        private_path(folder)
        try:
            self._collection(endpoint).make_folder(folder)
        except PermissionError as error:
            text = f"{endpoint.name}: {folder} can't be made or entered: {error.strerror}. Give our identity permission"
            raise MoverUnavailable(Reason.PERMISSION_DENIED, text) from error
        except NotARegularFileError as error:
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, f"{endpoint.name}: {error}") from error

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        """Delete files inside ``.dichroism/``, after a look at all of them, and look afterwards."""
        deletion.delete_private(self._connection, self._collection(endpoint), paths, self._first_poll_s / 4)


def _hold(flight: Flight, outage: MoverUnavailable) -> None:
    """Show the lane of this task, and no other, why it does not get on."""
    flight.reaction = reactions.Reaction(Do.WAIT, outage.reason, str(outage))


def _as_recorded(copy: CopyToVerify, found: FileStat) -> bool:
    if found.size != copy.size:
        return False
    return copy.modified_at is None or same_time(found.modified_at, copy.modified_at, RESOLUTION)


def _with_troubles(progress: Progress, flight: Flight) -> Progress:
    """The results of what was sent, and of what was not."""
    faults = progress.faults + (len(flight.troubles) if progress.state == TaskState.DONE else 0)
    return replace(progress, results=(*progress.results, *flight.troubles), faults=faults)
