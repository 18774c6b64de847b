"""Faults of the catalogue for a wave of Scans, chosen by chance with a seed, and how many of them came to pass."""

import random
from collections import Counter
from collections.abc import Callable, Iterable

from dichroism_operator.catalogue.scicat_documents import dataset_pid
from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.process import SciCatEmulator

ANY = "[Dd]atasets"
PICTURES = "attachments$"
WRITES = (
    ("POST", "[Dd]atasets$"),
    ("POST", "origdatablocks$"),
    ("PATCH", "datasetlifecycle$"),
    ("POST", PICTURES),
    ("POST", "/datablocks$"),
)
"""Every kind of request that changes something."""
_LOST = 0.08
_OTHERS: tuple[tuple[str, float, Fault], ...] = (
    ("cut before it was done", 0.04, Fault(Action.DROP_BEFORE, path=ANY)),
    ("401", 0.03, Fault(Action.STATUS, path=ANY, status=401)),
    ("403", 0.03, Fault(Action.STATUS, path=ANY, status=403)),
    ("500", 0.02, Fault(Action.STATUS, path=ANY, status=500)),
    ("503", 0.02, Fault(Action.STATUS, path=ANY, status=503)),
    ("429", 0.01, Fault(Action.STATUS, path=ANY, status=429)),
    ("page of a proxy", 0.02, Fault(Action.HTML, path=ANY, status=502)),
    ("all tokens expire", 0.03, Fault(Action.EXPIRE, path=ANY)),
    ("slow", 0.03, Fault(Action.DELAY, path=ANY, seconds=1.0)),
    ("413 for the picture", 0.15, Fault(Action.HTML, method="POST", path=PICTURES, status=413)),
    ("500 for the picture", 0.15, Fault(Action.STATUS, method="POST", path=PICTURES, status=500)),
)
_LONGEST_SKIP = 4
"""A fault comes in mid-sequence: after so many requests about the dataset at most."""


class Mischief:
    """Faults asked for and faults that hit, by kind."""

    def __init__(self, scicat: SciCatEmulator, rng: random.Random) -> None:
        self.asked: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()
        """Known once :meth:`close` was called."""
        self._scicat = scicat
        self._rng = rng

    def prepare(self, scans: Iterable[str]) -> None:
        """Ask for faults about some of these Scans, before they are told to anybody."""
        faults: list[Fault] = []
        for scan in scans:
            faults.extend(self._about(dataset_pid(scan)))
        self._scicat.plan(faults)

    def _about(self, pid: str) -> list[Fault]:
        found = []
        for method, path in WRITES:
            if self._rng.random() < _LOST:
                twice = self._rng.random() < 0.5
                found.append(Fault(Action.DROP_AFTER, method=method, path=path, pid=pid, times=1 + twice))
        for _, chance, like in _OTHERS:
            if self._rng.random() < chance:
                in_sequence = like.path == ANY
                skip = self._rng.randint(0, _LONGEST_SKIP) if in_sequence else 0
                found.append(Fault(**(like.to_json() | {"action": like.action, "pid": pid, "skip": skip})))
        for fault in found:
            self.asked[_name(fault)] += fault.times
        return found

    def spare_pictures(self) -> None:
        """No 500 for a picture from now on: the operator would wait a minute before it tries again."""
        self._take_back(lambda fault: (fault.path, fault.status, fault.action) == (PICTURES, 500, Action.STATUS))

    def close(self) -> None:
        """Take back what has not happened yet; the rest has hit."""
        self._take_back(lambda _: True)
        self.hit = self.asked

    def _take_back(self, chosen: Callable[[Fault], bool]) -> None:
        left = [Fault.from_json(fault) for fault in self._scicat.faults()]
        self._scicat.clear_faults()
        self._scicat.plan(fault for fault in left if not chosen(fault))
        for fault in filter(chosen, left):
            self.asked[_name(fault)] -= fault.times


def _name(fault: Fault) -> str:
    if fault.action == Action.DROP_AFTER:
        return f"answer lost after {fault.method} {fault.path.strip('[/$').replace('Dd]', 'd')}"
    where = (fault.action, fault.path, fault.status)
    return next(name for name, _, like in _OTHERS if (like.action, like.path, like.status) == where)
