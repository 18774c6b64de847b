"""Pydantic model to structural schema, the strict dialect of OpenAPI v3 that a CustomResourceDefinition takes.

Pure functions. What pydantic cannot say (rules between two versions of an object, columns, defaults of the status)
lives in ``schema_rules``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from dichroism_crds.kinds import Resource

Schema = dict[str, Any]

_COPIED = (
    "format",
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "maxProperties",
    "enum",
)
"""Keywords that mean the same on both sides."""
_TYPES = ("object", "array", "string", "integer", "number", "boolean")


class SchemaError(ValueError):
    """A model says something that a structural schema cannot carry, or leaves something unbounded."""


def parts(kind: type[Resource]) -> dict[str, type[BaseModel]]:
    """The models of a kind's ``spec`` and ``status``."""
    annotations = {name: kind.model_fields[name].annotation for name in ("spec", "status")}
    return {name: model for name, model in annotations.items() if isinstance(model, type)}


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model as it stands on the wire, computed fields included.

    Defaults are carried for booleans only: they are the switches that a person looks for in an object. Other fields
    stay absent until someone writes them, which keeps the stored objects small.

    Raises:
        SchemaError: a union of several types, a keyword without a counterpart, or a string, list or map without limit.
    """
    source = model.model_json_schema(by_alias=True, mode="serialization")
    schema = _convert(source, source.get("$defs", {}), model.__name__)
    if missing := list(unbounded(schema, model.__name__)):
        raise SchemaError(
            f"no limit on {', '.join(missing)}: the API server can then not bound the cost of rules; "
            "give the field a max_length in dichroism_crds.kinds"
        )
    return schema


def unbounded(schema: Schema, where: str = "") -> Iterator[str]:
    """Dotted names of all strings, lists and maps without an upper limit; an enumerated string is limited."""
    match schema.get("type"):
        case "string" if "maxLength" not in schema and "enum" not in schema:
            yield where
        case "array":
            if "maxItems" not in schema:
                yield where
            yield from unbounded(schema["items"], f"{where}[]")
        case "object":
            for name, field in schema.get("properties", {}).items():
                yield from unbounded(field, f"{where}.{name}")
            if "additionalProperties" in schema:
                if "maxProperties" not in schema:
                    yield where
                yield from unbounded(schema["additionalProperties"], f"{where}{{}}")


def _convert(source: Schema, definitions: Mapping[str, Schema], where: str) -> Schema:
    """One node. ``where`` is its dotted name, for the error."""
    source = _resolved(source, definitions, where)
    kind = source.get("type")
    if kind not in _TYPES:
        raise SchemaError(f"{where}: type {kind!r} has no counterpart in a structural schema")
    target: Schema = {}
    if text := source.get("description"):
        target["description"] = _plain(text)
    target["type"] = kind
    if "const" in source:
        target["enum"] = [source["const"]]
    target |= {key: source[key] for key in _COPIED if key in source}
    target |= _limits(source)
    if kind == "boolean" and source.get("default") is not None:
        target["default"] = source["default"]
    if kind == "object":
        target |= _fields(source, definitions, where)
    if kind == "array":
        target["items"] = _convert(source["items"], definitions, f"{where}[]")
        target["x-kubernetes-list-type"] = "atomic"
    # a field's own extensions win: conditions are a map by type
    return target | {key: value for key, value in source.items() if key.startswith("x-kubernetes-")}


def _fields(source: Schema, definitions: Mapping[str, Schema], where: str) -> Schema:
    """Properties and required names of an object, or the values of a map."""
    if isinstance(values := source.get("additionalProperties"), dict):
        return {"additionalProperties": _convert(values, definitions, f"{where}{{}}")}
    properties = source.get("properties", {})
    # computed fields are marked readOnly: we always send them, nobody else has to
    required = [name for name in source.get("required", ()) if not properties[name].get("readOnly")]
    fields: Schema = {"required": required} if required else {}
    fields["properties"] = {name: _convert(field, definitions, f"{where}.{name}") for name, field in properties.items()}
    return fields


def _limits(source: Schema) -> Schema:
    """Exclusive bounds, which OpenAPI v3 spells as a flag beside the bound."""
    limits: Schema = {}
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in source:
            limits |= {bound: source[exclusive], exclusive: True}
    return limits


def _resolved(source: Schema, definitions: Mapping[str, Schema], where: str) -> Schema:
    """The node with its reference followed and ``X or null`` read as an optional X; its own keywords win."""
    own = {key: value for key, value in source.items() if key not in ("$ref", "anyOf", "allOf")}
    if "$ref" in source:
        name = source["$ref"].removeprefix("#/$defs/")
        return _resolved(definitions[name], definitions, where) | own
    if "anyOf" in source:
        kinds = [one for one in source["anyOf"] if one.get("type") != "null"]
        if len(kinds) != 1:
            raise SchemaError(f"{where}: a structural schema has one type per field, this one has {len(kinds)}")
        return _resolved(kinds[0], definitions, where) | own
    return own


def _plain(text: str) -> str:
    """First paragraph of a docstring, without its markup."""
    return re.sub(r"\s+", " ", text.strip().split("\n\n")[0]).replace("``", "")
