"""Pages of the documentation as people follow them: commands to type and files to write.

A command is a line of a ``console`` block that begins with ``$ ``, with the lines it goes on in. A file is a block of
another language whose first line is a comment with its name. Blocks in quotes count as well.
"""

import re
import subprocess
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"

_HEADING = re.compile(r"^#+ (.+)$")
_FENCE = re.compile(r"^```(\w*)$")
_FILE = re.compile(r"# (\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A code block: the heading it stands under, its language and its text."""

    section: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What it tells to type, one command each."""
        whole = self.text.replace("\\\n", " ")
        return [line[2:] for line in whole.splitlines() if line.startswith("$ ")]

    @property
    def file(self) -> str | None:
        """Name of the file that it shows; None when it shows none."""
        named = _FILE.match(self.text)
        return named[1] if named and self.language != "console" else None


@dataclass(frozen=True)
class Page:
    """A page of the documentation."""

    path: Path

    @cached_property
    def blocks(self) -> list[Block]:
        """Its code blocks, in order."""
        found: list[Block] = []
        section, language, lines = "", None, list[str]()
        for raw in self.path.read_text().splitlines():
            line = re.sub(r"^> ?", "", raw)
            if language is None and (heading := _HEADING.match(line)):
                section = heading[1]
            elif language is None and (fence := _FENCE.match(line)):
                language, lines = fence[1], []
            elif language is not None and line == "```":
                found.append(Block(section, language, "".join(f"{one}\n" for one in lines)))
                language = None
            else:
                lines.append(line)
        return found


def page(name: str) -> Page:
    """The how-to page of a name, such as ``install-on-k3s``."""
    return Page(HOW_TO / f"{name}.md")


def anchor(heading: str) -> str:
    """The anchor that GitHub, and the site, give to a heading."""
    kept = (one for one in heading.lower() if one in " -_" or unicodedata.category(one)[0] in "LN")
    return "".join(kept).strip().replace(" ", "-")


def project_files() -> list[Path]:
    """Every file that Git has or would take; the test is skipped outside a clone."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        pytest.skip("not in a clone, so nobody knows which files belong to the project")
    listed = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return [file for file in listed if file.is_file()]
