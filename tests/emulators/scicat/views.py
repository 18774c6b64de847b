"""How stored documents look in an answer: v3 and v4 show the same ones differently."""

from typing import Any

from tests.emulators.scicat.answers import Json
from tests.emulators.scicat.documents import PLURALS


def dataset_v3(dataset: Json) -> Json:
    """The stored lists, and beside them the first of each under its older name."""
    singles = {single: dataset[plural][0] for single, plural in PLURALS.items() if dataset.get(plural)}
    return dataset | singles


def dataset_v4(dataset: Json, *, is_v5: bool) -> Json:
    """Without history. 4.27 forgets to decode the dots and dollar signs in the keys of the metadata."""
    shown = {name: value for name, value in dataset.items() if name != "history"}
    return shown if is_v5 else shown | {"scientificMetadata": _encoded(shown["scientificMetadata"])}


def _encoded(metadata: Any) -> Any:
    if isinstance(metadata, list):
        return [_encoded(item) for item in metadata]
    if not isinstance(metadata, dict):
        return metadata
    return {key.replace(".", "%2E").replace("$", "%24"): _encoded(value) for key, value in metadata.items()}


def attachment_v3(attachment: Json) -> Json:
    """With ``id`` and ``datasetId``; one that belongs to nothing any more is shown as it is stored."""
    if not attachment["relationships"]:
        return attachment
    shown = {name: value for name, value in attachment.items() if name not in ("aid", "relationships")}
    return shown | {"id": attachment["aid"], "datasetId": attachment["relationships"][0]["targetId"]}
