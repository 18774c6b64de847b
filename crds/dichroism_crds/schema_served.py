"""Whether the CRDs that the API server serves are new enough for these models.

The server silently drops fields that its CRD does not know: what we believe to be durable would be gone. So
everyone who writes compares first. The OpenAPI document is used because everybody may read it; reading CRD objects
needs a ClusterRole.
"""

from collections.abc import Iterator
from typing import Any

from dichroism_crds.kinds import Resource
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.schema_structural import Schema, parts, structural_schema

OPENAPI_PATH = f"/openapi/v3/apis/{GROUP}/{VERSION}"
"""Where the API server serves the document; every service account may read it."""


def missing_fields(served: dict[str, Any], kind: type[Resource]) -> list[str]:
    """Dotted fields of ``kind`` that the API server would silently drop, and values that it would refuse.

    Args:
        served: the OpenAPI v3 document from :data:`OPENAPI_PATH`.
        kind: Scan, Transfer or Prune.

    Returns:
        Names such as ``status.copies[].member`` or, for a value of an enumeration, ``status.phase=Refused``. Only the
        outermost missing field is named. ``spec`` and ``status`` when the kind is not served at all. Empty: new enough.
    """
    serves = _schema_of(served, kind)
    fields = {name: structural_schema(model) for name, model in parts(kind).items()}
    return list(_missing({"type": "object", "properties": fields}, serves, ""))


def _schema_of(served: dict[str, Any], kind: type[Resource]) -> Schema:
    wanted = {"group": GROUP, "version": VERSION, "kind": kind.kind}
    for schema in served.get("components", {}).get("schemas", {}).values():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            return dict(schema)
    return {}


def _missing(wanted: Schema, serves: Schema, where: str) -> Iterator[str]:
    if serves.get("x-kubernetes-preserve-unknown-fields"):
        return
    if "enum" in serves:
        yield from (f"{where}={value}" for value in wanted.get("enum", ()) if value not in serves["enum"])
    for name, field in wanted.get("properties", {}).items():
        dotted = f"{where}.{name}".removeprefix(".")
        if name not in serves.get("properties", {}):
            yield dotted
        else:
            yield from _missing(field, serves["properties"][name], dotted)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in wanted:
            yield from _missing(wanted[key], serves.get(key, {}), f"{where}{mark}")
