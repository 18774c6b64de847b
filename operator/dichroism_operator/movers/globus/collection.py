"""One endpoint as its Globus collection shows it: looking, and renaming inside ``.dichroism/``.

The doctor uses it too. Carrying files is in ``submission``, deleting in ``deletion``.
"""

import errno
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from globus_sdk import TransferAPIError, TransferClient

from dichroism_crds.config import Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import FileStat
from dichroism_operator.movers.errors import MoverUnavailable, NotARegularFileError
from dichroism_operator.movers.globus.connection import GlobusConnection, document
from dichroism_operator.movers.globus.documents import Entry, entries, rows
from dichroism_operator.movers.globus.errors import is_denied_by_storage, is_existing, is_not_found
from dichroism_operator.movers.mount import is_private

PAGE = 100_000
"""Entries of one listing: the service's default and most."""
FRESH_S = 60.0
"""How long it is remembered that a folder is one and no link, and that the collection's storage is there."""
LIST_FROM = 3
"""So many files of one folder are asked about with one listing rather than one by one."""


class Collection:
    """One endpoint through its collection. Thread-safe; keeps nothing but which folders were just seen."""

    def __init__(self, connection: GlobusConnection, endpoint: Endpoint) -> None:
        """Ask nothing yet.

        Raises:
            MoverUnavailable: the configuration names no collection for the endpoint.
        """
        if endpoint.uuid is None or endpoint.has_placeholder:
            raise MoverUnavailable(
                Reason.ENDPOINT_UNAVAILABLE,
                f"endpoint {endpoint.name} has no uuid of a Globus collection: set {endpoint.name}.uuid in the "
                "configuration",
            )
        self.endpoint = endpoint
        self.name = endpoint.name
        self.uuid = endpoint.uuid
        self._connection = connection
        self._root = endpoint.collection_path.rstrip("/")
        self._folders: dict[str, float] = {}
        self._lock = threading.Lock()

    def path(self, relative: str) -> str:
        """The path as the collection names it; "" is the root."""
        return f"{self._root}/{relative}" if relative else f"{self._root}/"

    # looking

    def probe(self, *, again: bool = False) -> None:
        """Prove that the collection shows our storage: the root holds ``.dichroism``, made once by a person.

        A collection whose file system is not mounted shows an empty folder, and all files would read as deleted.
        ``again`` asks although it was proven a moment ago.

        Raises:
            MoverUnavailable: it does not.
        """
        if self._seen(PRIVATE_DIR) and not again:
            return
        try:
            entry = self._ask_stat(PRIVATE_DIR)
        except TransferAPIError as error:
            raise self._unexpected(error) from error
        if entry is None or not entry.is_folder:
            raise MoverUnavailable(
                Reason.ENDPOINT_UNAVAILABLE,
                f"endpoint {self.name}: the collection {self.uuid} shows no folder {PRIVATE_DIR} in {self.path('')}, "
                "so its storage is not there or was never prepared. Nothing is read or written. If it is the right "
                f"folder, make it once: globus mkdir {self.uuid}:{self.path(PRIVATE_DIR)}",
            )
        self._note(PRIVATE_DIR)

    def look(self, paths: Iterable[str]) -> dict[str, Entry | None]:
        """What lies at each path, one listing per folder; None where nothing does.

        Links on the way to a file are not looked for: see :meth:`stat`.

        Raises:
            PermissionError: the storage lets us in, but not there.
            MoverUnavailable: it can't be told.
        """
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_folder[_above(path)].append(path)
        found: dict[str, Entry | None] = {}
        for folder, inside in by_folder.items():
            if len(inside) < LIST_FROM:
                found |= {path: self._stat(path) for path in inside}
            else:
                listed = self.list_folder(folder)
                found |= {path: listed.get(_name(path)) for path in inside}
        if None in found.values():
            self.probe()
        return found

    def stat(self, paths: Sequence[str]) -> dict[str, FileStat | None]:
        """The regular file at each path that is reached without any link; None where there is none."""
        for path in paths:
            check_relative_path(path)
        plain = {folder: self.is_plain_folder(folder) for folder in dict.fromkeys(map(_above, paths))}
        entries_found = self.look([path for path in paths if plain[_above(path)]])
        found = {path: entry.stat if (entry := entries_found.get(path)) else None for path in paths}
        if None in found.values():
            # After the look: storage that went away in between must not read as a deleted file.
            self.probe(again=True)
        return found

    def list_folder(self, folder: str) -> dict[str, Entry]:
        """Entries of a folder by name; empty when it is not there."""
        return {name: entry for page in self.pages(folder) for name, entry in page.items()}

    def pages(self, folder: str) -> Iterator[dict[str, Entry]]:
        """Entries of a folder by name, page by page."""
        offset = 0
        while True:
            page = self._page(folder, offset)
            yield entries(page)
            offset += len(page)
            if len(page) < PAGE:
                return

    def _page(self, folder: str, offset: int) -> list[Mapping[str, object]]:
        def ask(client: TransferClient) -> list[Mapping[str, object]]:
            place = {"offset": offset} if offset else {}
            return rows(document(client.operation_ls(self.uuid, path=self.path(folder), query_params=place)))

        try:
            return self._connection.call(f"list {folder or 'the root'} on {self.name}", ask)
        except TransferAPIError as error:
            if is_not_found(error):
                return []
            raise self._refused(error, folder) from error

    def _stat(self, path: str) -> Entry | None:
        try:
            return self._ask_stat(path)
        except TransferAPIError as error:
            raise self._refused(error, path) from error

    def _ask_stat(self, path: str) -> Entry | None:
        def ask(client: TransferClient) -> Entry:
            return Entry.from_wire(document(client.operation_stat(self.uuid, self.path(path))))

        try:
            return self._connection.call(f"look at {path} on {self.name}", ask)
        except TransferAPIError as error:
            if is_not_found(error):
                return None
            raise

    def is_plain_folder(self, folder: str) -> bool:
        """Whether it is a folder, reached through folders alone; the root itself is taken as it is."""
        if folder == "" or self._seen(folder):
            return True
        if not self.is_plain_folder(_above(folder)):
            return False
        entry = self._stat(folder)
        if entry is None or not entry.is_folder:
            return False
        self._note(folder)
        return True

    # changing

    def make_folder(self, folder: str) -> None:
        """Make a folder inside ``.dichroism``, with those above it.

        Raises:
            NotARegularFileError: something else is in the way.
            MoverUnavailable: the collection is in trouble, or ``.dichroism`` itself is not there.
        """
        self.probe()
        if self.is_plain_folder(folder):
            return
        if _above(folder) != PRIVATE_DIR:
            self.make_folder(_above(folder))
        self.make_one(folder)
        if not self.is_plain_folder(folder):
            raise NotARegularFileError(errno.ENOTDIR, "a link or a file stands where a folder should be", folder)

    def make_one(self, folder: str) -> None:
        """Make one folder; that it is there already is fine."""
        try:
            self._connection.call(
                f"make folder {folder} on {self.name}",
                lambda client: client.operation_mkdir(self.uuid, self.path(folder)),
            )
        except TransferAPIError as error:
            if not is_existing(error):
                raise self._refused(error, folder) from error

    def rename(self, old: str, new: str) -> None:
        """Rename a regular file where at least one of both paths is private; see ``Mover.rename``.

        A collection's rename may replace what stands at the new path, so both paths are looked at before, and again
        when the answer was lost. Nobody else uses our private names.
        """
        check_relative_path(old)
        check_relative_path(new)
        if not (is_private(old) or is_private(new)):
            raise PathError(f"rename of {old!r} to {new!r}: files of users are only moved into {PRIVATE_DIR} and back")
        before = self._renameable(old)
        self._target_folder(new)
        if self.look([new])[new] is not None:
            raise FileExistsError(errno.EEXIST, "is taken", new)
        try:
            self._connection.call(
                f"rename {old} to {new} on {self.name}",
                lambda client: client.operation_rename(self.uuid, self.path(old), self.path(new)),
                once=True,
            )
        except MoverUnavailable:
            found = self.look([old, new])
            moved = found[new]
            if found[old] is not None or moved is None or moved.stat != before:
                raise
        except TransferAPIError as error:
            if is_not_found(error):
                raise FileNotFoundError(errno.ENOENT, "is gone", old) from error
            if is_existing(error):
                raise FileExistsError(errno.EEXIST, "is taken", new) from error
            raise self._refused(error, old) from error

    def _renameable(self, old: str) -> FileStat:
        """The regular file that is to be renamed."""
        if not self.is_plain_folder(_above(old)):
            self.probe()
            if self._stat(_above(old)) is not None:
                raise NotARegularFileError(errno.ENOTDIR, "a link or a file stands where a folder should be", old)
            raise FileNotFoundError(errno.ENOENT, "is not there", old)
        entry = self.look([old])[old]
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "is not there", old)
        if entry.stat is None:
            raise NotARegularFileError(errno.EINVAL, "is no regular file, so it is not renamed", old)
        return entry.stat

    def _target_folder(self, new: str) -> None:
        folder = _above(new)
        if is_private(new):
            self.make_folder(folder)
        elif not self.is_plain_folder(folder):
            raise NotADirectoryError(
                errno.ENOTDIR, f"the folder is not there, and none is made outside {PRIVATE_DIR}", folder
            )

    # what was just seen

    def _seen(self, folder: str) -> bool:
        with self._lock:
            return self._folders.get(folder, 0.0) > time.monotonic()

    def _note(self, folder: str) -> None:
        moment = time.monotonic()
        with self._lock:
            self._folders = {known: until for known, until in self._folders.items() if until > moment}
            self._folders[folder] = moment + FRESH_S

    def _refused(self, error: TransferAPIError, path: str) -> Exception:
        """What a refusal about one path means: that path's trouble, when the storage as a whole lets us in."""
        if is_denied_by_storage(error):
            self.probe(again=True)
            return PermissionError(errno.EACCES, f"the storage of {self.name} refuses us there", path)
        return self._unexpected(error)

    def _unexpected(self, error: TransferAPIError) -> MoverUnavailable:
        """A refusal that nobody foresaw: better wait for a person than draw a conclusion from it."""
        return MoverUnavailable(
            Reason.ENDPOINT_UNAVAILABLE,
            f"{self.name}: Globus answers {error.http_status} {error.code}: {(error.message or '')[:300]}",
        )


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
