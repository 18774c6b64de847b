"""Every command of the tutorial, from the clone to the end, in one shell and in a clone of its own."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.console import Shell, commands
from tests.pages import Page, project_files

ROOT = Path(__file__).parents[2]
PAGE = Page(ROOT / "docs" / "tutorial.md")
ADDRESS = "<address of this repository>"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What would be cloned: the files as they are now, committed or not."""
    origin = tmp_path / "origin"
    for file in project_files():
        copy = origin / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "as it is"]):
        subprocess.run(["git", *arguments], cwd=origin, check=True)
    return origin


@pytest.fixture
def shell(tmp_path: Path, repository: Path) -> Iterator[Shell]:
    """A shell of somebody who has nothing of ours running; what they start is stopped."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DICHROISM_", "MAKE"))}
    opened = Shell(tmp_path, environment | {"CLUSTER": "controlplane"})
    yield opened
    opened.close()
    clone = tmp_path / "dichroism"
    if (clone / "build").exists():
        stop = [sys.executable, "-m", "tests.cluster", "down", "--state", "build/demo/cluster"]
        subprocess.run(stop, cwd=clone, check=True)


def lend_environment(clone: Path) -> None:
    """Give a clone the installed packages that these tests run with, so that nothing is installed again."""
    folder = clone / ".venv"
    folder.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    (folder / ".ready").touch()


@pytest.mark.cluster
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("chart_tools")
def test_every_command_of_the_tutorial_does_what_it_promises(shell: Shell, repository: Path, tmp_path: Path) -> None:
    for command in commands(PAGE):
        shell.follow(replace(command, text=command.text.replace(ADDRESS, shlex.quote(str(repository)))))
        if command.text == "cd dichroism":
            lend_environment(tmp_path / "dichroism")
