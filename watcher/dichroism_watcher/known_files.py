"""Where the ledger keeps its files: a record of each open one, eight bytes of each settled one, all by folder.

A million settled files fit into memory, and a folder's are looked up at once when it is listed.
"""

from array import array
from collections.abc import Iterable, Iterator

from dichroism_watcher.records import FileContent, FileRecord


class KnownFiles:
    """Open and settled files; a file is one or the other, or unknown."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, FileRecord]] = {}
        self._settled: dict[str, array[int]] = {}

    @property
    def settled(self) -> int:
        """Number of settled files."""
        return sum(map(len, self._settled.values()))

    def folders(self) -> list[str]:
        """Folders with a file of either sort."""
        return [*self._open, *(folder for folder in self._settled if folder not in self._open)]

    def open_files(self) -> Iterator[tuple[str, FileRecord]]:
        """All open files, by path."""
        for folder, records in self._open.items():
            for name, record in records.items():
                yield (f"{folder}/{name}" if folder else name), record

    def open_in(self, folder: str) -> dict[str, FileRecord]:
        """The open files of a folder, by name."""
        return self._open.get(folder, {})

    def marks_in(self, folder: str) -> frozenset[int]:
        """The marks of a folder's settled files."""
        return frozenset(self._settled.get(folder, ()))

    def record(self, path: str) -> FileRecord | None:
        """The record of an open file."""
        folder, _, name = path.rpartition("/")
        return self._open.get(folder, {}).get(name)

    def put(self, path: str, record: FileRecord) -> None:
        """A file is open."""
        folder, _, name = path.rpartition("/")
        self._open.setdefault(folder, {})[name] = record

    def settle(self, path: str, content: FileContent) -> None:
        """A file is settled with this content, and open no more."""
        folder, _, name = path.rpartition("/")
        records = self._open.get(folder, {})
        records.pop(name, None)
        if not records:
            self._open.pop(folder, None)
        self._settled.setdefault(folder, new_marks()).append(mark_of(name, *content))

    def store(self, folder: str, records: dict[str, FileRecord], marks: "array[int]") -> None:
        """Replace all that is known of a folder's files."""
        self._open.pop(folder, None)
        self._settled.pop(folder, None)
        if records:
            self._open[folder] = records
        if marks:
            self._settled[folder] = marks


def new_marks(marks: Iterable[int] = ()) -> "array[int]":
    """An array for marks, of eight bytes each."""
    return array("Q", marks)


def mark_of(name: str, size: int, mtime_us: int) -> int:
    """Eight bytes for a name with a content (bytes, µs).

    Two share them once in 2^64, and never the same two in another process.
    """
    return hash((name, size, mtime_us)) & 0xFFFF_FFFF_FFFF_FFFF
