"""One hop of a flight check: a file is sent with the mover's own means, or a hop is tried without leaving a file.

Blocking, for a thread; whoever sets ``stop`` gets it back soon. Where the file lies is decided in ``field``.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from dichroism_crds.config import Endpoint
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.flight.field import FLIGHT, PROOF, STANDING, field_of, write
from dichroism_operator.movers.base import (
    CarriesFlights,
    Item,
    Mover,
    Progress,
    Rehearses,
    Task,
    TaskState,
)
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable

GRACE_S = 60.0
"""How long trouble may last before the check gives up: a server that is asked too often is well a moment later."""
CANCEL_S = 60.0
"""How long the end of a canceled task is awaited."""
POLL_S = 0.5
"""Movers answer most polls from memory."""
_PASSING = frozenset({Reason.RATE_LIMITED, Reason.SERVICE_UNAVAILABLE})
"""Trouble that may be over in a moment."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: ``limit_s`` for a whole hop, ``grace_s`` while something holds it up. ``stop`` ends it all."""

    limit_s: float
    grace_s: float
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class Way:
    """A hop with its mover. ``mounted_only``: the mover knows no way to an endpoint but its mount."""

    mover: Mover
    source: Endpoint
    destination: Endpoint
    mounted_only: bool


def provide(way: Way, name: str) -> Item:
    """The file at the source: written under ``name`` where the endpoint is mounted, else the one that stands there.

    Raises:
        MoverUnavailable: the source does not let us write, or look.
        FileTrouble: nothing stands there.
    """
    if way.source.mount or way.mounted_only:
        try:
            return write(way.source, name)
        except MoverUnavailable as error:
            if way.mounted_only or error.reason == Reason.DESTINATION_FULL:
                raise
    source = _unmounted(way.source)
    standing = way.mover.stat(source, [f"{FLIGHT}/{STANDING}"])[f"{FLIGHT}/{STANDING}"]
    if standing:
        prepare(way.mover, source)  # may be there already, as a source may be one that we can only read
    else:
        raise FileTrouble(
            Reason.SOURCE_MISSING,
            f"{FLIGHT}/{STANDING} is not on {way.source.name}, where we can't write content: put any file of some kB "
            "there once, see docs/how-to/flight-check.md",
        )
    return Item(STANDING, standing.size, standing.modified_at)


def prepare(mover: Mover, endpoint: Endpoint) -> None:
    """Make the folder of the flight checks at the end of a hop.

    Raises:
        MoverUnavailable: it can't be made.
        FileTrouble: this mover carries no file of a flight check.
    """
    if not isinstance(mover, CarriesFlights):
        text = f"the mover of {endpoint.name} stores no file of a flight check; leave --tape out"
        raise FileTrouble(Reason.NOT_CONFIGURED, text)
    mover.make_private(endpoint, PROOF)


def send(way: Way, item: Item, flight_id: str, patience: Patience, bundle: str | None = None) -> str:
    """Carry the file to the other end and see that it is there; returns what was seen, for people.

    Args:
        way: from where to where.
        item: the file; ``sha256`` when it is known.
        flight_id: of the whole check, for the task's label.
        patience: how long.
        bundle: file name of the tape bundle, on a hop to tape.

    Raises:
        MoverUnavailable: something holds up the hop for everybody; the task was canceled.
        FileTrouble: the file did not arrive as it should.
    """
    submission = _patiently(way.mover.new_submission_id, patience)
    source = _unmounted(way.source) if item.path == STANDING else way.source
    task = Task(
        submission,
        f"dichroism flight-check {flight_id} {submission}",
        field_of(source),
        field_of(way.destination),
        (replace(item, sha256=None),),  # as for a scan on its first hop, of which nobody knows a checksum yet
        bundle,
        created_at=now(),
    )
    try:
        _patiently(lambda: way.mover.start(task), patience)
        progress = _until_ended(way.mover, submission, patience)
    finally:
        way.mover.forget(submission)
    _check(item, progress)
    return _look(way, item, bundle, progress)


def rehearse(way: Way) -> str:
    """Try a hop without leaving a file at its end, as the mover can do it.

    Raises:
        MoverUnavailable: it would not get through.
        FileTrouble: this mover can't try a hop.
    """
    if not isinstance(way.mover, Rehearses):
        text = f"the mover to {way.destination.name} tries no hop without a file: use --tape"
        raise FileTrouble(Reason.NOT_CONFIGURED, text)
    return way.mover.rehearse(way.source, way.destination)


def _until_ended(mover: Mover, submission: str, patience: Patience) -> Progress:
    """The end of a task; one that does not get on is canceled, and its trouble raised."""
    end = time.monotonic() + patience.limit_s
    held_since: float | None = None
    while True:
        progress = _poll(mover, submission)
        if progress.state != TaskState.ACTIVE:
            return progress
        moment = time.monotonic()
        held_since = (held_since or moment) if progress.reason else None
        held_up = held_since is not None and moment - held_since >= patience.grace_s
        if held_up or moment >= end or patience.stop.wait(POLL_S):
            _cancel(mover, submission)
            text = progress.message or f"no end after {patience.limit_s:.0f} s"
            raise MoverUnavailable(progress.reason or Reason.TASK_EXPIRED, f"{text}. The task was canceled")


def _poll(mover: Mover, submission: str) -> Progress:
    try:
        return mover.poll([submission])[submission]
    except MoverUnavailable as outage:
        return Progress(TaskState.ACTIVE, message=str(outage), reason=outage.reason)


def _cancel(mover: Mover, submission: str) -> None:
    """Stop the task and await its end, so that nothing appears after it was cleaned up."""
    end = time.monotonic() + CANCEL_S
    canceled = False
    while time.monotonic() < end:
        try:
            if not canceled:
                mover.cancel(submission)
                canceled = True
            if mover.poll([submission])[submission].state != TaskState.ACTIVE:
                return
        except MoverUnavailable:
            pass  # The same trouble that is told of anyway.
        time.sleep(POLL_S)


def _patiently(ask: Callable[[], T], patience: Patience) -> T:
    """Ask again while the trouble may be over in a moment, and while the task of a check that was killed goes on."""
    start = time.monotonic()
    while True:
        try:
            return ask()
        except MoverUnavailable as outage:
            waited = time.monotonic() - start
            good_for = patience.grace_s if outage.reason in _PASSING else 0.0
            if outage.reason == Reason.CONFLICTING_TASK:
                good_for = patience.limit_s
            if waited >= good_for or patience.stop.wait(POLL_S):
                raise


def _check(item: Item, progress: Progress) -> None:
    """Raise unless the one file was verified by the mover, with the checksum that it has."""
    result = next((one for one in progress.results if one.path == item.path), None)
    if result is None or progress.state != TaskState.DONE:
        raise MoverUnavailable(progress.reason or Reason.TASK_FAILED, progress.message or "the task told no result")
    if not result.verified:
        raise FileTrouble(result.reason, result.message)
    if result.reason != Reason.COPIED:
        raise FileTrouble(Reason.DESTINATION_OBSTRUCTED, f"{item.path} was there already, so nothing was sent")
    if result.sha256 and item.sha256 and result.sha256 != item.sha256:
        text = f"the copy has sha256 {result.sha256}, the file was written with {item.sha256}: look after the storage"
        raise FileTrouble(Reason.CHECKSUM_MISMATCH, text)


def _look(way: Way, item: Item, bundle: str | None, progress: Progress) -> str:
    path = bundle or item.path
    size = progress.bundle_size if bundle else item.size
    there = way.mover.stat(field_of(way.destination), [path])[path]
    if there is None or there.size != size:
        seen = f"{there.size} bytes" if there else "no file"
        raise FileTrouble(Reason.COPY_MISSING, f"{seen} at {FLIGHT}/{path} on {way.destination.name}, not {size} bytes")
    return f"{item.size} bytes sent and compared" + (f", in a bundle of {size} bytes" if bundle else "")


def _unmounted(endpoint: Endpoint) -> Endpoint:
    """The endpoint as its collection alone shows it: the mount here can't be written, so it was not prepared."""
    return endpoint.model_copy(update={"mount": None})
