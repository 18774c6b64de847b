"""pydantic's findings in words for a person at a beamline: what is wrong at which key and what may stand there.

Values are repeated only where they are names or numbers of ours: nobody's password, written at the wrong place, ends in
a log.
"""

import difflib
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dichroism_crds.config.models import PATTERN_RULES, Config
from dichroism_crds.config.yaml_text import KeyPath, Problem

_PLAIN = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number, and this one is too large",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
    "tuple_type": "must be a list, such as [first, second]",
    "path_type": "must be a path",
    "too_short": "must not be empty",
}


def problems_of(error: ValidationError) -> list[Problem]:
    """One problem per finding, at the keys of the file."""
    problems = []
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        problems.append(Problem(_file_path(location), _message(detail, location)))
    return problems


def _file_path(location: KeyPath) -> KeyPath:
    """Endpoints are top-level keys in the file; the name of a section is its key."""
    if location[0] == "endpoints":
        location = location[1:]
        return location[:1] if location[1:] == ("name",) else location
    if len(location) == 3 and location[0] == "beamlines" and location[2] == "name":
        return location[:2]
    return location


def _message(detail: ErrorDetails, location: KeyPath) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return f"is missing: {_what_it_is(location)}"
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _unknown_word(detail["input"], context["expected"])
    if kind == "string_pattern_mismatch":
        return PATTERN_RULES[context["pattern"]]
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    if kind == "too_long":
        return f"must have at most {context['max_length']} entries"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    return _PLAIN.get(kind, detail["msg"])


def _unknown_key(location: KeyPath) -> str:
    known = sorted(_schema_at(location[:-1]).get("properties", {}))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown key.{meant} Known: {', '.join(known)}"


def _unknown_word(given: Any, expected: str) -> str:
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    near = difflib.get_close_matches(str(given), words, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown word.{meant} Known: {', '.join(words)}"


def _what_it_is(location: KeyPath) -> str:
    """The first sentence of the description."""
    return str(_schema_at(location)["description"]).partition(". ")[0].rstrip(".")


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema(by_alias=True)


def _schema_at(location: KeyPath) -> dict[str, Any]:
    """The JSON Schema of one key, found by walking down from the whole document; empty where there is none."""
    schema = _schema()
    for part in location:
        schema = _resolved(schema)
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}
        if not isinstance(schema, dict):
            return {}
    own = {key: value for key, value in schema.items() if key == "description"}
    return {**_resolved(schema), **own}


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference or behind 'this or nothing'."""
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            schema = option
    if "$ref" in schema:
        found = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        assert isinstance(found, dict)
        return found
    return schema
