"""How the pages in ``docs/`` become a site: what mkdocs is told while it builds (``make site``).

The pages are written to be read in the repository too. So three things are done here that mkdocs does not do by itself:
the navigation is read from ``docs/index.md``, files outside ``docs/`` that a page links to become pages, and lists are
indented as Python-Markdown wants them. What stands in the pages is checked by ``tests/unit/test_docs.py``.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUTSIDE = "repository"
"""Folder of the site in which the pages lie that stand for files outside ``docs/``."""

Navigation = list[Any]
"""Pages, and sections as ``{title: [...]}``, as mkdocs has them."""

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})", re.MULTILINE)
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
_ITEM = re.compile(r"( *)([*+-]|\d+[.)])( +)")


def navigation(index: str) -> Navigation:
    """The sections and pages that the index links to, in its order; a file outside is called as its link calls it."""
    top: Navigation = [{"Start": "index.md"}]
    section: Navigation = top
    deeper: Navigation = top
    for line in index.splitlines():
        heading = re.match(r"(##|###) ([^:]+)", line)
        if heading:
            deeper = []
            if heading[1] == "##":
                section = deeper
                top.append({heading[2]: section})
            else:
                section.append({heading[2]: deeper})
        for start, link, _ in _LINK.findall(line) if top[1:] else ():
            path = link.partition("#")[0]
            if path and ":" not in path:
                place = site_path(DOCS / path)
                deeper.append({start[1:-2]: place} if place.startswith(OUTSIDE) else place)
    return top


def site_path(file: Path) -> str:
    """Where the page of a file lies in the site; anything outside ``docs/`` becomes a page of its own."""
    here = Path(os.path.normpath(file))
    if here.is_relative_to(DOCS):
        return here.relative_to(DOCS).as_posix()
    place = here.relative_to(ROOT).as_posix()
    return f"{OUTSIDE}/{place}" if place.endswith(".md") else f"{OUTSIDE}/{place}.md"


def origin(path: str) -> Path:
    """The file of the repository that a page of the site shows."""
    if not path.startswith(f"{OUTSIDE}/"):
        return DOCS / path
    named = ROOT / path.removeprefix(f"{OUTSIDE}/")
    return named if named.exists() else named.with_suffix("")


def linked(file: Path) -> Iterator[Path]:
    """Files of the repository that a page links to."""
    for start, text in parts(file.read_text(encoding="utf-8")):
        for _, link, _ in _LINK.findall(text) if not start else ():
            if not re.match(r"[a-z]+:|#", link):
                yield Path(os.path.normpath(file.parent / link.partition("#")[0]))


def outside() -> list[Path]:
    """Files outside ``docs/`` that the pages link to, and those that these link to."""
    waiting = [target for page in sorted(DOCS.rglob("*.md")) for target in linked(page)]
    found: list[Path] = []
    while waiting:
        file = waiting.pop(0)
        if file in found or file.is_relative_to(DOCS) or not file.is_file():
            continue
        found.append(file)
        if file.suffix == ".md":
            waiting += linked(file)
    return found


def as_page(file: Path) -> str:
    """A file of the repository as a page; what is no Markdown is shown as it is."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    return f"# {file.relative_to(ROOT).as_posix()}\n\n````{file.suffix.removeprefix('.')}\n{text}````\n"


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Fenced blocks and what lies between them, each with the fence's indentation and mark, or an empty string."""
    kept: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            yield "", "".join(kept)
            kept, fence = [line], mark[2]
        elif mark and fence and mark[2].startswith(fence):
            yield fence, "".join([*kept, line])
            kept, fence = [], ""
        else:
            kept.append(line)
    yield fence, "".join(kept)


def with_links(text: str, path: str) -> str:
    """The text of a page with links that lead to other pages of the site."""
    here = origin(path)

    def lead(found: re.Match[str]) -> str:
        link, mark, anchor = found[2].partition("#")
        if not link or ":" in link:
            return found[0]
        target = Path(os.path.normpath(here.parent / link))
        there = os.path.relpath(site_path(target), PurePosixPath(path).parent)
        return f"{found[1]}{there}{mark}{anchor}{found[3]}"

    return "".join(part if fence else _LINK.sub(lead, part) for fence, part in parts(text))


def with_wide_lists(text: str) -> str:
    """The same text with what belongs to a list item indented by four columns a level.

    CommonMark, as repositories show it, indents to where the item's text begins. Python-Markdown knows four columns.
    """
    lines: list[str] = []
    levels: list[int] = []
    """For each list item that is open, the column of its text."""
    fence = ""
    for line in text.splitlines():
        column = len(line) - len(line.lstrip())
        mark = _FENCE.match(line)
        item = None if fence else _ITEM.match(line)
        listed = bool(levels)
        if line.strip() and not fence and (item or mark or not lines or not lines[-1].strip()):
            levels = [one for one in levels if one <= column]
        inside = levels[-1] if levels and column >= levels[-1] else 0
        if item and not listed and lines and lines[-1].strip():
            lines.append("")
        wide = f"{' ' * 4 * len(levels)}{line[inside:]}" if inside else line
        if item:
            levels.append(item.end())
            wide = f"{' ' * 4 * (len(levels) - 1)}{item[2]}{' ' * (4 - len(item[2]))}{line[item.end() :]}"
        lines.append(wide if line.strip() else "")
        if mark:
            fence = "" if fence and mark[2].startswith(fence) else fence or mark[2]
    return "\n".join(lines) + "\n"


# what mkdocs calls


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation."""
    config.nav = navigation((DOCS / "index.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages for files outside ``docs/``."""
    for file in outside():
        place = site_path(file)
        files.append(File.generated(config, place, content=as_page(file), inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give the text of a page the links and lists that the site needs."""
    return with_wide_lists(with_links(markdown, page.file.src_uri))
