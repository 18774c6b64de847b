"""How the bundles of each beamline are read: at hand where that is possible, else by jobs at the tape site."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dichroism_crds.config import Config
from dichroism_operator.movers.choice import build_mover
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.hashing import Checkpoint
from dichroism_operator.movers.retrieval import BringsBack
from dichroism_operator.movers.unpacking import Place
from dichroism_operator.restore.bundles import Bundles, BundlesAtHand, Portion, tape_of
from dichroism_operator.restore.by_job import BundlesByJob


class BundlesOfAll:
    """The :class:`~dichroism_operator.restore.bundles.Bundles` of beamlines that may differ."""

    def __init__(self, at_hand: Bundles, by_beamline: Mapping[str, Bundles]) -> None:
        """``by_beamline`` has those that wait for something; the others are ``at_hand``."""
        self._at_hand = at_hand
        self._by_beamline = by_beamline

    def ready(self, portions: Sequence[Portion]) -> Iterator[Portion]:
        """What has to be waited for is asked for first, and comes last."""
        coming = [
            bundles.ready([one for one in portions if self._by_beamline.get(one.beamline) is bundles])
            for bundles in {id(one): one for one in self._by_beamline.values()}.values()
        ]
        yield from self._at_hand.ready([one for one in portions if one.beamline not in self._by_beamline])
        for portions_that_come in coming:
            yield from portions_that_come

    def take(self, portion: Portion, place: Place, progress: Checkpoint) -> Mapping[str, str]:
        """From whoever has it."""
        return self._by_beamline.get(portion.beamline, self._at_hand).take(portion, place, progress)


@contextmanager
def open_bundles(
    config: Config, beamlines: Collection[str], folder: Path | None, tell: Callable[[str], None]
) -> Iterator[Bundles]:
    """The bundles of these beamlines.

    Args:
        config: says where they are.
        beamlines: names; each has something on tape.
        folder: where a person put the bundles of all of them.
        tell: is given a line for people when something is waited for.
    """
    at_hand = BundlesAtHand(config, folder)
    with ExitStack() as stack:
        by_mover: dict[str, Bundles] = {}
        by_beamline: dict[str, Bundles] = {}
        for name in sorted(beamlines):
            archive = config.beamlines[name].archive
            if folder or archive is None or tape_of(config, name).mount:
                continue
            if archive.mover not in by_mover:
                mover = build_mover(archive.mover, config)
                if isinstance(mover, Closing):
                    stack.enter_context(mover)
                by_mover[archive.mover] = (
                    BundlesByJob(config, mover.retrievals, tell) if isinstance(mover, BringsBack) else at_hand
                )
            by_beamline[name] = by_mover[archive.mover]
        yield BundlesOfAll(at_hand, by_beamline)
