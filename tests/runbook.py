"""What the runbook says about a word: the entries of ``docs/runbook.md``, for the reference pages and their test."""

import re
from functools import cache
from pathlib import Path

from tests.pages import anchor

RUNBOOK = Path(__file__).resolve().parents[1] / "docs" / "runbook.md"
KEPT = "A Prune is Incomplete"
"""The entry that has every reason for which a prune run keeps a file."""


@cache
def entries() -> dict[str, str]:
    """The text of each entry by its heading, without the entries below it."""
    parts = re.split(r"^#+ (.+)\n", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def entry_of(word: str) -> str | None:
    """The heading of the entry that explains a reason: named there, or in the first cell of a row, or in the text."""
    ranked = [
        (word in re.findall(r"\w+", heading), rf"`{word}`" in _first_cells(text), rf"`{word}`" in text, heading)
        for heading, text in entries().items()
    ]
    for rank in range(3):
        for one in ranked:
            if one[rank]:
                return one[3]
    return None


def _first_cells(text: str) -> str:
    return "\n".join(re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE))


def link_to(heading: str) -> str:
    """A link from a reference page; the anchor is the one that the heading has in the repository and in the site."""
    return f"[{heading}](../runbook.md#{anchor(heading)})"
