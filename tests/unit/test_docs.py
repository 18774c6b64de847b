"""What the documentation names exists: links, commands, targets, reasons, paths; every dependency is pinned and told.

Only names are checked. Whether a sentence is true stays a person's business.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from dichroism_cli.main import main as cli
from dichroism_crds.kinds import KINDS, SCAN_CONDITIONS, ConditionStatus, PrunePhase, ScanPhase, TransferPhase
from dichroism_crds.reasons import EventReason, KeptReason, Reason
from dichroism_operator.audit.findings import Kind
from dichroism_operator.filling import Cause
from dichroism_operator.metrics import REGISTRY
from tests.chart import CHART
from tests.pages import anchor, project_files

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
PACKAGES = ("crds/dichroism_crds", "watcher/dichroism_watcher", "operator/dichroism_operator", "cli/dichroism_cli")
LOCKS = {
    "watcher": ["watcher", "operator", "dev"],
    "operator": ["operator", "dev"],
    "dev": ["dev"],
    "build": ["dev"],
    "prefect-server": ["prefect-server"],
}
"""Extra or dependency group, and the lock files in which its packages must stand."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CAMEL = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_SHELL = re.compile(r"^\$ (?:\S*/)?(.*)$", re.MULTILINE)
_PLACE = re.compile(r"(?:crds|watcher|operator|cli|charts|tests|docs|requirements)/[\w./-]*\w/?")
_NOT_OURS = {"ConfigMap", "CronJob", "PersistentVolumeClaim", "ClusterRole", "TemporaryError", "ImagePullBackOff"}
"""Words of Kubernetes and kopf that look like ours."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> list[str]:
    """What stands in backticks outside code blocks."""
    return _CODE.findall(_FENCE.sub("", text_of(page)))


def short(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(params=PAGES, ids=short)
def page(request: pytest.FixtureRequest) -> Path:
    """Each page of the documentation and of the root."""
    found: Path = request.param
    return found


# links


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def test_relative_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_index() -> None:
    docs, found = ROOT / "docs", set[Path]()
    waiting = [docs / "index.md"]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found.add(here)
        links = (link.partition("#")[0] for link in _LINK.findall(text_of(here)) if ":" not in link)
        waiting += [(here.parent / link).resolve() for link in links if link.endswith(".md")]
    assert not set(docs.rglob("*.md")) - found


# names


def test_words_that_look_like_reasons_are_words_of_the_api_or_classes(page: Path) -> None:
    words = {word for code in named(page) for word in [code] if _CAMEL.fullmatch(word)}
    assert not words - known_words()


@cache
def known_words() -> frozenset[str]:
    reasons = {str(one) for kind in (Reason, KeptReason, EventReason, Cause, Kind) for one in kind}
    phases = {str(one) for kind in (ScanPhase, TransferPhase, PrunePhase, ConditionStatus) for one in kind}
    alerts = set(re.findall(r"- alert: (\w+)", text_of(CHART / "files" / "alerts.yaml")))
    conditions = {*SCAN_CONDITIONS, "TrashEmptying", "CatalogueTold", "Complete", "Progressing"}
    return frozenset({*reasons, *phases, *alerts, *conditions, *_NOT_OURS, *(kind.kind for kind in KINDS), *classes()})


def classes() -> Iterator[str]:
    """Names of all classes of the project."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            yield from (node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef))


def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    asked = [code for code in (*named(page), *_SHELL.findall(text_of(page))) if re.match(r"(KEEP=1 )?make ", code)]
    words = {word for code in asked for word in re.sub(r"\s*#.*", "", code).split() if "=" not in word} - {"make"}
    assert not words - targets


def test_subcommands_and_their_options_exist(page: Path) -> None:
    asked = [code for code in (*named(page), *_SHELL.findall(text_of(page))) if code.startswith("dichroism ")]
    assert not list(filter(None, map(misuse, asked)))


def misuse(line: str) -> str | None:
    """What of a command line the program does not know; None when it knows all of it."""
    words = re.split(r"\s[|#;]", line)[0].split()[1:]
    command: click.Command = cli
    context = click.Context(cli)
    for number, word in enumerate(words):
        if word.startswith("-"):
            options = {name for option in command.params for name in option.opts} | {"--help", "--version"}
            if word.partition("=")[0] not in options:
                return f"{line}: {word}"
        elif isinstance(command, click.Group):
            deeper = command.get_command(context, word)
            if deeper:
                command = deeper
            elif number == 0:
                return f"{line}: no subcommand {word}"
    return None


@pytest.mark.parametrize(
    "line", ["dichroism fly", "dichroism prune --fast", "dichroism endpoints --config c.yml list --all"]
)
def test_the_check_of_commands_finds_what_does_not_exist(line: str) -> None:
    assert misuse(line)


def test_files_and_folders_of_the_project_exist(page: Path) -> None:
    places = {place for code in named(page) for place in [code] if _PLACE.fullmatch(code)}
    assert not {place for place in places if not (ROOT / place).exists()}


def test_metrics_and_variables_exist(page: Path) -> None:
    text = text_of(page)
    code = "\n".join(source_texts())
    known = {f"{name}{tail}" for name in (one.name for one in REGISTRY.collect()) for tail in ("", "_total")}
    watcher = set(re.findall(r'_Metric\("(\w+)"', code))
    metrics = set(re.findall(r"\bdichroism_[a-z_]+\b", text)) - {Path(package).name for package in PACKAGES}
    unknown = {one for one in metrics - known if one.removeprefix("dichroism_watcher_") not in watcher}
    assert not {one for one in unknown if one not in code}
    variables = set(re.findall(r"\bDICHROISM_[A-Z_]+[A-Z]\b", text))
    assert not {one for one in variables if one not in code and not one.startswith("DICHROISM_MOUNT_")}


@cache
def source_texts() -> tuple[str, ...]:
    folders = [*(ROOT / package for package in PACKAGES), ROOT / "tests" / "cluster"]
    return tuple(file.read_text() for folder in folders for file in folder.rglob("*.py"))


# dependencies


def dependencies() -> Iterator[tuple[str, str]]:
    """Package and lock file in which it must be pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"watcher": project["project"]["dependencies"]}
    for wanted in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        for name, listed in wanted.items():
            groups[name] = [*groups.get(name, []), *listed]
    for group, listed in groups.items():
        for requirement in listed:
            yield from ((package_name(requirement), lock) for lock in LOCKS[group])


def package_name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def pins(lock: str) -> dict[str, bool]:
    """Packages of a lock file, and whether each has an exact version with a hash."""
    lines = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ").splitlines()
    return {
        package_name(line): bool(re.match(r"\S+==\S+.* --hash=sha256:[0-9a-f]{64}", line))
        for line in lines
        if line.strip() and not line.lstrip().startswith("#")
    }


def test_every_dependency_is_pinned_with_a_hash() -> None:
    assert not [(name, lock) for name, lock in dependencies() if not pins(lock).get(name)]


@pytest.mark.parametrize("lock", ["watcher", "operator", "dev"])
def test_everything_in_a_lock_file_has_a_version_and_a_hash(lock: str) -> None:
    assert not [name for name, pinned in pins(lock).items() if not pinned]


def test_every_dependency_has_its_reason_in_the_documentation() -> None:
    table = re.findall(r"^\| ([^|]+) \|", text_of(ROOT / "docs" / "dependencies.md"), re.MULTILINE)
    told = {package_name(name.strip()) for row in table for name in row.split(",") if re.match(r"[\w ]", name)}
    assert not {name for name, _ in dependencies()} - told


# what must not stand anywhere


@cache
def files() -> tuple[Path, ...]:
    """Every file that Git has or would take, but for this one, which has to name what it looks for."""
    return tuple(file for file in project_files() if file != Path(__file__))


HOME = re.compile(r"(?<![\w.-])(?:/home/(?!a/als)\w|/root\b|/Users/\w)")
"""A home folder; that of the beamlines' account on tape, below which their files lie, is meant."""
INDEX = re.compile(r"pythonhosted\.org|pypi\.org/simple|(?<!no-emit-)(?:extra-)?index-url|GOPROXY|proxy\.golang\.org")


@pytest.mark.parametrize("forbidden", [HOME, INDEX], ids=["home folder", "package index"])
def test_no_file_names_a_home_folder_or_a_package_index(forbidden: re.Pattern[str]) -> None:
    assert not list(lines_with(forbidden.search, files()))


def lines_with(search: Callable[[str], object], among: Iterable[Path]) -> Iterator[str]:
    for file in among:
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if search(line):
                yield f"{short(file)}:{number}: {line.strip()[:120]}"


@pytest.mark.parametrize(
    ("forbidden", "line"),
    [
        (HOME, "open('/home/jane/x')"),
        (HOME, "see /" + "root/.cache"),
        (INDEX, "--index-url https://example.org"),
        (INDEX, "https://files.pythonhosted" + ".org/x.whl"),
    ],
)
def test_the_check_of_places_finds_them(forbidden: re.Pattern[str], line: str) -> None:
    assert forbidden.search(line)
