"""What a mover is: the one interface to whatever carries, keeps and removes files.

A mover is synchronous and thread-safe: the lanes call it in bounded threads, because the SDKs behind it block. It knows
nothing of Kubernetes. Every method raises :class:`~dichroism_operator.movers.errors.MoverUnavailable` when the outside
system as a whole is in trouble (the lane pauses, no file is blamed); trouble with one file is a value in the result.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from dichroism_crds.config import Endpoint
from dichroism_crds.reasons import Reason


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a task: ``path`` relative to both roots, ``size`` in bytes, ``sha256`` of record where one is known.

    ``own_partial`` says that an unfinished or failed Transfer of the same lane names this path and content, so whatever
    lies at the destination may be our own half-written copy.
    """

    path: str
    size: int
    modified_at: datetime
    sha256: str | None = None
    own_partial: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What a mover is asked to do. ``submission_id`` is the idempotency key: the same id is the same task, for ever."""

    submission_id: str
    label: str
    source: Endpoint
    destination: Endpoint
    items: tuple[Item, ...]
    bundle: str | None = None
    """Relative path of the tape bundle to make; None on a hop from disk to disk."""
    resumed: bool = False
    """An earlier start may have got through, in this process or another: look for it before anything is touched."""
    created_at: datetime | None = None
    """When the submission id was made durable; an old one may be known to nobody any more."""


class TaskState(StrEnum):
    """A task is done only when it has per-file results; ``LOST`` means that the mover does not know the task."""

    ACTIVE = "Active"
    DONE = "Done"
    FAILED = "Failed"
    LOST = "Lost"


VERIFIED = frozenset({Reason.COPIED, Reason.ALREADY_THERE, Reason.ADOPTED})
"""Reasons with which the destination holds a verified copy."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item.

    A verified copy: size and checksum compared after the copy, and the source unchanged (size, mtime) once more after
    it. ``sha256`` is that of the copy; a mover that had the checksums compared elsewhere may not know it.
    """

    path: str
    reason: Reason
    """COPIED or ALREADY_THERE when verified; otherwise this file's own trouble."""
    message: str = ""
    sha256: str | None = None

    @property
    def verified(self) -> bool:
        """Whether the destination holds a verified copy."""
        return self.reason in VERIFIED


@dataclass(frozen=True, slots=True)
class Progress:
    """State of one task. ``results`` is complete (one per item) when ``state`` is DONE.

    A FAILED task may have results too: of the items that were settled before it failed.
    """

    state: TaskState
    files: int = 0
    bytes: int = 0
    faults: int = 0
    message: str = ""
    reason: Reason | None = None
    """Why a FAILED task failed, or an ACTIVE one does not get on, where the outside system is to blame.

    The lane pauses, no file is blamed.
    """
    over: bool = False
    """Of a FAILED task with a reason: it can't be started again, so what it did not reach is planned again."""
    results: tuple[ItemResult, ...] = ()
    bundle_sha256: str | None = None
    bundle_size: int | None = None

    @classmethod
    def of_results(cls, results: Sequence[ItemResult], items: Sequence[Item], by: str = "") -> "Progress":
        """A task whose every item has its result; ``by`` ends the message."""
        sizes = {item.path: item.size for item in items}
        good = [one for one in results if one.verified]
        return cls(
            TaskState.DONE,
            files=len(good),
            bytes=sum(sizes[one.path] for one in good),
            faults=len(results) - len(good),
            message=f"{len(good)} of {len(results)} files verified{by}",
            results=tuple(results),
        )


@dataclass(frozen=True, slots=True)
class FileStat:
    """What lies at a path: size in bytes and modification time in the endpoint's resolution."""

    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class CopyToVerify:
    """A recorded copy that must be proven again.

    ``bundle`` holds it on tape as the member ``path``; None: it is the file at ``path``.
    """

    path: str
    size: int
    sha256: str
    bundle: str | None = None
    modified_at: datetime | None = None
    read_back: bool = False
    """On tape: the stored checksum is not enough, the bundle must have been read back since it was stored."""


class CopyState(StrEnum):
    """Outcome of a verification."""

    VERIFIED = "Verified"
    MISSING = "Missing"
    DIFFERS = "Differs"
    UNKNOWN = "Unknown"
    """Could not be decided now, so it does not count as a copy."""


class Mover(Protocol):
    """Carries files on one kind of hop, and looks after them on its endpoints."""

    verifies_by_job: bool
    """Whether :meth:`verify` only asks for a proof that comes later: then all copies are best named at once."""

    def new_submission_id(self) -> str:
        """A fresh idempotency key, to be made durable before :meth:`start`."""

    def start(self, task: Task) -> str | None:
        """Start the task, or join it when this submission id was started before; returns the mover's task id.

        None: it ended before anything was begun, so nothing of it can lie at the destination.
        A task that an outage ended (FAILED with a reason, not over) is started again.
        """

    def poll(self, submission_ids: Collection[str]) -> Mapping[str, Progress]:
        """State of many tasks in one go; every id asked for is in the answer."""

    def running_labels(self, prefix: str) -> frozenset[str]:
        """Labels that start with ``prefix`` of tasks that run now, those of other processes and earlier ones included.

        A task that can't outlive its process is in no answer.
        """

    def forget(self, submission_id: str) -> None:
        """The results are recorded: the mover may drop what it keeps of the task in memory."""

    def cancel(self, submission_id: str) -> None:
        """Stop the task if it runs; copies that were finished stay."""

    def stat(self, endpoint: Endpoint, paths: Sequence[str]) -> Mapping[str, FileStat | None]:
        """What lies at each path; None where there is no regular file.

        Not being able to look is never None: it raises ``MoverUnavailable``.
        """

    def verify(self, endpoint: Endpoint, copies: Sequence[CopyToVerify]) -> Mapping[CopyToVerify, CopyState]:
        """Prove each copy again: size and checksum read from the endpoint itself."""

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        """Rename a regular file without following links and without replacing anything.

        At least one of the paths is inside ``.dichroism/``: files of users are only moved there and back.

        Raises:
            FileNotFoundError: nothing is at ``old``.
            FileExistsError: something is at ``new``.
            NotARegularFileError: ``old`` is a link, a folder or a special file, or a folder on the way is a link.
            NotADirectoryError: the folder of ``new`` is not there. Only folders inside ``.dichroism/`` are created.
        """

    def list_private(self, endpoint: Endpoint, folder: str) -> Mapping[str, FileStat]:
        """Regular files directly in a folder inside ``.dichroism/``, by name; empty when the folder is not there."""

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        """Delete regular files inside ``.dichroism/``. Gone is fine.

        Any other path raises ValueError, a link or folder NotARegularFileError, and then nothing is deleted.
        """


@runtime_checkable
class KeepsFolders(Protocol):
    """What else a mover can do where removing a folder is one step that refuses a folder which is not empty.

    A folder is a path relative to the root, outside ``.dichroism/``, and never the root itself; any other raises
    ValueError. No link is followed.
    """

    def folders_changed(self, endpoint: Endpoint, folders: Sequence[str]) -> Mapping[str, datetime]:
        """When something was last put into each folder or taken out of it; one that is not there is absent."""

    def remove_folder(self, endpoint: Endpoint, folder: str) -> bool:
        """Remove a folder if it is empty; whether it was removed.

        Raises:
            OSError: it may not be removed.
        """

    def make_folder(self, endpoint: Endpoint, folder: str) -> None:
        """Make a folder, with those above it; that it is there already is fine.

        Raises:
            OSError: it can't be made, or something else stands there.
        """


@runtime_checkable
class CarriesFlights(Protocol):
    """What else a mover must do so that a flight check can send a file of its own over its hops."""

    def make_private(self, endpoint: Endpoint, folder: str) -> None:
        """Make a folder inside ``.dichroism/``, with those above it; that it is there already is fine.

        Raises:
            MoverUnavailable: it can't be made; the reason says why.
        """


@runtime_checkable
class Rehearses(Protocol):
    """A mover that can try a hop without leaving a file at its end, where a stored file costs too much."""

    def rehearse(self, source: Endpoint, destination: Endpoint) -> str:
        """Do everything that a task needs, but store nothing; returns what was seen, for people.

        Raises:
            MoverUnavailable: a task would not get through; the reason says why.
        """
