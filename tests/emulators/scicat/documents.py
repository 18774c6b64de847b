"""What the backend makes of an accepted body: defaults, normalised values, and how it looks when it is read."""

import math
import uuid
from datetime import UTC, datetime
from typing import Any

from tests.emulators.scicat.answers import Json

SERVER_STARTED = datetime.now(UTC)

_SI_UNITS: dict[str, tuple[float, str]] = {
    "eV": (1.602176634e-19, "(kg m^2) / s^2"),
    "T": (1.0, "kg / (A s^2)"),
    "K": (1.0, "K"),
    "A": (1.0, "A"),
    "mm": (1e-3, "m"),
    "s": (1.0, "s"),
    "deg": (math.pi / 180, "rad"),
}
"""Units that the backend converts; any other is copied unchanged."""


def timestamp(moment: datetime | None = None) -> str:
    """A moment as the backend prints it: UTC, whole milliseconds, the rest cut off."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def stored_time(text: str) -> str:
    """A client's time as it comes back; one without a zone counts as UTC."""
    moment = datetime.fromisoformat(text)
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def default_lifecycle() -> Json:
    """Lifecycle of a new dataset, with the backend's odd dates: two are the moment when the server was started."""
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
        factor, si_unit = _SI_UNITS[str(unit)]
        try:
            in_si = [float(item) * factor for item in value] if isinstance(value, list) else float(value) * factor
        except (TypeError, ValueError):
            return converted
        converted |= {"valueSI": in_si, "unitSI": si_unit}
    return converted


def normalised(body: Json) -> Json:
    """Fields of a create or update as they are stored."""
    stored = dict(body)
    if "sourceFolder" in stored:
        stored["sourceFolder"] = stored["sourceFolder"].removesuffix("/") or "/"
    for name in ("creationTime", "startTime", "endTime"):
        if stored.get(name):
            stored[name] = stored_time(stored[name])
    if "scientificMetadata" in stored:
        stored["scientificMetadata"] = with_si_values(stored["scientificMetadata"])
    if "datasetlifecycle" in stored:
        stored["datasetlifecycle"] = default_lifecycle() | stored["datasetlifecycle"]
    return stored


def new_dataset(body: Json, username: str) -> Json:
    """The document of a new dataset. A given size is kept, so posting file lists adds to it."""
    now = timestamp()
    stored = normalised(body)
    pid = stored.get("pid") or f"PID.SAMPLE.PREFIX/{uuid.uuid4()}"
    defaults: Json = {
        "datasetName": "/".join(stored["sourceFolder"].strip("/").split("/")[-2:]),
        "accessGroups": [],
        "keywords": [],
        "isPublished": False,
        "size": 0,
        "packedSize": 0,
        "numberOfFiles": 0,
        "numberOfFilesArchived": 0,
        "scientificMetadata": {},
        "datasetlifecycle": default_lifecycle(),
    }
    # The v3 route wraps the single value it was not given: a list with nothing in it but null.
    plural = {f"{name}s": [stored.get(name)] for name in ("sampleId", "instrumentId")}
    managed = {"createdBy": username, "updatedBy": username, "createdAt": now, "updatedAt": now}
    return defaults | plural | stored | managed | {"pid": pid, "_id": pid}


def new_child(body: Json, dataset: Json, username: str) -> Json:
    """A file list or attachment; owner and readers of file lists are those of the dataset."""
    now = timestamp()
    stored = dict(body)
    if "dataFileList" in stored:
        stored["dataFileList"] = [file | {"time": stored_time(file["time"])} for file in stored["dataFileList"]]
        stored["accessGroups"] = dataset.get("accessGroups", [])
    managed = {"createdBy": username, "updatedBy": username, "createdAt": now, "updatedAt": now}
    return stored | managed | {"ownerGroup": dataset["ownerGroup"]}
