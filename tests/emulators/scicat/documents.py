"""What the backend makes of an accepted body: defaults and normalised values, as they are stored.

Stored are the lists of v4 (``proposalIds`` and so on); :mod:`views` shows a document as v3 and v4 do.
"""

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.emulators.scicat.answers import Json

SERVER_STARTED = datetime.now(UTC)

PLURALS = {
    "proposalId": "proposalIds",
    "sampleId": "sampleIds",
    "instrumentId": "instrumentIds",
    "principalInvestigator": "principalInvestigators",
}
"""Single values of v3 and the lists in which they are kept."""

_SI_UNITS: dict[str, tuple[float, float, str]] = {
    "eV": (1.602176634e-19, 0, "(kg m^2) / s^2"),
    "eV/s": (1.602176634e-19, 0, "(kg m^2) / s^3"),
    "T": (1.0, 0, "kg / (A s^2)"),
    "K": (1.0, 0, "K"),
    "degC": (1.0, 273.15, "K"),
    "A": (1.0, 0, "A"),
    "mA": (1e-3, 0, "A"),
    "mm": (1e-3, 0, "m"),
    "um": (1e-6, 0, "m"),
    "s": (1.0, 0, "s"),
    "deg": (math.pi / 180, 0, "rad"),
}
"""Factor, offset and SI unit of the units that the backend converts; any other is copied unchanged."""


def timestamp(moment: datetime | None = None) -> str:
    """A moment as the backend prints it: UTC, whole milliseconds, the rest cut off."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def stored_time(text: str) -> str:
    """A client's time as it comes back; one without a zone counts as UTC."""
    moment = datetime.fromisoformat(text)
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def default_lifecycle() -> Json:
    """Lifecycle of a new dataset, with the backend's odd dates.

    Two are the moment when the server was started, two take the number of the weekday (0: Sunday) for the day of the
    month.
    """
    now = datetime.now(UTC)
    odd = timestamp(now.replace(day=1) + timedelta(days=now.isoweekday() % 7 - 1))
    return {
        "archivable": True,
        "retrievable": False,
        "publishable": False,
        "isOnCentralDisk": True,
        "archiveStatusMessage": "datasetCreated",
        "retrieveStatusMessage": "",
        "archiveReturnMessage": {},
        "retrieveReturnMessage": {},
        "storageLocation": "",
        "exportedTo": "",
        "retrieveIntegrityCheck": False,
        "dateOfDiskPurging": timestamp(SERVER_STARTED),
        "publishedOn": timestamp(SERVER_STARTED),
        "archiveRetentionTime": odd,
        "dateOfPublishing": odd,
    }


def with_si_values(metadata: Any) -> Any:
    """Add ``valueSI`` and ``unitSI`` beside each value with a convertible unit, at any depth."""
    if isinstance(metadata, list):
        return [with_si_values(item) for item in metadata]
    if not isinstance(metadata, dict):
        return metadata
    converted = {key: with_si_values(value) for key, value in metadata.items()}
    value, unit = converted.get("value"), converted.get("unit")
    if unit in _SI_UNITS and value is not None:
        factor, offset, si_unit = _SI_UNITS[str(unit)]
        try:
            numbers = [float(item) * factor + offset for item in (value if isinstance(value, list) else [value])]
        except (TypeError, ValueError):
            return converted
        converted |= {"valueSI": numbers if isinstance(value, list) else numbers[0], "unitSI": si_unit}
    return converted


def normalised(body: Json) -> Json:
    """Fields of a create or update as they are stored."""
    stored = dict(body)
    if "sourceFolder" in stored:
        stored["sourceFolder"] = stored["sourceFolder"].removesuffix("/") or "/"
    for name in ("creationTime", "startTime", "endTime"):
        if stored.get(name):
            stored[name] = stored_time(stored[name])
    for single, plural in PLURALS.items():
        if single in stored:
            stored[plural] = [stored.pop(single)]
    if "scientificMetadata" in stored:
        stored["scientificMetadata"] = with_si_values(stored["scientificMetadata"])
    if "datasetlifecycle" in stored:
        stored["datasetlifecycle"] = default_lifecycle() | stored["datasetlifecycle"]
    return stored


def new_dataset(body: Json, username: str, *, is_v3: bool = True) -> Json:
    """The document of a new dataset. A given size is kept, so posting file lists adds to it."""
    stored = normalised(body)
    pid = stored.get("pid") or f"PID.SAMPLE.PREFIX/{uuid.uuid4()}"
    # The v3 route wraps the single value it was not given: a list with nothing in it but null.
    absent = [None] if is_v3 else []
    defaults: Json = {
        "datasetName": "/".join(stored["sourceFolder"].strip("/").split("/")[-2:]),
        "accessGroups": [],
        "instrumentIds": absent,
        "isPublished": False,
        "keywords": [],
        "numberOfFiles": 0,
        "numberOfFilesArchived": 0,
        "packedSize": 0,
        "principalInvestigators": [],
        "proposalIds": [],
        "relationships": [],
        "sampleIds": absent,
        "scientificMetadata": {},
        "size": 0,
        "techniques": [],
        "version": "v3" if is_v3 else "v4",
        "datasetlifecycle": default_lifecycle(),
    }
    return defaults | stored | managed(username) | {"pid": pid, "_id": pid, "history": []}


def upgraded(dataset: Json) -> Json:
    """A dataset of 4.27 as the migration to a later backend leaves it: what it is related to is named differently."""
    relationships = [
        {"identifier": one["pid"], "relationship": one["relationship"]} if "pid" in one else one
        for one in dataset["relationships"]
    ]
    return dataset | {"relationships": relationships}


def managed(username: str) -> Json:
    """The fields that only the server sets."""
    now = timestamp()
    return {"createdBy": username, "updatedBy": username, "createdAt": now, "updatedAt": now}


def touch(document: Json, username: str) -> None:
    """Note who changed a dataset, and when; its history grows by one entry."""
    now = timestamp()
    document |= {"updatedBy": username, "updatedAt": now}
    document["history"] = [*document["history"], {"id": str(uuid.uuid4()), "updatedBy": username, "updatedAt": now}]


def new_block(body: Json, dataset: Json, username: str) -> Json:
    """A file list or archive copy; owner and readers are those of the dataset."""
    stored = dict(body)
    stored["dataFileList"] = [file | {"time": stored_time(file["time"])} for file in stored["dataFileList"]]
    inherited = {name: dataset.get(name) for name in ("ownerGroup", "accessGroups", "isPublished")}
    return inherited | stored | managed(username) | {"datasetId": dataset["pid"]}


def new_attachment(body: Json, relationships: list[Json], username: str) -> Json:
    """An attachment; readers are not inherited from what it is attached to."""
    stored: Json = {"accessGroups": [], "isPublished": False, "thumbnail": ""} | body
    return stored | managed(username) | {"relationships": relationships}


def attached_to(pid: str) -> Json:
    """The relationship of an attachment to a dataset."""
    return {"targetId": pid, "targetType": "dataset", "relationType": "is attached to"}
