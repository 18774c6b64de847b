"""What lies in ``.dichroism`` of a mounted endpoint and may need a person. It is counted and named, never touched."""

import fcntl
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from dichroism_operator import wording
from dichroism_operator.doctor.check import Finding, ok, warning
from dichroism_operator.movers.mount import INCOMING, SUPERSEDED, Mount, readable
from dichroism_operator.prune.ledger import TRASH

ABANDONED_AFTER = timedelta(minutes=30)
"""A copy on the way that nobody holds and nobody wrote to for so long was left by a killed process."""
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Heap:
    """Files of one folder: how many, and bytes of all."""

    files: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """For people."""
        return f"{wording.files(self.files)}, {wording.size(self.bytes)}"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What lies there. ``trash`` has a heap for each folder, which is named after its Prune."""

    trash: dict[str, Heap]
    superseded: Heap
    partials: Heap


def survey(mount: Mount, moment: float) -> Leftovers:
    """Count. A folder that is not there holds nothing.

    Args:
        mount: the endpoint.
        moment: now, in seconds since the epoch.

    Raises:
        OSError: a folder can't be read.
    """
    trash = {name: _heap(mount, f"{TRASH}/{name}") for name in _folders(mount, TRASH)}
    return Leftovers(trash, _heap(mount, SUPERSEDED), _abandoned(mount, moment))


def judge_trash(
    endpoint: str, trash: dict[str, Heap], known: Collection[str], pruned: Collection[str]
) -> list[Finding]:
    """Trash that no Prune will ever empty.

    Args:
        endpoint: where it lies.
        trash: what lies in each folder of the trash.
        known: names of all Prunes of the endpoint.
        pruned: those of them whose trash was emptied.
    """
    filled = {name: heap for name, heap in sorted(trash.items()) if heap.files}
    orphans = {name: heap for name, heap in filled.items() if name not in known}
    late = {name: heap for name, heap in filled.items() if name in pruned}
    findings = []
    for name, heap in list(orphans.items())[:SHOWN]:
        text = f"{TRASH}/{name} holds {heap}, and there is no Prune {name}: nothing will ever empty it or put it back"
        remedy = (
            "Find out who deleted the Prune. Move the files back to where they were, or away; "
            "nothing of ours deletes them"
        )
        findings.append(warning(text, remedy))
    for name, heap in list(late.items())[:SHOWN]:
        text = f"{TRASH}/{name} holds {heap} although Prune {name} is Pruned: files that are not ours"
        findings.append(warning(text, "Look whose they are and move them away; nothing of ours deletes them"))
    if (more := len(orphans) + len(late) - len(findings)) > 0:
        findings.append(warning(f"{more} more folders of {TRASH} like these", f"Look at {TRASH} on {endpoint}"))
    if findings:
        return findings
    return [ok(f"the trash holds {_sum(filled.values())}, all of Prunes")] if filled else [ok("the trash is empty")]


def judge_kept(leftovers: Leftovers) -> list[Finding]:
    """Older contents and copies that were never finished."""
    findings = []
    if leftovers.superseded.files:
        text = (
            f"{SUPERSEDED} holds {leftovers.superseded}: older contents that a new one replaced; nothing deletes them"
        )
        remedy = "Nothing has to be done. If the space is needed, look first: a file here may be the only copy"
        findings.append(warning(text, remedy))
    if leftovers.partials.files:
        text = f"{INCOMING} holds {leftovers.partials} that killed processes left: copies that were never proven"
        findings.append(warning(text, "Nothing has to be done: the next copy to this endpoint takes them away"))
    return findings


def _sum(heaps: Collection[Heap]) -> Heap:
    return Heap(sum(heap.files for heap in heaps), sum(heap.bytes for heap in heaps))


def _folders(mount: Mount, path: str) -> list[str]:
    with suppress(FileNotFoundError), mount.folder(path) as entered:
        listable = readable(entered)
        try:
            with os.scandir(listable) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        finally:
            os.close(listable)
    return []


def _heap(mount: Mount, path: str) -> Heap:
    sizes = [found.st_size for _, found in _files(mount, path)]
    return Heap(len(sizes), sum(sizes))


def _abandoned(mount: Mount, moment: float) -> Heap:
    """Copies on the way that are old and that no process holds."""
    sizes = []
    with suppress(FileNotFoundError), mount.folder(INCOMING) as folder:
        for name, found in _files(mount, INCOMING):
            # ctime, because mtime is the scan's.
            if moment - found.st_ctime > ABANDONED_AFTER.total_seconds() and not _held(folder, name):
                sizes.append(found.st_size)
    return Heap(len(sizes), sum(sizes))


def _files(mount: Mount, path: str) -> list[tuple[str, os.stat_result]]:
    files = []
    with suppress(FileNotFoundError), mount.folder(path) as entered:
        listable = readable(entered)
        try:
            with os.scandir(listable) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode):
                            files.append((entry.name, found))
        finally:
            os.close(listable)
    return files


def _held(folder: int, name: str) -> bool:
    """Whether a process is at work on the copy; the lock is let go at once, and whoever finds it taken tries again."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
