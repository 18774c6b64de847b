"""What a catalogue is: the one interface to whatever lists the datasets.

Synchronous and thread-safe, like the movers. Both calls are idempotent: they look first, write only what is missing and
read back what they wrote. They raise :class:`~dichroism_operator.catalogue.errors.CatalogueUnavailable` for an outage
(the lane pauses) and :class:`~dichroism_operator.catalogue.errors.EntryRefused` when this one entry is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class FileEntry:
    """The file of a scan as the catalogue shall list it; ``path`` is relative to ``source_folder``."""

    path: str
    size: int
    modified_at: datetime
    sha256: str | None
    """None where the copy's mover could not tell it."""


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
    keywords: tuple[str, ...] = ()
    scientific_metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """The catalogue entry: persistent identifier and the page a person would open."""

    pid: str
    url: str | None


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A verified tape copy: ``bundle`` is the absolute path on tape, ``member`` the name inside it."""

    bundle: str
    member: str
    file: FileEntry
    packed_size: int


class Catalogue(Protocol):
    """Knows every scan by a deterministic pid."""

    def ensure_dataset(self, entry: DatasetEntry) -> DatasetRef:
        """Make sure that the dataset exists with this file in its list, exactly once.

        A new content of the same scan updates the same dataset: sizes and file list are those of ``entry`` afterwards.
        """

    def ensure_archived(self, entry: DatasetEntry, archive: ArchiveEntry) -> DatasetRef:
        """Make sure that the dataset records the tape copy and its lifecycle says so."""
