"""The generated CRDs: what is committed is what the models give, and it is what a structural schema may be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from dichroism_crds import schema
from dichroism_crds.kinds import KINDS, PruneSpec
from dichroism_crds.schema_structural import SchemaError, structural_schema, unbounded
from tests.reference_kinds import sections

DOCUMENTS = {document["spec"]["names"]["kind"]: document for document in schema.crd_documents()}
KIND_NAMES = sorted(DOCUMENTS)


def object_schema(kind: str) -> dict[str, Any]:
    """The schema of one kind's whole object."""
    found: dict[str, Any] = DOCUMENTS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema node with its dotted name; names of properties are not mistaken for keywords."""
    yield where, node
    for name, field in node.get("properties", {}).items():
        yield from nodes(field, f"{where}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{where}[]")


def conditions(kind: str) -> dict[str, Any]:
    """The conditions of one kind."""
    found: dict[str, Any] = object_schema(kind)["properties"]["status"]["properties"]["conditions"]
    return found


@pytest.mark.parametrize("folder", schema.FOLDERS, ids=lambda folder: folder.parent.name)
def test_committed_crds_are_what_the_models_give(folder: Path) -> None:
    assert schema.check(folder) == []


def test_drift_check_names_each_file_and_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema.write(tmp_path)
    assert schema.main(["--check", "--folder", str(tmp_path)]) == 0
    edited = tmp_path / "scans.yaml"
    edited.write_text(edited.read_text().replace("maxLength: 1024", "maxLength: 2048", 1))
    (tmp_path / "prunes.yaml").unlink()
    (tmp_path / "flights.yaml").write_text("kind: Flight\n")
    assert schema.main(["--check", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("scans.yaml is not", "prunes.yaml is missing", "flights.yaml belongs"))
    assert "transfers.yaml" not in told
    assert "make crds" in told


def test_write_makes_what_check_accepts(tmp_path: Path) -> None:
    assert schema.main(["--write", "--folder", str(tmp_path / "new")]) == 0
    assert schema.check(tmp_path / "new") == []


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_string_list_and_map_is_bounded(kind: str) -> None:
    assert list(unbounded(object_schema(kind))) == []


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_lists_are_atomic_and_conditions_a_map_by_type(kind: str) -> None:
    lists = {where: node["x-kubernetes-list-type"] for where, node in nodes(object_schema(kind)) if "items" in node}
    assert lists.pop(".status.conditions") == "map"
    assert conditions(kind)["x-kubernetes-list-map-keys"] == ["type"]
    assert lists
    assert set(lists.values()) == {"atomic"}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_nothing_stands_in_the_schema_that_a_structural_schema_forbids(kind: str) -> None:
    for where, node in nodes(object_schema(kind)):
        assert "type" in node, where
        assert not node.keys() & {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "readOnly"}, where
        assert node.get("default", "") is not None, where


def test_every_field_says_what_it_is() -> None:
    silent = [row[0] for _, _, _, fields in sections() for row in fields if not row[-1]]
    assert not silent, "kubectl explain and docs/reference/kinds.md would say nothing of it"


def test_computed_numbers_are_served_but_nobody_has_to_send_them() -> None:
    spec = object_schema("Transfer")["properties"]["spec"]
    assert {"files", "bytes"} <= spec["properties"].keys()
    assert not {"files", "bytes"} & set(spec["required"])


def test_a_prune_rule_covers_every_field_but_suspend() -> None:
    [rule] = object_schema("Prune")["properties"]["spec"]["x-kubernetes-validations"]
    fields = object_schema("Prune")["properties"]["spec"]["properties"].keys()
    assert "suspend" in PruneSpec.model_fields
    for field in fields:
        assert (f"self.{field} == oldSelf.{field}" in rule["rule"]) == (field != "suspend"), field


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_default_status_fits_its_own_model(kind: str) -> None:
    default = object_schema(kind)["properties"]["status"].get("default")
    model = next(one for one in KINDS if one.kind == kind).model_fields["status"].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    if kind == "Prune":
        assert default is None, "a Prune with a phase counts as told to its Scans"
    else:
        assert model.model_validate(default).model_dump(mode="json", by_alias=True)["phase"] == "Pending"


def test_keywords_of_json_schema_become_those_of_openapi() -> None:
    class Sample(BaseModel):
        """First line.

        Second paragraph.
        """

        fixed: Literal["only"] = "only"
        above: Annotated[float, Field(gt=0)] = 1
        maybe: Annotated[str, Field(max_length=5)] | None = None
        labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(default_factory=dict, max_length=16)

    made = structural_schema(Sample)
    assert made == {
        "description": "First line.",
        "type": "object",
        "properties": {
            "fixed": {"type": "string", "enum": ["only"]},
            "above": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            "maybe": {"type": "string", "maxLength": 5},
            "labels": {
                "type": "object",
                "maxProperties": 16,
                "additionalProperties": {"type": "string", "maxLength": 63},
            },
        },
    }


def test_a_field_without_limit_is_refused_by_name() -> None:
    class Inner(BaseModel):
        text: str

    class Outer(BaseModel):
        inner: list[Inner] = Field(max_length=3)
        more: list[int]
        labels: dict[str, int]

    with pytest.raises(SchemaError) as refused:
        structural_schema(Outer)
    assert all(name in str(refused.value) for name in ("Outer.inner[].text", "Outer.more", "Outer.labels"))


def test_a_field_of_several_types_is_refused_by_name() -> None:
    class Torn(BaseModel):
        either: int | str

    with pytest.raises(SchemaError, match=r"Torn\.either"):
        structural_schema(Torn)
