"""What the places say of one path of one beamline. Times in microseconds since the epoch, sizes in bytes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dichroism_crds.timestamps import EPOCH

_MILLISECOND, _SECOND = 1000, 1_000_000


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file on the source, or its copy. ``is_scan``: by its name it would be taken; ``changed_us`` of the inode."""

    size: int
    modified_us: int
    changed_us: int | None = None
    is_scan: bool = True

    @property
    def since_us(self) -> int:
        """When it came to lie here at the latest: a copy keeps the modification time of the scan."""
        return max(self.modified_us, self.changed_us or 0)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a dataset claims: ``bundle`` relative to the tape endpoint, None where it names none."""

    pid: str
    size: int
    modified_us: int
    changed_us: int
    on_disk: bool = True
    bundle: str | None = None
    removed_from: frozenset[str] = frozenset()
    proposal: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A line of a manifest: this content is a member of the bundle, which was made at ``made_us``."""

    bundle: str
    size: int
    modified_us: int
    made_us: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """An item of a Prune."""

    endpoint: str
    size: int
    modified_us: int


@dataclass(frozen=True, slots=True)
class Steered:
    """What a Scan says that only people know."""

    export_controlled: bool = False
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one path."""

    path: str
    source: OnDisk | None = None
    disk: OnDisk | None = None
    datasets: tuple[Dataset, ...] = ()
    members: tuple[Member, ...] = ()
    planned: tuple[Planned, ...] = ()
    scan: Steered | None = None


def same_moment(left_us: int, right_us: int) -> bool:
    """Whether both are one time, of which either may have been cut to milliseconds or to seconds."""
    if left_us == right_us:
        return True
    for unit in (_MILLISECOND, _SECOND):
        if (left_us % unit == 0 or right_us % unit == 0) and left_us // unit == right_us // unit:
            return True
    return False


def moment_of(microseconds: int) -> datetime:
    """As a time; what no calendar has is the nearest one that it has."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return EPOCH


def microseconds_of(moment: datetime) -> int:
    """The inverse of :func:`moment_of`."""
    return (moment - EPOCH) // timedelta(microseconds=1)
