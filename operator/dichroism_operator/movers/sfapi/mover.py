"""The mover for tape at NERSC: one job for each bundle, for each round of proofs, for each retrieval.

This module keeps the tasks and wires the parts: ``jobs`` brings an order to the site and reads its word, ``results``
and ``reactions`` say what the word means, ``verification`` proves stored bundles again, ``retrievals`` brings members
back; ``tapejob`` works there.
"""

import re
import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dichroism_crds.config import Endpoint, Superfacility
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import (
    CopyState,
    CopyToVerify,
    FileStat,
    Item,
    ItemResult,
    Progress,
    Task,
    TaskState,
)
from dichroism_operator.movers.bundling import checked_bundle_path, member_of
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import MoverUnavailable, TaskRefused
from dichroism_operator.movers.mount import user_path
from dichroism_operator.movers.sfapi import reactions, results
from dichroism_operator.movers.sfapi.connection import Connection
from dichroism_operator.movers.sfapi.jobs import JOBS, Errand, Jobs, job_name, label_of
from dichroism_operator.movers.sfapi.pace import FIRST_POLL_S, Pace
from dichroism_operator.movers.sfapi.retrievals import Retrievals
from dichroism_operator.movers.sfapi.site import PLAIN, Site
from dichroism_operator.movers.sfapi.verification import Verification

_KEY = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


@dataclass(slots=True)
class Flight:
    """One task from its submission to its results."""

    task: Task
    errand: Errand
    items: tuple[Item, ...]
    """What the job was given."""
    troubles: tuple[ItemResult, ...] = ()
    """Of items that it was not given."""
    job_id: str | None = None
    started: float = field(default_factory=time.monotonic)
    due: float = 0.0
    message: str = ""
    end: Progress | None = None

    @property
    def ended_by_outage(self) -> bool:
        """Whether it is worth starting again: nothing is wrong with the task itself."""
        return self.end is not None and self.end.reason is not None and not self.end.over


class SfapiMover(Closing):
    """The :class:`~dichroism_operator.movers.base.Mover` for tape at NERSC; a context manager, or close it.

    Nothing on tape is ever renamed or deleted by it.
    """

    verifies_by_job = True

    def __init__(
        self,
        settings: Superfacility,
        near: Mapping[str, Endpoint],
        connection: Connection | None = None,
        *,
        first_poll_s: float = FIRST_POLL_S,
    ) -> None:
        """Ask nothing yet.

        Args:
            settings: where the service is.
            near: for each tape endpoint by name, the endpoint on the site's file system that is archived to it; there
                the work folders, the manifests and the proofs lie.
            connection: with the credentials of the environment unless one is given.
            first_poll_s: seconds from the submission of a job to its first poll; the later ones come further apart.
        """
        self._settings = settings
        self._near = dict(near)
        self._connection = connection or Connection(settings)
        self._site = Site(self._connection)
        self._jobs = Jobs(self._site)
        self._verification = Verification(self._jobs)
        self._pace = Pace(first_poll_s)
        self.retrievals = Retrievals(self._jobs, self._near, self._pace)
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()

    def close(self) -> None:
        """Close the connection; jobs go on at the site."""
        self._connection.close()

    # tasks

    def new_submission_id(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def start(self, task: Task) -> str | None:
        """Submit the job, or find the one that was submitted, or its result.

        Raises:
            MoverUnavailable: try again later; a second job does no harm, but is avoided.
            ValueError: the submission id can't be part of a file name.
        """
        if not _KEY.match(task.submission_id):
            raise ValueError(f"submission id {task.submission_id!r}: up to 64 letters, digits and '-' were expected")
        with self._lock:
            known = self._flights.get(task.submission_id)
        if known and not known.ended_by_outage:
            return known.job_id
        flight = self._flight(task)
        if flight.end is None:
            flight.job_id = self._begun(flight)
            flight.due = flight.started + self._pace.first_s
        with self._lock:
            self._flights[task.submission_id] = flight
        return flight.job_id

    def _begun(self, flight: Flight) -> str | None:
        """The id of the flight's job; None when its result is there already and tells nobody's."""
        if document := self._jobs.result(flight.errand):
            job_id = str(document.get("job") or "")
            flight.end = self._settled(flight, document, job_id)
            return job_id or None
        try:
            return self._jobs.begin(flight.errand)
        except TaskRefused as refusal:
            flight.end = Progress(TaskState.FAILED, message=str(refusal))
            return None

    def _flight(self, task: Task) -> Flight:
        """Check the names and write the order; a task that can't be done has ended at once."""
        good, troubles = [], []
        for item in task.items:
            try:
                user_path(item.path)
                good.append(item)
            except PathError as error:
                troubles.append(ItemResult(item.path, Reason.INVALID_PATH, str(error)))
        members = [list(member_of(item)) for item in good]
        details = {"bundle": task.bundle, "members": members}
        near, tape = task.source, task.destination
        errand = Errand("pack", task.submission_id, job_name(task.label), near, tape, details)
        flight = Flight(task, errand, tuple(good), tuple(troubles))
        try:
            self._check(task)
        except TaskRefused as refusal:
            flight.end = Progress(TaskState.FAILED, message=str(refusal))
            return flight
        if not good:
            flight.end = results.settle({"bundle": task.bundle}, task.bundle or "", (), troubles, "")
        return flight

    def _check(self, task: Task) -> None:
        path = checked_bundle_path(task.bundle or "")
        for whole in (f"{task.destination.root_path}/{path}", task.source.root_path):
            if not PLAIN.match(whole):
                raise TaskRefused(
                    f"no bundle can be made: {whole!r} can't be used at the site, where paths stand on command lines: "
                    "letters, digits and _ . / + - only"
                )
        if len({item.path for item in task.items}) != len(task.items):
            raise TaskRefused(f"bundle {path}: a path stands twice in its plan, so neither could be told apart")

    def poll(self, submission_ids: Collection[str]) -> Mapping[str, Progress]:
        """State of each task; most calls are answered from memory, for all lanes of the process together.

        Raises:
            MoverUnavailable: the service does not answer.
        """
        self._refresh()
        with self._lock:
            known = {one: self._flights.get(one) for one in submission_ids}
        return {one: _progress(flight) for one, flight in known.items()}

    def _refresh(self) -> None:
        """Ask for all jobs when one of them is due; whoever comes meanwhile sees the answer the next time."""
        with self._lock:
            waiting = [one for one in self._flights.values() if one.end is None]
        moment = time.monotonic()
        if not any(one.due <= moment for one in waiting) or not self._refreshing.acquire(blocking=False):
            return
        try:
            queue = {job.name: job for job in self._site.waiting_and_running()}
            gone = [one for one in waiting if one.errand.job_name not in queue]
            states = self._site.states({one.job_id for one in gone if one.job_id})
            for one in waiting:
                if job := queue.get(one.errand.job_name):
                    one.message = job.said
                elif one.end is None:
                    one.end = self._end(one, states.get(one.job_id or "", ""))
                one.due = time.monotonic() + self._pace.pause_s(time.monotonic() - one.started)
        finally:
            self._refreshing.release()

    def _end(self, flight: Flight, state: str) -> Progress | None:
        """The end of a task whose job is not in the queue; None while the batch system is slow to tell."""
        job_id = flight.job_id or ""
        if document := self._jobs.result(flight.errand):
            return self._settled(flight, document, job_id)
        if state in reactions.UNDER_WAY:
            return None
        if not state and self._pace.may_show_up(time.monotonic() - flight.started):
            return None
        trouble = self._jobs.trouble(flight.errand)
        return reactions.react(job_id, state, trouble, f"{flight.errand.work}/job-{job_id}.log")

    def _settled(self, flight: Flight, document: Mapping[str, object], job_id: str) -> Progress:
        return results.settle(document, flight.task.bundle or "", flight.items, flight.troubles, job_id)

    def running_labels(self, prefix: str) -> frozenset[str]:
        """Labels of our jobs that wait or run, whoever submitted them."""
        names = (label_of(job.name) for job in self._site.waiting_and_running())
        return frozenset(name for name in names if name.startswith(prefix))

    def forget(self, submission_id: str) -> None:
        """Drop a task that has ended."""
        with self._lock:
            flight = self._flights.get(submission_id)
            if flight and flight.end:
                del self._flights[submission_id]

    def cancel(self, submission_id: str) -> None:
        """Cancel the task's job; a bundle that was stored already stays."""
        with self._lock:
            flight = self._flights.get(submission_id)
        if flight and flight.job_id and not flight.end:
            self._site.cancel(flight.job_id)
            flight.due = 0.0

    # files

    def stat(self, endpoint: Endpoint, paths: Sequence[str]) -> Mapping[str, FileStat | None]:
        """What lies at each path on the site's file system; of tape only jobs tell.

        Raises:
            MoverUnavailable: it can't be looked at.
        """
        if endpoint.name in self._near:
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, f"{endpoint.name} is tape: only a job can look there")
        return {path: self._site.stat(f"{endpoint.root_path}/{check_relative_path(path)}") for path in paths}

    def verify(self, endpoint: Endpoint, copies: Sequence[CopyToVerify]) -> Mapping[CopyToVerify, CopyState]:
        """What the newest proof of each copy says; UNKNOWN where there is none, then a job is asked for one.

        A proof holds 24 hours and lies beside the files, where every process of ours finds it.
        """
        for copy in copies:
            check_relative_path(copy.bundle or copy.path)
        if endpoint.name in self._near:
            return self._verification.of_bundles(endpoint, self._near[endpoint.name], copies)
        tape = next((name for name, near in self._near.items() if near.name == endpoint.name), None)
        if tape is None:
            raise ValueError(f"{endpoint.name} is no endpoint of this mover")
        return self._verification.of_files(endpoint, copies)

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        """Refused: nothing on tape is renamed.

        Raises:
            PathError: always.
        """
        raise PathError(f"rename of {old!r} to {new!r} on {endpoint.name}: nothing on tape is ever renamed")

    def list_private(self, endpoint: Endpoint, folder: str) -> Mapping[str, FileStat]:
        """Nothing: there is no private folder on tape."""
        raise PathError(f"{endpoint.name} has no folder {folder!r}: on tape there are bundles alone")

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        """Refused: nothing on tape is deleted.

        Raises:
            PathError: always.
        """
        raise PathError(f"{len(paths)} paths on {endpoint.name}: nothing on tape is ever deleted")

    def rehearse(self, source: Endpoint, destination: Endpoint) -> str:
        """Log in, write below the work folder, look at the queue and into the archive; no job is started.

        Raises:
            MoverUnavailable: a bundle would not get through.
        """
        if PRIVATE_DIR not in self._site.list_folder(source.root_path):
            text = (
                f"{source.root_path} has no folder {PRIVATE_DIR}: its file system is not there, or was never prepared"
            )
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)
        self._site.make_folder(f"{source.root_path}/{JOBS}")
        names = self._site.tape_names(self._settings.hsi, destination.root_path) or []
        bundles = sum(name.endswith(".tar") for name in names)
        waiting = len(self._site.waiting_and_running())
        return f"logged in as {self._site.user()}, {bundles} bundles on {destination.name}, {waiting} jobs in the queue"

    # looking, for those who compare

    def bundle_names(self, tape: Endpoint) -> frozenset[str]:
        """Names, without folders, of all bundles below the root of ``tape``: one command, no job, no tape is mounted.

        Raises:
            MoverUnavailable: the archive does not let us in, or does not answer.
        """
        names = self._site.tape_names(self._settings.hsi, tape.root_path) or []
        return frozenset(name.rpartition("/")[2] for name in names if name.endswith(".tar"))


def _progress(flight: Flight | None) -> Progress:
    if flight is None:
        return Progress(TaskState.LOST)
    return flight.end or Progress(TaskState.ACTIVE, message=flight.message)
