"""What is sent to SciCat and how answers are compared with it: pure functions, no requests.

Times go out floored to milliseconds, as SciCat keeps them, so that nothing depends on its rounding.
"""

import base64
import hashlib
import math
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyscicat.model import DataFile, RawDataset

from dichroism_crds.timestamps import format_time
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry, Picture, TapeRecord

CHECKSUM_ALGORITHM = "sha256"
PACKING_FORMAT = "pax tar"

ON_DISK = "datasetCreated"
"""The backend's own word for a dataset that is on no tape."""
ON_TAPE = "datasetOnArchiveDisk"
SUPERSEDED = "superseded"
"""Under this name the lifecycle's ``archiveReturnMessage`` lists the tape copies of replaced contents."""

CAPTION = "Quick-look:"
"""How the captions of our pictures begin."""

OWNERSHIP = ("ownerGroup", "accessGroups", "proposalId")
"""Who sees the data."""
PLACE = "sourceFolder"
"""Where they are: a dataset that names another folder is not catalogued."""
_CONTENT = ("creationTime", "startTime", "endTime", "techniques", "sampleId", "dataFormat", "scientificMetadata")
_ADDED_TO = ("accessGroups", "keywords")
"""Lists to which people may add: what they hold besides stays."""
_SINGLE = {"proposalId": "proposalIds", "sampleId": "sampleIds"}
"""Fields that a backend may show as a list alone."""
UNKNOWN = "unknown"
"""Where nothing is known. A missing sample would be stored as a list with nothing in it but null."""


class NewDataset(RawDataset):
    """pyscicat's model with the fields that it lacks; it would drop them without a word."""

    startTime: str | None = None  # noqa: N815 - the server's name
    relationships: list[dict[str, str]] | None = None


def dataset_pid(scan: str, prefix: str = "") -> str:
    """The pid of a scan's dataset, derived from its name alone, so that every attempt arrives at the same dataset.

    Shaped like a random UUID (version 4), because sites check client-made pids with patterns for those.
    """
    digest = hashlib.sha256(scan.encode()).digest()
    return with_prefix(str(uuid.UUID(bytes=digest[:16], version=4)), prefix)


def with_prefix(identifier: str, prefix: str) -> str:
    """The pid with the site's prefix, where there is one."""
    return f"{prefix.strip('/')}/{identifier}" if prefix.strip("/") else identifier


def scicat_time(moment: datetime) -> str:
    """A time as SciCat gives it back: UTC, whole milliseconds."""
    return format_time(moment)[:-4] + "Z"


def dataset_document(entry: DatasetEntry, pid: str, own_groups: Iterable[str]) -> NewDataset:
    """The dataset to be created. Never with size or number of files: SciCat adds those of each file list to them."""
    groups = tuple(own_groups)
    access = list(dict.fromkeys(entry.access_groups))
    if groups and not {entry.owner_group, *access} & set(groups):
        access.append(groups[0])  # without one of its own groups the account cannot read what it creates
    return NewDataset(
        pid=pid,
        ownerGroup=entry.owner_group,
        accessGroups=access,
        owner=entry.owner,
        contactEmail=entry.contact_email,
        principalInvestigator=entry.owner,
        creationTime=scicat_time(entry.file.modified_at),
        creationLocation=entry.location,
        instrumentId=(entry.location.split() or [entry.beamline])[-1],
        sourceFolder=entry.source_folder.rstrip("/") or "/",
        datasetName=entry.file.path.rpartition("/")[2],
        dataFormat=entry.data_format,
        proposalId=entry.proposal,
        sampleId=entry.sample or UNKNOWN,
        startTime=scicat_time(entry.start_time) if entry.start_time else None,
        endTime=scicat_time(entry.end_time) if entry.end_time else None,
        techniques=[dict(technique) for technique in entry.techniques],
        keywords=list(dict.fromkeys((*entry.keywords, entry.beamline))),
        scientificMetadata=sanitised(dict(entry.scientific_metadata)),
    )


def data_file(file: FileEntry) -> dict[str, Any]:
    """A file as an element of a file list."""
    listed = DataFile(path=file.path, size=file.size, time=scicat_time(file.modified_at), chk=file.sha256)
    return listed.model_dump(exclude_none=True)


def file_list(file: FileEntry) -> dict[str, Any]:
    """The origdatablock of one file. Not pyscicat's model: its ``chkAlg`` is a number, the server wants a text."""
    return {"size": file.size, "chkAlg": CHECKSUM_ALGORITHM, "dataFileList": [data_file(file)]}


def archive_copy(archive: ArchiveEntry) -> dict[str, Any]:
    """The datablock of one tape copy. Not pyscicat's model: that lacks the ``archiveId`` that the server requires."""
    return file_list(archive.file) | {
        "archiveId": archive_id(archive),
        "packedSize": archive.packed_size,
        "version": PACKING_FORMAT,
    }


def archive_id(archive: ArchiveEntry) -> str:
    """Unique over the whole catalogue: where on tape, and under which name in the bundle."""
    return f"{archive.bundle}#{archive.member}"


def superseded_ids(copies: Iterable[Mapping[str, Any]], file: FileEntry) -> list[str]:
    """Archive ids of the copies that hold another content than this one, sorted: a newer one replaced it."""
    return sorted(str(copy.get("archiveId")) for copy in copies if not lists_file(copy, file))


def tape_record(copy: Mapping[str, Any], superseded: Collection[str]) -> TapeRecord | None:
    """A datablock of ours as what it says; None for one that is not of ours or makes no sense."""
    bundle, _, member = str(copy.get("archiveId") or "").partition("#")
    files = copy.get("dataFileList")
    if not member or not isinstance(files, list) or len(files) != 1 or not isinstance(files[0], Mapping):
        return None
    listed = files[0]
    try:
        size, moment = int(listed["size"]), datetime.fromisoformat(str(listed["time"]))
    except (KeyError, ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    known = listed.get("chk")
    outdated = copy.get("archiveId") in superseded
    return TapeRecord(bundle, member, size, known if isinstance(known, str) else None, moment, outdated)


def sanitised(value: Any) -> Any:
    """``value`` as plain JSON: no NaN or infinity (None instead), times as text, unknown types as their text."""
    if isinstance(value, Mapping):
        return {sanitised(str(key)): sanitised(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sanitised(item) for item in value]
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value).encode("utf-8", "replace").decode()


def lists_file(block: Mapping[str, Any], file: FileEntry) -> bool:
    """Whether a file list or datablock is exactly this content: path, size, time and checksum, and nothing else."""
    files = block.get("dataFileList")
    return isinstance(files, list) and len(files) == 1 and _is_file(files[0], file)


def _is_file(listed: Any, file: FileEntry) -> bool:
    if not isinstance(listed, Mapping):
        return False
    same = (listed.get("path"), listed.get("size"), listed.get("chk")) == (file.path, file.size, file.sha256)
    return same and _same_moment(listed.get("time"), scicat_time(file.modified_at))


def only_path(block: Mapping[str, Any], path: str) -> bool:
    """Whether a file list speaks about this path alone, so that it is ours, of whatever content."""
    files = block.get("dataFileList")
    return (
        isinstance(files, list) and bool(files) and all(isinstance(f, Mapping) and f.get("path") == path for f in files)
    )


def totals(blocks: Iterable[Mapping[str, Any]], size: str) -> tuple[int, int]:
    """Sum of the field ``size`` and number of files, as the dataset's counters should say."""
    counted = [(int(block.get(size) or 0), len(block.get("dataFileList") or ())) for block in blocks]
    return sum(bytes_ for bytes_, _ in counted), sum(files for _, files in counted)


def corrections(stored: Mapping[str, Any], entry: DatasetEntry, pid: str) -> dict[str, Any]:
    """The fields that an existing dataset does not hold as the entry wants them, with the value that mends them.

    What people added stays: groups, keywords, metadata under names of their own. Which of our own groups lets us read
    the dataset was settled at creation, so it is no reason for a change.
    """
    wanted = dataset_document(entry, pid, own_groups=()).model_dump(exclude_none=True)
    names = [PLACE, "creationLocation", "keywords", *(OWNERSHIP if entry.owner_known else ())]
    new_content = not _same_moment(stored.get("creationTime"), wanted["creationTime"])
    if entry.fields or new_content:
        names += [name for name in _CONTENT if name != "sampleId" or entry.sample]
    changes: dict[str, Any] = {}
    for name in names:
        value = wanted.get(name)
        found = stored.get(name)
        if found is None and name in _SINGLE:
            found = next(iter(stored.get(_SINGLE[name]) or ()), None)
        if name in _ADDED_TO:
            missing = [item for item in value or () if item not in (found or ())]
            changes |= {name: [*(found or ()), *missing]} if missing else {}
        elif name == "scientificMetadata":
            changes |= _metadata_correction(found, value or {}, entry.fields, forget=new_content)
        elif name == "techniques":
            same = [_technique(one) for one in found or ()] == [_technique(one) for one in value or ()]
            changes |= {} if same else {name: value}
        elif value is not None and found != value and not (name.endswith("Time") and _same_moment(found, value)):
            changes[name] = value
    return changes


def _metadata_correction(
    stored: Mapping[str, Any] | None, wanted: Mapping[str, Any], ours: frozenset[str], *, forget: bool
) -> dict[str, Any]:
    """The metadata as a whole, because the server replaces them as a whole.

    Of an older content nothing is kept under names that can be ours; without a list of those, nothing at all.
    """
    before = stored or {}
    outdated = {key for key in before if key not in wanted and (key in ours or (forget and not ours))}
    if _holds(before, wanted) and not outdated:
        return {}
    return {"scientificMetadata": {key: item for key, item in before.items() if key not in outdated} | dict(wanted)}


def _technique(found: Any) -> tuple[Any, Any]:
    return (found.get("pid"), found.get("name")) if isinstance(found, Mapping) else (None, None)


def relationships(pids: Mapping[str, str], form: str) -> list[dict[str, str]]:
    """Relations in the form of one generation: ``form`` is the name of the field that holds the pid.

    Args:
        pids: Kind of the relation by pid.
        form: ``pid`` (4.x) or ``identifier`` (5.x).
    """
    return [{form: pid, "relationship": kind} for pid, kind in pids.items()]


def related(dataset: Mapping[str, Any]) -> set[str]:
    """The pids that a dataset is related to, in whatever form."""
    return {_target(one) for one in _listed_relationships(dataset)}


def relationships_kept(dataset: Mapping[str, Any], form: str) -> list[dict[str, Any]]:
    """The relations that a dataset has, to be sent again in one form: a list is replaced as a whole."""
    dropped = ("_id", "pid", "identifier")
    return [
        {form: _target(one)} | {key: item for key, item in one.items() if key not in dropped}
        for one in _listed_relationships(dataset)
    ]


def _listed_relationships(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = dataset.get("relationships")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _target(relationship: Mapping[str, Any]) -> str:
    return str(relationship.get("pid") or relationship.get("identifier"))


def picture_caption(picture: Picture) -> str:
    """Says what is shown and of which content, by which it is known again."""
    return f"{CAPTION} {picture.headline} ({picture.content})"


def attachment(picture: Picture, owner_group: str, access_groups: Iterable[str]) -> dict[str, Any]:
    """The attachment of a picture. Its readers are not inherited from the dataset."""
    return {
        "ownerGroup": owner_group,
        "accessGroups": list(access_groups),
        "caption": picture_caption(picture),
        "thumbnail": f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
    }


def is_ours(attached: Mapping[str, Any]) -> bool:
    """Whether an attachment is a picture that we made, of whatever content."""
    return str(attached.get("caption") or "").startswith(CAPTION)


def shows(attached: Mapping[str, Any], content: str) -> bool:
    """Whether an attachment is our picture of this content."""
    return is_ours(attached) and f"({content})" in str(attached.get("caption"))


def _holds(stored: Any, wanted: Any) -> bool:
    """Whether ``stored`` has everything that ``wanted`` has; SciCat adds values in SI units of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(_holds(stored.get(key), value) for key, value in wanted.items())
    return bool(stored == wanted)


def _same_moment(stored: Any, wanted: str) -> bool:
    try:
        moment = datetime.fromisoformat(stored)
    except (TypeError, ValueError):
        return False
    return scicat_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) == wanted
