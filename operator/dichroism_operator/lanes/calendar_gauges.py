"""What the prune calendar looks like, as metrics: the jobs that work on it end before anybody can ask them."""

from collections import Counter
from datetime import datetime, timedelta

from dichroism_crds.kinds import ConditionStatus, Prune, PrunePhase
from dichroism_crds.timestamps import now
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.metrics import PRUNE_FREED, PRUNE_KEPT, PRUNE_TRASHED, PRUNES, PRUNES_OVERDUE, PRUNES_UNTOLD

EVERY_S = 300.0
"""The API server reads whole Prunes to print their columns, and the jobs run once an hour."""
OVERDUE = timedelta(days=1)


class CalendarGauges(Lane):
    """Derived anew from the printer columns each time, so a restart or a deleted Prune leaves nothing behind."""

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
            if phase in (PrunePhase.HELD, PrunePhase.INCOMPLETE):
                kept[endpoint, str(row["Reason"] or "")] += row["Kept"] or 0
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
