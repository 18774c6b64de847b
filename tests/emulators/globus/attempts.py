"""One attempt at one item: is it allowed, which fault hits it, is it a file or a folder, then do it in a thread."""

import asyncio
import fnmatch
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulators.globus.copying import Copy, ItemError, event_code, perform
from tests.emulators.globus.faults import Action, Fault, Point
from tests.emulators.globus.paths import OutsideError, may_read, may_write, resolve, used_bytes
from tests.emulators.globus.settings import Collection, Kind
from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import DELETE, Item, Task

FILE = "file"
FOLDER = "dir"
UNSEEN = "unseen"
"""Nobody has looked yet whether it is a file or a folder."""

_GLOB_LETTERS = frozenset("*?[")


@dataclass(slots=True)
class Result:
    """What came of a successful attempt."""

    kind: str = FILE
    size: int = 0
    checksum: str | None = None
    algorithm: str | None = None
    synced: bool = False
    moved: int = 0
    checksummed: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)
    """Items that were found in a folder."""


class Attempts:
    """Attempts at the items of one task."""

    def __init__(self, site: Site, task: Task, threads: ThreadPoolExecutor, halted: Callable[[], bool]) -> None:
        self._site = site
        self._task = task
        self._threads = threads
        self._halted = halted
        self._options = {name: task.option(name) for name in _OPTIONS}
        self._injected: set[int] = set()

    @property
    def skips_source_errors(self) -> bool:
        """Whether a source file that cannot be read is left out."""
        return bool(self._options["skip_source_errors"])

    def was_injected(self, item: Item) -> bool:
        """Whether the last error of this item was asked for, and says nothing about the others."""
        return item.n in self._injected

    async def perform(self, item: Item) -> Result:
        """Try one item.

        Raises:
            ItemError: it did not work.
            HaltedError: the task was told to stop.
        """
        self._injected.discard(item.n)
        try:
            fault = self._site.faults.on_file(self._task.type, *item.paths)
            if fault and fault.action == Action.ERROR:
                self._injected.add(item.n)
                raise ItemError(fault.code, fault.message, at_source=fault.side == "source")
            act = self._deleting(item) if self._task.type == DELETE else self._copying(item, fault)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except ItemError as error:
            error.fatal |= self._is_fatal(error.code)
            raise
        except OSError as error:
            raise ItemError(event_code(error), str(error)) from error
        self._note_small_tape_file(item, result)
        return result

    def _is_fatal(self, code: str) -> bool:
        quota = code in ("NO_SPACE_LEFT", "QUOTA_EXCEEDED") and bool(self._options["fail_on_quota_errors"])
        return quota or code == "EXTERNAL_CHECKSUM_MISMATCH"

    def _collection(self, collection_id: str) -> Collection:
        collection = self._site.collections.get(collection_id)
        if collection is None:
            raise ItemError("ENDPOINT_ERROR", f"there is no collection {collection_id} any more")
        if collection.down:
            raise ItemError("CONNECT_FAILED", f"no connection to {collection.display_name or collection_id}")
        return collection

    def _path(self, collection: Collection, path: str, *, at_source: bool, follow: bool = True) -> Path:
        try:
            return resolve(collection, path, follow=follow)
        except (OutsideError, ValueError) as error:
            raise ItemError("PERMISSION_DENIED", f"{path}: not in this collection", at_source=at_source) from error

    # transfer

    def _copying(self, item: Item, fault: Fault | None) -> Callable[[], Result]:
        source, target = self._collection(self._task.source), self._collection(self._task.destination or "")
        if not may_read(source, self._task.client):
            raise ItemError("PERMISSION_DENIED", "no right to read", at_source=True)
        if target.read_only or not may_write(target, self._task.client):
            raise ItemError("PERMISSION_DENIED", "no right to write at the destination")
        from_path = self._path(source, item.source_path, at_source=True)
        to_path = self._path(target, item.destination_path or "", at_source=False)
        if from_path.is_dir():
            return self._listing(item, from_path, to_path)
        plan = self._plan(item, from_path, to_path, source, target, fault)

        def act() -> Result:
            copied = perform(plan)
            checksum, moved, checksummed = copied.checksum, copied.moved, copied.checksummed
            return Result(FILE, copied.size, checksum, plan.algorithm, copied.synced, moved, checksummed)

        return act

    def _plan(
        self, item: Item, from_path: Path, to_path: Path, source: Collection, target: Collection, fault: Fault | None
    ) -> Copy:
        options, limits = self._options, self._site.limits
        algorithm = (item.algorithm or "MD5").upper()
        checks = options["verify_checksum"] or item.external_checksum or options["sync_level"] == 3
        for collection in (source, target) if checks else ():
            if algorithm not in collection.checksum_algorithms:
                details = (
                    f"{collection.display_name} knows no {algorithm}, only {', '.join(collection.checksum_algorithms)}"
                )
                raise ItemError("ENDPOINT_ERROR", details)
        speeds = [each.bytes_per_second for each in (source, target) if each.bytes_per_second]
        staged = source if source.kind == Kind.HPSS else target
        stages = source.kind == Kind.HPSS or (options["sync_level"] == 3 and to_path.exists())
        return Copy(
            source=from_path,
            target=to_path,
            sync_level=options["sync_level"],
            verify=bool(options["verify_checksum"]),
            preserve_time=bool(options["preserve_timestamp"]),
            algorithm=algorithm,
            external_checksum=item.external_checksum,
            chunk_bytes=limits.chunk_bytes,
            room_bytes=lambda: _room(target, to_path),
            staging_s=staged.staging_s if stages and staged.kind == Kind.HPSS else 0.0,
            bytes_per_second=min(speeds) if speeds else None,
            fault=fault,
            dies_midway=self._site.faults.dies_at(Point.MID_COPY, *item.paths),
            halted=self._halted,
            now=self._site.clock.now,
        )

    def _note_small_tape_file(self, item: Item, result: Result) -> None:
        target = self._site.collections.get(self._task.destination or "")
        small = result.kind == FILE and not result.synced and result.size < self._site.limits.small_tape_file_bytes
        if target and target.kind == Kind.HPSS and small:
            values = (item.destination_path, result.size, self._site.clock.now())
            self._site.store.write("INSERT INTO tape VALUES (?, ?, ?)", values)

    def _listing(self, item: Item, source: Path, target: Path) -> Callable[[], Result]:
        if item.recursive == 0 or item.external_checksum:
            raise ItemError("IS_A_DIRECTORY", f"{item.source_path} is a directory", at_source=True, fatal=True)
        rules = self._options["filter_rules"] or []

        def act() -> Result:
            target.mkdir(parents=True, exist_ok=True)
            found = []
            for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
                folder = entry.is_dir(follow_symlinks=False)
                if entry.is_symlink() or _is_excluded(entry.name, "dir" if folder else "file", rules):
                    continue
                found.append(
                    {
                        "source_path": f"{item.source_path.rstrip('/')}/{entry.name}",
                        "destination_path": f"{(item.destination_path or '').rstrip('/')}/{entry.name}",
                        "recursive": 1 if folder else 0,
                        "algorithm": item.algorithm,
                        "type": FOLDER if folder else FILE,
                    }
                )
            return Result(FOLDER, found=found)

        return act

    # delete

    def _deleting(self, item: Item) -> Callable[[], Result]:
        collection = self._collection(self._task.source)
        if collection.read_only or not may_write(collection, self._task.client):
            raise ItemError("PERMISSION_DENIED", "no right to write")
        path = self._path(collection, item.source_path, at_source=False, follow=False)
        options = self._options

        def act() -> Result:
            paths = [path]
            if options["interpret_globs"] and _GLOB_LETTERS & set(path.name):
                paths = [one for one in path.parent.iterdir() if fnmatch.fnmatchcase(one.name, path.name)]
            kinds = {_remove(one, bool(options["recursive"]), bool(options["ignore_missing"])) for one in paths}
            return Result(FOLDER if FOLDER in kinds else FILE)

        return act


_OPTIONS = (
    "verify_checksum",
    "sync_level",
    "preserve_timestamp",
    "skip_source_errors",
    "fail_on_quota_errors",
    "filter_rules",
    "recursive",
    "ignore_missing",
    "interpret_globs",
)


def _room(target: Collection, path: Path) -> int | None:
    if target.quota_bytes is None:
        return None
    return target.quota_bytes - used_bytes(target.root) + (path.stat().st_size if path.is_file() else 0)


def _is_excluded(name: str, kind: str, rules: list[dict[str, Any]]) -> bool:
    for rule in rules:
        if rule.get("type") in (None, kind) and fnmatch.fnmatchcase(name, rule["name"]):
            return bool(rule["method"] == "exclude")
    return False


def _remove(path: Path, recursive: bool, ignore_missing: bool) -> str:
    try:
        if path.is_dir() and not path.is_symlink():
            if not recursive:
                raise ItemError("IS_A_DIRECTORY", f"{path.name} is a directory", fatal=True)
            shutil.rmtree(path)
            return FOLDER
        path.unlink()
    except FileNotFoundError as error:
        if not ignore_missing:
            raise ItemError("FILE_NOT_FOUND", f"{path.name} does not exist", fatal=True) from error
    except OSError as error:
        raise ItemError(event_code(error), str(error)) from error
    return FILE
