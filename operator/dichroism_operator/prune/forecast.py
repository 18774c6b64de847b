"""What the calendar will do and what holds it up: pure functions from Prunes, Scans and configuration to rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dichroism_crds.config import Config, Hold
from dichroism_crds.kinds import Prune, PruneItem, PrunePhase, Scan
from dichroism_crds.reasons import KeptReason
from dichroism_operator.prune import decision
from dichroism_operator.prune.decision import Case


@dataclass(frozen=True, slots=True)
class FileForecast:
    """One file: ``due`` is None when today's configuration never lets it go; ``reason`` is what would keep it then.

    ``holds`` are the configuration's holds that still cover it on that day.
    """

    item: PruneItem
    due: datetime | None
    reason: KeptReason | None
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """One Prune that is not finished; ``trash_until`` is set while files lie in the trash."""

    prune: Prune
    files: tuple[FileForecast, ...]
    trash_until: datetime | None

    @property
    def due(self) -> datetime | None:
        """The first moment at which something may happen: a rename, or the emptying of the trash."""
        moments = [one.due for one in self.files if one.due]
        if self.trash_until:
            moments.append(self.trash_until)
        return min(moments, default=None)

    @property
    def going(self) -> list[FileForecast]:
        """Files that nothing known today would keep."""
        return [one for one in self.files if one.due and one.reason is None]


def forecast(prunes: Iterable[Prune], scans: Mapping[str, Scan], config: Config, moment: datetime) -> list[Forecast]:
    """Rows for all Prunes that are not finished, the earliest first.

    Args:
        prunes: as they are now.
        scans: those that still exist, by name.
        config: today's configuration.
        moment: now.
    """
    rows = [_row(prune, scans, config, moment) for prune in prunes if prune.status.phase != PrunePhase.PRUNED]
    return sorted(rows, key=lambda row: (row.due is None, row.due or moment, row.prune.name))


def until(rows: Sequence[Forecast], last: datetime | None) -> list[Forecast]:
    """The rows in which something may happen up to a moment; all of them without one."""
    return [row for row in rows if last is None or (row.due is not None and row.due <= last)]


def _row(prune: Prune, scans: Mapping[str, Scan], config: Config, moment: datetime) -> Forecast:
    settled = {kept.path for kept in prune.status.kept if kept.reason in _SETTLED}
    items = [item for item in prune.spec.items if item.path not in settled]
    in_trash = prune.status.trashed_at if prune.status.trashed else None
    return Forecast(
        prune,
        tuple(_file(Case(config, prune, item, scans.get(item.scan), moment)) for item in items),
        in_trash + config.trash.keep if in_trash else None,
    )


def _file(case: Case) -> FileForecast:
    due = decision.due_at(case)
    later = replace(case, moment=max(case.moment, due)) if due else case
    reason = decision.endpoint_changed(later) or decision.forbidden(later)
    return FileForecast(case.item, due, reason, tuple(decision.holds_on(later)))


_SETTLED = frozenset(reason.value for reason in KeptReason if reason.settled)
