"""What an audit can find, and what it could not look at. No decisions here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What is wrong with one file or bundle. One trouble is one finding: what only follows from it is not told."""

    NOT_COPIED = "NotCopied"
    COPY_DIFFERS = "CopyDiffers"
    CHECKSUM_DIFFERS = "ChecksumDiffers"
    NOT_CATALOGUED = "NotCatalogued"
    DATASET_WITHOUT_FILE = "DatasetWithoutFile"
    NOT_ARCHIVED = "NotArchived"
    BUNDLE_MISSING = "BundleMissing"
    MANIFEST_MISSING = "ManifestMissing"
    QUARANTINED = "Quarantined"
    PAST_RETENTION = "PastRetention"


MEANING = {
    Kind.NOT_COPIED: "on the source, and no copy on disk",
    Kind.COPY_DIFFERS: "the copy on disk has another size than the file it is a copy of",
    Kind.CHECKSUM_DIFFERS: "the copy on disk has not the checksum on record",
    Kind.NOT_CATALOGUED: "on disk, and no dataset in the catalogue",
    Kind.DATASET_WITHOUT_FILE: "a dataset claims a file that is not there",
    Kind.NOT_ARCHIVED: "on disk, and not on tape",
    Kind.BUNDLE_MISSING: "a bundle that a manifest or dataset names is not on tape",
    Kind.MANIFEST_MISSING: "a bundle that a dataset names has no manifest on disk",
    Kind.QUARANTINED: "the name can't be carried, so nothing is copied",
    Kind.PAST_RETENTION: "should have been pruned, and stands in no Prune",
}
"""Each kind in a few words, for people."""


class Place(StrEnum):
    """What can be looked at, or not."""

    SOURCE = "source"
    DISK = "disk"
    CATALOGUE = "catalogue"
    MANIFESTS = "manifests"
    TAPE = "tape"
    KUBERNETES = "kubernetes"


UNLOCKS = {
    Place.SOURCE: "what was measured and not copied, and names in quarantine",
    Place.DISK: "copies: whether they are there, whole, and should have been pruned",
    Place.CATALOGUE: "files without a dataset, datasets without a file",
    Place.MANIFESTS: "files that are not on tape",
    Place.TAPE: "bundles that are missing on tape",
    Place.KUBERNETES: "files past their retention that stand in no Prune",
}
"""What is not known without each of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble. ``path`` is relative to the root of ``endpoint``; ``size`` in bytes.

    ``since`` is the time from which its age counts: of the copy where that is known, else of the file.
    """

    beamline: str
    kind: Kind
    endpoint: str
    path: str
    size: int
    since: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that could not be looked at, so nothing is known of it. ``path`` "" is the whole place.

    ``by_choice``: the person who asked left it out.
    """

    beamline: str
    place: Place
    why: str
    path: str = ""
    by_choice: bool = False


@dataclass(slots=True)
class Disk:
    """How one endpoint is filled. ``oldest`` is the modification time of the file that was measured first.

    Bytes of the whole file system are None where the storage does not tell.
    """

    endpoint: str
    files: int = 0
    bytes: int = 0
    oldest_us: int | None = None
    capacity: int | None = None
    free: int | None = None

    @property
    def fill(self) -> float | None:
        """Part of the file system that is taken, from 0 to 1."""
        if not self.capacity or self.free is None:
            return None
        return 1 - self.free / self.capacity


@dataclass(slots=True)
class Sight:
    """Which places of one beamline were looked at. What was not seen is never taken for missing."""

    beamline: str
    unseen: list[Unseen] = field(default_factory=list)
    _blind: dict[Place, list[str]] = field(default_factory=dict)

    def miss(self, place: Place, why: str, path: str = "", *, by_choice: bool = False) -> None:
        """Note that a place, or what lies at or below a path of it, could not be looked at."""
        self.unseen.append(Unseen(self.beamline, place, why, path, by_choice))
        self._blind.setdefault(place, []).append(path)

    def sees(self, place: Place, path: str = "") -> bool:
        """Whether what lies at the path would have been seen there."""
        return not any(_covers(blind, path) for blind in self._blind.get(place, ()))

    @property
    def lacking(self) -> list[Unseen]:
        """What could not be looked at although it was asked for."""
        return [one for one in self.unseen if not one.by_choice]


def _covers(blind: str, path: str) -> bool:
    return blind in ("", path) or path.startswith(f"{blind}/")


def places(unseen: Iterable[Unseen]) -> list[Place]:
    """The places, each once, in their order."""
    known = {one.place for one in unseen}
    return [place for place in Place if place in known]
