"""What pruning took from disk, or put back, in the lifecycle of a dataset on SciCat.

``isOnCentralDisk`` speaks about the place that the dataset names, and about no other endpoint. ``retrievable`` is left
alone: it would offer people a retrieval that nobody carries out.
"""

from datetime import datetime

from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import DatasetEntry, Presence
from dichroism_operator.catalogue.errors import DatasetGone
from dichroism_operator.catalogue.scicat_conversation import Conversation, Json
from dichroism_operator.catalogue.scicat_lifecycle import set_lifecycle

NOTES, REMOVED_FROM = "retrieveReturnMessage", "removedFrom"
"""Where the endpoints stand from which the file was removed, each with the time."""


def record_presence(talk: Conversation, presence: Presence) -> None:
    """Look at the dataset and say what it does not say yet.

    Raises:
        DatasetGone: there is no such dataset.
    """
    dataset = talk.client.find_dataset()
    if dataset is None:
        raise DatasetGone(f"dataset {talk.pid} is not in the catalogue any more", pid=talk.pid)
    present = dataset.get("datasetlifecycle") or {}
    wanted = _noted(present, presence.endpoint, None if presence.present else presence.removed_at)
    if presence.is_disk and present.get("isOnCentralDisk") is not presence.present:
        wanted |= {"isOnCentralDisk": presence.present, "retrieveStatusMessage": _message(presence)}
        if not presence.present:
            wanted["dateOfDiskPurging"] = documents.scicat_time(presence.removed_at)
    set_lifecycle(talk, dataset, wanted)


def back_on_disk(present: Json, entry: DatasetEntry) -> Json:
    """What a lifecycle should say of a copy that was made after the one before it had been removed; else nothing."""
    if present.get("isOnCentralDisk") is not False or entry.copied_at is None:
        return {}
    try:
        removed_at = datetime.fromisoformat(str(present.get("dateOfDiskPurging")))
        if entry.copied_at <= removed_at:
            return {}
    except (ValueError, TypeError):
        pass  # Whoever took it from disk did not say when, and the copy was verified.
    return {"isOnCentralDisk": True, "retrieveStatusMessage": ""} | _noted(present, entry.disk, None)


def _noted(present: Json, endpoint: str, removed_at: datetime | None) -> Json:
    """The notes with this endpoint's; the time at which it was first told stays."""
    notes = dict(present.get(NOTES) or {})
    removed = dict(notes.pop(REMOVED_FROM, None) or {})
    if removed_at is None:
        removed.pop(endpoint, None)
    else:
        removed.setdefault(endpoint, documents.scicat_time(removed_at))
    return {NOTES: notes | ({REMOVED_FROM: removed} if removed else {})}


def _message(presence: Presence) -> str:
    """A sentence for people who look for the file where it was."""
    if presence.present:
        return ""
    copies = f"; copies on {', '.join(presence.copies_on)}" if presence.copies_on else ""
    return f"removed from {presence.endpoint} on {presence.removed_at:%Y-%m-%d}{copies}"
