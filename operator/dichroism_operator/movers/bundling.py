"""A task to tape on mounted file systems: one bundle, packed and proven beside its place, and its manifest kept.

What a bundle looks like inside is the business of ``bundle``; here it gets its place, and every item its result.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dichroism_crds.paths import PathError
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers import bundle
from dichroism_operator.movers.base import Item, ItemResult, Task
from dichroism_operator.movers.bundle import BundleDamagedError, Checked, LeftOut, Member, SourceLostError
from dichroism_operator.movers.copying import require_unchanged
from dichroism_operator.movers.errors import FileTrouble, TaskRefused
from dichroism_operator.movers.hashing import Checkpoint
from dichroism_operator.movers.incoming import Incoming, IncomingFile
from dichroism_operator.movers.mount import MANIFESTS, Mount, sync_folder, user_path
from dichroism_operator.movers.placing import Content, place

_NAME_MAX = 255
_BUFFER = 1024 * 1024
LEFT_OUT_REASONS = {
    bundle.MISSING: Reason.SOURCE_MISSING,
    bundle.CHANGED: Reason.SOURCE_CHANGED,
    bundle.UNREADABLE: Reason.SOURCE_UNREADABLE,
    bundle.MISMATCH: Reason.CHECKSUM_MISMATCH,
    bundle.TOO_LARGE: Reason.TOO_LARGE,
}
"""The packer's words for a file that was left out."""


@dataclass(frozen=True, slots=True)
class BundleOutcome:
    """One result per item, and sha256 and size of the bundle; None when no member was left to pack."""

    results: tuple[ItemResult, ...]
    sha256: str | None = None
    size: int | None = None


class BundleMaker:
    """Makes the bundle of one task, or finds it made by an earlier run of the same task."""

    def __init__(self, task: Task, source: Mount, archive: Mount, checkpoint: Checkpoint) -> None:
        """Check the names.

        Raises:
            TaskRefused: the bundle's path can't be used, or a path stands twice in the task.
        """
        self._task = task
        self._source = source
        self._archive = archive
        self._checkpoint = checkpoint
        self._path = checked_bundle_path(task.bundle or "")
        self._items = {item.path: item for item in task.items}
        if len(self._items) != len(task.items):
            raise TaskRefused(f"bundle {self._path}: a path stands twice in its plan, so neither could be told apart")

    def make(self) -> BundleOutcome:
        """Pack, prove and place the bundle, keep its manifest at the source, look at every source once more.

        Raises:
            TaskRefused: another bundle has this name, or what was written did not read back the same.
            MoverUnavailable: an endpoint is in trouble.
        """
        left_out = self._illegal()
        checked = self._standing()
        reason = Reason.ALREADY_THERE
        if checked is None:
            reason = Reason.COPIED
            checked, more = self._packed([item for item in self._task.items if item.path not in left_out])
            left_out |= more
        if checked is None:
            return BundleOutcome(tuple(self._result(item, None, left_out, reason) for item in self._task.items))
        self._require_plan(checked)
        self._keep_manifest(checked)
        members = {member.path: member for member in checked.members}
        results = tuple(self._result(item, members.get(item.path), left_out, reason) for item in self._task.items)
        return BundleOutcome(results, checked.sha256, checked.size)

    def _illegal(self) -> dict[str, FileTrouble]:
        """Items whose path no scan may have; everything else is left out by the packer."""
        refused = {}
        for path in self._items:
            try:
                user_path(path)
            except PathError as error:
                refused[path] = FileTrouble(Reason.INVALID_PATH, str(error))
        return refused

    def _standing(self) -> Checked | None:
        """The bundle that stands at the path, read from end to end; None when there is none."""
        with _as_refusal(), self._archive.placing(self._path):
            if self._archive.lstat(self._path) is None:
                return None
            with self._archive.open(self._path) as fd:
                os.fsync(fd)
                checked = self._read_back(fd)
            with self._archive.folder(self._path.rpartition("/")[0]) as folder:
                sync_folder(folder)
        return checked

    def _packed(self, items: list[Item]) -> tuple[Checked | None, dict[str, FileTrouble]]:
        """Write the bundle, prove it and give it its name; with what the packer left out."""
        with Incoming(self._archive, self._task.submission_id) as incoming, incoming.file() as copy:
            packed = self._written(items, copy)
            left_out = {one.path: _trouble(one) for one in packed.left_out}
            if not packed.members:
                return None, left_out
            os.fsync(copy.fd)
            with copy.reread() as fd:
                checked = self._read_back(fd)
            if (checked.members, checked.sha256, checked.size) != (packed.members, packed.sha256, packed.size):
                raise self._damaged("it read back differently from what was written")
            if not self._placed(copy):
                # Another process packed the same plan meanwhile: its bundle is proven and used.
                return self._standing(), left_out
        return checked, left_out

    def _written(self, items: list[Item], copy: IncomingFile) -> bundle.Packed:
        members = [member_of(item) for item in items]
        with os.fdopen(os.dup(copy.fd), "r+b", buffering=_BUFFER) as out:
            try:
                packed = bundle.pack(self._source.fd, members, out, progress=self._checkpoint)
            except SourceLostError as error:
                if isinstance(error.__cause__, OSError):
                    raise self._source.outage(error.__cause__) from error
                raise
        if any(one.reason in (bundle.MISSING, bundle.UNREADABLE) for one in packed.left_out):
            self._source.probe()
        return packed

    def _read_back(self, fd: int) -> Checked:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        with os.fdopen(os.dup(fd), "rb", buffering=0) as raw:
            try:
                return bundle.check_bundle(raw, progress=self._checkpoint)
            except BundleDamagedError as error:
                raise self._damaged(str(error)) from error

    def _placed(self, copy: IncomingFile) -> bool:
        """Give the bundle its name; False when the name is taken."""
        above, _, name = self._path.rpartition("/")
        with _as_refusal(), self._archive.placing(self._path), self._archive.folder(above, create=True) as folder:
            try:
                copy.rename_to(folder, name)
            except FileExistsError:
                return False
            sync_folder(folder)
        return True

    def _require_plan(self, checked: Checked) -> None:
        """Refuse a bundle with a member that this task does not plan; one that lacks members is ours."""
        for member in checked.members:
            item = self._items.get(member.path)
            if item is None or (item.size, _microseconds(item)) != (member.size, member.modified_us):
                raise self._damaged(f"it holds {member.path} as this task does not plan it")

    def _damaged(self, what: str) -> TaskRefused:
        return TaskRefused(
            f"bundle {self._path} on {self._archive.name}: {what}. It is not used and nothing was overwritten; the "
            "files are planned again for a bundle with a new name"
        )

    def _keep_manifest(self, checked: Checked) -> None:
        """Write the manifest beside the source files, whole or not at all."""
        path = f"{MANIFESTS}/{self._path.rpartition('/')[2]}.tsv"
        text = bundle.manifest_text(checked.members).encode()
        content = Content(len(text), hashlib.sha256(text).hexdigest())
        with Incoming(self._source, self._task.submission_id) as incoming, incoming.file() as copy:
            with os.fdopen(os.dup(copy.fd), "wb") as out:
                out.write(text)
            os.fsync(copy.fd)
            with _as_refusal():
                place(self._source, copy, path, content, self._checkpoint)
            with self._source.folder(MANIFESTS) as folder:
                sync_folder(folder)

    def _result(
        self, item: Item, member: Member | None, left_out: dict[str, FileTrouble], reason: Reason
    ) -> ItemResult:
        try:
            if item.path in left_out:
                raise left_out[item.path]
            require_unchanged(self._source, item)
            if member is None:
                raise FileTrouble(Reason.SOURCE_CHANGED, f"{item.path} was left out of {self._path}; it needs another")
            if item.sha256 not in (None, member.sha256):
                raise FileTrouble(
                    Reason.CHECKSUM_MISMATCH,
                    f"{item.path} has sha256 {member.sha256} in {self._path} where {item.sha256} is on record: compare "
                    "it with its other copies before anything is deleted",
                )
        except FileTrouble as trouble:
            return ItemResult(item.path, trouble.reason, str(trouble))
        return ItemResult(item.path, reason, sha256=member.sha256)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """Trouble with the bundle's own path is no item's fault."""
    try:
        yield
    except FileTrouble as trouble:
        raise TaskRefused(str(trouble)) from trouble


def checked_bundle_path(path: str) -> str:
    """The path of a bundle, which neither leads anywhere else nor has a name too long for its manifest.

    Raises:
        TaskRefused: it does.
    """
    try:
        user_path(path)
    except PathError as error:
        raise TaskRefused(f"no bundle can be made: {error}") from error
    if len(f"{path.rpartition('/')[2]}.tsv".encode()) > _NAME_MAX:
        raise TaskRefused(f"no bundle can be made: the name of its manifest, {path}.tsv, would be too long for a file")
    return path


def member_of(item: Item) -> Member:
    """The item as the packer takes it."""
    return Member(item.path, item.size, _microseconds(item), item.sha256)


def _microseconds(item: Item) -> int:
    return to_ns(item.modified_at) // 1000


def _trouble(left_out: LeftOut) -> FileTrouble:
    return FileTrouble(LEFT_OUT_REASONS[left_out.reason], left_out.message)
