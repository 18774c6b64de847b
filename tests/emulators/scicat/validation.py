"""Which request bodies the backend accepts: known properties only, the required ones present, each of its type."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.emulators.scicat.answers import Json, Refusal
from tests.emulators.scicat.published.contract import Contract

_Rule = tuple[Callable[[Any], bool], str]

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_EMAIL = re.compile(r"[^@\s;]+@[^@\s;.]+(\.[^@\s;.]+)+")
_URL = re.compile(r"(https?://)?([a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}(:\d+)?(/\S*)?")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_emails(value: Any) -> bool:
    return isinstance(value, str) and all(_EMAIL.fullmatch(part.strip()) for part in value.split(";"))


def _is_time(value: Any) -> bool:
    if not isinstance(value, str) or not _ISO_TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_techniques(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and {"pid", "name"} == set(item) for item in value)


TEXT: _Rule = (lambda value: isinstance(value, str), "must be a string")
FILLED: _Rule = (lambda value: isinstance(value, str) and value != "", "should not be empty")
TIME: _Rule = (_is_time, "must be a valid ISO 8601 date string")
EMAIL: _Rule = (lambda value: isinstance(value, str) and bool(_EMAIL.fullmatch(value)), "must be an email")
EMAILS: _Rule = (_is_emails, "must be an email")
URL: _Rule = (lambda value: isinstance(value, str) and bool(_URL.fullmatch(value)), "must be a URL address")
COUNT: _Rule = (lambda value: isinstance(value, int) and not isinstance(value, bool), "must be an integer number")
NUMBER: _Rule = (_is_number, "must be a number")
FLAG: _Rule = (lambda value: isinstance(value, bool), "must be a boolean value")
TEXTS: _Rule = (_is_texts, "each value must be a string")
OBJECT: _Rule = (lambda value: isinstance(value, dict), "must be an object")
LIST: _Rule = (lambda value: isinstance(value, list), "must be an array")
TECHNIQUES: _Rule = (_is_techniques, "must be an array of pid and name")

_RAW_REQUIRED = {
    "ownerGroup": FILLED, "owner": FILLED, "contactEmail": EMAILS, "sourceFolder": FILLED, "creationTime": TIME,
    "principalInvestigator": FILLED, "creationLocation": FILLED,
}  # fmt: skip
_RAW_OPTIONAL = {
    "accessGroups": TEXTS, "instrumentGroup": TEXT, "ownerEmail": EMAIL, "orcidOfOwner": TEXT, "sourceFolderHost": URL,
    "startTime": TIME, "endTime": TIME, "dataFormat": TEXT, "proposalId": TEXT, "sampleId": TEXT, "instrumentId": TEXT,
    "keywords": TEXTS, "description": TEXT, "license": TEXT, "classification": TEXT, "techniques": TECHNIQUES,
    "relationships": LIST, "scientificMetadata": OBJECT, "scientificMetadataSchema": TEXT, "comment": TEXT,
    "dataQualityMetrics": NUMBER, "runNumber": TEXT, "datasetlifecycle": OBJECT, "size": COUNT, "packedSize": COUNT,
    "numberOfFiles": COUNT, "numberOfFilesArchived": COUNT, "validationStatus": TEXT, "isPublished": FLAG,
    "datasetName": FILLED, "sharedWith": TEXTS,
}  # fmt: skip
_LIFECYCLE = {
    "archivable": FLAG, "retrievable": FLAG, "publishable": FLAG, "isOnCentralDisk": FLAG, "archiveStatusMessage": TEXT,
    "retrieveStatusMessage": TEXT, "archiveReturnMessage": OBJECT, "retrieveReturnMessage": OBJECT,
    "storageLocation": TEXT, "exportedTo": TEXT, "dateOfDiskPurging": TIME, "archiveRetentionTime": TIME,
    "dateOfPublishing": TIME, "publishedOn": TIME, "retrieveIntegrityCheck": FLAG,
}  # fmt: skip
_RELATIONSHIP_4: tuple[dict[str, _Rule], dict[str, _Rule]] = ({"pid": FILLED, "relationship": FILLED}, {})
_RELATIONSHIP: tuple[dict[str, _Rule], dict[str, _Rule]] = (
    {"identifier": FILLED},
    {"identifierType": TEXT, "relationship": TEXT, "entityType": TEXT, "externalId": TEXT},
)
_FILE_REQUIRED = {"path": FILLED, "size": COUNT, "time": TIME}
_FILE_OPTIONAL = {"chk": TEXT, "uid": TEXT, "gid": TEXT, "perm": TEXT, "type": TEXT}


def _broken(body: Json, required: Mapping[str, _Rule], optional: Mapping[str, _Rule]) -> list[str]:
    """Every broken rule of one object, in the backend's words."""
    known = {**required, **optional}
    broken = [f"property {name} should not exist" for name in body if name not in known]
    for name, (accepts, words) in known.items():
        absent = body.get(name) is None
        if (absent and name in required) or (not absent and not accepts(body[name])):
            broken.append(f"{name} {words}")
    return broken


def _broken_files(files: Any) -> list[str]:
    if not isinstance(files, list):
        return []
    broken: list[str] = []
    for index, file in enumerate(files):
        rules = _broken(file, _FILE_REQUIRED, _FILE_OPTIONAL) if isinstance(file, dict) else ["must be an object"]
        broken.extend(f"dataFileList.{index}.{rule}" for rule in rules)
    return broken


def _refuse(broken: list[str]) -> None:
    if broken:
        raise Refusal(400, broken)


def _broken_relationships(body: Json, *, is_v5: bool) -> list[str]:
    """4.27 names a related dataset by ``pid``, later backends anything by ``identifier``: neither takes the other."""
    rules = _RELATIONSHIP if is_v5 else _RELATIONSHIP_4
    broken: list[str] = []
    for index, one in enumerate(body.get("relationships") or ()):
        found = _broken(one, *rules) if isinstance(one, dict) else ["must be an object"]
        broken.extend(f"relationships.{index}.{rule}" for rule in found)
    return broken


def broken_dataset(body: Json, *, is_v5: bool) -> list[str]:
    """Broken rules of a dataset to be created; empty when it would be accepted."""
    if body.get("type") != "raw":
        return ["type must be one of the following values: raw"]
    lifecycle = body.get("datasetlifecycle")
    broken = _broken(body, _RAW_REQUIRED, {**_RAW_OPTIONAL, "pid": FILLED, "type": FILLED})
    broken += _broken_relationships(body, is_v5=is_v5)
    return broken + (_broken(lifecycle, {}, _LIFECYCLE) if isinstance(lifecycle, dict) else [])


def check_dataset(body: Json, *, is_v5: bool) -> None:
    """Refuse a dataset that may not be created."""
    _refuse(broken_dataset(body, is_v5=is_v5))


def check_dataset_patch(body: Json, *, is_v5: bool) -> None:
    """Refuse a partial update; type, pid and what the server manages may not be sent."""
    _refuse(_broken(body, {}, {**_RAW_REQUIRED, **_RAW_OPTIONAL}) + _broken_relationships(body, is_v5=is_v5))


def check_published(contract: Contract, model: str, body: Json) -> None:
    """Refuse a body that is not what is published for the route; enough where no other behaviour was seen."""
    _refuse(contract.body(model, body))


def check_lifecycle_patch(body: Json) -> None:
    """Refuse unknown keys and an empty body."""
    _refuse(_broken(body, {}, _LIFECYCLE))
    if not body:
        raise Refusal(400, "dataset lifecycle DTO must not be empty")


def check_origdatablock(body: Json) -> None:
    """Refuse a file list on disk; owner and dataset are inherited and may not be sent."""
    _refuse(
        _broken(body, {"size": COUNT, "dataFileList": LIST}, {"chkAlg": TEXT}) + _broken_files(body.get("dataFileList"))
    )


def check_datablock(body: Json) -> None:
    """Refuse an archive copy without an id, a packing format or files."""
    required = {"archiveId": FILLED, "size": COUNT, "packedSize": COUNT, "version": FILLED, "dataFileList": LIST}
    broken = _broken(body, required, {"chkAlg": TEXT}) + _broken_files(body.get("dataFileList"))
    _refuse(broken + (["dataFileList should not be empty"] if body.get("dataFileList") == [] else []))


def check_attachment(body: Json) -> None:
    """Refuse an attachment without owner or caption; a client's id is accepted and ignored."""
    related = {"id": TEXT, "datasetId": TEXT, "proposalId": TEXT, "sampleId": TEXT}
    optional = {"thumbnail": TEXT, "accessGroups": TEXTS, "instrumentGroup": TEXT, **related}
    _refuse(_broken(body, {"ownerGroup": FILLED, "caption": FILLED}, optional))
