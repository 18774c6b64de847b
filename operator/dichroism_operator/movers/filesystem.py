"""The mover for endpoints that are mounted here: copies files, packs bundles, looks after what it placed.

Tasks run in a bounded number of threads of this process and are known to it alone: after a restart ``poll`` answers
LOST, and the same task started again finds what it did before and goes on from there. This module keeps the tasks and
the single-file calls; ``running``, ``copying`` and ``bundling`` do the work, ``mount`` enters the endpoints.
"""

import errno
import os
import re
import stat
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta

from dichroism_crds.config import Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers.base import CopyState, CopyToVerify, FileStat, Progress, Task, TaskState
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import NotARegularFileError
from dichroism_operator.movers.mount import Mount, is_private, private_path, readable, sync_folder, user_path
from dichroism_operator.movers.noreplace import rename_noreplace
from dichroism_operator.movers.running import RunningTask
from dichroism_operator.movers.verifying import verify_copies

_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.EBUSY)
"""What rmdir says of a folder that is not empty, no folder, gone, or where a file system is mounted."""
_SUBMISSION_ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class FilesystemMover(Closing):
    """The :class:`~dichroism_operator.movers.base.Mover` for mounted endpoints; a context manager, or close it.

    Every endpoint must hold the folder ``.dichroism`` (see :class:`~dichroism_operator.movers.mount.Mount`); the mover
    makes folders inside it, never the folder itself unless asked to with :meth:`prepare`.
    """

    verifies_by_job = False

    def __init__(self, *, max_threads: int = 8, leftover_age: timedelta = timedelta(minutes=15)) -> None:
        """Start no thread yet.

        Args:
            max_threads: tasks that run at the same time; the others wait in the order of their start. At least as many
                as the lanes may have tasks, so that no beamline waits for another.
            leftover_age: how long an incoming file that no process holds must be unchanged before it is removed. Locks
                tell living from dead; the age is for file systems whose locks do not reach other hosts.
        """
        self._pool = ThreadPoolExecutor(max_threads, thread_name_prefix="filesystem-mover")
        self._leftover_age = leftover_age
        self._tasks: dict[str, RunningTask] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Cancel every task and wait until all threads are done."""
        with self._lock:
            for task in self._tasks.values():
                task.cancel()
        self._pool.shutdown(wait=True)

    def prepare(self, endpoint: Endpoint) -> None:
        """Make ``.dichroism`` at the endpoint's root, once, when a person knows that the right file system is there."""
        Mount.prepare(endpoint)

    # Tasks

    def new_submission_id(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def start(self, task: Task) -> str:
        """Queue the task, or join it; a task that an outage ended is queued again.

        Raises:
            MoverUnavailable: source or destination is not mounted.
            ValueError: the submission id can't be part of a file name.
        """
        if not _SUBMISSION_ID.match(task.submission_id):
            raise ValueError(f"submission id {task.submission_id!r}: up to 64 letters, digits and '-' were expected")
        if self._joined(task.submission_id):
            return task.submission_id
        for endpoint in (task.source, task.destination):
            Mount(endpoint).close()
        with self._lock:
            known = self._tasks.get(task.submission_id)
            if known is None or known.ended_by_outage:
                running = self._tasks[task.submission_id] = RunningTask(task, self._leftover_age)
                self._pool.submit(running.run)
        return task.submission_id

    def _joined(self, submission_id: str) -> bool:
        with self._lock:
            known = self._tasks.get(submission_id)
            return known is not None and not known.ended_by_outage

    def poll(self, submission_ids: Collection[str]) -> Mapping[str, Progress]:
        """State of each task; LOST for one that was not started by this process, or was forgotten."""
        with self._lock:
            known = {one: self._tasks.get(one) for one in submission_ids}
        return {one: task.progress() if task else Progress(TaskState.LOST) for one, task in known.items()}

    def running_labels(self, prefix: str) -> frozenset[str]:  # noqa: ARG002 - of the interface
        """None: a task ends with its process."""
        return frozenset()

    def forget(self, submission_id: str) -> None:
        """Drop a finished task; one that runs is kept."""
        with self._lock:
            task = self._tasks.get(submission_id)
            if task is not None and task.finished:
                del self._tasks[submission_id]

    def cancel(self, submission_id: str) -> None:
        """Stop a task; it ends FAILED, with the files that were finished in its results."""
        with self._lock:
            task = self._tasks.get(submission_id)
        if task is not None:
            task.cancel()

    # Files

    def stat(self, endpoint: Endpoint, paths: Sequence[str]) -> Mapping[str, FileStat | None]:
        """What lies at each path, links not followed."""
        found = {}
        with Mount(endpoint) as mount:
            for path in paths:
                check_relative_path(path)
                try:
                    standing = mount.regular(path)
                except OSError as error:
                    raise mount.outage(error) from error
                found[path] = _file_stat(standing) if standing else None
        return found

    def verify(self, endpoint: Endpoint, copies: Sequence[CopyToVerify]) -> Mapping[CopyToVerify, CopyState]:
        """Read each copy again; a file that can't be read is UNKNOWN."""
        with Mount(endpoint) as mount:
            return verify_copies(mount, copies)

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        """Rename a regular file; at least one of the two paths is inside ``.dichroism/``."""
        check_relative_path(old)
        check_relative_path(new)
        if not (is_private(old) or is_private(new)):
            raise PathError(f"rename of {old!r} to {new!r}: files of users are only moved into {PRIVATE_DIR} and back")
        with (
            Mount(endpoint) as mount,
            _outage_told(mount),
            mount.folder(_above(old)) as old_folder,
            _target_folder(mount, new) as new_folder,
        ):
            _rename_regular(old_folder, old, new_folder, new)
            sync_folder(new_folder)
            sync_folder(old_folder)

    def list_private(self, endpoint: Endpoint, folder: str) -> Mapping[str, FileStat]:
        """Regular files directly in a folder inside ``.dichroism/``."""
        private_path(folder)
        found: dict[str, FileStat] = {}
        with (
            Mount(endpoint) as mount,
            _outage_told(mount),
            suppress(FileNotFoundError),
            mount.folder(folder) as entered,
        ):
            listable = readable(entered)
            try:
                with os.scandir(listable) as entries:
                    for entry in entries:
                        with suppress(FileNotFoundError):
                            standing = entry.stat(follow_symlinks=False)
                            if stat.S_ISREG(standing.st_mode):
                                found[entry.name] = _file_stat(standing)
            finally:
                os.close(listable)
        return found

    def make_private(self, endpoint: Endpoint, folder: str) -> None:
        """Make a folder inside ``.dichroism/``."""
        private_path(folder)
        with Mount(endpoint) as mount:
            try:
                with mount.folder(folder, create=True):
                    pass
            except OSError as error:
                raise mount.outage(error) from error

    def rehearse(self, source: Endpoint, destination: Endpoint) -> str:
        """Enter both ends, and see whether the destination would let us write."""
        with Mount(source) as origin, Mount(destination) as mount:
            origin.require_apart(mount)
            try:
                with mount.folder(PRIVATE_DIR) as folder:
                    listable = readable(folder)
                    try:
                        with os.scandir(listable) as entries:
                            count = sum(1 for _ in entries)
                        writable = os.access(".", os.W_OK | os.X_OK, dir_fd=listable, effective_ids=True)
                        if not writable:
                            read_only = os.fstatvfs(listable).f_flag & os.ST_RDONLY
                            code = errno.EROFS if read_only else errno.EACCES
                            raise OSError(code, os.strerror(code))
                    finally:
                        os.close(listable)
            except OSError as error:
                raise mount.outage(error) from error
        return f"{destination.name} is mounted and writable, {count} entries in {PRIVATE_DIR}"

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        """Delete files inside ``.dichroism/``, after a look at all of them."""
        for path in paths:
            private_path(path)
        with Mount(endpoint) as mount, _outage_told(mount):
            for path in paths:
                standing = mount.lstat(path)
                if standing is not None and not stat.S_ISREG(standing.st_mode):
                    raise NotARegularFileError(errno.EINVAL, "is no regular file, so it is not deleted", path)
            for folder in sorted({_above(path) for path in paths}):
                with suppress(FileNotFoundError), mount.folder(folder) as entered:
                    for path in paths:
                        if _above(path) == folder:
                            with suppress(FileNotFoundError):
                                os.unlink(_name(path), dir_fd=entered)
                    sync_folder(entered)

    # Folders

    def folders_changed(self, endpoint: Endpoint, folders: Sequence[str]) -> Mapping[str, datetime]:
        """The modification times of folders, as far as they are there and no links."""
        changed = {}
        with Mount(endpoint) as mount, _outage_told(mount):
            for folder in folders:
                user_path(folder)
                with suppress(NotARegularFileError):
                    found = mount.lstat(folder)
                    if found is not None and stat.S_ISDIR(found.st_mode):
                        changed[folder] = from_ns(found.st_mtime_ns)
        return changed

    def remove_folder(self, endpoint: Endpoint, folder: str) -> bool:
        """Remove a folder with rmdir, which the kernel refuses while anything is in it."""
        user_path(folder)
        with Mount(endpoint) as mount, _outage_told(mount):
            try:
                with mount.folder(_above(folder)) as above:
                    os.rmdir(_name(folder), dir_fd=above)
                    sync_folder(above)
            except OSError as error:
                if isinstance(error, NotARegularFileError) or error.errno in _STAYS:
                    return False
                raise
        return True

    def make_folder(self, endpoint: Endpoint, folder: str) -> None:
        """Make a folder and those above it, each inside the one that was entered before."""
        user_path(folder)
        with Mount(endpoint) as mount, _outage_told(mount), mount.folder(folder, create=True):
            pass


def _rename_regular(old_folder: int, old: str, new_folder: int, new: str) -> None:
    """Rename; what turns out not to be a regular file, because it was exchanged in the last moment, is put back."""
    if not stat.S_ISREG(os.stat(_name(old), dir_fd=old_folder, follow_symlinks=False).st_mode):
        raise NotARegularFileError(errno.EINVAL, "is no regular file, so it is not renamed", old)
    rename_noreplace(old_folder, _name(old), new_folder, _name(new), private_old=is_private(old))
    if not stat.S_ISREG(os.stat(_name(new), dir_fd=new_folder, follow_symlinks=False).st_mode):
        rename_noreplace(new_folder, _name(new), old_folder, _name(old), private_old=is_private(new))
        raise NotARegularFileError(errno.EINVAL, "is no regular file, so it was put back", old)


@contextmanager
def _target_folder(mount: Mount, new: str) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            fd = stack.enter_context(mount.folder(_above(new), create=is_private(new)))
        except FileNotFoundError:
            raise NotADirectoryError(
                errno.ENOTDIR, f"the folder is not there, and none is made outside {PRIVATE_DIR}", _above(new)
            ) from None
        yield fd


@contextmanager
def _outage_told(mount: Mount) -> Iterator[None]:
    """Errors that are the endpoint's own become MoverUnavailable; those about one file pass."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, NotADirectoryError, NotARegularFileError):
        raise
    except OSError as error:
        if mount.is_outage(error):
            raise mount.outage(error) from error
        raise


def _file_stat(found: os.stat_result) -> FileStat:
    return FileStat(found.st_size, from_ns(found.st_mtime_ns))


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
