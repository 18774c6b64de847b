"""Where bundles are read, as one small interface, and its first implementation: a folder that is at hand.

That is the mounted archive, or a folder into which a person got bundles from tape. Where neither is at hand, jobs bring
members back: ``by_job``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from dichroism_crds.config import Config, Endpoint
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.hashing import Checkpoint
from dichroism_operator.movers.mount import Mount
from dichroism_operator.movers.unpacking import Content, Place, unpack


@dataclass(frozen=True, slots=True)
class Portion:
    """What is wanted of one bundle.

    ``contents`` says of each member what it must be. ``missing`` are those to be taken now; the others stand at their
    place already, and only make the portion the same one as when it was asked for before.
    """

    beamline: str
    bundle: str
    contents: Mapping[str, Content]
    missing: tuple[str, ...]


class Bundles(Protocol):
    """Gives members of bundles."""

    def ready(self, portions: Sequence[Portion]) -> Iterator[Portion]:
        """The portions, each as soon as it can be taken. What has to be asked for is asked for when this is called."""

    def take(self, portion: Portion, place: Place, progress: Checkpoint) -> Mapping[str, str]:
        """Write what is missing to its places, compared; what does not come gets a sentence that says why."""


class BundlesAtHand:
    """The :class:`Bundles` of a folder of bundles, else of the mounted archive of each beamline."""

    def __init__(self, config: Config, folder: Path | None = None) -> None:
        self._config = config
        self._folder = folder

    def ready(self, portions: Sequence[Portion]) -> Iterator[Portion]:
        """All of them at once."""
        return iter(portions)

    def take(self, portion: Portion, place: Place, progress: Checkpoint) -> Mapping[str, str]:
        """Read the bundle once for all that is missing."""
        wanted = {path: portion.contents[path] for path in portion.missing}
        try:
            with self._opened(portion) as tar:
                states = unpack(tar, wanted, place, progress)
        except FileNotFoundError:
            return dict.fromkeys(wanted, f"bundle {portion.bundle} is not there")
        except (MoverUnavailable, OSError) as error:
            return dict.fromkeys(wanted, f"bundle {portion.bundle} can't be read: {error}")
        return {
            path: sentence(CopyState(state), portion, path)
            for path, state in states.items()
            if state != CopyState.VERIFIED
        }

    @contextmanager
    def _opened(self, portion: Portion) -> Iterator[BinaryIO]:
        if self._folder:
            path = self._folder / portion.bundle
            with (path if path.exists() else self._folder / path.name).open("rb") as tar:
                yield tar
            return
        with Mount(tape_of(self._config, portion.beamline)) as mount, mount.file(portion.bundle) as tar:
            yield tar


def sentence(state: CopyState, portion: Portion, path: str) -> str:
    """Why a member of a bundle can't be had, as the look at the bundle told."""
    if state == CopyState.MISSING:
        return f"bundle {portion.bundle} does not hold it"
    if state == CopyState.UNKNOWN:
        return f"it can't be read from bundle {portion.bundle}: look after the storage"
    return f"what bundle {portion.bundle} holds has not sha256 {portion.contents[path][1]}: not used"


def tape_of(config: Config, beamline: str) -> Endpoint:
    """The endpoint to which a beamline is archived; it has one, as something of it is on tape."""
    archive = config.beamlines[beamline].archive
    assert archive is not None
    return config.endpoints[archive.destination]
