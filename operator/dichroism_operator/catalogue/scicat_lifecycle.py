"""Setting a dataset's lifecycle on SciCat: only what differs, through the route that merges, and read back."""

from dichroism_operator.catalogue.scicat_conversation import Conversation, Json


def set_lifecycle(talk: Conversation, dataset: Json, wanted: Json) -> Json:
    """Set the lifecycle where it differs from ``dataset``, and return the dataset as it is then."""
    changes = lifecycle_changes(dataset, wanted)
    if not changes:
        return dataset
    talk.client.patch_lifecycle(changes)
    dataset = talk.read_back()
    if lifecycle_changes(dataset, changes):
        raise talk.not_kept("the lifecycle")
    return dataset


def lifecycle_changes(dataset: Json, wanted: Json) -> Json:
    """What of ``wanted`` the lifecycle lacks. An empty text or object may be stored as nothing at all."""
    present = dataset.get("datasetlifecycle") or {}
    return {
        name: value
        for name, value in wanted.items()
        if present.get(name) != value and not (present.get(name) is None and value in ("", {}))
    }
