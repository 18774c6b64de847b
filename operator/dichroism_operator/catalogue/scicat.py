"""The catalogue on SciCat: what is looked at, written and read back, in which order, and what counts as done.

Every sequence looks first, writes what is missing and reads back. It runs under one token from its first look to its
last write; when the token is rejected the sequence starts again with a new one, so a look that saw nothing because the
token had expired never leads to a second dataset or file list. Sequences for one dataset wait for each other.

A rewritten file keeps its dataset. SciCat has no proven way to change a file list, so the new one is added and the old
ones are removed where the account may do that. Where it may not they stay, which is logged, and the lifecycle's
``archiveReturnMessage`` says under ``currentFile`` which content is the present one.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from pyscicat.model import RawDataset

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, DatasetRef, FileEntry
from dichroism_operator.catalogue.credentials import Credentials, credentials_from_environment
from dichroism_operator.catalogue.errors import CatalogueUnavailable, EntryRefused
from dichroism_operator.catalogue.scicat_client import (
    ConflictError,
    MissingError,
    SciCatClient,
    Timeout,
    TokenRejectedError,
    new_session,
)
from dichroism_operator.catalogue.scicat_login import Login, LoginKeeper

_log = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Timeout = (10.0, 60.0)
_LOGINS_PER_SEQUENCE = 3
_LOCKS = 64
_TAKEN_STATUSES = (409, 500)

Blocks = list[dict[str, Any]]


class SciCatCatalogue:
    """Implements :class:`~dichroism_operator.catalogue.base.Catalogue`. Thread-safe; one instance for a process."""

    def __init__(
        self,
        url: str,
        page_url: str | None = None,
        *,
        pid_prefix: str = "",
        credentials: Callable[[], Credentials] = credentials_from_environment,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> None:
        """``url`` is the base of the API, ``page_url`` that of the pages for people.

        Raises:
            ValueError: the URL carries a user or password.
        """
        if urlsplit(url).username or urlsplit(url).password:
            raise ValueError("scicat.url carries a user or password: URLs end in logs. Use SCICAT_USERNAME instead")
        self._url = url
        self._page_url = page_url
        self._pid_prefix = pid_prefix
        self._timeout = timeout
        self._local = threading.local()
        self._logins = LoginKeeper(url, credentials, self._http, timeout)
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def pid(self, scan: str) -> str:
        """The pid of a scan's dataset, whether it exists or not."""
        return documents.dataset_pid(scan, self._pid_prefix)

    def ensure_dataset(self, entry: DatasetEntry) -> DatasetRef:
        """Make sure that the dataset exists with this file in its list, exactly once."""
        return self._converse(entry, _ensure_dataset)

    def ensure_archived(self, entry: DatasetEntry, archive: ArchiveEntry) -> DatasetRef:
        """Make sure that the dataset records the tape copy and its lifecycle says so."""

        def sequence(client: SciCatClient, login: Login, entry: DatasetEntry, pid: str) -> None:
            _ensure_archived(client, login, entry, pid, archive)

        return self._converse(entry, sequence)

    def _http(self) -> requests.Session:
        """A session for each thread: keeps its connection open, and sessions are not safe to share."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = new_session(self._url)
        return session

    def _converse(
        self, entry: DatasetEntry, sequence: Callable[[SciCatClient, Login, DatasetEntry, str], None]
    ) -> DatasetRef:
        pid = self.pid(entry.scan)
        with self._locks[hash(pid) % _LOCKS]:
            login = self._logins.current()
            for _ in range(_LOGINS_PER_SEQUENCE):
                client = SciCatClient(self._url, login.token, self._http(), self._timeout, pid)
                try:
                    sequence(client, login, entry, pid)
                except TokenRejectedError:
                    login = self._logins.renew(login)
                except (MissingError, ConflictError) as error:
                    raise CatalogueUnavailable(
                        f"{error}. Either somebody else changes the dataset, or scicat.url is wrong",
                        http_status=error.http_status,
                        operation=error.operation,
                        pid=pid,
                    ) from error
                else:
                    page = f"{self._page_url.rstrip('/')}/{quote(pid, safe='')}" if self._page_url else None
                    return DatasetRef(pid, page)
        raise CatalogueUnavailable(
            "the catalogue rejects every token as soon as it has given it: check its clock and its token settings",
            reason=Reason.CATALOGUE_LOGIN_FAILED,
            pid=pid,
        )


def _ensure_dataset(client: SciCatClient, login: Login, entry: DatasetEntry, pid: str) -> None:
    wanted = documents.dataset_document(entry, pid, login.groups)
    found = client.find_dataset()
    if found is None:
        try:
            client.add_dataset(wanted)
        except ConflictError:  # an earlier attempt whose answer was lost, or another process
            found = _read_back(client, pid)
    if found is not None:
        # Which of our own groups lets us read it was settled at creation: it is no reason to change the dataset.
        _update(client, entry, pid, found, documents.dataset_document(entry, pid, own_groups=()))
    lists = _ensure_file_list(client, entry.file, is_new=found is None)
    lists = _remove_surplus(client, entry, pid, lists)
    dataset = {} if found is None else _read_back(client, pid)
    outdated = _surplus(lists, entry.file)
    lifecycle = _catalogued_lifecycle(client, dataset, entry.file, bool(outdated))
    dataset = _set_lifecycle(client, pid, dataset, lifecycle)
    valid = [files for files in lists if files not in outdated]
    size, count = documents.totals(valid, "size")
    _repair_counters(client, entry, pid, dataset, {"size": size, "numberOfFiles": count})


def _ensure_archived(client: SciCatClient, login: Login, entry: DatasetEntry, pid: str, archive: ArchiveEntry) -> None:
    try:
        copies = client.archive_copies()
    except MissingError:  # somebody removed the dataset since it was catalogued
        _ensure_dataset(client, login, entry, pid)
        copies = client.archive_copies()
    is_new = not _recorded(copies, archive, pid)
    if is_new:
        _add_archive_copy(client, archive, pid)
        copies = client.archive_copies()
        if not _recorded(copies, archive, pid):
            raise _not_kept(pid, "the archive copy")
    lifecycle = {
        "archivable": False,  # people shall not queue a second archiving
        "archiveStatusMessage": documents.ON_TAPE,
        "storageLocation": archive.bundle,
    }
    dataset = _set_lifecycle(client, pid, {} if is_new else _read_back(client, pid), lifecycle)
    packed, count = documents.totals(copies, "packedSize")
    _repair_counters(client, entry, pid, dataset, {"packedSize": packed, "numberOfFilesArchived": count})


def _read_back(client: SciCatClient, pid: str) -> dict[str, Any]:
    dataset = client.find_dataset()
    if dataset is None:
        raise _not_kept(pid, "the dataset")
    return dataset


def _not_kept(pid: str, what: str) -> CatalogueUnavailable:
    return CatalogueUnavailable(
        f"the catalogue accepted {what} of dataset {pid} but does not show it afterwards; it is tried again", pid=pid
    )


def _update(client: SciCatClient, entry: DatasetEntry, pid: str, found: dict[str, Any], wanted: RawDataset) -> None:
    """Bring an existing dataset to the present metadata. Needs an account that owns the dataset, or an admin."""
    essential = documents.differing(found, wanted, documents.ESSENTIAL)
    changes = essential | documents.differing(found, wanted, documents.DESCRIPTIVE)
    if not changes:
        return
    try:
        client.patch_dataset(changes)
    except EntryRefused as refusal:
        if essential:
            raise
        _warn("the catalogue does not let us update %s: %s", entry, pid, ", ".join(changes), refusal)
        return
    kept = _read_back(client, pid)
    if documents.differing(kept, wanted, documents.ESSENTIAL):
        raise _not_kept(pid, f"the new {', '.join(essential)}")


def _ensure_file_list(client: SciCatClient, file: FileEntry, *, is_new: bool) -> Blocks:
    """The dataset's file lists after this file's was added if need be; a dataset just made has none."""
    lists = [] if is_new else client.file_lists()
    if not any(documents.lists_file(files, file) for files in lists):
        client.add_file_list(documents.file_list(file))
        lists = client.file_lists()
    return lists


def _remove_surplus(client: SciCatClient, entry: DatasetEntry, pid: str, lists: Blocks) -> Blocks:
    """Remove other lists of this path: older contents, and twins that another process added at the same moment.

    Lists that name other paths are somebody else's and stay. The present list comes first in the result.
    """
    lists = _present_first(lists, entry.file, pid)
    surplus = _surplus(lists, entry.file)
    if not surplus:
        return lists
    for files in surplus:
        try:
            client.remove_file_list(str(files.get("_id") or files.get("id")))
        except MissingError:
            continue
        except EntryRefused as refusal:
            _warn("the catalogue keeps up to %s outdated file lists: %s", entry, pid, len(surplus), refusal)
            break
    return _present_first(client.file_lists(), entry.file, pid)


def _present_first(lists: Blocks, file: FileEntry, pid: str) -> Blocks:
    """Of twins the oldest counts as the present one, so that two processes agree on which to keep."""
    twins = [files for files in lists if documents.lists_file(files, file)]
    if not twins:
        raise _not_kept(pid, "the file list")
    present = min(twins, key=lambda files: (str(files.get("createdAt")), str(files.get("_id"))))
    return [present, *(files for files in lists if files is not present)]


def _surplus(lists: Blocks, file: FileEntry) -> Blocks:
    """All but the first that speak of this path alone."""
    return [files for files in lists[1:] if documents.only_path(files, file.path)]


def _catalogued_lifecycle(
    client: SciCatClient, dataset: dict[str, Any], file: FileEntry, has_outdated: bool
) -> dict[str, Any]:
    """What the lifecycle of a catalogued dataset should say, tape copies of this very content respected."""
    present = dataset.get("datasetlifecycle") or {}
    wanted: dict[str, Any] = {"archivable": False}
    said_archived = present.get("archiveStatusMessage") == documents.ON_TAPE
    if said_archived and not any(documents.lists_file(copy, file) for copy in client.archive_copies()):
        wanted |= {"archiveStatusMessage": documents.ON_DISK, "storageLocation": ""}
    notes = dict(present.get("archiveReturnMessage") or {})
    if has_outdated:
        notes["currentFile"] = documents.data_file(file)
    else:
        notes.pop("currentFile", None)
    return wanted | {"archiveReturnMessage": notes}


def _set_lifecycle(client: SciCatClient, pid: str, dataset: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Set the lifecycle where it differs from ``dataset`` ({}: not read yet), and return the dataset as it is then."""
    changes = _lifecycle_changes(dataset, wanted)
    if not changes:
        return dataset
    client.patch_lifecycle(changes)
    dataset = _read_back(client, pid)
    if _lifecycle_changes(dataset, changes):
        raise _not_kept(pid, "the lifecycle")
    return dataset


def _lifecycle_changes(dataset: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What of ``wanted`` the lifecycle lacks. An empty text or object may be stored as nothing at all."""
    present = dataset.get("datasetlifecycle") or {}
    return {
        name: value
        for name, value in wanted.items()
        if present.get(name) != value and not (present.get(name) is None and value in ("", {}))
    }


def _repair_counters(
    client: SciCatClient, entry: DatasetEntry, pid: str, dataset: dict[str, Any], counters: dict[str, int]
) -> None:
    """Correct sums that lost an addition or count outdated lists. Only owners and admins may: else it is logged."""
    wrong = {name: value for name, value in counters.items() if (dataset.get(name) or 0) != value}
    if not wrong:
        return
    try:
        client.patch_dataset(wrong)
    except EntryRefused as refusal:
        _warn("the catalogue's counters stay wrong (should be %s): %s", entry, pid, wrong, refusal)
        return
    kept = _read_back(client, pid)
    if any(kept.get(name) != value for name, value in wrong.items()):
        raise _not_kept(pid, "the corrected counters")


def _recorded(copies: Sequence[dict[str, Any]], archive: ArchiveEntry, pid: str) -> bool:
    """Whether the copy is recorded; the same place on tape with another content is refused, never overwritten."""
    key = documents.archive_id(archive)
    found = next((copy for copy in copies if copy.get("archiveId") == key), None)
    if found is not None and not documents.lists_file(found, archive.file):
        raise EntryRefused(
            f"dataset {pid} records another content at {key} on tape: nothing was changed. Compare the bundle's "
            "manifest with the catalogue and have the wrong record removed",
            operation="adding an archive copy",
            pid=pid,
        )
    return found is not None


def _add_archive_copy(client: SciCatClient, archive: ArchiveEntry, pid: str) -> None:
    """Add the copy. A taken archiveId looks like an outage (500) on one route, so it is looked for before it is one."""
    try:
        client.add_archive_copy(documents.archive_copy(archive))
    except (ConflictError, CatalogueUnavailable) as error:
        if error.http_status not in _TAKEN_STATUSES:
            raise
        if _recorded(client.archive_copies(), archive, pid):
            return
        holders = _other_holders(client, documents.archive_id(archive), pid)
        if holders:
            raise EntryRefused(
                f"the place on tape {documents.archive_id(archive)} of dataset {pid} is recorded for dataset "
                f"{', '.join(holders)}: nothing was changed. One of the two records is wrong",
                http_status=error.http_status,
                operation=error.operation,
                pid=pid,
            ) from error
        raise


def _other_holders(client: SciCatClient, key: str, pid: str) -> list[str]:
    try:
        copies = client.archive_copies_of(key)
    except (EntryRefused, MissingError):  # not every account and backend may search them
        return []
    return sorted({str(copy.get("datasetId")) for copy in copies if copy.get("archiveId") == key} - {pid})


def _warn(text: str, entry: DatasetEntry, pid: str, *values: object) -> None:
    _log.warning(text, *values, extra={"scan": entry.scan, "beamline": entry.beamline, "pid": pid})
