"""The dataset with its file list and metadata on SciCat: what is looked at, written and read back, in which order.

A dataset that was made here and now is read once at the end: when size and number of files are those of this file
alone, its list is there exactly once. In every other case the lists themselves are looked at.

A rewritten file keeps its dataset. SciCat has no proven way to change a file list, so the new one is added and the old
ones are removed where the account may do that. Where it may not they stay, which is told, and the lifecycle's
``archiveReturnMessage`` says under ``currentFile`` which content is the present one.
"""

from collections.abc import Sequence

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import DatasetEntry, FileEntry
from dichroism_operator.catalogue.errors import EntryRefused
from dichroism_operator.catalogue.scicat_client import ConflictError, MissingError
from dichroism_operator.catalogue.scicat_conversation import Conversation, Json
from dichroism_operator.catalogue.scicat_lifecycle import lifecycle_changes, set_lifecycle
from dichroism_operator.catalogue.scicat_presence import back_on_disk

_BAD_REQUEST = 400


def ensure_dataset(talk: Conversation, entry: DatasetEntry, relations: dict[str, str]) -> None:
    """Make the dataset, or bring it to what the entry says; ``relations`` gives their kind by pid."""
    found = talk.client.find_dataset() if entry.expected else None
    if found is None:
        try:
            _create(talk, entry, relations)
        except ConflictError:  # an earlier attempt whose answer was lost, or another process
            found = talk.read_back()
    if found is None and _complete_at_once(talk, entry.file):
        return
    if found is not None:
        _correct(talk, entry, found)
        _relate(talk, found, relations)
    lists = _ensure_file_list(talk, entry.file)
    lists = _remove_surplus(talk, entry.file, lists)
    dataset = talk.read_back()
    outdated = _surplus(lists, entry.file)
    dataset = set_lifecycle(talk, dataset, _catalogued_lifecycle(talk, dataset, entry, bool(outdated)))
    if outdated:
        talk.uncorrected.append("outdated file lists")
    size, count = documents.totals([files for files in lists if files not in outdated], "size")
    repair_counters(talk, dataset, {"size": size, "numberOfFiles": count})


def _create(talk: Conversation, entry: DatasetEntry, relations: dict[str, str]) -> None:
    """POST the dataset. Relations have another form in each generation and never keep a dataset from being made."""
    document = documents.dataset_document(entry, talk.pid, talk.groups)
    for form in talk.form.candidates if relations else ():
        document.relationships = documents.relationships(relations, form)
        try:
            talk.client.add_dataset(document)
        except EntryRefused as refusal:
            if not _is_about_relations(refusal):
                raise
        else:
            talk.form.known = form
            return
    document.relationships = None
    talk.client.add_dataset(document)
    if relations:
        talk.uncorrected.append("relationships")


def _is_about_relations(refusal: EntryRefused) -> bool:
    return refusal.http_status == _BAD_REQUEST and "relationships" in str(refusal)


def _complete_at_once(talk: Conversation, file: FileEntry) -> bool:
    """Give a dataset made here its file list and lifecycle; says whether it is complete by what it shows then."""
    talk.client.add_file_list(documents.file_list(file))
    talk.client.patch_lifecycle({"archivable": False})
    dataset = talk.read_back()
    counted = (dataset.get("size"), dataset.get("numberOfFiles")) == (file.size, 1)
    return counted and not lifecycle_changes(dataset, {"archivable": False})


def _correct(talk: Conversation, entry: DatasetEntry, found: Json) -> None:
    """Bring an existing dataset to the present metadata. Needs an account that owns the dataset, or an admin."""
    changes = documents.corrections(found, entry, talk.pid)
    if not changes:
        return
    try:
        talk.client.patch_dataset(changes)
    except EntryRefused as refusal:
        if documents.PLACE in changes:
            refusal.reason = Reason.CATALOGUE_NEEDS_OWNER
            raise
        talk.may_not(", ".join(changes), refusal)
        return
    kept = documents.corrections(talk.read_back(), entry, talk.pid)
    if kept.keys() & {documents.PLACE, *documents.OWNERSHIP}:
        raise talk.not_kept(f"the new {', '.join(kept)}")


def _relate(talk: Conversation, found: Json, relations: dict[str, str]) -> None:
    missing = {pid: kind for pid, kind in relations.items() if pid not in documents.related(found)}
    if not missing:
        return
    for form in talk.form.candidates:
        try:
            changes = [*documents.relationships_kept(found, form), *documents.relationships(missing, form)]
            talk.client.patch_dataset({"relationships": changes})
        except EntryRefused as refusal:
            if _is_about_relations(refusal):
                continue
            talk.may_not("relationships", refusal)
            return
        else:
            talk.form.known = form
            return
    talk.uncorrected.append("relationships")


def _ensure_file_list(talk: Conversation, file: FileEntry) -> list[Json]:
    """The dataset's file lists, after this file's was added if need be."""
    lists = talk.client.file_lists()
    if not any(documents.lists_file(files, file) for files in lists):
        talk.client.add_file_list(documents.file_list(file))
        lists = talk.client.file_lists()
    return lists


def _remove_surplus(talk: Conversation, file: FileEntry, lists: list[Json]) -> list[Json]:
    """Remove other lists of this path: older contents, and twins that another process added at the same moment.

    Lists that name other paths are somebody else's and stay. The present list comes first in the result.
    """
    lists = _present_first(talk, lists, file)
    surplus = _surplus(lists, file)
    if not surplus:
        return lists
    for files in surplus:
        try:
            talk.client.remove_file_list(str(files.get("_id") or files.get("id")))
        except MissingError:
            continue
        except EntryRefused:  # told by the caller, which looks at what is left
            break
    return _present_first(talk, talk.client.file_lists(), file)


def _present_first(talk: Conversation, lists: list[Json], file: FileEntry) -> list[Json]:
    """Of twins the oldest counts as the present one, so that two processes agree on which to keep."""
    twins = [files for files in lists if documents.lists_file(files, file)]
    if not twins:
        raise talk.not_kept("the file list")
    present = min(twins, key=lambda files: (str(files.get("createdAt")), str(files.get("_id"))))
    return [present, *(files for files in lists if files is not present)]


def _surplus(lists: list[Json], file: FileEntry) -> list[Json]:
    """All but the first that speak of this path alone."""
    return [files for files in lists[1:] if documents.only_path(files, file.path)]


def _catalogued_lifecycle(talk: Conversation, dataset: Json, entry: DatasetEntry, has_outdated: bool) -> Json:
    """What the lifecycle of a catalogued dataset should say, tape copies of this very content respected."""
    present, file = dataset.get("datasetlifecycle") or {}, entry.file
    wanted: Json = {"archivable": False}
    notes = dict(present.get("archiveReturnMessage") or {})
    if present.get("archiveStatusMessage") == documents.ON_TAPE:
        copies = talk.client.archive_copies()
        if not any(documents.lists_file(copy, file) for copy in copies):
            wanted |= {"archiveStatusMessage": documents.ON_DISK, "storageLocation": ""}
        notes |= superseded_note(dataset, copies, file).get("archiveReturnMessage", {})
    if has_outdated:
        notes["currentFile"] = documents.data_file(file)
    else:
        notes.pop("currentFile", None)
    return wanted | {"archiveReturnMessage": notes} | back_on_disk(present, entry)


def superseded_note(dataset: Json, copies: Sequence[Json], file: FileEntry) -> Json:
    """What the lifecycle shall say of tape copies that hold older contents than ``file``; nothing when all is said."""
    notes = dict((dataset.get("datasetlifecycle") or {}).get("archiveReturnMessage") or {})
    outdated = documents.superseded_ids(copies, file)
    if notes.get(documents.SUPERSEDED, []) == outdated:
        return {}
    return {"archiveReturnMessage": notes | {documents.SUPERSEDED: outdated}}


def repair_counters(talk: Conversation, dataset: Json, counters: dict[str, int]) -> None:
    """Correct sums that lost an addition or count outdated lists. Only owners and admins may: else it is told."""
    wrong = {name: value for name, value in counters.items() if (dataset.get(name) or 0) != value}
    if not wrong:
        return
    try:
        talk.client.patch_dataset(wrong)
    except EntryRefused as refusal:
        talk.may_not(", ".join(wrong), refusal)
        return
    kept = talk.read_back()
    if any(kept.get(name) != value for name, value in wrong.items()):
        raise talk.not_kept("the corrected counters")
