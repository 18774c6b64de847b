"""Which Prune objects the Scans of a beamline need: pure functions from Scans and configuration to Prunes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from dichroism_crds.config import Beamline, Config, Endpoint
from dichroism_crds.kinds import (
    Copy,
    Metadata,
    Prune,
    PruneBundle,
    PruneItem,
    PruneSpec,
    RecordedEndpoint,
    Scan,
    ScheduledPrune,
)
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT, prune_name
from dichroism_crds.schema_size import MAX_SPEC_BYTES, stored_bytes
from dichroism_operator.planning import not_before

MAX_ITEMS = 1000
SPEC_OVERHEAD_BYTES = 16 * 1024
"""For the endpoints, which carry paths of their own."""


def missing_prunes(scan: Scan, beamline: Beamline, existing: Collection[str]) -> list[str]:
    """Endpoints that are pruned by configuration and for which the Scan names none of the existing Prunes."""
    named = {entry.endpoint for entry in scan.status.prune if entry.prune in existing}
    return [endpoint for endpoint in beamline.prune if endpoint not in named]


def missing_copies(scan: Scan, beamline: Beamline, endpoint: str) -> list[str]:
    """Needed endpoints on which the Scan records no verified copy."""
    return [need for need in beamline.prune[endpoint].needs if scan.copy_on(need) is None]


def due_at(scan: Scan, beamline: Beamline, endpoint: str) -> datetime:
    """When the file may go from the endpoint: its retention past the verification of the last needed copy."""
    return not_before(anchor_of(scan, beamline, endpoint), beamline.prune[endpoint].retention(scan.spec.proposal))


def anchor_of(scan: Scan, beamline: Beamline, endpoint: str) -> datetime:
    """VerifiedAt of the last needed copy."""
    return max(copy.verified_at for copy in _needed(scan, beamline, endpoint))


def by_due_day(scans: Iterable[Scan], beamline: Beamline, endpoint: str) -> list[list[Scan]]:
    """Groups of Scans that may share one Prune, earliest first; a group's moment is its last file's."""
    groups: dict[datetime, list[Scan]] = defaultdict(list)
    for scan in scans:
        due = due_at(scan, beamline, endpoint)
        groups[due.replace(hour=0, minute=0, second=0, microsecond=0)].append(scan)
    parts: list[list[Scan]] = []
    for day in sorted(groups):
        parts += _full_parts(sorted(groups[day], key=lambda scan: scan.spec.path), beamline, endpoint)
    return parts


def _full_parts(scans: Sequence[Scan], beamline: Beamline, endpoint: str) -> list[list[Scan]]:
    """Cut where a Prune would hold too many items or too many bytes; a bundle is counted with each of its items."""
    parts: list[list[Scan]] = []
    room = 0
    for scan in scans:
        bundles: dict[tuple[str, str], int] = {}
        size = stored_bytes(_item(scan, beamline, endpoint, bundles).wire()) + sum(
            stored_bytes({"endpoint": place, "path": path}) for place, path in bundles
        )
        if not parts or len(parts[-1]) >= MAX_ITEMS or size > room:
            parts.append([])
            room = MAX_SPEC_BYTES - SPEC_OVERHEAD_BYTES
        parts[-1].append(scan)
        room -= size + 2
    return parts


def build_prune(scans: Sequence[Scan], beamline: Beamline, endpoint: str, config: Config, number: int) -> Prune:
    """The Prune of Scans that are due on the same day; every Scan has all needed copies."""
    rule = beamline.prune[endpoint]
    bundles: dict[tuple[str, str], int] = {}
    items = [_item(scan, beamline, endpoint, bundles) for scan in scans]
    moment = max(due_at(scan, beamline, endpoint) for scan in scans)
    return Prune(
        metadata=Metadata(
            name=prune_name(endpoint, moment.date(), number),
            labels={LABEL_BEAMLINE: beamline.name, LABEL_ENDPOINT: endpoint},
        ),
        spec=PruneSpec(
            beamline=beamline.name,
            endpoint=recorded(config.endpoints[endpoint]),
            not_before=moment,
            needs=[recorded(config.endpoints[need]) for need in rule.needs],
            bundles=[PruneBundle(endpoint=place, path=path) for place, path in bundles],
            items=items,
        ),
    )


def recorded(endpoint: Endpoint) -> RecordedEndpoint:
    """An endpoint as it is today, to be compared on the day of the deletion."""
    return RecordedEndpoint(name=endpoint.name, uuid=endpoint.uuid, root_path=endpoint.root_path)


def entry_of(prune: Prune) -> ScheduledPrune:
    """What a Scan records of the Prune in which it stands."""
    return ScheduledPrune(endpoint=prune.spec.endpoint.name, not_before=prune.spec.not_before, prune=prune.name)


def describes(item: PruneItem, scan: Scan) -> bool:
    """Whether an item names this Scan's present content."""
    return (item.path, item.size, item.modified_at) == (scan.spec.path, scan.spec.size, scan.spec.modified_at)


def _needed(scan: Scan, beamline: Beamline, endpoint: str) -> list[Copy]:
    found = [scan.copy_on(need) for need in beamline.prune[endpoint].needs]
    return [copy for copy in found if copy]


def _item(scan: Scan, beamline: Beamline, endpoint: str, bundles: dict[tuple[str, str], int]) -> PruneItem:
    copies = _needed(scan, beamline, endpoint)
    tape = next((copy for copy in copies if copy.member), None)
    index = bundles.setdefault((tape.endpoint, tape.path), len(bundles)) if tape else None
    return PruneItem(
        scan=scan.name,
        proposal=scan.spec.proposal,
        path=scan.spec.path,
        size=scan.spec.size,
        modified_at=scan.spec.modified_at,
        checksum=next((copy.checksum for copy in copies if copy.checksum), None),
        dataset=scan.status.dataset.pid if scan.status.dataset else None,
        anchor=anchor_of(scan, beamline, endpoint),
        bundle=index,
        member=tape.member if tape and tape.member != scan.spec.path else None,
    )
