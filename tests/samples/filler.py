"""Many files, fast, for load tests: each is a readable scan of 6.3.1 with a content of its own and an exact size."""

import functools
from pathlib import Path

from tests.samples.bcs_text import COLUMN_LINE_START
from tests.samples.bl631 import xmcd_pair_631

_DESCRIPTION = "filler 0000000000000000"


@functools.cache
def _template() -> tuple[bytes, bytes]:
    """Everything up to the first row, and the rows."""
    text = xmcd_pair_631(points=250, description=_DESCRIPTION).encode()
    rows_from = text.index(b"\n", text.index(COLUMN_LINE_START.encode())) + 1
    return text[:rows_from], text[rows_from:]


def filler(size: int, seed: int) -> bytes:
    """``size`` bytes; files of two seeds differ only in the description in the header, if ``size`` reaches it."""
    header, rows = _template()
    marked = header.replace(_DESCRIPTION.encode(), b"filler %016x" % (seed % 2**64))
    content = marked + rows * max(0, -(-(size - len(marked)) // len(rows)))
    return content[:size]


def write_filler(path: Path, size: int, seed: int) -> None:
    """Write a file of exactly ``size`` bytes into an existing folder."""
    path.write_bytes(filler(size, seed))
