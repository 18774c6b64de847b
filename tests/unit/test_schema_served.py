"""What the operator sees when the installed CRDs are not its own."""

import copy
from typing import Any

import pytest

from dichroism_crds.kinds import KINDS, Prune, Resource, Scan, Transfer
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.schema import crd_documents, missing_fields


@pytest.fixture
def served() -> dict[str, Any]:
    """An OpenAPI document as an API server with our CRDs serves it."""
    schemas = {}
    for document in crd_documents():
        kind = document["spec"]["names"]["kind"]
        schemas[f"gov.lbl.als.dichroism.{VERSION}.{kind}"] = copy.deepcopy(
            document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        ) | {"x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": kind}]}
    return {"openapi": "3.0.0", "components": {"schemas": schemas}}


def part(served: dict[str, Any], kind: type[Resource], name: str) -> dict[str, Any]:
    """Properties of ``spec`` or ``status`` of one kind."""
    schema = served["components"]["schemas"][f"gov.lbl.als.dichroism.{VERSION}.{kind.kind}"]
    properties: dict[str, Any] = schema["properties"][name]["properties"]
    return properties


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_our_own_crds_are_new_enough(served: dict[str, Any], kind: type[Resource]) -> None:
    assert missing_fields(served, kind) == []


def test_a_field_missing_at_any_depth_is_named(served: dict[str, Any]) -> None:
    del part(served, Scan, "spec")["proposal"]
    del part(served, Scan, "status")["copies"]["items"]["properties"]["member"]
    del part(served, Scan, "status")["copies"]["items"]["properties"]["checksum"]["properties"]["algorithm"]
    assert missing_fields(served, Scan) == [
        "spec.proposal",
        "status.copies[].member",
        "status.copies[].checksum.algorithm",
    ]
    assert missing_fields(served, Transfer) == []


def test_a_phase_that_the_server_would_refuse_is_named(served: dict[str, Any]) -> None:
    part(served, Prune, "status")["phase"]["enum"].remove("Trashed")
    assert missing_fields(served, Prune) == ["status.phase=Trashed"]


def test_a_newer_crd_with_more_fields_and_phases_is_new_enough(served: dict[str, Any]) -> None:
    part(served, Scan, "spec")["colour"] = {"type": "string"}
    part(served, Scan, "status")["phase"]["enum"].append("Restored")
    assert missing_fields(served, Scan) == []


def test_an_older_server_that_keeps_what_it_does_not_know_drops_nothing(served: dict[str, Any]) -> None:
    schema = served["components"]["schemas"][f"gov.lbl.als.dichroism.{VERSION}.Scan"]
    schema["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert missing_fields(served, Scan) == []


@pytest.mark.parametrize("document", [{}, {"components": {}}, {"components": {"schemas": {"x": {}}}}])
def test_a_kind_that_is_not_served_lacks_everything(document: dict[str, Any]) -> None:
    assert missing_fields(document, Scan) == ["spec", "status"]
