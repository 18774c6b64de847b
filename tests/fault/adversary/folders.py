"""What must become of the folders in which the files lay: a model that knows nothing of how the job decides it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath

from dichroism_crds.timestamps import now
from tests.fault.adversary.subjects import DATA, Shelves, Subject
from tests.integration.prune.site import Site

UNTOUCHED = timedelta(days=1)
TOLD = DATA
"""The only endpoint whose empty folders are to go."""
Changes = Mapping[str, float]
"""When each folder of an endpoint was last changed, in seconds since 1970."""


def folder_changes(site: Site, endpoint: str) -> dict[str, float]:
    """The folders of users as they are now."""
    return {path: (site.roots[endpoint] / path).stat().st_mtime for path in site.folders(endpoint)}


def folder_violations(
    site: Site, shelves: Shelves, subjects: Sequence[Subject], changes: Mapping[str, Changes]
) -> Iterator[str]:
    """What is wrong after a run before which the folders had these changes, by endpoint."""
    yield from (f"{one.notes} is lost" for one in subjects if one.notes and not one.notes.exists())
    for endpoint, before in changes.items():
        after, trash = site.folders(endpoint), shelves.trash(endpoint)
        emptied = {
            _above(one.path)
            for one in subjects
            if not one.lost and one.content not in trash and shelves.at(endpoint, one.path) != one.content
        }
        yield from _removed_wrongly(before, after, emptied, told=endpoint == TOLD)
        if endpoint == TOLD:
            yield from _left_wrongly(before, after, emptied, site)


def _removed_wrongly(before: Changes, after: Collection[str], emptied: Collection[str], *, told: bool) -> Iterator[str]:
    young = (now() - UNTOUCHED).timestamp()
    for folder in before.keys() - after:
        if not told:
            yield f"{folder} is gone although nobody said so"
        elif before[folder] > young:
            yield f"{folder} is gone although it changed within a day"
        elif folder not in emptied and not _inner(folder, before):
            yield f"{folder} is gone although no deletion emptied it"


def _left_wrongly(before: Changes, after: Collection[str], emptied: Collection[str], site: Site) -> Iterator[str]:
    young = (now() - UNTOUCHED).timestamp()
    for folder in before.keys() & after:
        thinned = any(inner not in after for inner in _inner(folder, before))
        empty = not any((site.roots[TOLD] / folder).iterdir())
        if empty and before[folder] <= young and (folder in emptied or thinned):
            yield f"{folder} is still there although a deletion left it empty"


def _inner(folder: str, folders: Collection[str]) -> list[str]:
    return [one for one in folders if _above(one) == folder]


def _above(path: str) -> str:
    return str(PurePosixPath(path).parent)
