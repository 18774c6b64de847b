"""Routes of attachments: pictures that belong to a dataset, in the words of v3 and of v4."""

from tests.emulators.scicat import documents, validation, views
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.children import listed
from tests.emulators.scicat.site import Call
from tests.emulators.scicat.store import ATTACHMENTS, DuplicateKeyError

_LIMIT = 10


async def list_v3(call: Call) -> Answer:
    """GET /datasets/{pid}/attachments: the newest ten at most."""
    newest = listed(call, ATTACHMENTS)[::-1]
    return Answer([views.attachment_v3(one) for one in newest[:_LIMIT]])


async def add_v3(call: Call) -> Answer:
    """POST /datasets/{pid}/attachments: a new one each time, whatever id the client asks for."""
    call.require_login()
    body = call.body()
    validation.check_attachment(body)
    dataset = call.dataset()
    require(call.caller.may_add_children(dataset))
    kept = {name: value for name, value in body.items() if name not in ("id", "datasetId", "proposalId", "sampleId")}
    kept["ownerGroup"] = dataset["ownerGroup"]
    new = documents.new_attachment(kept, [documents.attached_to(dataset["pid"])], call.username())
    return Answer(views.attachment_v3(call.site.store.add_child(ATTACHMENTS, dataset["pid"], new)), status=201)


async def replace_v3(call: Call) -> Answer:
    """PUT /datasets/{pid}/attachments/{aid}: the attachment loses its dataset for good."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_update(dataset))
    body = call.body()
    validation.check_published(call.site.contract, "UpdateAttachmentV3Dto", body)
    found = call.site.store.child(ATTACHMENTS, call.params["aid"])
    if found is None or not found["relationships"]:
        raise Refusal(404, f"attachment: {call.params['aid']} not found")
    orphan = found | body | {"relationships": []}
    call.site.store.put_child("", orphan)
    return Answer(views.attachment_v3(orphan))


async def delete_v3(call: Call) -> Answer:
    """DELETE /datasets/{pid}/attachments/{aid}: silent when the dataset has no such attachment."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete_attachments(dataset))
    return Answer(call.site.store.take_child(ATTACHMENTS, dataset["pid"], call.params["aid"]))


async def thumbnail(call: Call) -> Answer:
    """GET /datasets/{pid}/thumbnail: that of the first attachment, or nothing."""
    attachments = listed(call, ATTACHMENTS)
    return Answer({"thumbnail": attachments[0]["thumbnail"]} if attachments else {})


async def add_v4(call: Call) -> Answer:
    """POST /v4/attachments: takes the id that the client chose; a taken one is a bare 500. 4.27: for admins."""
    call.require_login()
    body = call.body()
    require(call.caller.may_create_attachments(body), "Forbidden resource")
    validation.check_published(call.site.contract, "CreateAttachmentV4Dto", body)
    relationships = [{"relationType": "is attached to"} | one for one in body.get("relationships") or ()]
    new = documents.new_attachment(body, relationships, call.username())
    try:
        added = call.site.store.add_child(ATTACHMENTS, _dataset_of(new), new, body.get("aid"))
    except DuplicateKeyError as error:
        raise Refusal(500, f"E11000 duplicate key error: {error}") from error
    return Answer(added, status=201)


async def patch_v4(call: Call) -> Answer:
    """PATCH /v4/attachments/{aid}: changes fields and keeps the rest, relationships too."""
    call.require_login()
    body = call.body()
    found = call.site.store.child(ATTACHMENTS, call.params["aid"])
    if found is None:
        raise Refusal(404, f"attachment: {call.params['aid']} not found")
    require(call.caller.may_create_attachments(found), "Forbidden resource")
    validation.check_published(call.site.contract, "PartialUpdateAttachmentV4Dto", body)
    changed = found | body | {"updatedBy": call.username(), "updatedAt": documents.timestamp()}
    call.site.store.put_child(_dataset_of(changed), changed)
    return Answer(changed)


def _dataset_of(attachment: Json) -> str:
    return str(next((one["targetId"] for one in attachment["relationships"] if one["targetType"] == "dataset"), ""))
