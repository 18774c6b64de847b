"""From what a task says about its files to one result per item: pure functions, no I/O.

Nothing is verified because a task ended well: a file counts when the task compared its checksum, the destination shows
it with the right size and time, and the source still is the file that was asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import same_time
from dichroism_operator.movers.base import FileStat, Item, ItemResult
from dichroism_operator.movers.globus.documents import SUCCEEDED, Entry, Sent, Skipped, TaskDocument

RESOLUTION = timedelta(seconds=1)
"""Of the times in listings."""

_SKIPPED = {"FILE_NOT_FOUND": Reason.SOURCE_MISSING}
"""Whatever else is skipped is there but can't be read."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An item whose copy the task says is right. ``sent``: copied now; otherwise it was right before."""

    item: Item
    sent: bool
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """The items of a task by what the task says of them."""

    claims: tuple[Claim, ...]
    troubles: tuple[ItemResult, ...]
    unreached: tuple[Item, ...]
    """Not known to be right: the task did not come to them, or does not tell."""


def account(
    task: TaskDocument,
    items: Sequence[Item],
    paths: Mapping[str, str],
    sent: Iterable[Sent],
    skipped: Iterable[Skipped],
    *,
    complete: bool,
) -> Account:
    """Sort the items by what the task says.

    A file that was right before is in neither of the task's lists. So, of a task that succeeded, an item in no list is
    right; when it is not certain which items the task was given, only if the task counted exactly so many.

    Args:
        task: an ended task.
        items: what it was given, or more.
        paths: path of each item as the destination collection names it.
        sent: its successful transfers.
        skipped: what it skipped because of an error at the source.
        complete: ``items`` is exactly what it was given.
    """
    sent_by_path = {one.destination_path: one for one in sent}
    skipped_by_path = {one.destination_path: one for one in skipped}
    unlisted = [item for item in items if paths[item.path] not in sent_by_path | skipped_by_path]
    right_before = task.status == SUCCEEDED and (complete or len(unlisted) == task.files_skipped)
    claims: list[Claim] = []
    troubles: list[ItemResult] = []
    for item in items:
        where = paths[item.path]
        if where in skipped_by_path:
            troubles.append(_skipped(item, skipped_by_path[where]))
        elif where in sent_by_path:
            claims.append(Claim(item, True, sent_by_path[where].sha256))
        elif right_before:
            claims.append(Claim(item, False, None))
    return Account(tuple(claims), tuple(troubles), () if right_before else tuple(unlisted))


def _skipped(item: Item, row: Skipped) -> ItemResult:
    reason = _SKIPPED.get(row.code, Reason.SOURCE_UNREADABLE)
    details = f" ({row.details[:300]})" if row.details else ""
    return ItemResult(
        item.path, reason, f"Globus skipped {item.path}: {row.code}{details}. Mend the source, then retry"
    )


def source_trouble(item: Item, found: FileStat | None) -> ItemResult | None:
    """Why the file at the source is not the one that was asked for; None when it is."""
    if found is None:
        return ItemResult(item.path, Reason.SOURCE_MISSING, f"{item.path} is not at the source")
    if not is_content(item, found):
        text = f"{item.path} has {found.size} bytes of {found.modified_at}, not {item.size} of {item.modified_at}"
        return ItemResult(item.path, Reason.SOURCE_CHANGED, text)
    return None


def copy_trouble(item: Item, found: Entry | None) -> ItemResult | None:
    """Why what lies at the destination is not the copy; None when size and time are right."""
    if found is None:
        return ItemResult(item.path, Reason.COPY_MISSING, f"{item.path} is not at the destination after the task")
    if found.stat is None:
        text = f"a link or folder stands at {item.path} at the destination. Clear the way, then retry"
        return ItemResult(item.path, Reason.DESTINATION_OBSTRUCTED, text)
    if not is_content(item, found.stat):
        text = (
            f"the copy of {item.path} has {found.stat.size} bytes of {found.stat.modified_at}, not {item.size} of "
            f"{item.modified_at}"
        )
        return ItemResult(item.path, Reason.COPY_DIFFERS, text)
    return None


def verified(claim: Claim, sha256: str | None) -> ItemResult:
    """The result of a claim whose copy and source were looked at; ``sha256`` of the copy where one is known."""
    item = claim.item
    if item.sha256 and sha256 and item.sha256 != sha256:
        text = f"{item.path} has the sha256 {sha256}, of record is {item.sha256}: look after source and copy"
        return ItemResult(item.path, Reason.CHECKSUM_MISMATCH, text)
    return ItemResult(item.path, Reason.COPIED if claim.sent else Reason.ALREADY_THERE, sha256=sha256)


def is_content(item: Item, found: FileStat) -> bool:
    """Whether size and time are the item's, as far as a listing can tell."""
    return found.size == item.size and same_time(found.modified_at, item.modified_at, RESOLUTION)
