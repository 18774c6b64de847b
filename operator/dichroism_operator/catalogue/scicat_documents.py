"""What is sent to SciCat and how answers are compared with it: pure functions, no requests.

Times go out floored to milliseconds, as SciCat keeps them, so that nothing depends on its rounding.
"""

import hashlib
import math
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyscicat.model import DataFile, RawDataset

from dichroism_crds.timestamps import format_time
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry

CHECKSUM_ALGORITHM = "sha256"
PACKING_FORMAT = "pax tar"
DATA_FORMAT = "ALS BCS"

ON_DISK = "datasetCreated"
"""The backend's own word for a dataset that is on no tape."""
ON_TAPE = "datasetOnArchiveDisk"

ESSENTIAL = ("ownerGroup", "accessGroups", "proposalId", "sourceFolder")
"""Who sees the data and where they are: a dataset that cannot be brought to these is not catalogued."""
DESCRIPTIVE = ("creationTime", "creationLocation", "scientificMetadata")


def dataset_pid(scan: str, prefix: str = "") -> str:
    """The pid of a scan's dataset, derived from its name alone, so that every attempt arrives at the same dataset.

    Shaped like a random UUID (version 4), because sites check client-made pids with patterns for those.
    """
    digest = hashlib.sha256(scan.encode()).digest()
    identifier = str(uuid.UUID(bytes=digest[:16], version=4))
    return f"{prefix.strip('/')}/{identifier}" if prefix.strip("/") else identifier


def scicat_time(moment: datetime) -> str:
    """A time as SciCat gives it back: UTC, whole milliseconds."""
    return format_time(moment)[:-4] + "Z"


def dataset_document(entry: DatasetEntry, pid: str, own_groups: Iterable[str]) -> RawDataset:
    """The dataset to be created. Never with size or number of files: SciCat adds those of each file list to them."""
    groups = tuple(own_groups)
    access = list(dict.fromkeys(entry.access_groups))
    if groups and not {entry.owner_group, *access} & set(groups):
        access.append(groups[0])  # without one of its own groups the account cannot read what it creates
    return RawDataset(
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
        dataFormat=DATA_FORMAT,
        proposalId=entry.proposal,
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


def differing(dataset: Mapping[str, Any], wanted: RawDataset, names: Iterable[str]) -> dict[str, Any]:
    """The fields of ``wanted`` that the stored dataset does not hold, with the value that would mend them."""
    changes: dict[str, Any] = {}
    for name, value in wanted.model_dump(include=set(names), exclude_none=True).items():
        stored = dataset.get(name)
        if name == "proposalId" and stored is None:
            stored = next(iter(dataset.get("proposalIds") or ()), None)
        if name == "accessGroups":
            missing = [group for group in value if group not in (stored or ())]
            changes |= {name: [*(stored or ()), *missing]} if missing else {}
        elif name == "scientificMetadata":
            changes |= {} if _holds(stored, value) else {name: {**(stored or {}), **value}}
        elif stored != value and not (name == "creationTime" and _same_moment(stored, value)):
            changes[name] = value
    return changes


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
