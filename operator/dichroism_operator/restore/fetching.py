"""Fetching versions of files out of their bundles into a folder, and saying of each what became of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from dichroism_crds.config import Config
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.mount import Mount
from dichroism_operator.movers.unpacking import unpack
from dichroism_operator.restore.found import TapeCopy, Version
from dichroism_operator.restore.target import Target


class Fate(StrEnum):
    """What became of one file."""

    RESTORED = "restored"
    ALREADY_THERE = "there already"
    OCCUPIED = "occupied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one version, with a sentence where it is not there now."""

    version: Version
    fate: Fate
    message: str = ""


class Bundles:
    """Where bundles can be read: a folder into which a person got them from tape, else the mounted archive."""

    def __init__(self, config: Config, folder: Path | None = None) -> None:
        self._config = config
        self._folder = folder

    @contextmanager
    def open(self, copy: TapeCopy) -> Iterator[BinaryIO]:
        """The bundle of a copy.

        Raises:
            FileNotFoundError: it is not there.
            MoverUnavailable: the archive is not mounted here, or does not answer.
            OSError: it can't be read.
        """
        if self._folder:
            path = self._folder / copy.bundle
            with (path if path.exists() else self._folder / path.name).open("rb") as tar:
                yield tar
            return
        archive = self._config.beamlines[copy.beamline].archive
        assert archive is not None
        with (
            Mount(self._config.endpoints[archive.destination]) as mount,
            mount.open(copy.bundle) as descriptor,
            open(descriptor, "rb", closefd=False) as tar,
        ):
            yield tar


def fetch(
    versions: Sequence[Version], bundles: Bundles, target: Target, progress: Callable[[int], None]
) -> list[Outcome]:
    """Write each version to its path below the target; a copy that fails is followed by the next one known.

    Each bundle is read once for all its members. What stands at a path already is left as it is.

    Args:
        versions: what to fetch; no two of them with one path.
        bundles: where the bundles are.
        target: where the files go.
        progress: told bytes that are dealt with.

    Raises:
        TargetError: the target can't be written. What was restored before is whole, and found by the next run.
        OSError: the target can't be looked at.
    """
    outcomes = {}
    waiting: list[tuple[Version, int]] = []
    for version in versions:
        first = version.first
        standing = target.holds(first.path, first.size, first.sha256)
        if standing is None:
            waiting.append((version, 0))
            continue
        progress(first.size)
        where = target.folder / first.path
        outcomes[first.path] = (
            Outcome(version, Fate.ALREADY_THERE)
            if standing
            else Outcome(version, Fate.OCCUPIED, f"{where} holds something else and is not touched: restore elsewhere")
        )
    while waiting:
        turns: dict[tuple[str, str], list[tuple[Version, int]]] = defaultdict(list)
        for version, number in waiting:
            copy = version.copies[number]
            turns[copy.beamline, copy.bundle].append((version, number))
        waiting = []
        for _, together in sorted(turns.items()):
            told = _from_one_bundle(together, bundles, target, progress)
            for (version, number), outcome in zip(together, told, strict=True):
                following = _next_bundle(version, number)
                if outcome.fate == Fate.FAILED and following is not None:
                    waiting.append((version, following))
                else:
                    outcomes[version.first.path] = outcome
    return [outcomes[version.first.path] for version in versions]


def _next_bundle(version: Version, number: int) -> int | None:
    """The next copy that lies in another bundle."""
    tried = {copy.bundle for copy in version.copies[: number + 1]}
    return next((one for one, copy in enumerate(version.copies) if one > number and copy.bundle not in tried), None)


def _from_one_bundle(
    together: Sequence[tuple[Version, int]], bundles: Bundles, target: Target, progress: Callable[[int], None]
) -> list[Outcome]:
    copies = {version.first.path: version.copies[number] for version, number in together}
    occupied: set[str] = set()

    @contextmanager
    def place(path: str, modified_at: datetime | None) -> Iterator[BinaryIO]:
        try:
            with target.file(path, modified_at or copies[path].modified_at) as out:
                yield out
        except FileExistsError:
            occupied.add(path)

    some = next(iter(copies.values()))
    wanted = {path: (copy.size, copy.sha256) for path, copy in copies.items()}
    try:
        with bundles.open(some) as tar:
            states = unpack(tar, wanted, place, progress)
    except FileNotFoundError:
        return [_failed(version, f"bundle {some.bundle} is not there") for version, _ in together]
    except (MoverUnavailable, OSError) as error:
        return [_failed(version, f"bundle {some.bundle} can't be read: {error}") for version, _ in together]
    outcomes = []
    for version, _ in together:
        path = version.first.path
        if path in occupied:
            outcomes.append(Outcome(version, Fate.OCCUPIED, f"something was put at {path} meanwhile; it stays"))
        elif states[path] == CopyState.VERIFIED:
            outcomes.append(Outcome(version, Fate.RESTORED))
        elif states[path] == CopyState.MISSING:
            outcomes.append(_failed(version, f"bundle {some.bundle} does not hold it"))
        elif states[path] == CopyState.UNKNOWN:
            outcomes.append(_failed(version, f"it can't be read from bundle {some.bundle}: look after the storage"))
        else:
            outcomes.append(
                _failed(version, f"what bundle {some.bundle} holds has not sha256 {version.first.sha256}: not used")
            )
    return outcomes


def _failed(version: Version, message: str) -> Outcome:
    return Outcome(version, Fate.FAILED, message)
