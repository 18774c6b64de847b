"""Routes of what belongs to a dataset: files on disk and copies in the archive; :mod:`attachments` has the rest."""

import asyncio
from collections.abc import Callable

from tests.emulators.scicat import documents, queries, validation
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.site import Call
from tests.emulators.scicat.store import DATABLOCKS, ORIGDATABLOCKS, DuplicateKeyError

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


def listed(call: Call, kind: str) -> list[Json]:
    """The children of the dataset in the path, for those who may see them."""
    dataset = call.dataset()
    require(call.caller.may_read_children(dataset))
    return call.site.store.children(kind, dataset["pid"])


async def list_origdatablocks(call: Call) -> Answer:
    """GET /datasets/{pid}/origdatablocks."""
    return Answer(listed(call, ORIGDATABLOCKS))


async def add_origdatablock(call: Call) -> Answer:
    """POST /datasets/{pid}/origdatablocks: nothing is unique here, so a repeated POST doubles the dataset's size."""
    call.require_login()
    body = call.body()
    validation.check_origdatablock(body)
    return await _add_origdatablock(call, call.dataset(), body)


async def add_origdatablock_by_pid(call: Call) -> Answer:
    """POST /origdatablocks, in v3 and v4: the body names the dataset, and may name owner and readers."""
    call.require_login()
    body = call.body()
    validation.check_published(call.site.contract, "CreateOrigDatablockDto", body)
    return await _add_origdatablock(call, call.dataset(body["datasetId"]), body)


async def _add_origdatablock(call: Call, dataset: Json, body: Json) -> Answer:
    require(call.caller.may_add_children(dataset))
    new = documents.new_block(body, dataset, call.username())
    if call.is_v4:
        new["version"] = "v4"
    added = call.site.store.add_child(ORIGDATABLOCKS, dataset["pid"], new)
    await _add_to_counters(call, dataset, size=body["size"], numberOfFiles=len(body["dataFileList"]))
    return Answer(added, status=201)


async def delete_origdatablock(call: Call) -> Answer:
    """DELETE /datasets/{pid}/origdatablocks/{oid}: for the delete groups; takes its share off the counters."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete())
    removed = call.site.store.take_child(ORIGDATABLOCKS, dataset["pid"], call.params["oid"])
    if removed is None:
        raise Refusal(404, f"origDatablock: {call.params['oid']} not found")
    await _add_to_counters(call, dataset, size=-removed["size"], numberOfFiles=-len(removed["dataFileList"]))
    return Answer(removed)


async def list_datablocks(call: Call) -> Answer:
    """GET /datasets/{pid}/datablocks."""
    return Answer(listed(call, DATABLOCKS))


async def add_datablock(call: Call) -> Answer:
    """POST /datasets/{pid}/datablocks: archiveId is unique over all datasets, and a taken one is a bare 500."""
    call.require_login()
    body = call.body()
    validation.check_datablock(body)
    return await _add_datablock(call, call.dataset(), body, lambda: Refusal(500, "E11000 duplicate key error"))


async def add_datablock_by_pid(call: Call) -> Answer:
    """POST /datablocks: the body names the dataset; here a taken archiveId is a 409."""
    call.require_login()
    body = call.body()
    validation.check_published(call.site.contract, "CreateDatablockDto", body)
    words = "A datablock with this this unique key already exists!"
    return await _add_datablock(call, call.dataset(body["datasetId"]), body, lambda: Refusal(409, words))


async def _add_datablock(call: Call, dataset: Json, body: Json, taken: Callable[[], Refusal]) -> Answer:
    require(call.caller.may_add_children(dataset))
    new = documents.new_block(body, dataset, call.username())
    try:
        added = call.site.store.add_child(DATABLOCKS, dataset["pid"], new)
    except DuplicateKeyError as error:
        raise taken() from error
    counts = {"packedSize": body["packedSize"], "numberOfFilesArchived": len(body["dataFileList"])}
    await _add_to_counters(call, dataset, **counts)
    return Answer(added, status=201)


async def find_datablocks(call: Call) -> Answer:
    """GET /datablocks: of all datasets that the caller may read the file lists of."""
    query = queries.parse_filter(call.query.get("filter"))
    store = call.site.store
    blocks = store.children(DATABLOCKS)
    visible = [block for block in blocks if call.caller.may_read_children(store.dataset(block["datasetId"]) or block)]
    return Answer(queries.select(visible, query, call.site.settings.is_v5))
