"""Endpoints that are mounted here: the right file system, its rights, its behaviour, its room, what lies around."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.config.loader import MOUNT_PREFIX
from dichroism_crds.kinds import Prune, PrunePhase
from dichroism_crds.names import LABEL_ENDPOINT, PRIVATE_DIR
from dichroism_operator import wording
from dichroism_operator.doctor import leftovers, roundtrip
from dichroism_operator.doctor.check import (
    Check,
    Finding,
    Findings,
    NotCheckedHereError,
    not_checked,
    ok,
    problem,
    warning,
)
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.leftovers import Leftovers
from dichroism_operator.doctor.place import Place
from dichroism_operator.doctor.roundtrip import RoundTrip, RoundTripError
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.mount import Mount, readable
from dichroism_operator.threads import in_daemon_thread

ALMOST_FULL = 0.05
"""Part of a file system below which a person should act before it is full."""
CLOCK_TOLERANCE_NS = 5 * 10**9
MICROSECOND_NS = 1000
_LOOKED_AT = 2000
"""Names that are looked at to find one file of a user."""
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Use:
    """What the configuration does with an endpoint.

    Attributes:
        is_destination: copies are made on it.
        is_pruned: files are deleted from it one day.
        largest_bundle: bytes of the largest tape bundle that is made on it, 0 for none.
    """

    is_destination: bool
    is_pruned: bool
    largest_bundle: int = 0

    @classmethod
    def of(cls, endpoint: str, beamlines: tuple[Beamline, ...]) -> "Use":
        """The uses by these beamlines together."""
        hops = [hop for beamline in beamlines for hop in (beamline.transfer, beamline.archive) if hop]
        bundles = [
            one.archive.bundle.target for one in beamlines if one.archive and one.archive.destination == endpoint
        ]
        return cls(
            any(hop.destination == endpoint for hop in hops),
            any(endpoint in beamline.prune for beamline in beamlines),
            max(bundles, default=0),
        )

    def writes_as(self, role: Role) -> bool | None:
        """Whether this program writes to the endpoint; None where it depends on which prune job it is."""
        match role:
            case Role.OPERATOR:
                return self.is_destination
            case Role.WATCHER | Role.AUDIT:
                return False
            case Role.PRUNER:
                return None if self.is_pruned else False
            case Role.FLIGHT:
                return True
            case Role.PERSON:
                return self.is_destination or self.is_pruned


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen on a mounted endpoint, without judgement.

    Attributes:
        sample: path of a file of a user that was opened for reading; None when none was found.
        unreadable: a folder or file of a user that can't be read, with the reason; None when there was none.
        same_file_system: ``.dichroism`` lies on the file system of the root, so that renames into it are possible.
        root_writable: folders can be made in the root.
        free_bytes: room for us.
        all_bytes: size of the file system.
        free_files: how many more files there may be; None where there is no such limit.
        trip: the round trip, or why there is none.
        left: what lies in ``.dichroism``, or why that is not known.
    """

    sample: str | None
    unreadable: str | None
    same_file_system: bool
    root_writable: bool
    free_bytes: int
    all_bytes: int
    free_files: int | None
    trip: RoundTrip | RoundTripError
    left: Leftovers | OSError


def checks(place: Place) -> list[Check]:
    """One check for each endpoint of the beamlines."""
    proves = "it is the right file system, and does what a mover needs"
    return [Check(f"endpoint/{one.name}", proves, partial(_look, place, one)) for one in place.endpoints]


async def _look(place: Place, endpoint: Endpoint) -> Findings:
    if endpoint.mount is None:
        variable = MOUNT_PREFIX + endpoint.name.upper().replace("-", "_")
        return [not_checked("is not mounted here", f"Where it is mounted, say so: {variable}=/path")]
    role = await place.role()
    use = Use.of(endpoint.name, place.beamlines)
    try:
        seen = await in_daemon_thread(partial(_see, endpoint, may_write=use.writes_as(role) is not False))
    except MoverUnavailable as error:
        return [
            problem(str(error), "See docs/how-to/prepare-endpoints.md; the lanes that need it are paused meanwhile")
        ]
    findings = judge(endpoint, use, role, seen)
    if isinstance(seen.left, Leftovers) and (use.is_pruned or seen.left.trash):
        findings += await _judge_trash(place, endpoint.name, seen.left)
    return findings


def _see(endpoint: Endpoint, *, may_write: bool) -> Seen:
    with Mount(endpoint) as mount:
        space = os.fstatvfs(mount.fd)
        sample, unreadable = _sample(mount)
        trip: RoundTrip | RoundTripError
        try:
            if not may_write:
                raise RoundTripError("write", OSError(errno.EROFS, "is not tried"))
            trip = roundtrip.make_round_trip(mount)
        except RoundTripError as error:
            trip = error
        left: Leftovers | OSError
        try:
            left = leftovers.survey(mount, time.time())
        except OSError as error:
            left = error
        private = os.stat(PRIVATE_DIR, dir_fd=mount.fd, follow_symlinks=False)
        return Seen(
            sample,
            unreadable,
            private.st_dev == os.fstat(mount.fd).st_dev,
            os.access(".", os.W_OK | os.X_OK, dir_fd=mount.fd, effective_ids=True),
            space.f_bavail * space.f_frsize,
            space.f_blocks * space.f_frsize,
            space.f_favail if space.f_files else None,
            trip,
            left,
        )


def _sample(mount: Mount) -> tuple[str | None, str | None]:
    """A file of a user that can be read, and the first one or the first folder that can't."""
    unreadable = None
    for number, (path, is_folder) in enumerate(_walk(mount)):
        if number >= _LOOKED_AT:
            break
        try:
            if is_folder:
                with mount.folder(path) as folder:
                    os.close(readable(folder))
                continue
            with mount.open(path) as fd:
                os.read(fd, 1)
                return path, unreadable
        except FileNotFoundError:
            continue  # gone since it was listed
        except OSError as error:
            unreadable = unreadable or f"{path}: {error.strerror or error}"
    return None, unreadable


def _walk(mount: Mount, path: str = "") -> Iterator[tuple[str, bool]]:
    """Folders (True) and regular files below the root, newest names first, without what is ours; links are not told."""
    try:
        with mount.folder(path) as entered:
            listable = readable(entered)
            try:
                with os.scandir(listable) as entries:
                    found = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
            finally:
                os.close(listable)
    except OSError:
        return
    for name, mode in sorted(found, reverse=True):
        inner = f"{path}/{name}".lstrip("/")
        if name.startswith(".") or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            continue
        yield inner, stat.S_ISDIR(mode)
        if stat.S_ISDIR(mode):
            yield from _walk(mount, inner)


def judge(endpoint: Endpoint, use: Use, role: Role, seen: Seen) -> list[Finding]:
    """What was seen, for a program of this role."""
    findings = [*_judge_reading(endpoint, seen), *_judge_writing(endpoint, use, role, seen)]
    if isinstance(seen.trip, RoundTrip):
        findings += _judge_behaviour(seen.trip)
    if not seen.same_file_system:
        text = f"{PRIVATE_DIR} lies on another file system than {endpoint.mount}: files can't be renamed into it"
        findings.append(problem(text, f"Make {PRIVATE_DIR} a plain folder of the endpoint's own file system"))
    if use.is_destination:
        findings += _judge_room(use, seen)
    if isinstance(seen.left, Leftovers):
        findings += leftovers.judge_kept(seen.left)
    else:
        text = f"what lies in {PRIVATE_DIR} can't be read: {seen.left.strerror or seen.left}"
        findings.append(not_checked(text, f"Let user {os.geteuid()} read {endpoint.mount}/{PRIVATE_DIR}"))
    return findings


def _judge_reading(endpoint: Endpoint, seen: Seen) -> list[Finding]:
    remedy = f"Let user {os.geteuid()} read it; what it holds is neither found nor copied"
    if seen.sample is None and seen.unreadable:
        return [problem(f"{endpoint.mount} is prepared, but nothing in it can be read: {seen.unreadable}", remedy)]
    if seen.sample is None:
        return [ok(f"{endpoint.mount} is prepared; it holds no file of a user yet")]
    done = [ok(f"{endpoint.mount} is prepared, files can be read ({seen.sample})")]
    if seen.unreadable:
        done.append(warning(f"not everything can be read: {seen.unreadable}", remedy))
    return done


def _judge_writing(endpoint: Endpoint, use: Use, role: Role, seen: Seen) -> list[Finding]:
    wanted = use.writes_as(role)
    if isinstance(seen.trip, RoundTripError):
        if wanted is False and role == Role.OPERATOR and use.is_pruned:
            text = "nothing was written: the operator only reads it, but its prune job must be able to rename"
            return [not_checked(text, "Run this in a job made from its CronJob: docs/how-to/doctor.md")]
        if wanted is False:
            return []
        if wanted is None and seen.trip.errno in _READ_ONLY:
            text = "can't be written here, as it should be for the prune jobs of other endpoints"
            return [not_checked(text, "Run this in a job made from its CronJob: docs/how-to/doctor.md")]
        text = f"user {os.geteuid()} can't {seen.trip} (in {endpoint.mount}/{roundtrip.DOCTOR})"
        return [problem(text, f"Mount it writable and let the user write below {endpoint.mount}/{PRIVATE_DIR}")]
    done = [ok("written, read back, renamed and deleted a file")]
    if use.is_destination and wanted and not seen.root_writable:
        text = f"user {os.geteuid()} can't make folders in {endpoint.mount}, so copies have no place"
        return [*done, problem(text, f"Give the user write permission on {endpoint.mount}")]
    return done


def _judge_behaviour(trip: RoundTrip) -> list[Finding]:
    findings = []
    if not trip.intact:
        text = "a file read back right after it was written and flushed has other bytes"
        findings.append(problem(text, "Stop pruning (dichroism prune stop) and look after the storage"))
    if trip.replaced:
        text = "a rename onto a name that was taken replaced the file there, although it was told not to"
        findings.append(problem(text, "Stop the operator: on this file system a copy could be overwritten"))
    if not trip.one_step:
        text = "renames that replace nothing take two steps here (no renameat2): safe for our own names"
        findings.append(warning(text, "Nothing has to be done; docs/explanation/limits.md says which race is left"))
    lost = abs(roundtrip.MTIME_NS - trip.kept_mtime_ns)
    if lost >= MICROSECOND_NS:
        text = f"times of files are kept {wording_of(lost)} off: contents are told apart by times to the microsecond"
        findings.append(warning(text, "Use a file system that keeps nanoseconds, or expect files to be copied again"))
    if abs(trip.ahead_ns) > CLOCK_TOLERANCE_NS:
        direction = "ahead of" if trip.ahead_ns > 0 else "behind"
        text = f"its clock is {abs(trip.ahead_ns) / 1e9:.0f} s {direction} the clock here"
        findings.append(warning(text, "Set the clock of this machine or of the file server (NTP)"))
    return findings


def wording_of(nanoseconds: int) -> str:
    """A small span of time for people."""
    return f"{nanoseconds / 1e9:.3f} s" if nanoseconds >= 10**6 else f"{nanoseconds / 1e3:.0f} µs"


def _judge_room(use: Use, seen: Seen) -> list[Finding]:
    free = f"{wording.size(seen.free_bytes)} of {wording.size(seen.all_bytes)} free"
    remedy = "Free space or raise the quota; copies wait meanwhile (DestinationFull) and go on by themselves"
    if seen.free_bytes == 0 or seen.free_files == 0:
        return [problem(f"full: {free}, room for {seen.free_files} files", remedy)]
    if seen.free_bytes < use.largest_bundle:
        bundle = wording.size(use.largest_bundle)
        return [warning(f"{free}: less than one tape bundle of {bundle}, so the next full one waits", remedy)]
    if seen.free_bytes < ALMOST_FULL * seen.all_bytes:
        return [warning(f"almost full: {free}", remedy)]
    return [ok(free)]


async def _judge_trash(place: Place, endpoint: str, left: Leftovers) -> Findings:
    if not any(heap.files for heap in left.trash.values()):
        return leftovers.judge_trash(endpoint, {}, (), ())
    try:
        api = await place.cluster.api()
        known = await _prunes_of(api, endpoint)
        pruned = await _prunes_of(api, endpoint, f"status.phase={PrunePhase.PRUNED}")
    except (ApiError, NotCheckedHereError):
        return [not_checked("whether all trash belongs to Prunes needs the Kubernetes API", "See kubernetes/api")]
    return leftovers.judge_trash(endpoint, left.trash, known, pruned)


async def _prunes_of(api: Api, endpoint: str, field_selector: str = "") -> set[str]:
    selector = f"{LABEL_ENDPOINT}={endpoint}"
    return {one.name async for one in api.list_metadata(Prune, label_selector=selector, field_selector=field_selector)}
