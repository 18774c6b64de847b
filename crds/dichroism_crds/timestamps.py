"""Times as they stand in the objects: RFC 3339, UTC, floored to microseconds."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)


def from_ns(nanoseconds: int) -> datetime:
    """A file's ``st_mtime_ns`` floored to microseconds (a float of seconds could not carry them exactly)."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def to_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch; the inverse of :func:`from_ns` for whole microseconds."""
    return (moment - EPOCH) // _MICROSECOND * 1000


def format_time(moment: datetime) -> str:
    """``2026-11-22T17:03:11.123456Z``: always six digits, so that equal times are equal strings."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_due(moment: datetime) -> str:
    """``2027-05-23T00:00:00Z``: a day in the calendar, with a fraction of a second only where there is one."""
    return format_time(moment).replace(".000000Z", "Z")


def same_time(left: datetime, right: datetime, resolution: timedelta = _MICROSECOND) -> bool:
    """Whether both are the same once floored to ``resolution``, the coarser of the two sides (Globus: 1 s)."""
    return (left - EPOCH) // resolution == (right - EPOCH) // resolution


def kept_time(found: datetime, original: datetime) -> bool:
    """Whether ``found`` is the time of the original as a copy keeps it: exactly, or cut to whole seconds.

    Globus keeps and lists whole seconds. A fraction that is there must be the right one.
    """
    return same_time(found, original) or found == original.replace(microsecond=0)
