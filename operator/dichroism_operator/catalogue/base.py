"""What a catalogue is: the one interface to whatever lists the datasets.

Synchronous and thread-safe, like the movers. All calls are idempotent: they write only what is missing and read back
what counts. They raise :class:`~dichroism_operator.catalogue.errors.CatalogueUnavailable` for an outage (the lane
pauses) and :class:`~dichroism_operator.catalogue.errors.EntryRefused` when this one entry is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from dichroism_crds.timestamps import format_time

ADDING, REMOVING = "adding a picture", "removing a picture"
"""What was under way, as errors about pictures say it."""

Kind = Literal["IsMetadataFor", "HasMetadata"]
"""Relations between datasets, in the words of DataCite."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """The file of a scan as the catalogue shall list it; ``path`` is relative to ``source_folder``."""

    path: str
    size: int
    modified_at: datetime
    sha256: str | None
    """None where the copy's mover could not tell it."""

    @property
    def content(self) -> str:
        """A word for this content, by which its picture is known again."""
        if self.sha256:
            return f"sha256 {self.sha256[:16]}"
        return f"{self.size} bytes of {format_time(self.modified_at)}"


@dataclass(frozen=True, slots=True)
class Relation:
    """What the dataset is to the dataset of another Scan, which need not exist yet."""

    scan: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """All that is known of a scan when its copy on disk was verified."""

    scan: str
    """Name of the Scan; the dataset's pid is derived from it and from nothing else."""
    beamline: str
    location: str
    """Where it was measured, such as ``ALS 4.0.2``."""
    source_folder: str
    """Absolute folder of the file at the site of the copy."""
    file: FileEntry
    owner_group: str
    access_groups: tuple[str, ...] = ()
    owner: str = "unknown"
    contact_email: str = ""
    proposal: str | None = None
    owner_known: bool = True
    """False: what decides on the owner could not be read now, so the owner of an existing dataset stays."""
    sample: str | None = None
    keywords: tuple[str, ...] = ()
    data_format: str = "ALS BCS"
    start_time: datetime | None = None
    end_time: datetime | None = None
    techniques: tuple[Mapping[str, str], ...] = ()
    relations: tuple[Relation, ...] = ()
    scientific_metadata: Mapping[str, Any] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    """Keys of the metadata that are ours: one of them that ``scientific_metadata`` lacks is removed from an existing
    dataset. Empty: the file was not read, so what is known of the same content stays."""
    expected: bool = False
    """Whether the dataset should exist already, so that it is looked for before it is created."""
    disk: str = ""
    """Name of the endpoint on which ``file`` lies."""
    copied_at: datetime | None = None
    """When that copy was verified: one that is younger than a removal from disk is there again."""


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """The catalogue entry: persistent identifier and the page a person would open."""

    pid: str
    url: str | None
    uncorrected: tuple[str, ...] = ()
    """What is not as it should be because our account may not change it."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A verified tape copy: ``bundle`` is the absolute path on tape, ``member`` the name inside it."""

    bundle: str
    member: str
    file: FileEntry
    packed_size: int


@dataclass(frozen=True, slots=True)
class TapeRecord:
    """A tape copy as the catalogue records it: ``bundle`` is the absolute path on tape, ``member`` the name inside.

    ``size`` in bytes; ``modified_at`` is floored to milliseconds; ``superseded``: a newer content replaced this one.
    """

    bundle: str
    member: str
    size: int
    sha256: str | None
    modified_at: datetime
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """What a dataset claims of its file. ``path`` is absolute at the site; times are floored to milliseconds.

    ``bundle`` is the absolute path on tape, None where the dataset names none; ``removed_from`` are the endpoints from
    which the file was removed, as far as they were told.
    """

    pid: str
    path: str
    size: int
    modified_at: datetime
    changed_at: datetime
    """When the dataset was last changed."""
    on_disk: bool
    bundle: str | None = None
    removed_from: frozenset[str] = frozenset()
    proposal: str | None = None
    sha256: str | None = None
    """Of the file; a listing of many does not tell it."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the file of a dataset lies on an endpoint that is pruned, as it was just seen there."""

    endpoint: str
    present: bool
    is_disk: bool
    """Whether the endpoint is the one that the dataset names as its place; a file that went from the acquisition
    storage alone is still on disk for the users of the catalogue."""
    removed_at: datetime
    """When it was removed; counts only where it is not present."""
    copies_on: tuple[str, ...] = ()
    """Endpoints that hold the copies which had to be there for the removal."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The plot of one content of a scan."""

    png: bytes
    headline: str
    content: str
    """Which content it shows: :attr:`FileEntry.content`."""


class Catalogue(Protocol):
    """Knows every scan by a deterministic pid."""

    def ensure_dataset(self, entry: DatasetEntry) -> DatasetRef:
        """Make sure that the dataset exists with this file in its list, exactly once, and with its metadata.

        A new content of the same scan updates the same dataset: sizes and file list are those of ``entry`` afterwards.
        """

    def ensure_archived(self, entry: DatasetEntry, archive: ArchiveEntry) -> DatasetRef:
        """Make sure that the dataset records the tape copy and its lifecycle says so.

        Raises:
            DatasetGone: somebody removed the dataset.
        """

    def pid(self, scan: str) -> str:
        """The pid of a Scan's dataset, whether it exists or not."""

    def full_pid(self, identifier: str) -> str:
        """The pid whose last part is this UUID."""

    def tape_copies(self, pid: str) -> Sequence[TapeRecord]:
        """Every tape copy that the dataset records, those of replaced contents included; none without a dataset."""

    def all_tape_copies(self) -> Sequence[TapeRecord]:
        """Every tape copy of every dataset that our account may see; what is superseded is not told here."""

    def datasets(self, location: str) -> Iterator[Sequence[DatasetRecord]]:
        """Every dataset measured at that location that our account may see, page by page."""

    def dataset(self, pid: str) -> DatasetRecord | None:
        """What one dataset claims now; None where there is none, or it makes no sense."""

    def record_presence(self, pid: str, presence: Presence) -> None:
        """Make sure that a dataset's lifecycle says whether its file is on the endpoint; any number of times.

        Raises:
            DatasetGone: somebody removed the dataset.
        """

    def has_picture(self, entry: DatasetEntry) -> bool:
        """Whether the dataset shows a picture of this content."""

    def ensure_picture(self, entry: DatasetEntry, picture: Picture) -> None:
        """Make sure that the dataset shows this picture and no older one of ours.

        Raises:
            DatasetGone: somebody removed the dataset.
        """
