"""Prunes that take the place of others, since a Prune's plan can't be changed: pure functions, no I/O.

Two reasons: the configuration shortened the retention, or an endpoint was moved or given another name. What a Prune
settled stays settled and is not planned again.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dichroism_crds.config import Config, PruneRule
from dichroism_crds.kinds import Metadata, Prune, PruneBundle, PruneItem, PrunePhase, PruneSpec, RecordedEndpoint
from dichroism_crds.names import ANNOTATION_REPLACES, LABEL_BEAMLINE, LABEL_ENDPOINT, prune_name
from dichroism_operator.calendar import recorded
from dichroism_operator.planning import not_before
from dichroism_operator.prune.outcome import settled_before

UNTOUCHED = frozenset({PrunePhase.SCHEDULED, PrunePhase.HELD, PrunePhase.INCOMPLETE})


@dataclass(frozen=True, slots=True)
class Replacement:
    """``specs`` take the place of ``old``: the same unsettled items, each once."""

    old: Prune
    specs: tuple[PruneSpec, ...]


class NotReplaceableError(Exception):
    """A run works on the Prune, or its files lie in the trash."""


def check_untouched(prune: Prune) -> None:
    """See that nothing of the Prune is under way.

    Raises:
        NotReplaceableError: it can't be replaced now; the message says what to do.
    """
    if prune.status.trashed:
        raise NotReplaceableError(
            f"{prune.name} has {prune.status.trashed} files in the trash: wait until it is emptied, "
            f"or take them back first with: dichroism prune undo {prune.name}"
        )
    if prune.status.phase not in UNTOUCHED:
        raise NotReplaceableError(
            f"{prune.name} is {prune.status.phase or 'not told to its Scans yet'}: try again later"
        )


def shortened(prune: Prune, rule: PruneRule) -> Replacement | None:
    """The same files at the days that today's shorter retention gives; None when no file would go earlier.

    A file whose retention is longer today keeps its recorded day: the job waits for the longer one by itself.
    """
    moments: dict[datetime, list[PruneItem]] = defaultdict(list)
    for item in unsettled(prune):
        today = not_before(item.anchor, rule.retention(item.proposal))
        moments[min(today, prune.spec.not_before)].append(item)
    if all(moment >= prune.spec.not_before for moment in moments):
        return None
    specs = [_spec(prune, items, moment) for moment, items in sorted(_by_day(moments).items())]
    return Replacement(prune, tuple(specs))


def rebound(prune: Prune, old: str, new: str, config: Config) -> Replacement | None:
    """The same files at the same day, with endpoint ``new`` as it is today wherever ``old`` is recorded.

    None when the Prune does not name ``old``, or names it just as it is today.
    """
    today = recorded(config.endpoints[new])
    spec = prune.spec
    if all(one.name != old or one == today for one in (spec.endpoint, *spec.needs)):
        return None

    def renamed(one: RecordedEndpoint) -> RecordedEndpoint:
        return today if one.name == old else one

    changed = _spec(prune, unsettled(prune), spec.not_before)
    update = {
        "endpoint": renamed(spec.endpoint),
        "needs": [renamed(one) for one in spec.needs],
        "bundles": [
            one.model_copy(update={"endpoint": new}) if one.endpoint == old else one for one in changed.bundles
        ],
    }
    return Replacement(prune, (changed.model_copy(update=update),)) if changed.items else None


def unsettled(prune: Prune) -> list[PruneItem]:
    """Items about which something is still to be done."""
    settled = settled_before(prune.status)
    return [item for item in prune.spec.items if item.path not in settled]


def named(spec: PruneSpec, number: int, replaces: str) -> Prune:
    """The Prune of a spec with that number of its endpoint, in the place of another one."""
    return Prune(
        metadata=Metadata(
            name=prune_name(spec.endpoint.name, spec.not_before.date(), number),
            labels={LABEL_BEAMLINE: spec.beamline, LABEL_ENDPOINT: spec.endpoint.name},
            annotations={ANNOTATION_REPLACES: replaces},
        ),
        spec=spec,
    )


def _by_day(moments: dict[datetime, list[PruneItem]]) -> dict[datetime, list[PruneItem]]:
    """Items of one day together, at the moment of the latest."""
    days: dict[datetime, list[datetime]] = defaultdict(list)
    for moment in moments:
        days[moment.replace(hour=0, minute=0, second=0, microsecond=0)].append(moment)
    return {max(group): [item for one in sorted(group) for item in moments[one]] for group in days.values()}


def _spec(prune: Prune, items: Iterable[PruneItem], moment: datetime) -> PruneSpec:
    """The Prune's spec with these items only, and only the bundles that they name."""
    bundles: dict[int, int] = {}
    kept: list[PruneItem] = []
    for item in items:
        index = item.bundle if item.bundle is None else bundles.setdefault(item.bundle, len(bundles))
        kept.append(item.model_copy(update={"bundle": index}))
    listed: list[PruneBundle] = [prune.spec.bundles[index] for index in bundles]
    return prune.spec.model_copy(update={"not_before": moment, "items": kept, "bundles": listed})
