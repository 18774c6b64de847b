"""The largest objects that the CRDs and the API server take, and what happens one item later."""

import json

import pytest

from dichroism_crds.client import Api, Invalid
from dichroism_crds.kinds import (
    MAX_FAILED_SHOWN,
    MAX_TRANSFER_ITEMS,
    Condition,
    FailedItem,
    KeptItem,
    Prune,
    PrunePhase,
    Resource,
    Scan,
    Transfer,
    TransferPhase,
    TransferStatus,
)
from dichroism_crds.schema_size import MAX_SPEC_BYTES, MAX_STATUS_BYTES, stored_bytes
from tests.integration.crds.objects import long_path, post, prune, scan, transfer

pytestmark = [
    pytest.mark.cluster,
    # aiohttp's hint for bodies over 1 MiB, which are what is tried here
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]


def full_transfer(length: int) -> Transfer:
    """A Transfer with as many items as are legal, of the largest size."""
    return transfer(items=MAX_TRANSFER_ITEMS, length=length, size=2**50)


async def test_largest_transfer_is_accepted_told_about_and_still_immutable(api: Api) -> None:
    created = await api.create(full_transfer(length=100))
    assert stored_bytes(created.spec.wire()) > 0.98 * MAX_SPEC_BYTES
    assert len(created.spec.items) == created.spec.files == MAX_TRANSFER_ITEMS
    created.status.phase = TransferPhase.FAILED
    created.status.bytes = created.spec.bytes
    created.status.failed_items = [
        FailedItem(path=long_path(number, 1024), reason="SourceMissing", message="m" * 1024)
        for number in range(MAX_FAILED_SHOWN)
    ]
    assert (await api.replace_status(created)).status == created.status
    patched = await api.request(
        "PATCH",
        api.path(Transfer, "one", "status"),
        body={"status": {"message": "again"}},
        content_type="application/merge-patch+json",
    )
    assert patched["status"]["message"] == "again"
    # rules between two versions run over the whole spec here: they stay within their cost
    labelled = await api.patch(Transfer, "one", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.metadata.labels == {"a": "b"}
    with pytest.raises(Invalid, match="a Transfer is immutable"):
        await api.patch(Transfer, "one", {"spec": {"source": "another"}})


async def test_largest_prune_is_accepted_told_about_and_can_be_suspended(api: Api) -> None:
    created = await api.create(prune(items=MAX_TRANSFER_ITEMS, length=40, bundles=40))
    created.status.phase = PrunePhase.INCOMPLETE
    created.status.kept = [
        KeptItem(path=long_path(number, 1024), reason="OriginalOccupied") for number in range(MAX_FAILED_SHOWN)
    ]
    assert (await api.replace_status(created)).status == created.status
    assert (await api.patch(Prune, "one", {"spec": {"suspend": True}})).spec.suspend
    with pytest.raises(Invalid, match="a Prune is immutable but for suspend"):
        await api.patch(Prune, "one", {"spec": {"notBefore": "2026-11-22T00:00:00Z"}})


async def test_every_item_of_a_prune_may_be_in_a_bundle_of_its_own(api: Api) -> None:
    created = await api.create(prune(items=MAX_TRANSFER_ITEMS, length=20, bundles=MAX_TRANSFER_ITEMS))
    assert len(created.spec.bundles) == MAX_TRANSFER_ITEMS
    assert (await api.patch(Prune, "one", {"spec": {"suspend": True}})).spec.suspend


@pytest.mark.parametrize("kind", [Transfer, Prune], ids=lambda kind: kind.kind)
async def test_one_item_more_is_refused_in_words(api: Api, kind: type[Resource]) -> None:
    full = full_transfer(20) if kind is Transfer else prune(items=MAX_TRANSFER_ITEMS, length=20)
    body = full.to_wire()
    body["spec"]["items"].append(body["spec"]["items"][0])
    with pytest.raises(Invalid, match=r"spec\.items: Too many: 4001: must have at most 4000 items"):
        await post(api, kind, body)


@pytest.mark.parametrize("kind", [Transfer, Prune], ids=lambda kind: kind.kind)
async def test_a_batch_of_nothing_is_refused(api: Api, kind: type[Resource]) -> None:
    body = (transfer() if kind is Transfer else prune()).to_wire()
    body["spec"]["items"] = []
    with pytest.raises(Invalid, match=r"spec\.items.*should have at least 1 items"):
        await post(api, kind, body)


@pytest.mark.parametrize("field", ["failedItems", "kept"])
async def test_a_status_list_of_one_more_than_is_shown_is_refused(api: Api, field: str) -> None:
    created: Resource = await api.create(transfer()) if field == "failedItems" else await api.create(prune())
    body = created.to_wire()
    body["status"][field] = [{"path": "a", "reason": "SourceMissing"}] * (MAX_FAILED_SHOWN + 1)
    with pytest.raises(Invalid, match=rf"status\.{field}: Too many: 101: must have at most 100 items"):
        await api.request("PUT", api.path(type(created), "one", "status"), body=body)


def filled_transfer(character: str, limit: int) -> Transfer:
    """A Transfer whose spec takes just under ``limit`` bytes, paths of 1,024 characters."""
    one, two = (stored_bytes(transfer(items=items, length=1024, character=character).spec.wire()) for items in (1, 2))
    items = min(MAX_TRANSFER_ITEMS, (limit - one) // (two - one))
    made = transfer(items=items, length=1024, character=character)
    assert 0.97 * limit < stored_bytes(made.spec.wire()) <= limit
    return made


def filled_status(character: str, limit: int) -> TransferStatus:
    """A status that takes just under ``limit`` bytes."""
    status = TransferStatus(phase=TransferPhase.FAILED)
    while len(status.failed_items) < MAX_FAILED_SHOWN:
        path, message = long_path(len(status.failed_items), 1024, character), character * 1024
        status.failed_items.append(FailedItem(path=path, reason="SourceMissing", message=message))
        if stored_bytes(status.wire()) > limit:
            status.failed_items.pop()
            break
    return status


@pytest.mark.parametrize("character", ["x", "&", "\u00e9", "\u6837", "\U0001f600"], ids=ascii)
async def test_spec_and_status_at_their_byte_limits_fit_whatever_the_characters(api: Api, character: str) -> None:
    created = await api.create(filled_transfer(character, MAX_SPEC_BYTES))
    created.status = filled_status(character, MAX_STATUS_BYTES)
    assert (await api.replace_status(created)).status == created.status
    labelled = await api.patch(Transfer, "one", {"metadata": {"annotations": {"note": "n" * 65536}}})
    assert len(labelled.metadata.annotations["note"]) == 65536


async def test_without_the_byte_limits_a_status_could_never_be_written(api: Api) -> None:
    created = await api.create(filled_transfer("x", MAX_SPEC_BYTES * 14 // 10))
    created.status = filled_status("x", MAX_STATUS_BYTES)
    with pytest.raises(Invalid, match="too large"):
        await api.replace_status(created)


async def test_largest_scan_status_is_accepted(api: Api) -> None:
    created = await api.create(scan(path="\U0001f600" * 1024))
    body = created.to_wire()
    copy = {
        "endpoint": "e" * 63,
        "path": "\U0001f600" * 1024,
        "member": "\U0001f600" * 1024,
        "size": 2**50,
        "checksum": {"algorithm": "sha256", "value": "a" * 64},
        "verifiedAt": "2026-11-22T17:03:11.123456Z",
        "transfer": "t" * 253,
    }
    body["status"]["copies"] = [copy] * 8
    body["status"]["conditions"] = [
        Condition(type=f"Condition{number}", message="m" * 1024).wire() for number in range(12)
    ]
    stored = await api.request("PUT", api.path(Scan, "one", "status"), body=body)
    assert stored["status"]["copies"] == [copy] * 8
    assert len(json.dumps(stored)) > 100_000
