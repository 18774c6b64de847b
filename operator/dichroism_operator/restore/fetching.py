"""Fetching versions of files out of their bundles into a folder, and saying of each what became of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from dichroism_crds.timestamps import from_ns
from dichroism_operator import killpoints
from dichroism_operator.restore.bundles import Bundles, Portion
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
    standing: dict[tuple[str, str], list[TapeCopy]] = defaultdict(list)
    for version in versions:
        first = version.first
        same = target.holds(first.path, first.size, first.sha256)
        if same is None:
            waiting.append((version, 0))
            continue
        progress(first.size)
        standing[first.beamline, first.bundle].append(first)
        where = target.folder / first.path
        outcomes[first.path] = (
            Outcome(version, Fate.ALREADY_THERE)
            if same
            else Outcome(version, Fate.OCCUPIED, f"{where} holds something else and is not touched: restore elsewhere")
        )
    while waiting:
        turns: dict[tuple[str, str], list[tuple[Version, int]]] = defaultdict(list)
        for version, number in waiting:
            copy = version.copies[number]
            turns[copy.beamline, copy.bundle].append((version, number))
        waiting = []
        portions = {bundle: _portion(bundle, together, standing) for bundle, together in sorted(turns.items())}
        standing = {}  # Only asked for together at first: whoever asks again asks for the same.
        for portion in bundles.ready(list(portions.values())):
            together = turns[portion.beamline, portion.bundle]
            told = _from_one_bundle(portion, together, bundles, target, progress)
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


def _portion(
    bundle: tuple[str, str],
    together: Sequence[tuple[Version, int]],
    standing: Mapping[tuple[str, str], Sequence[TapeCopy]],
) -> Portion:
    missing = [version.copies[number] for version, number in together]
    contents = {copy.path: (copy.size, copy.sha256) for copy in [*missing, *standing.get(bundle, ())]}
    return Portion(*bundle, contents, tuple(copy.path for copy in missing))


def _from_one_bundle(
    portion: Portion,
    together: Sequence[tuple[Version, int]],
    bundles: Bundles,
    target: Target,
    progress: Callable[[int], None],
) -> list[Outcome]:
    recorded = {version.first.path: version.copies[number].modified_at for version, number in together}
    placed: set[str] = set()
    occupied: set[str] = set()

    @contextmanager
    def place(path: str, modified_us: int | None) -> Iterator[BinaryIO]:
        modified_at = recorded[path] if modified_us is None else from_ns(modified_us * 1000)
        try:
            with target.file(path, modified_at) as out:
                yield out
        except FileExistsError:
            occupied.add(path)
        else:
            placed.add(path)
            killpoints.reach("file-restored")

    why = bundles.take(portion, place, progress)
    outcomes = []
    for version, _ in together:
        path = version.first.path
        if path in occupied:
            outcomes.append(Outcome(version, Fate.OCCUPIED, f"something was put at {path} meanwhile; it stays"))
        elif path in placed:
            outcomes.append(Outcome(version, Fate.RESTORED))
        else:
            outcomes.append(Outcome(version, Fate.FAILED, why[path]))
    return outcomes
