"""Before a task is posted: which items may go, and nothing verified in their way (it is renamed to superseded)."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dichroism_crds.paths import PathError
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers.base import FileStat, Item, ItemResult
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.documents import Entry
from dichroism_operator.movers.globus.results import copy_trouble, is_content, source_trouble
from dichroism_operator.movers.mount import SUPERSEDED, Mount, user_path
from dichroism_operator.movers.placing import superseded_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found at the source: a file, or the trouble of each item that has no usable one."""

    good: tuple[Item, ...]
    troubles: tuple[ItemResult, ...]


def legal(items: Iterable[Item]) -> Looked:
    """Items whose paths a scan may have."""
    good: list[Item] = []
    troubles: list[ItemResult] = []
    for item in items:
        try:
            user_path(item.path)
        except PathError as error:
            troubles.append(ItemResult(item.path, Reason.INVALID_PATH, str(error)))
        else:
            good.append(item)
    return Looked(tuple(good), tuple(troubles))


def look_at_source(source: Collection, items: Sequence[Item]) -> Looked:
    """Items whose source is the file that was asked for, as a mount or the collection shows it now.

    Raises:
        MoverUnavailable: it can't be told.
    """
    found = _on_mount(source, items) if source.endpoint.mount else _in_collection(source, items)
    good: list[Item] = []
    troubles: list[ItemResult] = []
    for item in items:
        looked = found[item.path]
        trouble = looked if isinstance(looked, ItemResult) else source_trouble(item, looked)
        if trouble:
            troubles.append(trouble)
        else:
            good.append(item)
    return Looked(tuple(good), tuple(troubles))


def _on_mount(source: Collection, items: Sequence[Item]) -> dict[str, FileStat | ItemResult | None]:
    found: dict[str, FileStat | ItemResult | None] = {}
    with Mount(source.endpoint) as mount:
        for item in items:
            try:
                there = mount.lstat(item.path) is not None
                standing = mount.regular(item.path)
            except OSError as error:
                if mount.is_outage(error):
                    raise mount.outage(error) from error
                found[item.path] = _unreadable(item, source, error.strerror or str(error))
            else:
                if standing:
                    found[item.path] = FileStat(standing.st_size, from_ns(standing.st_mtime_ns))
                else:
                    found[item.path] = _no_file(item, source) if there else None
    return found


def _in_collection(source: Collection, items: Sequence[Item]) -> dict[str, FileStat | ItemResult | None]:
    found: dict[str, FileStat | ItemResult | None] = {}
    for item, entry in look_by_folder(source, items):
        if isinstance(entry, PermissionError):
            found[item.path] = _unreadable(item, source, entry.strerror or "")
        elif entry is None:
            found[item.path] = None
        else:
            found[item.path] = entry.stat or _no_file(item, source)
    return found


def look_by_folder(collection: Collection, items: Sequence[Item]) -> list[tuple[Item, Entry | PermissionError | None]]:
    """What lies at each item's path; a folder that refuses us is the trouble of its items alone.

    Raises:
        MoverUnavailable: the collection is in trouble.
    """
    folders: dict[str, list[Item]] = {}
    for item in items:
        folders.setdefault(item.path.rpartition("/")[0], []).append(item)
    found: list[tuple[Item, Entry | PermissionError | None]] = []
    for inside in folders.values():
        try:
            looked = collection.look([item.path for item in inside])
        except PermissionError as error:
            found += [(item, error) for item in inside]
        else:
            found += [(item, looked[item.path]) for item in inside]
    return found


def _unreadable(item: Item, source: Collection, said: str) -> ItemResult:
    text = f"{item.path} on {source.name} can't be examined: {said}. Repair it, then retry"
    return ItemResult(item.path, Reason.SOURCE_UNREADABLE, text)


def _no_file(item: Item, source: Collection) -> ItemResult:
    return _unreadable(item, source, "it is a link, a folder or a special file")


def clear_the_way(destination: Collection, items: Sequence[Item]) -> Looked:
    """Items that may be sent. What stands at their paths is right, our own partial copy, or is renamed before.

    Raises:
        MoverUnavailable: the destination is in trouble; nothing was sent.
    """
    good: list[Item] = []
    troubles: list[ItemResult] = []
    for item, standing in look_by_folder(destination, items):
        trouble = _in_the_way(destination, item, standing)
        if trouble:
            troubles.append(trouble)
        else:
            good.append(item)
    return Looked(tuple(good), tuple(troubles))


def _in_the_way(destination: Collection, item: Item, standing: Entry | PermissionError | None) -> ItemResult | None:
    if isinstance(standing, PermissionError):
        text = f"the folder of {item.path} on {destination.name} refuses us. Give our identity the permission"
        return ItemResult(item.path, Reason.PERMISSION_DENIED, text)
    if standing is None:
        return None
    if standing.stat is None:
        return copy_trouble(item, standing)
    if is_content(item, standing.stat):
        return None  # The checksum decides whether it is sent.
    if item.own_partial and standing.stat.size != item.size:
        return None
    return _supersede(destination, item)


def _supersede(destination: Collection, item: Item) -> ItemResult | None:
    """Rename what stands at the item's path, under a name never used before."""
    kept = f"{SUPERSEDED}/{superseded_name(item.path.rpartition('/')[2])}"
    try:
        destination.rename(item.path, kept)
    except FileNotFoundError:
        return None
    except OSError as error:
        text = (
            f"another content stands at {item.path} on {destination.name} and can't be moved to {SUPERSEDED}: "
            f"{error.strerror or error}. Clear the way, then retry"
        )
        return ItemResult(item.path, Reason.DESTINATION_OBSTRUCTED, text)
    log.warning("moved %s to %s: another content takes its path", item.path, kept, extra={"endpoint": destination.name})
    return None
