"""Routes of the dataset itself in v4, as far as the public clients use them: lists instead of single values."""

from typing import Any

from tests.emulators.scicat import datasets, documents, queries, validation, views
from tests.emulators.scicat.access import require
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.site import Call

_MERGE = "application/merge-patch+json"


def _shown(call: Call, dataset: Json) -> Json:
    return views.dataset_v4(dataset, is_v5=call.site.settings.is_v5)


async def create(call: Call) -> Answer:
    """POST /v4/datasets."""
    call.require_login()
    body = call.body()
    validation.check_published(call.site.contract, "CreateDatasetDto", body)
    dataset = documents.new_dataset(body, call.username(), is_v3=False)
    datasets.add(call, body, dataset)
    return Answer(_shown(call, dataset), status=201)


async def is_valid(call: Call) -> Answer:
    """POST /v4/datasets/isValid: a dry run, for those who could create the dataset."""
    call.require_login()
    body = call.body()
    require(call.caller.may_create(body), "Unauthorized to create this dataset")
    return Answer({"valid": not call.site.contract.body("CreateDatasetDto", body)})


async def find(call: Call) -> Answer:
    """GET /v4/datasets."""
    query = queries.parse_filter(call.query.get("filter"))
    found = (dataset for dataset in call.site.store.datasets() if call.caller.may_read(dataset))
    page = queries.select(found, query, call.site.settings.is_v5)
    return Answer([_shown(call, dataset) if "scientificMetadata" in dataset else dataset for dataset in page])


async def read(call: Call) -> Answer:
    """GET /v4/datasets/{pid}, with the children that ``include`` names."""
    dataset = call.dataset()
    require(call.caller.may_read(dataset))
    return Answer(datasets.with_relations(call, _shown(call, dataset), call.query.getall("include", [])))


async def patch(call: Call) -> Answer:
    """PATCH /v4/datasets/{pid}: with the type of a merge patch the metadata are merged, otherwise replaced.

    Of a value that has a unit neither may be sent alone.
    """
    call.require_login()
    dataset = call.dataset()
    body = call.body()
    validation.check_published(call.site.contract, "PartialUpdateDatasetDto", body)
    require(call.caller.may_update(dataset), "Unauthorized to update this dataset")
    datasets.require_unmodified(call, dataset)
    given = body.get("scientificMetadata")
    if given is not None:
        halves = _half_quantities(given, dataset["scientificMetadata"])
        if halves:
            raise Refusal(400, f"Original dataset {dataset['pid']} contains both value and unit in {', '.join(halves)}")
        if call.headers.get("Content-Type", "").startswith(_MERGE):
            body["scientificMetadata"] = _merged(dataset["scientificMetadata"], given)
    dataset |= documents.normalised(body)
    documents.touch(dataset, call.username())
    call.site.store.put_dataset(dataset)
    return Answer(_shown(call, dataset))


def _half_quantities(given: Json, stored: Any) -> list[str]:
    """Names of values that come without their unit, or the other way round."""
    found = []
    for name, value in given.items():
        known = stored.get(name) if isinstance(stored, dict) else None
        if isinstance(value, dict):
            parts = {"value", "unit"}
            if isinstance(known, dict) and parts <= set(known) and len(parts & set(value)) == 1:
                found.append(name)
            found.extend(f"{name}.{inner}" for inner in _half_quantities(value, known))
    return found


def _merged(stored: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
