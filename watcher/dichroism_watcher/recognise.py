"""What a finished file is that the API holds no Scan of: safe already, moved here, or to be created. Pure logic.

A file that was carried before must not be carried twice, and one that was not must never be taken for one that was. So
whatever is not proven is created; the operator recognises copies and records that exist.
"""

from collections.abc import Callable, Iterable

from dichroism_crds.names import Origin
from dichroism_watcher.journal_file import Row
from dichroism_watcher.records import Held, KnownScan, Submission


def is_safe(submission: Submission, row: Row | None) -> bool:
    """Whether the journal proves that the Scan of this very content succeeded."""
    return row is not None and row.safe and row.content == submission.content


def was_there(changed_ns: int, met_until_ns: int | None) -> bool:
    """Whether a file with that change time of its inode (ns) may be older than the journal.

    Both times are those of the file server, so no clock of this host has a say. Until the first whole pass has told how
    new the newest file is (``met_until_ns``), every file may.
    """
    return met_until_ns is None or changed_ns <= met_until_ns


def origin_of(submission: Submission, row: Row | None, met_until_ns: int | None) -> Origin:
    """How a new Scan of the file comes about.

    A file that was there before the journal may have been carried, when another journal or none knew of it; and one in
    the journal surely had a Scan.
    """
    if row is not None and row.content == submission.content:
        return Origin.RECOVERED
    return Origin.RECOVERED if was_there(submission.changed_ns, met_until_ns) else Origin.LIVE


def row_of(beamline: str, path: str, held: Held, before: Row | None) -> Row:
    """The journal's row of what the API holds of a file. A content that was safe stays so, with the Scan it had."""
    safe, scan_path = held.safe, held.scan_path
    if before is not None and before.safe and before.content == held.content:
        safe, scan_path = True, held.scan_path or before.scan_path
    return Row(beamline, path, held.content, held.device, held.inode, safe, scan_path)


def places_before(path: str, rows: Iterable[Row], known: Callable[[str], KnownScan | None]) -> list[Row]:
    """Where the file may have been before, among the rows with its inode and content.

    Only where the copy of this content is done: a Scan whose file is not at its path can never be transferred, so a
    file that moved earlier needs a Scan of its own. The caller still has to see that the old path is free.
    """
    return [row for row in rows if row.path != path and (row.safe or _transferred(row, known(row.scan)))]


def _transferred(row: Row, scan: KnownScan | None) -> bool:
    return scan is not None and scan.transferred and scan.content == row.content
