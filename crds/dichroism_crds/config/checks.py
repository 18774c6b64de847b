"""What needs two sections of the document: names, shared folders, the ``needs`` graph.

Works on the data as written, not on the models, so that a bad duration in one place hides no dangling name in another.
What has the wrong type here was already reported by the models and is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from dichroism_crds.config.models import PLAIN_PATH_PATTERN
from dichroism_crds.config.outline import Outline, beamline_outlines, text_at
from dichroism_crds.config.yaml_text import KeyPath, Problem
from dichroism_crds.names import lane_name


def check_document(endpoints: Mapping[str, Any], sections: Mapping[str, Any]) -> list[Problem]:
    """Everything wrong between the sections. Paths are those of the file."""
    outlines = beamline_outlines(sections.get("beamlines"))
    problems = [*_overlaps(endpoints), *_shared_endpoints(outlines), *_holds(sections, outlines)]
    for outline in outlines:
        problems += _names(outline, endpoints)
        problems += _hops(outline, endpoints)
        problems += _prune(outline, endpoints)
        problems += _ingest(outline, sections)
    return problems


def _names(outline: Outline, endpoints: Mapping[str, Any]) -> Iterator[Problem]:
    for path, name in outline.references():
        if name not in endpoints:
            yield Problem(path, f"unknown endpoint {name!r}. Known: {_listed(endpoints) or 'none'}")


def _hops(outline: Outline, endpoints: Mapping[str, Any]) -> Iterator[Problem]:
    at = outline.path
    root, source, destination = outline.root, outline.source, outline.destination
    if root and source and root != source:
        yield Problem((*at, "transfer", "from"), f"must be {root!r}, the endpoint that watch.root names")
    if source and source == destination:
        yield Problem((*at, "transfer", "to"), f"{destination!r} is where the files come from: name another endpoint")
    if destination and outline.archive_source and outline.archive_source != destination:
        yield Problem((*at, "archive", "from"), f"must be {destination!r}, the endpoint that transfer.to names")
    if outline.archive_destination and outline.archive_destination in (source, destination):
        yield Problem(
            (*at, "archive", "to"), f"{outline.archive_destination!r} already holds the files: name a tape endpoint"
        )
    if outline.mover == "sfapi":
        yield Problem((*at, "transfer", "mover"), "sfapi writes tape bundles only: use filesystem or globus")
    if outline.archive_mover == "globus":
        yield Problem((*at, "archive", "mover"), "globus makes no tape bundles: use filesystem or sfapi")
    if outline.archive_mover == "sfapi":
        for key, name in (("from", outline.archive_source), ("to", outline.archive_destination)):
            root = text_at(endpoints, name, "root_path") if name in endpoints else None
            if root and not re.fullmatch(PLAIN_PATH_PATTERN, root):
                yield Problem(
                    (*at, "archive", key),
                    f"the root_path of endpoint {name!r} stands on command lines at the site: letters, digits and "
                    "_ . / + - only",
                )
    if outline.mover == "globus":
        for key, name in (("from", source), ("to", destination)):
            if name in endpoints and text_at(endpoints, name, "uuid") is None:
                yield Problem((*at, "transfer", key), f"the mover globus needs the uuid of endpoint {name!r}")
    ways = ((source, destination), (destination, outline.archive_destination))
    lanes = [lane_name(outline.name, left, right) for left, right in ways if left and right]
    if len(set(lanes)) < len(lanes):
        yield Problem(at, "both hops would have the same name in the cluster: rename an endpoint")


def _prune(outline: Outline, endpoints: Mapping[str, Any]) -> Iterator[Problem]:
    produced = outline.produces
    for endpoint, needs in outline.needs.items():
        at = (*outline.path, "prune", endpoint)
        if endpoint in endpoints and endpoint not in produced:
            yield Problem(
                at, f"{outline.name} puts no files there, it would delete those of others. {_copies(outline)}"
            )
        elif endpoint == outline.archive_destination:
            yield Problem(at, "the archive is never pruned: remove this entry")
        for number, name in enumerate(needs):
            if name == endpoint:
                yield Problem(
                    (*at, "needs"), f"{name!r} is the endpoint that is pruned: it cannot be its own safe copy"
                )
            elif name in endpoints and name not in produced:
                yield Problem((*at, "needs"), f"no step of {outline.name} makes a copy on {name!r}. {_copies(outline)}")
            elif name in needs[:number]:
                yield Problem((*at, "needs"), f"{name!r} stands twice: each needed copy counts once")
    for endpoint in outline.loses_folders:
        if outline.mover == "globus" and endpoint in (outline.source, outline.destination):
            yield Problem(
                (*outline.path, "prune", endpoint, "remove_empty_folders"),
                f"the mover globus looks after {endpoint!r}, and Globus removes folders with all that is in them, so a "
                "file that comes in that moment would be lost: remove this key",
            )
    others = {endpoint: [need for need in needs if need != endpoint] for endpoint, needs in outline.needs.items()}
    cycle = find_cycle(others)
    if cycle:
        # Every pruned endpoint has needs (the models refuse an empty list), so without a cycle the last endpoint of
        # every chain is one that is never pruned: the one verified copy that always remains.
        yield Problem(
            (*outline.path, "prune"),
            f"needs form a circle ({' -> '.join(cycle)}): each copy would be the reason to delete the other",
        )


def find_cycle(graph: Mapping[str, list[str]]) -> list[str]:
    """One cycle of the graph as the names along it, the first again at the end; empty when there is none."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for following in graph.get(name, []):
            if found := visit(following, [*trail, name]):
                return found
        done.add(name)
        return []

    return next((found for start in graph if (found := visit(start, []))), [])


def _ingest(outline: Outline, sections: Mapping[str, Any]) -> Iterator[Problem]:
    if outline.ingests and sections.get("scicat") is None:
        yield Problem((*outline.path, "ingest"), "needs the top-level section scicat with its url")
    if outline.ingests and not outline.location:
        yield Problem(
            (*outline.path, "ingest", "location"),
            "is missing. It can be derived only for names such as BL402; write for example 'ALS 11.0.2'",
        )


def _shared_endpoints(outlines: list[Outline]) -> Iterator[Problem]:
    """A folder on disk belongs to one beamline: relative paths, prune rules and CronJobs are per endpoint."""
    disks: dict[str, str] = {}
    for outline in outlines:
        for path, name in ((("watch", "root"), outline.root), (("transfer", "to"), outline.destination)):
            owner = disks.setdefault(name, outline.name) if name else outline.name
            if owner != outline.name:
                yield Problem(
                    (*outline.path, *path),
                    f"{name!r} already holds the files of {owner}, and files of the same relative path would meet: "
                    "give each beamline an endpoint of its own",
                )
    for outline in outlines:
        owner = disks.get(outline.archive_destination or "", outline.name)
        if owner != outline.name:
            yield Problem(
                (*outline.path, "archive", "to"), f"{outline.archive_destination!r} holds the files of {owner} on disk"
            )


def _holds(sections: Mapping[str, Any], outlines: list[Outline]) -> Iterator[Problem]:
    holds = sections.get("holds")
    names = [outline.name for outline in outlines]
    for number, hold in enumerate(holds if isinstance(holds, list) else []):
        beamline = text_at(hold, "beamline")
        if beamline is not None and beamline not in names:
            yield Problem(
                ("holds", number, "beamline"),
                f"unknown beamline {beamline!r}, so nothing would be held. Known: {_listed(names) or 'none'}",
            )


def _overlaps(endpoints: Mapping[str, Any]) -> Iterator[Problem]:
    for first, second in combinations(endpoints, 2):
        here, there = endpoints[first], endpoints[second]
        if _same_site(here, there):
            yield from _overlap((second, "root_path"), first, _root_path(here), _root_path(there))
        if (
            _uuid(here)
            and _uuid(here) == _uuid(there)
            and (text_at(here, "globus_path") or text_at(there, "globus_path"))
        ):
            key = "globus_path" if text_at(there, "globus_path") else "root_path"
            yield from _overlap((second, key), first, _collection_path(here), _collection_path(there))
        yield from _overlap((second, "mount"), first, text_at(here, "mount"), text_at(there, "mount"))


def _overlap(path: KeyPath, first: str, here: str | None, there: str | None) -> Iterator[Problem]:
    if here is None or there is None:
        return
    left, right = here.rstrip("/") + "/", there.rstrip("/") + "/"
    if left == right:
        yield Problem(path, f"is the folder of endpoint {first!r} too: one folder must be one endpoint")
    elif left.startswith(right) or right.startswith(left):
        inner = "lies inside" if right.startswith(left) else "contains"
        yield Problem(path, f"{inner} {here!r} of endpoint {first!r}: folders of endpoints must not overlap")


def _root_path(endpoint: Any) -> str | None:
    """The root for comparison; ``/`` is refused by the models, and that it contains everything is no second error."""
    root = text_at(endpoint, "root_path")
    return root if root and root.strip("/") else None


def _collection_path(endpoint: Any) -> str | None:
    return text_at(endpoint, "globus_path") or text_at(endpoint, "root_path")


def _same_site(left: Any, right: Any) -> bool:
    """Whether two roots may be on one file system; two entries that name no site are taken as one site."""
    left_uri, right_uri = (text_at(one, "uri") for one in (left, right))
    if _uuid(left) and _uuid(left) == _uuid(right):
        return True
    if left_uri and right_uri:
        return left_uri.casefold() == right_uri.casefold()
    return not any((left_uri, right_uri, _uuid(left), _uuid(right)))


def _uuid(endpoint: Any) -> str | None:
    """The uuid for comparison; a placeholder says nothing about the collection."""
    uuid = text_at(endpoint, "uuid")
    return None if uuid is None or uuid.startswith("<") else uuid.casefold()


def _copies(outline: Outline) -> str:
    return f"It makes copies on: {_listed(outline.produces) or 'none'}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
