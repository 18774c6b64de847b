"""Routes of the dataset itself: create, find, read, patch, lifecycle, delete."""

from tests.emulators.scicat import documents, queries, validation
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.site import Call
from tests.emulators.scicat.store import ATTACHMENTS, DATABLOCKS, ORIGDATABLOCKS, DuplicateKeyError


async def create(call: Call) -> Answer:
    """POST /datasets: 409 when the pid is taken; without a pid every POST makes another dataset."""
    call.require_login()
    body = call.body()
    validation.check_dataset(body)
    require(call.caller.may_create(body), "Unauthorized to create this dataset")
    dataset = documents.new_dataset(body, call.username())
    try:
        call.site.store.add_dataset(dataset)
    except DuplicateKeyError as error:
        raise Refusal(409, f"Dataset with pid {dataset['pid']} already exists") from error
    return Answer(dataset, status=201)


async def is_valid(call: Call) -> Answer:
    """POST /datasets/isValid: a dry run."""
    call.require_login()
    broken = validation.broken_dataset(call.body())
    return Answer({"valid": not broken, "error": broken})


async def find(call: Call) -> Answer:
    """GET /datasets: what the caller may see, so nobody sees an empty list and no refusal."""
    query = queries.parse_filter(call.query.get("filter"))
    visible = (dataset for dataset in call.site.store.datasets() if call.caller.may_read(dataset))
    page = queries.select(visible, query, call.site.settings.is_v5)
    return Answer([_with_relations(call, dataset, query) for dataset in page])


async def find_one(call: Call) -> Answer:
    """GET /datasets/findOne: 200 without a body when nothing is found."""
    found = (await find(call)).body
    return Answer(found[0] if found else None)


def _with_relations(call: Call, dataset: Json, query: Json) -> Json:
    for relation in query.get("include") or ():
        kind = relation.get("relation") if isinstance(relation, dict) else relation
        if kind in (ORIGDATABLOCKS, DATABLOCKS, ATTACHMENTS) and call.caller.may_read_children(dataset):
            dataset = dataset | {kind: call.site.store.children(kind, dataset["pid"])}
    return dataset


async def read(call: Call) -> Answer:
    """GET /datasets/{pid}."""
    dataset = call.dataset()
    require(call.caller.may_read(dataset))
    return Answer(dataset)


async def patch(call: Call) -> Answer:
    """PATCH /datasets/{pid}: a given ``datasetlifecycle`` sets all its other fields back to their defaults."""
    call.require_login()
    dataset = call.dataset()
    body = call.body()
    validation.check_dataset_patch(body)
    require(call.caller.may_update(dataset), "Unauthorized to update this dataset")
    dataset |= documents.normalised(body) | {"updatedBy": call.username(), "updatedAt": documents.timestamp()}
    call.site.store.put_dataset(dataset)
    return Answer(dataset)


async def read_lifecycle(call: Call) -> Answer:
    """GET /datasets/{pid}/datasetlifecycle."""
    dataset = call.dataset()
    require(call.caller.may_read(dataset))
    return Answer(dataset["datasetlifecycle"])


async def patch_lifecycle(call: Call) -> Answer:
    """PATCH /datasets/{pid}/datasetlifecycle: merges, unlike the dataset's own route."""
    call.require_login()
    body = call.body()
    validation.check_lifecycle_patch(body)
    dataset = call.dataset()
    require(call.caller.may_update_lifecycle(dataset), "Unauthorized to update this dataset")
    dataset["datasetlifecycle"] |= body
    dataset |= {"updatedBy": call.username(), "updatedAt": documents.timestamp()}
    call.site.store.put_dataset(dataset)
    return Answer(dataset["datasetlifecycle"])


async def delete(call: Call) -> Answer:
    """DELETE /datasets/{pid}: for the delete groups; the file lists stay behind."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete(), "Unauthorized to update this dataset")
    call.site.store.remove_dataset(dataset["pid"])
    return Answer(dataset)
