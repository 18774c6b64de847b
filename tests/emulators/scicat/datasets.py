"""Routes of the dataset itself in v3: create, find, read, patch, lifecycle, delete."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tests.emulators.scicat import documents, queries, validation, views
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.site import Call
from tests.emulators.scicat.store import ATTACHMENTS, DATABLOCKS, ORIGDATABLOCKS, DuplicateKeyError

RELATIONS = (ORIGDATABLOCKS, DATABLOCKS, ATTACHMENTS)


async def create(call: Call) -> Answer:
    """POST /datasets: 409 when the pid is taken; without a pid every POST makes another dataset."""
    call.require_login()
    body = call.body()
    validation.check_dataset(body, is_v5=call.site.settings.is_v5)
    dataset = documents.new_dataset(body, call.username())
    add(call, body, dataset)
    return Answer(views.dataset_v3(dataset), status=201)


def add(call: Call, body: Json, dataset: Json) -> None:
    """Store a new dataset where rights, the site's pattern for pids and its uniqueness allow it."""
    require(call.caller.may_create(body), "Unauthorized to create this dataset")
    pattern = call.site.settings.pid_pattern
    if pattern and body.get("pid") and not re.search(pattern, body["pid"]):
        raise Refusal(400, "PID is not following required standards")
    try:
        call.site.store.add_dataset(dataset)
    except DuplicateKeyError as error:
        raise Refusal(409, f"A dataset with pid {dataset['pid']} already exists!") from error


async def is_valid(call: Call) -> Answer:
    """POST /datasets/isValid: a dry run."""
    call.require_login()
    broken = validation.broken_dataset(call.body(), is_v5=call.site.settings.is_v5)
    return Answer({"valid": not broken} | ({"error": broken} if broken else {}))


async def find(call: Call) -> Answer:
    """GET /datasets: what the caller may see, so nobody sees an empty list and no refusal."""
    query = queries.parse_filter(call.query.get("filter"))
    page = queries.select(visible(call), query, call.site.settings.is_v5)
    return Answer([with_relations(call, dataset, query.get("include") or ()) for dataset in page])


async def find_one(call: Call) -> Answer:
    """GET /datasets/findOne: 200 without a body when nothing is found."""
    found = (await find(call)).body
    return Answer(found[0] if found else None)


async def full_query(call: Call) -> Answer:
    """GET /datasets/fullquery: fields that must be equal, or one of several; limits as in a filter."""
    fields = queries.parse_filter(call.query.get("fields"))
    limits = queries.parse_filter(call.query.get("limits"))
    where = {name: {"inq": value} if isinstance(value, list) else value for name, value in fields.items()}
    query = {"where": where, "limits": limits}
    return Answer(queries.select(visible(call), query, call.site.settings.is_v5))


def visible(call: Call) -> Iterator[Json]:
    """All datasets that the caller may see, as v3 shows them."""
    datasets = (dataset for dataset in call.site.store.datasets() if call.caller.may_read(dataset))
    return map(views.dataset_v3, datasets)


def with_relations(call: Call, dataset: Json, include: Iterable[Any]) -> Json:
    """The dataset with the children that were asked for, as far as the caller may see them."""
    for relation in include:
        kind = relation.get("relation") if isinstance(relation, dict) else relation
        if kind in RELATIONS and call.caller.may_read_children(dataset):
            children = call.site.store.children(kind, dataset["pid"])
            if kind == ATTACHMENTS and not call.is_v4:
                children = [views.attachment_v3(child) for child in children]
            dataset = dataset | {kind: children}
    return dataset


async def read(call: Call) -> Answer:
    """GET /datasets/{pid}."""
    dataset = call.dataset()
    require(call.caller.may_read(dataset))
    return Answer(views.dataset_v3(dataset))


async def patch(call: Call) -> Answer:
    """PATCH /datasets/{pid}: a given ``datasetlifecycle`` sets all its other fields back to their defaults.

    ``scientificMetadata`` is replaced whole.
    """
    call.require_login()
    dataset = call.dataset()
    body = call.body()
    validation.check_dataset_patch(body, is_v5=call.site.settings.is_v5)
    require(call.caller.may_update(dataset), "Unauthorized to update this dataset")
    require_unmodified(call, dataset)
    dataset |= documents.normalised(body)
    documents.touch(dataset, call.username())
    call.site.store.put_dataset(dataset)
    return Answer(views.dataset_v3(dataset))


def require_unmodified(call: Call, dataset: Json) -> None:
    """Refuse with 412 when the dataset was changed after the moment in the header ``If-Unmodified-Since``."""
    given = call.headers.get("If-Unmodified-Since")
    if not given:
        return
    try:
        since = datetime.fromisoformat(given)
    except ValueError:
        since = parsedate_to_datetime(given)
    if datetime.fromisoformat(dataset["updatedAt"]) > since:
        raise Refusal(412, f"dataset: {dataset['pid']} has been modified on server")


async def read_lifecycle(call: Call) -> Answer:
    """GET /datasets/{pid}/datasetlifecycle, the same in v3 and v4."""
    dataset = call.dataset()
    require(call.caller.may_read(dataset))
    return Answer(dataset["datasetlifecycle"])


async def patch_lifecycle(call: Call) -> Answer:
    """PATCH /datasets/{pid}/datasetlifecycle, in v3 and v4: merges, unlike the dataset's own route."""
    call.require_login()
    body = call.body()
    validation.check_lifecycle_patch(body)
    dataset = call.dataset()
    require(call.caller.may_update_lifecycle(dataset), "Unauthorized to update this dataset")
    dataset["datasetlifecycle"] |= body
    documents.touch(dataset, call.username())
    call.site.store.put_dataset(dataset)
    return Answer(dataset["datasetlifecycle"])


async def delete(call: Call) -> Answer:
    """DELETE /datasets/{pid}: for the delete groups; the file lists stay behind."""
    call.require_login()
    dataset = call.dataset()
    require(call.caller.may_delete(), "Unauthorized to update this dataset")
    call.site.store.remove_dataset(dataset["pid"])
    return Answer({name: value for name, value in dataset.items() if name != "history"})
