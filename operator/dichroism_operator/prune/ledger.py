"""What lies in the trash of one Prune, derived from the names there: a crash forgets nothing, nothing is kept twice.

A file in the trash is called ``<index of its item>-<random>-<basename>``. Whatever has another name is not ours.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from dichroism_crds.kinds import Prune, PruneItem
from dichroism_crds.names import PRIVATE_DIR
from dichroism_operator.movers.base import FileStat
from dichroism_operator.prune.decision import is_item

TRASH = f"{PRIVATE_DIR}/trash"
MAX_NAME_BYTES = 255
"""Bytes in one name on the file systems we know; a long basename is cut at its front, which the index makes up for."""
_NAME = re.compile(r"(0|[1-9][0-9]{0,6})-([0-9a-f]{8})-(.+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the trash: ``path`` relative to the endpoint's root, ``index`` and ``item`` of the Prune."""

    path: str
    index: int
    item: PruneItem
    found: FileStat

    @property
    def intact(self) -> bool:
        """Whether it is the scheduled content; anything else was renamed by a race and is never deleted."""
        return is_item(self.item, self.found)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The trash of one Prune, in the order of its items; ``strangers`` are names that we did not give."""

    entries: tuple[Entry, ...] = ()
    strangers: tuple[str, ...] = ()

    @property
    def indexes(self) -> frozenset[int]:
        """Items that lie in the trash."""
        return frozenset(entry.index for entry in self.entries)

    @property
    def bytes(self) -> int:
        """Bytes of all entries."""
        return sum(entry.found.size for entry in self.entries)


def trash_folder(prune: str) -> str:
    """Folder of a Prune's trash on the pruned endpoint."""
    return f"{TRASH}/{prune}"


def trash_path(prune: Prune, index: int) -> str:
    """A new path in the trash for an item, never used before."""
    head = f"{index}-{secrets.token_hex(4)}-"
    return f"{trash_folder(prune.name)}/{head}{_tail(prune.spec.items[index].path)}"


def derive(prune: Prune, listing: Mapping[str, FileStat]) -> Ledger:
    """The ledger from what the mover lists."""
    entries: list[Entry] = []
    strangers: list[str] = []
    for name, found in listing.items():
        known = _NAME.match(name)
        index = int(known[1]) if known else len(prune.spec.items)
        if known is None or index >= len(prune.spec.items) or known[3] != _tail(prune.spec.items[index].path):
            strangers.append(name)
        else:
            entries.append(Entry(f"{trash_folder(prune.name)}/{name}", index, prune.spec.items[index], found))
    return Ledger(tuple(sorted(entries, key=lambda entry: (entry.index, entry.path))), tuple(sorted(strangers)))


def _tail(path: str) -> str:
    """The basename, cut at its front to leave room for index and random part."""
    name = path.rpartition("/")[2].encode()[-(MAX_NAME_BYTES - 24) :]
    return name.decode(errors="ignore")
