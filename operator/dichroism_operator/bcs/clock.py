"""Times of a scan in UTC: the files have a local date in the header and a local time of day in the rows."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from dichroism_operator.bcs.table import Floats

ZONE = ZoneInfo("America/Los_Angeles")
"""The beamlines' own time; the files do not name it."""

_DAY = 86400.0
_HALF_DAY = _DAY / 2


def elapsed_seconds(second_of_day: Floats) -> Floats:
    """Seconds since the midnight at which the day in the header began, by the wall clock.

    The clock starts again at midnight while the date in the header stays, so a step back by more than half a day is a
    new day. A smaller step back is not: in autumn the wall clock is set back by an hour.
    """
    if not len(second_of_day):
        return second_of_day
    known = np.isfinite(second_of_day)
    steps = np.diff(second_of_day[known], prepend=second_of_day[known][:1])
    elapsed = np.full(len(second_of_day), np.nan)
    elapsed[known] = second_of_day[known] + _DAY * np.cumsum(steps < -_HALF_DAY)
    return elapsed


def moment(day: date | None, elapsed: float, *, repeated_hour: bool = False) -> datetime | None:
    """UTC of a wall clock reading ``elapsed`` seconds after the first midnight of ``day``.

    Args:
        day: The date in the header.
        elapsed: From :func:`elapsed_seconds`.
        repeated_hour: In autumn one hour occurs twice; True for its second time.
    """
    if day is None or not np.isfinite(elapsed):
        return None
    try:
        wall = datetime(day.year, day.month, day.day) + timedelta(seconds=float(elapsed))
        return wall.replace(tzinfo=ZONE, fold=int(repeated_hour)).astimezone(UTC)
    except OverflowError:
        return None
