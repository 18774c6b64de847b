"""Numbers and tables as people read them: the same words in Transfers, Prunes, logs and commands."""

import textwrap
from collections.abc import Sequence

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def files(number: int) -> str:
    """``1 file``, ``412 files``."""
    return count(number, "file")


def count(number: int, what: str) -> str:
    """``1 dataset``, ``3 datasets``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(number: int) -> str:
    """``512 bytes``, ``2.4 MB``: decimal units, one digit after the point."""
    amount = float(number)
    for unit in _UNITS:
        if amount < 999.95 or unit == _UNITS[-1]:
            return f"{number} {unit}" if unit == _UNITS[0] else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit takes everything")


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines whose columns are aligned, each cell made printable; the last one is as long as it likes."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )


def wrapped(text: str, width: int, first: str, further: str | None = None) -> list[str]:
    """Lines of at most ``width`` columns, later ones indented like the first; no word is cut, so a path stays whole."""
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first) if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """The text on one line, with anything that a terminal would obey spelled out: names of files are untrusted."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
