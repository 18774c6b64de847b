"""The reference page of the three kinds, from their CRDs: fields, columns, labels and annotations."""

from collections.abc import Iterator
from typing import Any

from dichroism_crds import names
from dichroism_crds.schema import crd_documents
from dichroism_crds.schema_rules import SELECTABLE

LABELS = {
    names.LABEL_BEAMLINE: "All kinds: the beamline.",
    names.LABEL_ORIGIN: "Scan: how the watcher came to the file: `live`, `backfill` or `recovered`.",
    names.LABEL_LANE: "Transfer: the hop, such as `bl402-data402-nersc402`.",
    names.LABEL_ENDPOINT: "Prune and CronJob: the endpoint that is pruned.",
}
ANNOTATIONS = {
    names.ANNOTATION_RETRY: "Scan, by people: [try again](../how-to/retry-and-abandon.md).",
    names.ANNOTATION_ABANDON: "Scan, by people: nothing more is wanted of a failed or refused one, and why.",
    names.ANNOTATION_UNDO: "Prune, by `dichroism prune undo`: its trash is put back, and nothing of it goes meanwhile.",
    names.ANNOTATION_CLOSED: "Transfer to tape: which limit closed its bundle, or who asked for it.",
    names.ANNOTATION_REPLACES: "Prune: the name of the Prune in whose place a command put it.",
    names.ANNOTATION_PAUSED: "The operator's Lease: steps that wait for an outside system, and why, as JSON.",
    names.ANNOTATION_HOLD: "Scan and Prune, by `dichroism hold`: who suspended it, why, and until when, as JSON.",
    names.ANNOTATION_MOVED_TO: "Scan, by the watcher: where its file lies now, which was moved after it was copied.",
}


def sections() -> Iterator[tuple[str, str, list[tuple[str, ...]], list[tuple[str, ...]]]]:
    """Of each kind: name, what it is, the rows of its columns, the rows of its fields."""
    for document in crd_documents():
        (version,) = document["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]
        columns: list[tuple[str, ...]] = [
            (
                one["name"].upper(),
                f"`{one['jsonPath']}`",
                one["description"],
                "" if one.get("priority", 0) == 0 else "yes",
            )
            for one in version["additionalPrinterColumns"]
        ]
        fields = [row for part in ("spec", "status") for row in _fields(schema["properties"][part], part)]
        yield document["spec"]["names"]["kind"], schema["description"], columns, fields


def _fields(schema: dict[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    """A row for each field below a node: its dotted name, its type with limits, and what it says."""
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        inner = field.get("items", field)
        many = "[]" if "items" in field else ""
        needed = "required, " if key in required else ""
        yield f"`{name}.{key}{many}`", needed + _type(field), field.get("description", inner.get("description", ""))
        yield from _fields(inner, f"{name}.{key}{many}")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(f"`{one}`" for one in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}, at most {field['maxItems']}"
    if field.get("format") == "date-time":
        return "time"
    if field["type"] == "string":
        return f"string, at most {field['maxLength']}"
    return str(field["type"])


def selectable() -> str:
    """The fields that `--field-selector` takes."""
    return " and ".join(f"`{path.removeprefix('.')}`" for path in SELECTABLE)
