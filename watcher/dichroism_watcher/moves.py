"""Files whose Scan has another path, because they were moved after their content was copied. Pure logic.

The watcher learns of it when it sees the move itself. Should it have lost its memory since, the Scans tell: that of a
moved file names the place to which the file went.
"""

from collections.abc import Mapping

from dichroism_watcher.records import FileContent, KnownScan


class Moves:
    """Which Scan stands for which file, where their paths differ."""

    def __init__(self) -> None:
        self._scan_of: dict[str, str] = {}
        self._file_of: dict[str, str] = {}
        self._named: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        """Whether the Scan of another path stands for the file."""
        return path in self._scan_of

    def scan_of(self, path: str) -> str:
        """The path of the Scan that stands for a file: mostly its own."""
        return self._scan_of.get(path, path)

    def elsewhere(self, path: str) -> str | None:
        """The path of the Scan that stands for a file, where that is another one."""
        return self._scan_of.get(path)

    def file_of(self, scan: str) -> str:
        """The path of the file for which a Scan stands."""
        return self._file_of.get(scan, scan)

    def link(self, path: str, scan: str) -> None:
        """The Scan of ``scan`` stands for the file ``path``, and for no other any more."""
        self.unlink(path)
        if scan in self._file_of:
            self.unlink(self._file_of[scan])
        if path != scan:
            self._scan_of[path], self._file_of[scan] = scan, path

    def unlink(self, path: str) -> None:
        """The file has a Scan of its own, or none."""
        scan = self._scan_of.pop(path, None)
        if scan is not None and self._file_of.get(scan) == path:
            del self._file_of[scan]

    def heard(self, scan: str, known: KnownScan) -> None:
        """A Scan may say where its file went."""
        if known.moved_to is not None:
            self._named[known.moved_to] = scan

    def told_of(self, path: str, content: FileContent, scans: Mapping[str, KnownScan]) -> str | None:
        """The path of the Scan that says of itself that its file, with this content, went to ``path``.

        Only one whose copy of the content is done: no other could still be carried from where it was.
        """
        scan = self._named.get(path)
        known = None if scan is None else scans.get(scan)
        if known is None or (known.moved_to, known.content) != (path, content):
            return None
        return scan if known.transferred or known.succeeded else None
