"""Every rule of the CRDs on a real API server: what it refuses, what it accepts, and what it tells the person."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from dichroism_crds.client import Api, ApiError, Invalid
from dichroism_crds.kinds import KINDS, Prune, Resource, Scan, Transfer
from dichroism_crds.paths import MAX_PATH, RELATIVE_PATH_RULE, PathError, check_relative_path
from dichroism_crds.schema import crd_documents
from tests.integration.crds.objects import post, prune, scan, transfer

pytestmark = pytest.mark.cluster

LEGAL_PATHS = {
    "one name": "scan.txt",
    "day folder": "2026/261122/TrajScan31914-1_0001.txt",
    "three dots": "...",
    "dots in front": "..a/.b/...c",
    "dots behind": "a../b./c...",
    "blanks": " a folder / of blanks ",
    "unicode": "Probe/\u6837\u54c1/\u00fc\U0001f9f2.txt",
    "quotes and backslash": "a'b\"c\\d`$(e)",
    "longest": "x" * MAX_PATH,
    "longest in unicode": "\u6837" * MAX_PATH,
    "longest of components": "/".join("x" * (MAX_PATH // 2)) + "x",
}
ILLEGAL_PATHS = {
    "absolute": "/a",
    "root": "/",
    "trailing slash": "a/",
    "empty component": "a//b",
    "one dot": ".",
    "two dots": "..",
    "dot in front": "./a",
    "dot within": "a/./b",
    "dot behind": "a/.",
    "up in front": "../a",
    "up within": "a/../b",
    "up behind": "a/..",
    "newline": "a\nb",
    "newline behind": "a\n",
    "tab": "a\tb",
    "nul": "a\0b",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
}


async def refusal(made: Any) -> str:
    """Await what has to be refused, and return what the person reads."""
    with pytest.raises(Invalid) as refused:
        await made
    return refused.value.message


def wire(resource: Resource, **spec: Any) -> dict[str, Any]:
    """The object's JSON with some of its spec replaced."""
    body = resource.to_wire()
    body["spec"] |= spec
    return body


def test_crds_are_accepted_without_reservation(crds: Callable[[], dict[str, dict[str, str]]]) -> None:
    conditions = crds()
    for document in crd_documents():
        # a rule over the cost budget, or a schema that is not structural, would refuse the CRD or add a condition
        assert conditions[document["metadata"]["name"]] == {"NamesAccepted": "True", "Established": "True"}


async def test_legal_paths_are_accepted_and_stored_unchanged(api: Api) -> None:
    for number, (what, path) in enumerate(LEGAL_PATHS.items()):
        stored = await api.create(scan(f"scan-{number}", path))
        assert stored.spec.path == path, what


@pytest.mark.parametrize("what", ILLEGAL_PATHS)
async def test_illegal_path_is_refused_with_the_rule_in_words(api: Api, what: str) -> None:
    told = await refusal(post(api, Scan, wire(scan(), path=ILLEGAL_PATHS[what])))
    assert "spec.path: Invalid value: " in told
    assert f": path {RELATIVE_PATH_RULE}" in told


async def test_path_of_one_character_more_than_the_longest_is_refused(api: Api) -> None:
    told = await refusal(post(api, Scan, wire(scan(), path="x" * (MAX_PATH + 1))))
    assert "spec.path: Too long: may not be more than 1024" in told


async def test_empty_path_is_refused(api: Api) -> None:
    assert "spec.path" in await refusal(post(api, Scan, wire(scan(), path="")))


async def test_api_server_judges_every_short_path_as_the_project_does(api: Api) -> None:
    for length in (1, 2, 3, 4):
        for characters in itertools.product("a./" if length > 2 else "a./\x1f", repeat=length):
            path = "".join(characters)
            try:
                check_relative_path(path)
                legal = True
            except PathError:
                legal = False
            try:
                await post(api, Scan, wire(scan(), path=path), dry_run=True)
                accepted = True
            except Invalid:
                accepted = False
            assert accepted == legal, repr(path)


@pytest.mark.parametrize("kind", [Transfer, Prune], ids=lambda kind: kind.kind)
async def test_an_item_whose_path_leaves_the_root_is_refused(api: Api, kind: type[Resource]) -> None:
    body = (transfer() if kind is Transfer else prune()).to_wire()
    body["spec"]["items"][1]["path"] = "a/../../b"
    assert "spec.items[1].path" in await refusal(post(api, kind, body))


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("beamline", "BL631", "beamline is immutable: delete the Scan and create another"),
        ("path", "another.txt", "path is immutable: a file with another path is another Scan"),
    ],
)
async def test_identity_of_a_scan_is_immutable(api: Api, field: str, value: str, told: str) -> None:
    await api.create(scan())
    assert told in await refusal(api.patch(Scan, "one", {"spec": {field: value}}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 1),
        ("modifiedAt", "2026-11-23T00:00:00.000000Z"),
        ("proposal", "ALS-12345"),
        ("suspend", True),
        ("exportControlled", True),
    ],
)
async def test_everything_else_of_a_scan_may_change(api: Api, field: str, value: Any) -> None:
    await api.create(scan())
    assert (await api.patch(Scan, "one", {"spec": {field: value}})).wire()["spec"][field] == value


@pytest.mark.parametrize(
    "change",
    [
        {"beamline": "BL631"},
        {"source": "data402"},
        {"submissionId": "another"},
        {"bundle": None},
        {"bundle": {"path": "another.tar"}},
        {"items": [{"scan": "a", "uid": "b", "path": "c", "size": 1, "modifiedAt": "2026-11-22T00:00:00Z"}]},
        {"files": 3},
        {"bytes": None},
    ],
    ids=str,
)
async def test_a_transfer_is_immutable_as_a_whole(api: Api, change: dict[str, Any]) -> None:
    await api.create(transfer())
    told = await refusal(api.patch(Transfer, "one", {"spec": change}))
    assert "a Transfer is immutable: to copy again, annotate the Scans with dichroism.als.lbl.gov/retry" in told


async def test_a_transfer_takes_no_bundle_afterwards(api: Api) -> None:
    body = transfer().to_wire()
    bundle = body["spec"].pop("bundle")
    await post(api, Transfer, body)
    assert "a Transfer is immutable" in await refusal(api.patch(Transfer, "one", {"spec": {"bundle": bundle}}))


@pytest.mark.parametrize(
    "change",
    [
        {"beamline": "BL631"},
        {"endpoint": {"rootPath": "/another"}},
        {"endpoint": {"uuid": None}},
        {"notBefore": "2026-11-22T17:03:11.123455Z"},
        {"needs": [{"name": "another", "rootPath": "/another"}]},
        {"bundles": []},
        {"bundles": None},
        {
            "items": [
                {
                    "scan": "a",
                    "path": "c",
                    "size": 1,
                    "modifiedAt": "2026-11-22T00:00:00Z",
                    "anchor": "2026-11-22T00:00:00Z",
                }
            ]
        },
        {"files": 3},
        {"bytes": None},
        {"suspend": True, "beamline": "BL631"},
    ],
    ids=str,
)
async def test_a_prune_is_immutable_but_for_suspend(api: Api, change: dict[str, Any]) -> None:
    await api.create(prune())
    told = await refusal(api.patch(Prune, "one", {"spec": change}))
    assert "a Prune is immutable but for suspend: to keep files longer, suspend it or put a hold into" in told


async def test_a_prune_can_be_suspended_and_resumed(api: Api) -> None:
    await api.create(prune())
    for suspend in (True, False):
        assert (await api.patch(Prune, "one", {"spec": {"suspend": suspend}})).spec.suspend is suspend


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_every_required_field_is_demanded_by_name(api: Api, kind: type[Resource]) -> None:
    made: dict[type[Resource], Resource] = {Scan: scan(), Transfer: transfer(), Prune: prune()}
    schema = next(one for one in crd_documents() if one["spec"]["names"]["kind"] == kind.kind)
    spec = schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert len(spec["required"]) >= 4
    for field in spec["required"]:
        body = made[kind].to_wire()
        del body["spec"][field]
        assert f"spec.{field}: Required value" in await refusal(post(api, kind, body))
    assert "spec: Required value" in await refusal(post(api, kind, made[kind].to_wire() | {"spec": None}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", -1), ("size", 2**50 + 1), ("modifiedAt", "yesterday"), ("beamline", "x" * 64), ("proposal", "x" * 129)],
)
async def test_values_out_of_bounds_are_refused_by_field(api: Api, field: str, value: Any) -> None:
    assert f"spec.{field}" in await refusal(post(api, Scan, wire(scan(), **{field: value})))


async def test_values_at_the_bounds_are_accepted_and_read_back(api: Api) -> None:
    stored = await api.create(scan(size=2**50, beamline="x" * 63, proposal="x" * 128))
    assert (stored.spec.size, len(stored.spec.beamline)) == (2**50, 63)
    assert (await api.create(scan("zero", size=0))).spec.size == 0


async def test_a_phase_that_is_none_is_refused(api: Api) -> None:
    created = await api.create(scan())
    body = created.to_wire()
    body["status"]["phase"] = "Done"
    with pytest.raises(ApiError, match=r'status\.phase: Unsupported value: "Done": supported values: "Pending"'):
        await api.request("PUT", api.path(Scan, "one", "status"), body=body)
