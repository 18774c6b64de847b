"""An endpoint's folder as this process sees it: proven to be mounted, held open, entered without following links.

Everything goes through descriptors below the root, so neither a link nor a mount that goes away in between can lead
elsewhere. What a file's content is or where a copy goes is decided by the modules that use this one.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from dichroism_crds.config import Endpoint
from dichroism_crds.config.loader import MOUNT_PREFIX
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.bundle import open_folder, open_regular
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable, NotARegularFileError

INCOMING = f"{PRIVATE_DIR}/incoming"
SUPERSEDED = f"{PRIVATE_DIR}/superseded"
MANIFESTS = f"{PRIVATE_DIR}/manifests"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_GONE = (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENODEV, errno.EROFS, errno.ESHUTDOWN)
_NOT_REGULAR = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)


class Mount(Closing):
    """The root of an endpoint, open. A context manager: the descriptor is closed at its end.

    Opening it proves that the file system is there: the root must hold the folder ``.dichroism``, which a person (or
    :meth:`prepare`) makes once. A mount point whose file system is missing is an empty folder, and without that proof
    all of its files would read as deleted.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Open the root.

        Raises:
            MoverUnavailable: no mount is configured, it does not answer, or it was never prepared.
        """
        self.name = endpoint.name
        self.root = endpoint.mount
        self.fd = _open_root(endpoint)
        try:
            self.probe()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    @classmethod
    def prepare(cls, endpoint: Endpoint) -> None:
        """Make ``.dichroism`` at the root: a person's word that the right file system is mounted there."""
        fd = _open_root(endpoint)
        try:
            with suppress(FileExistsError):
                os.mkdir(PRIVATE_DIR, dir_fd=fd)
            os.fsync(fd)
        except OSError as error:
            raise MoverUnavailable(
                Reason.PERMISSION_DENIED,
                f"endpoint {endpoint.name}: can't make {PRIVATE_DIR} in {endpoint.mount}: {error.strerror}",
            ) from error
        finally:
            os.close(fd)

    def probe(self) -> None:
        """Ask whether the file system still answers.

        Raises:
            MoverUnavailable: it does not.
        """
        try:
            os.close(open_folder(self.fd, PRIVATE_DIR))
        except FileNotFoundError:
            raise MoverUnavailable(
                Reason.ENDPOINT_UNAVAILABLE,
                f"endpoint {self.name}: {self.root} has no folder {PRIVATE_DIR}, so its file system is not mounted or "
                "was never prepared. Nothing is read or written. Mount it, or, if it is the right one, make the folder "
                f"once: mkdir {self.root}/{PRIVATE_DIR}",
            ) from None
        except OSError as error:
            raise self.outage(error) from error

    def outage(self, error: OSError) -> MoverUnavailable:
        """The error as trouble of the whole endpoint."""
        said = f"endpoint {self.name} ({self.root}): {error.strerror or error}"
        if error.errno in _FULL:
            text = f"{said}. Free space or raise the quota; copies go on by themselves, nothing is lost"
            return MoverUnavailable(Reason.DESTINATION_FULL, text)
        if error.errno in (errno.EACCES, errno.EPERM):
            text = f"{said}. Let user {os.geteuid()} write below {self.root}/{PRIVATE_DIR} and read the files"
            return MoverUnavailable(Reason.PERMISSION_DENIED, text)
        if error.errno == errno.EROFS:
            return MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, f"{said}. Mount it writable for this process")
        text = f"{said}. Look after the mount; the work goes on by itself"
        return MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)

    def is_outage(self, error: OSError) -> bool:
        """Whether an error that one file brought up is the endpoint's."""
        if error.errno in _FULL or error.errno in _GONE:
            return True
        try:
            self.probe()
        except MoverUnavailable:
            return True
        return False

    def require_apart(self, other: "Mount") -> None:
        """Refuse a hop between two mounts that are one tree.

        Raises:
            MoverUnavailable: they are.
        """
        if self.same_tree(other):
            raise MoverUnavailable(
                Reason.ENDPOINT_UNAVAILABLE,
                f"mounts of endpoints {self.name} ({self.root}) and {other.name} ({other.root}) lie in one folder, so "
                "a copy would not be a second one: correct the mounts",
            )

    def same_tree(self, other: "Mount") -> bool:
        """Whether both roots are one folder, or one lies in the other: then a copy would not be a second one."""
        return self._lies_in(other) or other._lies_in(self)

    def _lies_in(self, other: "Mount") -> bool:
        wanted = _identity(os.fstat(other.fd))
        fd = os.dup(self.fd)
        try:
            while True:
                here = _identity(os.fstat(fd))
                if here == wanted:
                    return True
                above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = above
                if _identity(os.fstat(fd)) == here:
                    return False
        except PermissionError:
            return False  # What lies above may not even be entered, so nothing of ours is there.
        finally:
            os.close(fd)

    @contextmanager
    def folder(self, path: str, *, create: bool = False) -> Iterator[int]:
        """Descriptor of a folder below the root ("" is the root); with ``create``, missing ones are made durably."""
        fd = self._made(path) if create else _checked(open_folder, self.fd, path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _made(self, path: str) -> int:
        try:
            return _checked(open_folder, self.fd, path)
        except FileNotFoundError:
            if path in ("", PRIVATE_DIR):
                raise
        above, _, name = path.rpartition("/")
        fd = self._made(above)
        try:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
                sync_folder(fd)
        finally:
            os.close(fd)
        return _checked(open_folder, self.fd, path)

    @contextmanager
    def open(self, path: str) -> Iterator[int]:
        """Descriptor for reading a regular file.

        Raises:
            FileNotFoundError: nothing is there.
            NotARegularFileError: a link, folder or special file is there or on the way.
        """
        fd = _checked(open_regular, self.fd, path)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def file(self, path: str) -> Iterator[BinaryIO]:
        """A regular file to read; errors are those of :meth:`open`."""
        with self.open(path) as fd, open(fd, "rb", closefd=False) as file:
            yield file

    def lstat(self, path: str) -> os.stat_result | None:
        """What lies at a path, links not followed; None when nothing does.

        Raises:
            NotARegularFileError: a link or a file stands where a folder of the path should be.
        """
        above, _, name = path.rpartition("/")
        try:
            with self.folder(above) as fd:
                return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def regular(self, path: str) -> os.stat_result | None:
        """Like :meth:`lstat`, but whatever is not a regular file reached without links counts as nothing."""
        try:
            found = self.lstat(path)
        except NotARegularFileError:
            return None
        return found if found is not None and stat.S_ISREG(found.st_mode) else None

    @contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Whatever goes wrong inside is this file's own trouble, unless the endpoint as a whole does not answer.

        Raises:
            FileTrouble: SOURCE_MISSING, SOURCE_UNREADABLE or INVALID_PATH.
            MoverUnavailable: the endpoint is in trouble.
        """
        try:
            yield
        except PathError as error:
            raise FileTrouble(Reason.INVALID_PATH, str(error)) from error
        except FileNotFoundError:
            self.probe()
            raise FileTrouble(Reason.SOURCE_MISSING, f"{path} is not on {self.name}: nothing can be copied") from None
        except OSError as error:
            if self.is_outage(error):
                raise self.outage(error) from error
            text = f"{path} on {self.name} can't be read: {error.strerror or error}. Repair it, then retry"
            raise FileTrouble(Reason.SOURCE_UNREADABLE, text) from error

    @contextmanager
    def placing(self, path: str) -> Iterator[None]:
        """Whatever goes wrong at a final path is one file's trouble, unless the endpoint as a whole is in trouble.

        Raises:
            FileTrouble: DESTINATION_OBSTRUCTED.
            MoverUnavailable: the endpoint is in trouble.
        """
        try:
            yield
        except OSError as error:
            if self.is_outage(error):
                raise self.outage(error) from error
            raise self.obstructed(path, error.strerror or str(error)) from error

    def obstructed(self, path: str, what: str) -> FileTrouble:
        """Something stands where the copy should go, and it is not ours to touch."""
        text = f"no copy can be placed at {path} on {self.name}: {what}. Nothing was touched; clear the way, then retry"
        return FileTrouble(Reason.DESTINATION_OBSTRUCTED, text)


def user_path(path: str) -> str:
    """A path that a scan may have: legal, and not inside our private folder.

    Raises:
        PathError: it is not.
    """
    check_relative_path(path)
    if path.split("/", 1)[0] == PRIVATE_DIR:
        raise PathError(f"path {path!r} lies inside {PRIVATE_DIR}, which belongs to dichroism: no scan is there")
    return path


def private_path(path: str) -> str:
    """A path inside our private folder.

    Raises:
        PathError: it is not; nothing may be deleted there.
    """
    check_relative_path(path)
    if not path.startswith(f"{PRIVATE_DIR}/"):
        raise PathError(f"path {path!r} is not inside {PRIVATE_DIR}: nothing else is ever listed or deleted")
    return path


def is_private(path: str) -> bool:
    """Whether the path lies inside our private folder."""
    return path.startswith(f"{PRIVATE_DIR}/")


def sync_folder(fd: int) -> None:
    """Make the names in a folder durable; the descriptor may be one that is only good for passing through."""
    real = readable(fd)
    try:
        os.fsync(real)
    finally:
        os.close(real)


def readable(fd: int) -> int:
    """Another descriptor of a folder, one that can be listed and flushed."""
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)


def _open_root(endpoint: Endpoint) -> int:
    variable = MOUNT_PREFIX + endpoint.name.upper().replace("-", "_")
    if endpoint.mount is None:
        raise MoverUnavailable(
            Reason.ENDPOINT_UNAVAILABLE,
            f"endpoint {endpoint.name} has no mount, so its files can't be reached: set mount of {endpoint.name} in "
            f"the configuration, or {variable} in the environment, to the folder where this process sees "
            f"{endpoint.root_path}",
        )
    try:
        return os.open(endpoint.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise MoverUnavailable(
            Reason.ENDPOINT_UNAVAILABLE,
            f"endpoint {endpoint.name}: mount {endpoint.mount} can't be entered: {error.strerror}. Mount it, or "
            f"correct mount of {endpoint.name} in the configuration or {variable} in the environment",
        ) from error


def _checked(enter: Callable[[int, str], int], root: int, path: str) -> int:
    """Say of a link, folder or special file in the wrong place that it is one."""
    try:
        return enter(root, path)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            what = "a link or a file stands where a folder should be"
            raise NotARegularFileError(
                error.errno, what if error.errno == errno.ENOTDIR else error.strerror, path
            ) from error
        raise


def _identity(found: os.stat_result) -> tuple[int, int]:
    return (found.st_dev, found.st_ino)
