"""Troubles one after another, each in force for a while and so overlapping with the next ones, drawn by the seed."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from tests.cluster import ClusterError
from tests.soak import services, troubles
from tests.soak.world import Soak

Trouble = Callable[[Soak], AbstractContextManager[None]]

TROUBLES: tuple[Trouble, ...] = (
    troubles.operator_killed,
    troubles.operator_frozen,
    troubles.second_operator,
    troubles.watcher_killed,
    troubles.watcher_frozen,
    troubles.journal_lost,
    troubles.prune_killed,
    troubles.prune_frozen,
    troubles.pruning_stopped,
    troubles.prune_undone,
    troubles.files_held,
    troubles.scans_suspended,
    services.api_unreachable,
    services.api_weather,
    services.apiserver_killed,
    services.scicat_down,
    services.scicat_answers_lost,
    services.scicat_refuses,
    services.globus_down,
    services.globus_refuses,
    services.globus_paused,
    services.globus_corrupts,
    services.globus_full,
    services.globus_tasks_ended,
    services.tape_down,
    services.tape_jobs_die,
    services.tape_archive_errs,
    services.tape_in_maintenance,
    services.tape_answers_lost,
)
MIRROR: tuple[Trouble, ...] = (services.prefect_down,)
"""Where there is a mirror."""
KILLS = ("operator_killed", "second_operator", "watcher_killed", "journal_lost", "prune_killed", "apiserver_killed")
"""Troubles in which one of our own programs or the API server dies."""
OUTAGES = ("api_unreachable", "scicat_down", "globus_down", "globus_paused", "tape_down", "tape_in_maintenance")
"""Troubles in which somebody else is away."""
LASTING_S = (2.0, 14.0)
BETWEEN_S = (1.0, 5.0)


class Chaos:
    """A context manager: at its end no trouble is in force any more."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._rng = random.Random(soak.seed + 2)
        self._all = [*TROUBLES, *(MIRROR if soak.prefect else ())]
        self._next = self._again_and_again()
        self._in_force: dict[str, tuple[float, AbstractContextManager[None]]] = {}
        self._quiet_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._in_force):
            self._end(name)

    @property
    def each_was_there(self) -> bool:
        """Whether every trouble was made at least once, or can't be made here."""
        soak = self._soak
        return {one.__name__ for one in self._all} <= {*soak.troubles, *soak.not_tried}

    @property
    def in_force(self) -> list[str]:
        """What is wrong just now, for people."""
        return sorted(self._in_force)

    def step(self) -> None:
        """End what has lasted long enough, and begin the next trouble when it is time."""
        now = time.monotonic()
        for name in [name for name, (until, _) in self._in_force.items() if until <= now]:
            self._end(name)
        if now >= self._quiet_until:
            self._begin(next(self._next))
            self._quiet_until = time.monotonic() + self._rng.uniform(*BETWEEN_S)

    def _again_and_again(self) -> Iterator[Trouble]:
        while True:
            yield from self._rng.sample(self._all, len(self._all))

    def _begin(self, trouble: Trouble) -> None:
        name = trouble.__name__
        for other in [one for one in self._in_force if _excludes(one, name)]:
            self._end(other)
        entered = trouble(self._soak)
        try:
            entered.__enter__()
        except ClusterError as error:
            self._soak.not_tried[name] = str(error)
            return
        self._soak.troubles[name] += 1
        self._in_force[name] = time.monotonic() + self._rng.uniform(*LASTING_S), entered

    def _end(self, name: str) -> None:
        _, entered = self._in_force.pop(name)
        entered.__exit__(None, None, None)


def _excludes(one: str, other: str) -> bool:
    """Whether two troubles can't be in force together: the same, and with a service that is down whatever asks it."""
    same_service = one.partition("_")[0] == other.partition("_")[0]
    return one == other or (same_service and any(name.endswith("_down") for name in (one, other)))
