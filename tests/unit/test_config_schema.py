"""The JSON Schema for editors accepts what the loader accepts, refuses typing errors and describes every setting."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.config import json_schema
from dichroism_crds.config.quantities import parse_duration, parse_size

COMMITTED = Path(__file__).parents[2] / "config.yml"
ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "examples", "format"}
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}


class _Editor(yaml.SafeLoader):
    """YAML 1.2, as editors read it: a date stays text."""


_Editor.yaml_implicit_resolvers = {
    first: [entry for entry in resolvers if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> Iterator[str]:
    """The part of JSON Schema that ours uses; a keyword that is not known here fails, so nothing is passed over."""
    for keyword, rule in schema.items():
        match keyword:
            case "$ref":
                yield from violations(value, root["$defs"][rule.removeprefix("#/$defs/")], root, at)
            case "anyOf":
                if all(list(violations(value, option, root, at)) for option in rule):
                    yield f"{at}: fits none of {len(rule)}"
            case "type":
                if not isinstance(value, TYPES[rule]) or (isinstance(value, bool) and rule != "boolean"):
                    yield f"{at}: is no {rule}"
            case "const" | "enum":
                if value not in (rule if keyword == "enum" else [rule]):
                    yield f"{at}: is not one of {rule}"
            case "pattern":
                if isinstance(value, str) and not re.search(rule, value):
                    yield f"{at}: does not match {rule}"
            case "minLength" | "minItems" | "minProperties":
                if isinstance(value, str | list | dict) and len(value) < rule:
                    yield f"{at}: is too short"
            case "maxLength" | "maxItems":
                if isinstance(value, str | list) and len(value) > rule:
                    yield f"{at}: is too long"
            case "minimum" | "maximum":
                if isinstance(value, int) and (value < rule if keyword == "minimum" else value > rule):
                    yield f"{at}: is beyond {rule}"
            case "items":
                for number, item in enumerate(value if isinstance(value, list) else []):
                    yield from violations(item, rule, root, f"{at}[{number}]")
            case "required":
                yield from (f"{at}.{key}: is missing" for key in rule if isinstance(value, dict) and key not in value)
            case "properties":
                for key in value if isinstance(value, dict) else ():
                    if key in rule:
                        yield from violations(value[key], rule[key], root, f"{at}.{key}")
            case "additionalProperties":
                for key in value if isinstance(value, dict) else ():
                    if key in schema.get("properties", {}):
                        continue
                    if rule is False:
                        yield f"{at}.{key}: unknown"
                    else:
                        yield from violations(value[key], rule, root, f"{at}.{key}")
            case "propertyNames":
                for key in value if isinstance(value, dict) else ():
                    yield from violations(key, rule, root, f"{at}.{key} (the name)")
            case _:
                assert keyword in ANNOTATIONS, f"the schema uses {keyword!r}, which this test does not know"


@pytest.fixture
def document() -> Any:
    return yaml.load(COMMITTED.read_text(), _Editor)


def found(document: Any) -> list[str]:
    schema = json_schema()
    return list(violations(document, schema, schema))


def test_the_committed_example_fits_the_schema(document: Any) -> None:
    assert found(document) == []


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("data402", "rootpath"), "/x", ".data402.rootpath: unknown"),
        (("Data402",), {"root_path": "/x"}, ".Data402 (the name): fits none of 2"),
        (("spare",), {}, ".spare.root_path: is missing"),
        (("beamlines", "BL402", "watch", "quiet_period"), 180, ".beamlines.BL402.watch.quiet_period: is no string"),
        (("trash", "keep"), "7", ".trash.keep: does not match ^[0-9]+(ms|s|m|h|d)$"),
        (("history", "keep"), "many", ".history.keep: is no integer"),
        (("attempts",), 0, ".attempts: is beyond 1"),
        (("beamlines", "BL402", "transfer", "layout"), "flat", ".beamlines.BL402.transfer.layout: unknown"),
        (("beamlines", "BL402", "prune", "data402", "needs"), [], ".beamlines.BL402.prune.data402.needs: is too short"),
        (("prefect", "enabled"), "maybe", ".prefect.enabled: is no boolean"),
    ],
)
def test_a_typing_error_does_not_fit(document: Any, keys: tuple[str, ...], value: Any, message: str) -> None:
    section = document
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    assert message in found(document)


def settings(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property anywhere in the schema."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((f"{at}.{name}", setting) for name, setting in value.items())
            yield from settings(value, f"{at}.{key}")


def test_every_setting_says_what_it_is_and_what_holds_without_it() -> None:
    schema = json_schema()
    described = dict(settings(schema))
    assert len(described) > 50
    for name, setting in described.items():
        resolved = setting if "description" in setting else schema["$defs"][setting["$ref"].rpartition("/")[2]]
        assert resolved["description"].endswith((".", ")")), name
    for definition in schema["$defs"].values():
        for name, setting in definition["properties"].items():
            if "$ref" not in setting:
                assert re.search(r"[Dd]efault|Needed|Where|Which", setting["description"]), name


def test_defaults_are_written_as_in_the_file() -> None:
    for name, setting in settings(json_schema()):
        default, pattern = setting.get("default"), setting.get("pattern", "")
        if default is not None and "ms|s" in pattern:
            assert parse_duration(default), name
        elif default is not None and "kB" in pattern:
            assert parse_size(default), name
    assert json_schema()["$defs"]["BundleLimits"]["properties"]["target"]["default"] == "100GB"
    assert json_schema()["$defs"]["Trash"]["properties"]["keep"]["default"] == "7d"


def test_the_schema_needs_no_look_ahead() -> None:
    """Helm reads it with RE2, which has none."""
    assert "(?" not in str(json_schema())


def test_each_call_gives_a_schema_of_its_own() -> None:
    first = json_schema()
    kept = copy.deepcopy(first)
    first["$defs"]["Endpoint"]["required"].append("x")
    assert json_schema() == kept
