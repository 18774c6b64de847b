"""Runs what a page tells its readers to type, and looks for what it promises them.

The blocks come from ``tests.pages``. In a ``console`` block a command is followed by lines of its output. A promised
line stands in that output as it is, but for ``...``, which stands for anything, and for the width of gaps; lines
between promised ones may be left out. Everything of a page runs in one shell, so variables and folders last.
"""

import contextlib
import os
import re
import select
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pages import Page

_LOOKS = re.compile(r"(kubectl (get|describe)|ls|find|cat|dichroism (due|why))\b")
"""Commands that change nothing: asked again while they do not show what is promised, as a reader would."""
_MARK = "-- end of command, exit code"


class ConsoleError(AssertionError):
    """A command of a page failed, or did not show what the page promises."""


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that are promised."""

    text: str
    promised: tuple[str, ...]


def commands(page: Page) -> Iterator[Command]:
    """The commands of a page's console blocks, in order."""
    for block in page.blocks:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:] if block.language == "console" else ():
            text, *lines = part.replace("\\\n", " ").splitlines()
            yield Command(text, tuple(line for line in lines if line.strip(" .")))


def missing(promised: Sequence[str], output: str) -> str | None:
    """The first promised line that is not in the output after the ones before it; None when all are there."""
    shown = iter(" ".join(line.split()) for line in output.splitlines())
    for line in promised:
        parts = re.split(r" *\.\.\. *", " ".join(line.split()))
        wanted = re.compile(".*".join(map(re.escape, parts)))
        if not any(wanted.fullmatch(one) for one in shown):
            return line
    return None


class Shell:
    """One bash that lives as long as the page."""

    def __init__(self, folder: Path, environment: Mapping[str, str], patience_s: float = 120) -> None:
        self.patience_s = patience_s
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def follow(self, command: Command) -> None:
        """Type a command and wait for what it promises.

        Raises:
            ConsoleError: it failed, or its output is another one.
        """
        end = time.monotonic() + self.patience_s
        while True:
            code, output = self.type(command.text)
            wanting = missing(command.promised, output)
            if code == 0 and wanting is None:
                return
            if not _LOOKS.match(command.text) or time.monotonic() > end:
                what = f"ended with {code}" if code else f"does not show: {wanting}"
                raise ConsoleError(f"$ {command.text}\n{what}\nIt showed:\n{output[-6000:]}")
            time.sleep(0.5)

    def type(self, text: str) -> tuple[int, str]:
        """Run one line; its exit code, and all that it wrote."""
        assert self._process.stdin is not None
        line = f"eval {shlex.quote(text)} </dev/null; code=$?; echo; echo '{_MARK}' $code\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return self._answer(text)

    def _answer(self, text: str) -> tuple[int, str]:
        assert self._process.stdout is not None
        end, output = time.monotonic() + 3 * self.patience_s, b""
        while True:
            found = re.search(rf"\n{_MARK} (\d+)\n".encode(), output)
            if found:
                return int(found[1]), output[: found.start()].decode(errors="replace")
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not more:
                raise ConsoleError(f"$ {text}\ndid not come to its end. It showed:\n{output.decode(errors='replace')}")
            output += more

    def close(self) -> None:
        """End the shell; what it started in the background stays."""
        self._process.kill()
        self._process.wait()
        # Not read to the end: what runs in the background holds the pipe.
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
