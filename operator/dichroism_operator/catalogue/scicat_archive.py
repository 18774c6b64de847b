"""The tape copy on SciCat: a datablock whose id is unique in the whole catalogue, the lifecycle, the counters."""

from collections.abc import Collection, Sequence

from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import ArchiveEntry, TapeRecord
from dichroism_operator.catalogue.errors import CatalogueUnavailable, DatasetGone, EntryRefused
from dichroism_operator.catalogue.scicat_client import ConflictError, MissingError
from dichroism_operator.catalogue.scicat_conversation import Conversation, Json
from dichroism_operator.catalogue.scicat_dataset import repair_counters, superseded_note
from dichroism_operator.catalogue.scicat_lifecycle import set_lifecycle

_TAKEN_STATUSES = (409, 500)
PAGE = 500
"""Copies asked for at a time."""


def ensure_archived(talk: Conversation, archive: ArchiveEntry) -> None:
    """Add the copy, then say so in the lifecycle. The copy is added before it is looked for: its id is unique.

    Raises:
        DatasetGone: there is no such dataset.
    """
    try:
        is_new = _add_archive_copy(talk, archive)
    except MissingError as error:
        raise DatasetGone(f"dataset {talk.pid} is not in the catalogue any more", pid=talk.pid) from error
    lifecycle = {
        "archivable": False,  # people shall not queue a second archiving
        "archiveStatusMessage": documents.ON_TAPE,
        "storageLocation": archive.bundle,
    }
    dataset = set_lifecycle(talk, {} if is_new else talk.read_back(), lifecycle)
    if (dataset.get("packedSize"), dataset.get("numberOfFilesArchived")) == (archive.packed_size, 1):
        return  # the only copy, and it is counted
    copies = talk.client.archive_copies()
    if not _recorded(talk, copies, archive):
        raise talk.not_kept("the archive copy")
    dataset = set_lifecycle(talk, dataset, superseded_note(dataset, copies, archive.file))
    packed, count = documents.totals(copies, "packedSize")
    repair_counters(talk, dataset, {"packedSize": packed, "numberOfFilesArchived": count})


def tape_copies(talk: Conversation) -> list[TapeRecord]:
    """Every copy that the dataset records; none when there is no dataset."""
    dataset = talk.client.find_dataset()
    if dataset is None:
        return []
    notes = (dataset.get("datasetlifecycle") or {}).get("archiveReturnMessage") or {}
    outdated = notes.get(documents.SUPERSEDED) if isinstance(notes, dict) else None
    return _records(talk.client.archive_copies(), outdated if isinstance(outdated, list) else ())


def all_tape_copies(talk: Conversation) -> list[TapeRecord]:
    """Every copy that our account may see, page by page."""
    found: list[TapeRecord] = []
    skip = 0
    while page := talk.client.page_of_archive_copies(skip, PAGE):
        found += _records(page, ())
        skip += len(page)
    return found


def _records(copies: Sequence[Json], superseded: Collection[str]) -> list[TapeRecord]:
    return [record for copy in copies if (record := documents.tape_record(copy, superseded))]


def _add_archive_copy(talk: Conversation, archive: ArchiveEntry) -> bool:
    """Add the copy; False: it was there. A taken id looks like an outage (500) on one route, so it is looked for."""
    try:
        talk.client.add_archive_copy(documents.archive_copy(archive))
    except (ConflictError, CatalogueUnavailable) as error:
        if error.http_status not in _TAKEN_STATUSES:
            raise
        if _recorded(talk, talk.client.archive_copies(), archive):
            return False
        holders = _other_holders(talk, documents.archive_id(archive))
        if holders:
            raise EntryRefused(
                f"the place on tape {documents.archive_id(archive)} of dataset {talk.pid} is recorded for dataset "
                f"{', '.join(holders)}: nothing was changed. One of the two records is wrong",
                http_status=error.http_status,
                operation=error.operation,
                pid=talk.pid,
            ) from error
        raise
    return True


def _recorded(talk: Conversation, copies: Sequence[Json], archive: ArchiveEntry) -> bool:
    """Whether the copy is recorded; the same place on tape with another content is refused, never overwritten."""
    key = documents.archive_id(archive)
    found = next((copy for copy in copies if copy.get("archiveId") == key), None)
    if found is not None and not documents.lists_file(found, archive.file):
        raise EntryRefused(
            f"dataset {talk.pid} records another content at {key} on tape: nothing was changed. Compare the bundle's "
            "manifest with the catalogue and have the wrong record removed",
            operation="adding an archive copy",
            pid=talk.pid,
        )
    return found is not None


def _other_holders(talk: Conversation, key: str) -> list[str]:
    try:
        copies = talk.client.archive_copies_of(key)
    except (EntryRefused, MissingError):  # not every account and backend may search them
        return []
    return sorted({str(copy.get("datasetId")) for copy in copies if copy.get("archiveId") == key} - {talk.pid})
