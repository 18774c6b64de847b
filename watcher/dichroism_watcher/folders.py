"""Which folders deserve a look between two whole passes. Pure logic.

A folder in which a name appeared, went or was renamed has a new modification time. A file that only grows changes
nothing of its folder, so the newest folders are looked at in any case.
"""

import heapq
from collections.abc import Mapping

NEWEST = 8
"""Folders that are looked at every time: instruments write into one a day, and a few are open at once."""


class Folders:
    """Every folder below the root with its modification time (ns) at the last look."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._times)

    def seen(self, folder: str, mtime_ns: int) -> None:
        """A folder was looked at; the time is from before its entries were read."""
        self._times[folder] = mtime_ns

    def keep(self, folders: set[str]) -> None:
        """A whole pass met these folders: the others are gone."""
        self._times = {folder: time for folder, time in self._times.items() if folder in folders}

    def names(self) -> list[str]:
        """All folders."""
        return list(self._times)

    def newest(self, number: int) -> list[str]:
        """The folders that changed last, newest first; the root before all."""
        found = heapq.nlargest(number, self._times, key=lambda folder: self._times[folder])
        return list(dict.fromkeys(["", *found]))[:number]

    def hot(self, times: Mapping[str, int]) -> list[str]:
        """The folders to look at, given their modification times now."""
        changed = [folder for folder, time in times.items() if self._times.get(folder) != time]
        return list(dict.fromkeys([*changed, *(one for one in self.newest(NEWEST) if one in times)]))
