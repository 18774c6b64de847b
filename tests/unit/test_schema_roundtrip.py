"""Whatever the models can write, the generated schema accepts and the models read back."""

import re
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dichroism_crds.kinds import KINDS, Resource
from dichroism_crds.schema_structural import parts, structural_schema

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
LONGEST_LIST = 3
"""Enough to see every item rule; the limits are tried on the API server."""


def values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    """Values that a field of a model takes."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return values(inner, [*metadata, *(one for extra in more for one in unpacked(extra))])
    if get_origin(annotation) in (Union, UnionType):
        kinds = [values(one, metadata) if one is not NoneType else st.none() for one in get_args(annotation)]
        return st.one_of(kinds)
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is list:
        least, most = limit(metadata, MinLen, "min_length", 0), limit(metadata, MaxLen, "max_length", 0)
        return st.lists(values(get_args(annotation)[0], []), min_size=least, max_size=min(most, LONGEST_LIST))
    if annotation is datetime:
        return st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))
    if annotation is int:
        return st.integers(limit(metadata, Ge, "ge", 0), limit(metadata, Le, "le", 0))
    if annotation is str:
        return texts(metadata)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return instances(annotation)
    assert annotation is bool, annotation
    return st.booleans()


def texts(metadata: list[Any]) -> st.SearchStrategy[str]:
    """Strings that keep to length and pattern."""
    least, most = limit(metadata, MinLen, "min_length", 0), limit(metadata, MaxLen, "max_length", 0)
    patterns = [one.pattern for one in metadata if getattr(one, "pattern", None)]
    patterns += [one["pattern"] for one in metadata if isinstance(one, dict) and "pattern" in one]
    alphabet = st.characters(exclude_categories=["Cs"])
    if patterns:
        made = st.from_regex(patterns[0], fullmatch=True, alphabet=alphabet)
        return made.filter(lambda text: least <= len(text) <= most and not text.endswith("\n"))
    return st.text(alphabet, min_size=least, max_size=min(most, 40))


def unpacked(extra: Any) -> list[Any]:
    """The constraints in a pydantic Field or beside it."""
    return [*extra.metadata, extra.json_schema_extra] if isinstance(extra, FieldInfo) else [extra]


def limit(metadata: list[Any], kind: type, attribute: str, default: int) -> int:
    """One numeric constraint."""
    return next((getattr(one, attribute) for one in metadata if isinstance(one, kind)), default)


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Instances of a model; a defaulted field is sometimes left out."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        target = required if field.is_required() else optional
        target[name] = values(field.annotation, unpacked(field))
    return st.fixed_dictionaries(required, optional=optional).map(model.model_validate)


def violations(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """What the API server would refuse or drop; the part of its rules that the generated schemas use."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": float}
    if type(value) is not types[schema["type"]]:
        return [f"{where}: {value!r} is no {schema['type']}"]
    wrong = []
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{where}: {value!r} not in {schema['enum']}")
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        wrong.append(f"{where}: {value} out of bounds")
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            wrong.append(f"{where}: length {len(value)}")
        if not re.search(schema.get("pattern", ""), value):
            wrong.append(f"{where}: {value!r} breaks the pattern")
        if schema.get("format") == "date-time" and not TIME.fullmatch(value):
            wrong.append(f"{where}: {value!r} is no RFC 3339 time")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
            wrong.append(f"{where}: {len(value)} items")
        for number, item in enumerate(value):
            wrong += violations(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        wrong += [f"{where}.{name} is required" for name in schema.get("required", ()) if name not in value]
        for name, field in value.items():
            if name in schema["properties"]:
                wrong += violations(field, schema["properties"][name], f"{where}.{name}")
            else:
                wrong.append(f"{where}.{name} would be dropped")
    return wrong


CASES = [pytest.param(kind, name, id=f"{kind.kind}.{name}") for kind in KINDS for name in ("spec", "status")]


@pytest.mark.hypothesis
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_a_model_writes_fits_its_schema_and_is_read_back_the_same(kind: type[Resource], name: str) -> None:
    model = parts(kind)[name]
    schema = structural_schema(model)

    @settings(suppress_health_check=list(HealthCheck))
    @given(instances(model))
    def check(instance: Any) -> None:
        wire = instance.wire()
        assert violations(wire, schema, name) == []
        assert model.model_validate(wire) == instance

    check()


def test_the_check_itself_sees_what_the_api_server_would_refuse_or_drop() -> None:
    schema = structural_schema(parts(KINDS[0])["spec"])
    wrong = violations({"beamline": "", "path": "a" * 1025, "size": -1, "modifiedAt": "now", "more": 1}, schema, "spec")
    assert [text.split(":")[0].split(" ")[0] for text in wrong] == [
        "spec.beamline",
        "spec.path",
        "spec.size",
        "spec.modifiedAt",
        "spec.more",
    ]
    assert violations({"beamline": "BL402"}, schema, "spec")
