"""Keeps a program running as Kubernetes keeps a Deployment's pod: started again whenever it ends."""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from tests.site import Program

LEASE_SECONDS = "3"
"""A killed operator leaves its Lease behind; the next one waits until it has expired."""

WITHOUT_ROOT: tuple[str, ...] = ()
"""Command before a program that takes from root the right to pass over file permissions."""
if os.geteuid() == 0 and (setpriv := shutil.which("setpriv")):
    WITHOUT_ROOT = (setpriv, "--bounding-set", "-dac_override,-dac_read_search")

LOOK_AGAIN_S = 0.2


class Supervisor:
    """A context manager: starts the program, starts it again when it ends, stops it in good order at the end.

    ``exit_codes`` says how it ended each time, negative for a signal.
    """

    def __init__(self, program: Program, **environment: str) -> None:
        self.program = program
        self.exit_codes: list[int] = []
        self._environment = environment
        self._before: Callable[[], object] | None = None
        self._once: dict[str, str] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"supervise {program.name}", daemon=True)

    def __enter__(self) -> Self:
        self.program.start(**self._environment)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        if self.program.running:
            self.program.stop()

    def leave(self) -> None:
        """Start it no more; it goes on as it does."""
        self._ending.set()
        self._thread.join()

    def next_life(
        self, before: Callable[[], object] | None = None, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """What holds for the next start alone: what is done before it, and more of its environment."""
        self._before, self._once = before, dict(environment)

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_AGAIN_S):
            if not self.program.running:
                self.exit_codes.append(self.program.wait())
                before, self._before = self._before, None
                once, self._once = self._once, {}
                if before:
                    before()
                self.program.start(**self._environment, **once)
