"""What Kubernetes alone knows: which files stand on the prune calendar, and what people said of Scans."""

from collections.abc import Mapping

from dichroism_crds.client import Api, ApiError
from dichroism_crds.kinds import Prune, Scan
from dichroism_operator.audit.facts import Planned, Steered, microseconds_of
from dichroism_operator.audit.findings import Place, Sight
from dichroism_operator.audit.index import Index

PRUNES_A_PAGE = 20
"""One may hold a thousand items, a megabyte."""


async def look_from(namespace: str | None, index: Index, sights: Mapping[str, Sight]) -> None:
    """Connect, and read all Prunes and Scans of the beamlines; where that fails, every sight notes it."""
    try:
        async with await Api.connect(namespace) as api:
            await look(api, index, sights)
    except ApiError as error:
        _miss(sights, f"the Kubernetes API can't be asked: {error.message}")


async def look(api: Api, index: Index, sights: Mapping[str, Sight]) -> None:
    """Read all Prunes and Scans of the beamlines into the index; where that fails, every sight notes it."""
    unreadable: list[str] = []

    def skip(name: str, _error: object) -> None:
        unreadable.append(name)

    try:
        async for prune in api.list(Prune, limit=PRUNES_A_PAGE, on_unreadable=skip):
            if prune.spec.beamline in sights:
                index.add_planned(prune.spec.beamline, _items(prune))
        async for scan in api.list(Scan, on_unreadable=skip):
            told = scan.spec.export_controlled or scan.spec.suspend  # of the others there is nothing to say
            if told and scan.spec.beamline in sights:
                index.add_scans(scan.spec.beamline, [(scan.spec.path, _steered(scan))])
    except ApiError as error:
        _miss(sights, f"the Kubernetes API can't be asked: {error.message}")
    if unreadable:
        _miss(sights, f"{len(unreadable)} objects can't be read by this version, such as {unreadable[0]}")


def _miss(sights: Mapping[str, Sight], why: str) -> None:
    for sight in sights.values():
        sight.miss(Place.KUBERNETES, why)


def _items(prune: Prune) -> list[tuple[str, str, Planned]]:
    endpoint = prune.spec.endpoint.name
    return [
        (item.path, prune.name, Planned(endpoint, item.size, microseconds_of(item.modified_at)))
        for item in prune.spec.items
    ]


def _steered(scan: Scan) -> Steered:
    return Steered(export_controlled=bool(scan.spec.export_controlled), suspended=bool(scan.spec.suspend))
