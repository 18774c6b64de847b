"""Commands of a page are run as they stand, and a promise that is not kept is noticed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console import Command, ConsoleError, Shell, commands, missing
from tests.pages import Page

PAGE = """x
```console
$ cd sub
$ ls
a.txt
...
```
y
```text
$ not this
```
```console
$ echo 1 \\
    2
1 2
```
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    opened = Shell(tmp_path, os.environ, patience_s=5)
    yield opened
    opened.close()


def test_commands_and_promises_are_read_from_console_blocks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    read = list(commands(Page(page)))
    assert read == [Command("cd sub", ()), Command("ls", ("a.txt",)), Command("echo 1      2", ("1 2",))]


@pytest.mark.parametrize(
    ("promised", "output", "wanting"),
    [
        (["a b", "c"], "x\na    b\ny\n  c\n", None),
        (["a ... b"], "a b", None),
        (["... is there"], "the file is there", None),
        (["is there"], "the file is there", "is there"),
        (["c", "a"], "a\nc\n", "a"),
        (["a+"], "aa", "a+"),
    ],
)
def test_promised_lines_stand_in_the_output_in_their_order(
    promised: list[str], output: str, wanting: str | None
) -> None:
    assert missing(promised, output) == wanting


def test_variables_and_folders_last_from_command_to_command(shell: Shell) -> None:
    for text in ("mkdir sub", "cd sub", "X='a b'"):
        shell.follow(Command(text, ()))
    shell.follow(Command('echo "$X in $(basename $PWD)"', ("a b in sub",)))


def test_a_command_gets_nothing_to_read(shell: Shell) -> None:
    shell.follow(Command("cat; echo end", ("end",)))


def test_a_look_is_repeated_until_it_shows_the_promise(shell: Shell) -> None:
    shell.follow(Command("(sleep 1; touch late) &", ()))
    shell.follow(Command("ls late", ("late",)))


@pytest.mark.parametrize("command", [Command("false", ()), Command("echo 1", ("2",))])
def test_a_failure_or_another_output_is_an_error(shell: Shell, command: Command) -> None:
    with pytest.raises(ConsoleError, match=r"ended with 1|does not show: 2"):
        shell.follow(command)
