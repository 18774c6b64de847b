"""What the sources know about files on tape, and which copies of a file are worth fetching. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Source(StrEnum):
    """Who says that a file is on tape; the order is that of trust in which content is the present one."""

    SCAN = "scan"
    CATALOGUE = "catalogue"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True)
class TapeCopy:
    """A member of a bundle: ``bundle`` relative to the tape endpoint, ``path`` its name there and at all endpoints.

    ``size`` in bytes, ``modified_at`` that of the measured file.
    """

    beamline: str
    path: str
    bundle: str
    size: int
    sha256: str
    modified_at: datetime
    source: Source
    superseded: bool = False
    """The source says that a newer content of the file is known."""


@dataclass(frozen=True, slots=True)
class Version:
    """One content of one file, with every copy of it that a source knows, the most trusted first."""

    copies: tuple[TapeCopy, ...]

    @property
    def first(self) -> TapeCopy:
        """The copy that is tried first."""
        return self.copies[0]

    @property
    def modified_at(self) -> datetime:
        """Modification time of the measured file; the catalogue keeps milliseconds, so the latest that is said."""
        return max(copy.modified_at for copy in self.copies)

    @property
    def superseded(self) -> bool:
        """Whether a source that may know says so."""
        return any(copy.superseded for copy in self.copies)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Who knows it."""
        known = {copy.source for copy in self.copies}
        return tuple(source for source in Source if source in known)


@dataclass(frozen=True, slots=True)
class Known:
    """One file with all its contents on tape; the present one first, as far as the sources tell."""

    beamline: str
    path: str
    versions: tuple[Version, ...]

    def version(self, sha256: str | None = None) -> Version | None:
        """The present content, or the one whose digest begins so."""
        if sha256 is None:
            return self.versions[0]
        return next((one for one in self.versions if one.first.sha256.startswith(sha256)), None)


def known(copies: Iterable[TapeCopy]) -> list[Known]:
    """Files in the order of their paths. The same copy told by two sources counts once."""
    files: dict[tuple[str, str], dict[str, list[TapeCopy]]] = defaultdict(lambda: defaultdict(list))
    for copy in copies:
        files[copy.beamline, copy.path][copy.sha256].append(copy)
    return [Known(beamline, path, _versions(contents.values())) for (beamline, path), contents in sorted(files.items())]


def _versions(contents: Iterable[Sequence[TapeCopy]]) -> tuple[Version, ...]:
    trust = {source: rank for rank, source in enumerate(Source)}
    versions = []
    for told in contents:
        copies: dict[str, list[TapeCopy]] = defaultdict(list)
        for copy in sorted(told, key=lambda one: trust[one.source]):
            copies[copy.bundle].append(copy)
        versions.append(Version(tuple(one for same in copies.values() for one in same)))
    return tuple(sorted(versions, key=_newest_first))


def _newest_first(version: Version) -> tuple[bool, float]:
    """What no source calls superseded, then the newest content."""
    return version.superseded, -version.modified_at.timestamp()
