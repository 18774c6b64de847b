"""What the prune calendar looks like, as metrics: the jobs that work on it end before anybody can ask them."""

from collections import Counter
from datetime import datetime, timedelta

from dichroism_crds.kinds import ConditionStatus, Prune, PrunePhase, PruneStatus
from dichroism_crds.reasons import KeptReason
from dichroism_crds.timestamps import now
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.metrics import PRUNE_FREED, PRUNE_KEPT, PRUNE_TRASHED, PRUNES, PRUNES_OVERDUE, PRUNES_UNTOLD

EVERY_S = 300.0
"""The API server reads whole Prunes to print their columns, and the jobs run once an hour."""
OVERDUE = timedelta(days=1)
AT_ONCE = 20
"""Whole Prunes in one answer: each may have half a megabyte."""
_SETTLED = frozenset(reason.value for reason in KeptReason if reason.settled)


class CalendarGauges(Lane):
    """Derived anew each time, so a restart or a deleted Prune leaves nothing behind.

    Most of it is in the printer columns. Only Prunes with files that stay are read whole: why, no column can tell.
    """

    def __init__(self, context: Context, every_s: float = EVERY_S) -> None:
        super().__init__("calendar-gauges", context)
        self._every_s = every_s

    async def turn(self) -> float:
        """Count."""
        prunes: Counter[tuple[str, str]] = Counter()
        kept: Counter[tuple[str, str]] = Counter()
        overdue, untold, trashed, freed = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        moment = now()
        async for row in self.context.api.list_columns(Prune):
            endpoint, phase = str(row["Endpoint"]), str(row["Phase"] or "")
            prunes[endpoint, phase] += 1
            late = phase in ("", PrunePhase.SCHEDULED) and moment - datetime.fromisoformat(row["NotBefore"]) > OVERDUE
            overdue[endpoint] += late
            untold[endpoint] += row["Told"] == ConditionStatus.FALSE
            trashed[endpoint] += row["Trashed"] or 0
            freed[endpoint] += row["Freed"] or 0
        for waiting in (PrunePhase.HELD, PrunePhase.INCOMPLETE):
            selected = f"status.phase={waiting}"
            async for prune in self.context.api.list(
                Prune, field_selector=selected, limit=AT_ONCE, on_unreadable=_count_elsewhere
            ):
                for reason, files in open_reasons(prune.status).items():
                    kept[prune.spec.endpoint.name, reason] += files
        for gauge, pairs in ((PRUNES, prunes), (PRUNE_KEPT, kept)):
            gauge.clear()
            for labels, count in pairs.items():
                gauge.labels(*labels).set(count)
        by_endpoint = (
            (PRUNES_OVERDUE, overdue),
            (PRUNES_UNTOLD, untold),
            (PRUNE_TRASHED, trashed),
            (PRUNE_FREED, freed),
        )
        for gauge, singles in by_endpoint:
            gauge.clear()
            for endpoint, count in singles.items():
                gauge.labels(endpoint).set(count)
        return self._every_s


def open_reasons(status: PruneStatus) -> dict[str, int]:
    """How many files of a Prune stay for each reason that is tried again.

    A status names open ones first and so many files at most; when all that it names are open, the others count for the
    most frequent reason.
    """
    counts = Counter(item.reason for item in status.kept if item.reason not in _SETTLED)
    if counts.total() and counts.total() == len(status.kept):
        counts[counts.most_common(1)[0][0]] += max(0, status.kept_count - len(status.kept))
    return dict(counts)


def _count_elsewhere(_name: str, _problem: str) -> None:
    """Objects that this version can't read have a metric of their own."""
