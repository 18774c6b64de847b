"""One file from one folder to another, as Globus does it: in place, under the final name, in chunks, not atomic.

Runs in a thread of its own and knows nothing of tasks. What is not here: which file, when, and how often.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.emulators.globus.faults import Action, Fault, die


class ItemError(Exception):
    """An attempt failed: an event code of Globus, with details."""

    def __init__(self, code: str, details: str, *, at_source: bool = False, fatal: bool = False) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.at_source = at_source
        self.fatal = fatal
        """Whether it ends the whole task."""


class HaltedError(Exception):
    """The task was told to stop; what was written so far stays."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What to copy and how."""

    source: Path
    target: Path
    sync_level: int | None
    verify: bool
    preserve_time: bool
    algorithm: str
    external_checksum: str | None
    chunk_bytes: int
    room_bytes: Callable[[], int | None]
    """What the destination's quota leaves, the target's own bytes counted as free; None: there is no quota."""
    staging_s: float
    bytes_per_second: float | None
    fault: Fault | None
    dies_midway: bool
    halted: Callable[[], bool]
    now: Callable[[], float]
    """The virtual time."""

    def hit_by(self, action: Action) -> bool:
        """Whether this fault is to happen."""
        return self.fault is not None and self.fault.action == action


@dataclass(slots=True)
class Copied:
    """What came of it."""

    size: int = 0
    checksum: str | None = None
    synced: bool = False
    """Nothing was sent: the destination was right already."""
    moved: int = 0
    checksummed: int = 0


def event_code(error: OSError) -> str:
    """The event code of a failed system call."""
    return {
        errno.EEXIST: "NOT_A_DIRECTORY",
        errno.ENOENT: "FILE_NOT_FOUND",
        errno.EACCES: "PERMISSION_DENIED",
        errno.EPERM: "PERMISSION_DENIED",
        errno.EROFS: "PERMISSION_DENIED",
        errno.ENOTDIR: "NOT_A_DIRECTORY",
        errno.EISDIR: "IS_A_DIRECTORY",
        errno.ENOSPC: "NO_SPACE_LEFT",
        errno.EDQUOT: "QUOTA_EXCEEDED",
        errno.ENAMETOOLONG: "INVALID_PATH_NAME",
        errno.ELOOP: "INVALID_SYMLINK",
    }.get(error.errno or 0, "ENDPOINT_ERROR")


def wait(plan: Copy, seconds: float) -> None:
    """Let virtual time pass in this thread; raises HaltedError when the task is told to stop."""
    until = plan.now() + seconds
    while plan.now() < until:
        if plan.halted():
            raise HaltedError
        time.sleep(0.01)


def perform(plan: Copy) -> Copied:
    """Copy one file.

    Raises:
        ItemError: it did not work.
        HaltedError: stopped in the middle.
    """
    done = Copied()
    try:
        before = os.stat(plan.source)
        if os.path.isdir(plan.source):
            raise ItemError("IS_A_DIRECTORY", f"{plan.source.name} is a directory", at_source=True, fatal=True)
        wait(plan, plan.staging_s)
        digest = hashlib.new(plan.algorithm)
        with open(plan.source, "rb") as source:
            if _is_in_sync(plan, before, done):
                return done
            _make_parent(plan)
            _check_room(plan, before.st_size)
            _send(plan, source.fileno(), before.st_size, digest, done)
        _check(plan, before.st_size, digest.hexdigest(), done)
    except OSError as error:
        at_source = error.filename is not None and str(error.filename) == str(plan.source)
        raise ItemError(event_code(error), str(error), at_source=at_source) from error
    return done


def _injected(plan: Copy) -> ItemError:
    assert plan.fault is not None
    return ItemError(plan.fault.code, plan.fault.message, at_source=plan.fault.side == "source")


def _is_in_sync(plan: Copy, source: os.stat_result, done: Copied) -> bool:
    if plan.sync_level is None:
        return False
    try:
        target = os.stat(plan.target)
    except OSError:
        return False
    if plan.sync_level >= 1 and target.st_size != source.st_size:
        return False
    if plan.sync_level == 2 and source.st_mtime_ns > target.st_mtime_ns:
        return False
    if plan.sync_level == 3:
        done.checksummed += 2 * source.st_size
        if _digest(plan.source, plan) != _digest(plan.target, plan):
            return False
    done.size, done.synced = source.st_size, True
    return True


def _make_parent(plan: Copy) -> None:
    try:
        plan.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ItemError(event_code(error), f"no folder for the file: {error}") from error
    if plan.target.is_dir():
        raise ItemError("IS_A_DIRECTORY", f"{plan.target.name} is a directory at the destination")


def _check_room(plan: Copy, size: int) -> None:
    room = plan.room_bytes()
    if room is not None and size > room:
        raise ItemError("QUOTA_EXCEEDED", f"{size} bytes do not fit into the {max(room, 0)} that the quota leaves")


def _send(plan: Copy, source: int, size: int, digest: "hashlib._Hash", done: Copied) -> None:
    stops_at = size // 2 if plan.dies_midway or plan.hit_by(Action.SHORT_WRITE) else None
    flips_at = size // 2 if plan.hit_by(Action.CORRUPT_READ) else None
    grows = plan.hit_by(Action.GROW)
    target = os.open(plan.target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        while chunk := os.read(
            source, plan.chunk_bytes if stops_at is None else min(plan.chunk_bytes, stops_at - done.moved)
        ):
            if flips_at is not None and done.moved <= flips_at < done.moved + len(chunk):
                chunk = _flipped(chunk, flips_at - done.moved)
            digest.update(chunk)
            os.write(target, chunk)
            done.moved += len(chunk)
            if grows:
                grows = False
                with open(plan.source, "ab") as grown:
                    grown.write(b"grown while it was copied\n")
            if plan.halted():
                raise HaltedError
            if plan.bytes_per_second:
                wait(plan, len(chunk) / plan.bytes_per_second)
    finally:
        os.close(target)
    if stops_at is not None:
        if plan.dies_midway:
            die()
        raise _injected(plan)
    now = os.stat(source)
    if done.moved != size or now.st_size != size:
        raise ItemError("FILE_SIZE_CHANGED", f"{size} bytes at first, {now.st_size} now", at_source=True)
    if plan.preserve_time:  # whole seconds, as the protocol's command for it has
        os.utime(plan.target, (int(now.st_mtime), int(now.st_mtime)))


def _check(plan: Copy, size: int, digest: str, done: Copied) -> None:
    done.size = size
    if plan.hit_by(Action.CORRUPT_WRITE):
        _corrupt(plan.target)
    if plan.verify or plan.external_checksum:
        done.checksum = digest
        done.checksummed += 2 * size
        arrived = _digest(plan.target, plan)
        if plan.external_checksum and plan.external_checksum.lower() != arrived:
            details = f"{plan.algorithm} is {arrived}, {plan.external_checksum} was expected"
            raise ItemError("EXTERNAL_CHECKSUM_MISMATCH", details)
        if arrived != digest:
            raise ItemError(
                "VERIFY_CHECKSUM", f"{plan.algorithm} is {digest} at the source, {arrived} at the destination"
            )
    if plan.hit_by(Action.CORRUPT_LATER):
        _corrupt(plan.target)
    if plan.hit_by(Action.REPLACE_SOURCE):
        plan.source.write_bytes(bytes(byte ^ 0xFF for byte in plan.source.read_bytes()))
    if plan.hit_by(Action.LOSE_COPY):
        plan.target.unlink(missing_ok=True)


def _digest(path: Path, plan: Copy) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(plan.algorithm)).hexdigest()


def _flipped(chunk: bytes, at: int) -> bytes:
    return chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]


def _corrupt(path: Path) -> None:
    times = os.stat(path)
    content = path.read_bytes()
    if content:
        with open(path, "r+b") as file:
            file.seek(len(content) // 2)
            file.write(bytes([content[len(content) // 2] ^ 1]))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
