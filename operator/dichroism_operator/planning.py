"""Which Scans go into the next Transfer or Prune: pure functions over cards, Scans and Transfers.

The limits keep an object well below the 1.5 MiB that etcd takes in one request.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from dichroism_crds.config import BundleLimits
from dichroism_crds.kinds import Scan, Transfer, TransferItem, TransferPhase
from dichroism_crds.names import number_of
from dichroism_crds.reasons import Reason
from dichroism_crds.schema_size import stored_bytes
from dichroism_crds.timestamps import EPOCH, format_time
from dichroism_operator.board import Card

MAX_NAME_IN_LABEL = 43
"""Characters of a Transfer's name in the label of its outside task: with two UUIDs beside it, Globus takes no more."""
ITEM_OVERHEAD_BYTES = 220
"""JSON of a Transfer's item without its path: Scan name, uid, size, time and punctuation, rounded up."""
DAY = timedelta(days=1)
_MANIFEST_NAME = re.compile(
    r"(?P<bundle>(?P<beamline>[a-z0-9-]+)-(?P<first>\d{8})-(?P<last>\d{8})-[0-9a-f]+-[0-9A-Za-z]+\.tar)\.tsv"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large one Transfer may become: items, bytes of its spec, bytes of its files."""

    items: int
    spec_bytes: int
    file_bytes: int


DISK_LIMITS = Limits(items=1000, spec_bytes=512 * 1024, file_bytes=20 * 10**9)
SETTLE = timedelta(seconds=10)
"""A batch on the first hop is at least this old, unless its lane is idle."""


def tape_limits(bundle: BundleLimits) -> Limits:
    """Limits of one bundle; the configuration may only tighten the object's own."""
    return Limits(items=min(4000, bundle.max_files), spec_bytes=1024 * 1024, file_bytes=bundle.target)


def ready(cards: Iterable[Card], taken: Collection[str], now: datetime) -> Iterator[Card]:
    """Cards that may be worked on now, in the order in which they came."""
    return (card for card in cards if card.name not in taken and (card.retry_at is None or card.retry_at <= now))


def take(cards: Sequence[Card], limits: Limits) -> list[Card]:
    """The first cards that fit into one Transfer; always at least one, so that a huge file is not stuck."""
    chosen: list[Card] = []
    spec_bytes = file_bytes = 0
    for card in cards:
        spec_bytes += ITEM_OVERHEAD_BYTES + 2 * card.path_length
        file_bytes += card.size
        if chosen and (len(chosen) >= limits.items or spec_bytes > limits.spec_bytes or file_bytes > limits.file_bytes):
            break
        chosen.append(card)
    return chosen


def fitting(items: Sequence[TransferItem], limits: Limits) -> list[TransferItem]:
    """The first items whose real size fits into one spec; the cards' estimate cannot know every character's."""
    total = 0
    for count, item in enumerate(items):
        total += stored_bytes(item.wire()) + 1
        if count and total > limits.spec_bytes:
            return list(items[:count])
    return list(items)


def halves(scans: Sequence[Scan], failed: Iterable[Transfer]) -> list[Scan]:
    """The part of a batch that may go together after a Transfer failed as a whole.

    The newest such Transfer that names the first Scan decides: half of its items, until the bad file stands alone.
    """
    if not scans:
        return []
    broken = sorted(
        (one for one in failed if one.status.phase == TransferPhase.FAILED and _failed_as_a_whole(one)),
        key=lambda one: number_of(one.name),
        reverse=True,
    )
    for transfer in broken:
        named = {item.uid for item in transfer.spec.items}
        if scans[0].metadata.uid in named:
            together = [scan for scan in scans if scan.metadata.uid in named]
            return together[: (len(named) + 1) // 2]
    suspects = {item.uid for one in broken for item in one.spec.items}
    return [scan for scan in scans if scan.metadata.uid not in suspects]


def _failed_as_a_whole(transfer: Transfer) -> bool:
    return any(one.reason == Reason.TASK_FAILED for one in transfer.status.conditions)


def items_of(scans: Iterable[Scan]) -> list[TransferItem]:
    """Items in the order of their paths, so that equal plans are equal."""
    items = [
        TransferItem(
            scan=scan.name,
            uid=scan.metadata.uid or "",
            path=scan.spec.path,
            size=scan.spec.size,
            modified_at=scan.spec.modified_at,
        )
        for scan in scans
    ]
    return sorted(items, key=lambda item: item.path)


def task_label(installation: str, transfer: str, submission_id: str) -> str:
    """Label of an outside task, by which it is found again: ``dichroism <namespace UID> <transfer> <submissionId>``.

    A very long name of a Transfer is shortened in the middle; the submission id alone makes the label unique.
    """
    return f"{label_prefix(installation)}{_shortened(transfer)} {submission_id}"


def label_prefix(installation: str) -> str:
    """How the labels of all tasks of this installation begin."""
    return f"dichroism {installation} "


def lane_of_label(label: str) -> str:
    """The lane that a task's label names; equal for all tasks of a lane, however long its name is."""
    return label.rpartition(" ")[0].rpartition(" ")[2].rpartition("-")[0]


def _shortened(name: str) -> str:
    half = (MAX_NAME_IN_LABEL - 1) // 2
    return name if len(name) <= MAX_NAME_IN_LABEL else f"{name[:half]}~{name[-half:]}"


def own_contents(failed: Iterable[Transfer]) -> frozenset[tuple[str, int, datetime]]:
    """Path, size and time of what a failed Transfer may have left half-written: only one whose task was started."""
    return frozenset(
        (item.path, item.size, item.modified_at) for one in failed if one.status.task_id for item in one.spec.items
    )


def plan_sha256(items: Iterable[TransferItem]) -> str:
    """Digest over the sorted lines path, size, modifiedAt: equal plans have equal digests."""
    lines = sorted(f"{item.path}\t{item.size}\t{format_time(item.modified_at)}\n" for item in items)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def bundle_path(beamline: str, items: Sequence[TransferItem], digest: str, submission_id: str) -> str:
    """Path of a bundle below the archive's root: a folder per year, a name that no other attempt has."""
    days = sorted(item.modified_at.astimezone(UTC) for item in items)
    first, last = days[0], days[-1]
    key = submission_id.replace("-", "")[:8]
    return f"{first:%Y}/{beamline.lower()}-{first:%Y%m%d}-{last:%Y%m%d}-{digest[:12]}-{key}.tar"


class BundleName(NamedTuple):
    """What the name of a bundle says: its beamline in lower case, its path on tape, first and last day of its files."""

    beamline: str
    path: str
    first: date
    last: date


def bundle_of_manifest(name: str) -> BundleName:
    """The bundle to which a manifest belongs, from the manifest's file name: the inverse of :func:`bundle_path`.

    ``bl402-20261122-20261123-0123456789ab-89abcdef.tar.tsv`` lies in the folder of its first year.

    Raises:
        ValueError: it is no such name.
    """
    found = _MANIFEST_NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is not the name of a manifest such as bl402-20261122-20261123-<plan>-<id>.tar.tsv")
    first, last = (date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}") for day in (found["first"], found["last"]))
    return BundleName(found["beamline"], f"{first:%Y}/{found['bundle']}", first, last)


def not_before(anchor: datetime, after: timedelta) -> datetime:
    """When a file is due: ``after`` past the anchor, up to the next midnight UTC.

    A retention shorter than a day is taken exactly, to the next second: rounding would more than double it.
    """
    unit = DAY if after >= DAY else timedelta(seconds=1)
    return EPOCH + -((EPOCH - anchor - after) // unit) * unit
