"""Which form a file has, seen from its first bytes: names are changed by users, contents are not."""

from enum import StrEnum

COLUMN_LINE_STARTS = ("Time of Day", "Time (s)", "Frame")
"""How the line of column names starts. The number of lines before it differs, so it is looked for."""


class Form(StrEnum):
    """The forms in which BCS writes scans."""

    TEXT = "BCS text"
    """Header lines, a line of column names, rows. All known files of 4.0.2 and 6.3.1."""
    HEADER_DATA = "BCS text with JSON header"
    """A line ``HEADER``, a JSON object, a line ``DATA``, a table. Newer control systems of other beamlines."""
    FITS = "FITS"
    """An image of the CCD of the scattering chamber of 4.0.2."""


BYTES_NEEDED = 64 * 1024
_FITS_START = b"SIMPLE  ="
_TEXT_STARTS = (b"Date: ", b"Start, Stop, Increment", b"Flying Scan")
_BOM = b"\xef\xbb\xbf"


def detect(first_bytes: bytes) -> Form | None:
    """The form of a file that begins with ``first_bytes`` (64 kB are enough), None when it is none of them.

    A text counts when it begins as BCS headers do, or when one of its lines is a line of column names.
    """
    head = first_bytes[:BYTES_NEEDED]
    if head.startswith(_FITS_START):
        return Form.FITS
    head = head.removeprefix(_BOM)
    if head.partition(b"\n")[0].strip() == b"HEADER":
        return Form.HEADER_DATA
    if head.startswith(_TEXT_STARTS):
        return Form.TEXT
    return Form.TEXT if any(is_column_line(line) for line in head.split(b"\n")) else None


def is_column_line(line: bytes) -> bool:
    """Whether a line holds the names of the columns: it starts like one and has more than one column."""
    return b"\t" in line and line.startswith(tuple(start.encode() for start in COLUMN_LINE_STARTS))
