"""Routes of what belongs to a dataset: files on disk, copies in the archive, attachments."""

import asyncio

from tests.emulators.scicat import documents, queries, validation
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.site import Call
from tests.emulators.scicat.store import ATTACHMENTS, DATABLOCKS, ORIGDATABLOCKS, DuplicateKeyError

_ATTACHMENT_LIMIT = 10
_RACE_WINDOW_S = 0.005
"""How long 4.27 holds old counters before it writes the sums back, so that requests at the same time lose updates."""


async def _add_to_counters(call: Call, dataset: Json, **amounts: int) -> None:
    store = call.site.store
    if call.site.settings.is_v5:
        store.increment(dataset["pid"], **amounts)
        return
    await asyncio.sleep(_RACE_WINDOW_S)
    current = store.dataset(dataset["pid"])
    if current is not None:
        current |= {name: (dataset.get(name) or 0) + amount for name, amount in amounts.items()}
        store.put_dataset(current)


def _listed(call: Call, kind: str) -> list[Json]:
    dataset = call.dataset()
    require(call.caller.may_read_children(dataset))
    return call.site.store.children(kind, dataset["pid"])


async def list_origdatablocks(call: Call) -> Answer:
    """GET /datasets/{pid}/origdatablocks."""
    return Answer(_listed(call, ORIGDATABLOCKS))


async def add_origdatablock(call: Call) -> Answer:
    """POST /datasets/{pid}/origdatablocks: nothing is unique here, so a repeated POST doubles the dataset's size."""
    call.require_login()
    body = call.body()
    validation.check_origdatablock(body)
    dataset = call.dataset()
    require(call.caller.may_add_children(dataset))
    new = documents.new_child(body, dataset, call.username())
    added = call.site.store.add_child(ORIGDATABLOCKS, dataset["pid"], new)
    await _add_to_counters(call, dataset, size=body["size"], numberOfFiles=len(body["dataFileList"]))
    return Answer(added, status=201)


async def delete_origdatablock(call: Call) -> Answer:
    """DELETE /datasets/{pid}/origdatablocks/{id}: for the delete groups; takes its share off the counters."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete())
    removed = call.site.store.take_child(ORIGDATABLOCKS, call.params["id"])
    if removed is None:
        raise Refusal(404, f"origDatablock: {call.params['id']} not found")
    await _add_to_counters(call, dataset, size=-removed["size"], numberOfFiles=-len(removed["dataFileList"]))
    return Answer(removed)


async def list_datablocks(call: Call) -> Answer:
    """GET /datasets/{pid}/datablocks."""
    return Answer(_listed(call, DATABLOCKS))


async def add_datablock(call: Call) -> Answer:
    """POST /datasets/{pid}/datablocks: archiveId is unique over all datasets, and a taken one is a bare 500."""
    call.require_login()
    body = call.body()
    validation.check_datablock(body)
    dataset = call.dataset()
    require(call.caller.may_add_children(dataset))
    new = documents.new_child(body, dataset, call.username())
    try:
        added = call.site.store.add_child(DATABLOCKS, dataset["pid"], new)
    except DuplicateKeyError as error:
        raise Refusal(500, f"E11000 duplicate key error: {error}") from error
    await _add_to_counters(
        call, dataset, packedSize=body["packedSize"], numberOfFilesArchived=len(body["dataFileList"])
    )
    return Answer(added, status=201)


async def find_datablocks(call: Call) -> Answer:
    """GET /datablocks: of all datasets that the caller may read the file lists of."""
    query = queries.parse_filter(call.query.get("filter"))
    store = call.site.store
    blocks = store.children(DATABLOCKS)
    visible = [block for block in blocks if call.caller.may_read_children(store.dataset(block["datasetId"]) or block)]
    return Answer(queries.select(visible, query, call.site.settings.is_v5))


async def list_attachments(call: Call) -> Answer:
    """GET /datasets/{pid}/attachments: ten at most."""
    return Answer(_listed(call, ATTACHMENTS)[:_ATTACHMENT_LIMIT])


async def add_attachment(call: Call) -> Answer:
    """POST /datasets/{pid}/attachments: a new one each time; readers are not inherited from the dataset."""
    call.require_login()
    body = call.body()
    validation.check_attachment(body)
    dataset = call.dataset()
    require(call.caller.may_add_children(dataset))
    body.pop("id", None)
    new: Json = {"accessGroups": []} | documents.new_child(body, dataset, call.username())
    return Answer(call.site.store.add_child(ATTACHMENTS, dataset["pid"], new), status=201)


async def replace_attachment(call: Call) -> Answer:
    """PUT /datasets/{pid}/attachments/{id}: the attachment loses its dataset for good."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_update(dataset))
    body = call.body()
    validation.check_attachment(body)
    taken = call.site.store.take_child(ATTACHMENTS, call.params["id"])
    if taken is None:
        raise Refusal(404, f"attachment: {call.params['id']} not found")
    return Answer(call.site.store.add_child(ATTACHMENTS, "", taken | body))


async def delete_attachment(call: Call) -> Answer:
    """DELETE /datasets/{pid}/attachments/{id}: silent when there is no such attachment."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete_attachments(dataset))
    return Answer(call.site.store.take_child(ATTACHMENTS, call.params["id"]))


async def thumbnail(call: Call) -> Answer:
    """GET /datasets/{pid}/thumbnail: that of the first attachment, or nothing."""
    attachments = _listed(call, ATTACHMENTS)
    return Answer({"thumbnail": attachments[0].get("thumbnail")} if attachments else {})
