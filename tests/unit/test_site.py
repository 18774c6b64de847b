"""The documentation as a site: every page is in the navigation, reads as in the repository, and needs no network."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import markdown
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.docs_site import DOCS, ROOT, navigation, outside, parts, site_path, with_links, with_wide_lists

PAGES = sorted(DOCS.rglob("*.md"))
COUNTED = ("li", "ol", "ul", "pre", "table", "tr", "h1", "h2", "h3", "h4", "img", "a")


def pages_of(entries: list[object]) -> list[str]:
    found = []
    for entry in entries:
        for inside in entry.values() if isinstance(entry, dict) else [entry]:
            found += pages_of(inside) if isinstance(inside, list) else [str(inside)]
    return found


# the navigation


def test_every_page_stands_once_in_the_navigation() -> None:
    listed = Counter(pages_of(navigation((DOCS / "index.md").read_text())))
    missing = {site_path(page) for page in PAGES} - set(listed)
    assert not missing, "docs/index.md has no link to it"
    assert not [page for page, times in listed.items() if times > 1]


def test_the_navigation_has_the_sections_of_the_index() -> None:
    index = (
        "# Docs\n[x](not/here.md)\n## A: b\n* [one](one.md): with a\n  [two](a/two.md#part)\n### Deep\n* [3](3.md)\n"
    )
    assert navigation(index) == [{"Start": "index.md"}, {"A": ["one.md", "a/two.md", {"Deep": ["3.md"]}]}]


# links out of the folder


def test_links_out_of_the_folder_lead_to_pages_for_these_files() -> None:
    assert with_links("[x](../../config.yml) [y](../runbook.md#z) [w](https://a.b/)", "how-to/x.md") == (
        "[x](../repository/config.yml.md) [y](../runbook.md#z) [w](https://a.b/)"
    )


def test_links_back_from_such_a_file_lead_into_the_site() -> None:
    assert with_links("[x](docs/tutorial.md)", "repository/README.md") == "[x](../tutorial.md)"


def test_what_stands_in_code_blocks_is_no_link() -> None:
    text = "```\n[x](../config.yml)\n```\n"
    assert with_links(text, "x.md") == text


def test_every_file_that_a_page_links_to_has_its_page() -> None:
    assert ROOT / "charts" / "dichroism" / "README.md" in outside()


# lists


@pytest.mark.parametrize(
    "page", [*PAGES, *(one for one in outside() if one.suffix == ".md")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_has_the_same_parts_in_the_site_as_in_the_repository(page: Path) -> None:
    text = page.read_text()
    shown = markdown.markdown(
        with_wide_lists(text), extensions=["tables", "pymdownx.superfences", "pymdownx.highlight"]
    )
    read = MarkdownIt("commonmark").enable("table").render(text)
    assert counted(re.sub(r"<a id=[^>]*>", "", shown)) == counted(read)


def counted(html: str) -> dict[str, int]:
    return {tag: len(re.findall(rf"<{tag}[ >]", html)) for tag in COUNTED}


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("1. a\n\n   ```\n   x\n     y\n   ```\n2. b\n", "1.  a\n\n    ```\n    x\n      y\n    ```\n2.  b\n"),
        ("* a\n  more\n* b\n\nend\n", "*   a\n    more\n*   b\n\nend\n"),
        ("1. a\n   * x\n     y\n   * z\n2. b\n", "1.  a\n    *   x\n        y\n    *   z\n2.  b\n"),
        ("text\n* a\n", "text\n\n*   a\n"),
        ("```\n* a\n  * b\n```\n", "```\n* a\n  * b\n```\n"),
    ],
)
def test_lists_are_indented_by_four_columns(text: str, wide: str) -> None:
    assert with_wide_lists(text) == wide


def test_fenced_blocks_are_told_from_text() -> None:
    assert [fence for fence, _ in parts("a\n```x\nb\n```\nc\n")] == ["", "```", ""]


# the site as a whole


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` does."""
    folder: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"']?(?:https?:)?//|<link\b[^>]*\bhref=[\"']?(?:https?:)?//"
    )
    assert not [page for page in site.rglob("*.html") if loading.search(page.read_text())]
    sheets = [*site.rglob("*.css")]
    assert sheets
    assert not [sheet for sheet in sheets if re.search(r"(?:url\(|@import )[\"']?https?:", sheet.read_text())]


def test_every_page_can_be_searched(site: Path) -> None:
    index = yaml.load((site / "search" / "search_index.json").read_text(), yaml.CSafeLoader)
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {site_path(page).removesuffix(".md") + ".html" for page in PAGES} <= found
