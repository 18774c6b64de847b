"""What the datasets on SciCat claim of their files: read in pages for many, whole for one. Nothing is written here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dichroism_crds.config.quantities import MAX_SIZE
from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import DatasetRecord
from dichroism_operator.catalogue.scicat_conversation import Conversation, Json
from dichroism_operator.catalogue.scicat_presence import NOTES, REMOVED_FROM

PAGE = 1000
"""Datasets asked for at a time: without their metadata, a megabyte."""

NO_FILE: Mapping[str, Any] = {}


def page_of_datasets(talk: Conversation, location: str, skip: int) -> tuple[int, list[DatasetRecord]]:
    """How many datasets a page has, and what those of them claim that make sense."""
    page = talk.client.page_of_datasets(location, skip, PAGE)
    return len(page), [record for one in page if (record := _record(one))]


def dataset(talk: Conversation) -> DatasetRecord | None:
    """What one dataset claims, with the name that its file list gives: people may rename a dataset."""
    found = talk.client.find_dataset()
    if found is None:
        return None
    files = [file for block in talk.client.file_lists() for file in _files(block)]
    return _record(found, files[0] if len(files) == 1 else {})


def _files(block: Json) -> Sequence[Mapping[str, Any]]:
    files = block.get("dataFileList")
    return [one for one in files if isinstance(one, Mapping)] if isinstance(files, list) else []


def _record(found: Json, file: Mapping[str, Any] = NO_FILE) -> DatasetRecord | None:
    """A dataset as what it claims, with its file as its list shows it; None for one that makes no sense."""
    lifecycle = found.get("datasetlifecycle")
    lifecycle = lifecycle if isinstance(lifecycle, Mapping) else {}
    notes = lifecycle.get(NOTES)
    removed = notes.get(REMOVED_FROM) if isinstance(notes, Mapping) else None
    on_tape = lifecycle.get("archiveStatusMessage") == documents.ON_TAPE
    try:
        named = next(iter(found.get("proposalIds") or ()), None)
        size = int(found.get("size") or 0)
        if not 0 <= size <= MAX_SIZE:
            return None
        return DatasetRecord(
            pid=str(found["pid"]),
            path=f"{str(found['sourceFolder']).rstrip('/')}/{file.get('path') or found['datasetName']}",
            size=size,
            modified_at=_moment(found["creationTime"]),
            changed_at=_moment(found["updatedAt"]),
            on_disk=lifecycle.get("isOnCentralDisk") is not False,
            bundle=str(lifecycle.get("storageLocation") or "") or None if on_tape else None,
            removed_from=frozenset(map(str, removed)) if isinstance(removed, Mapping) else frozenset(),
            proposal=found.get("proposalId") or named,
            sha256=str(file.get("chk") or "") or None,
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _moment(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
