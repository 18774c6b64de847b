"""What the lanes ask: describe a Scan's copy, or draw it. Blocks; never raises for anything that a file holds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dichroism_crds.kinds import Copy, Scan
from dichroism_operator.previews.jobs import SIDECAR_SUFFIX, Answer, Description, Job, Source
from dichroism_operator.previews.places import PlaceUnavailableError, Reader
from dichroism_operator.previews.workers import WorkerFailedError, Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Described:
    """The description, or why there is none. ``differing`` tells of every place whose file is not the recorded copy."""

    description: Description | None = None
    unread: str | None = None
    differing: tuple[str, ...] = ()


class Describer:
    """Reads copies of all beamlines. Metadata and pictures have workers of their own, so that neither waits."""

    def __init__(self, readers: Mapping[str, Sequence[Reader]], headers: Workers, pictures: Workers) -> None:
        """``readers``: for each beamline the ways to its copies, in the order in which they are tried."""
        self._readers = readers
        self._headers = headers
        self._pictures = pictures

    def can_read(self, beamline: str) -> bool:
        """Whether there is any way to the bytes of a beamline's copies."""
        return bool(self._readers.get(beamline))

    def describe(self, scan: Scan, copy: Copy) -> Described:
        """Metadata of a copy, without the picture."""
        return self._ask(scan, copy, self._headers, picture=False)

    def draw(self, scan: Scan, copy: Copy) -> Described:
        """The same with the picture."""
        return self._ask(scan, copy, self._pictures, picture=True)

    def close(self) -> None:
        """End the workers."""
        self._headers.close()
        self._pictures.close()

    def _ask(self, scan: Scan, copy: Copy, workers: Workers, *, picture: bool) -> Described:
        readers = self._readers.get(scan.spec.beamline, ())
        if not readers:
            return Described(unread="no mount of source or destination, and no collection that serves HTTPS")
        sidecars, unsure = self._sidecars(scan.spec.path, readers)
        troubles: list[str] = []
        differing: list[str] = []
        for reader in readers:
            path = copy.path if reader.endpoint.name == copy.endpoint else scan.spec.path
            try:
                source = reader.source(path, copy.size)
                answer = workers.run(
                    Job(source, copy.size, copy.checksum.value, scan.spec.beamline, path, sidecars, picture)
                )
            except PlaceUnavailableError as error:
                answer = Answer(unread=str(error))
            except WorkerFailedError as error:  # another place holds the same bytes
                troubles.append(f"{path}: {error}")
                break
            if answer.description is not None:
                found = answer.description
                if unsure:
                    found = replace(found, sidecar_unread=found.sidecar_unread or not found.has_sidecar)
                return Described(found, differing=tuple(differing))
            said = f"{path} by {reader.name} {answer.unread}"
            troubles.append(said)
            if answer.differs:
                differing.append(said)
        text = "; ".join(troubles)
        log.warning("Scan %s is not described: %s", scan.name, text, extra={"scan": scan.name})
        return Described(unread=text, differing=tuple(differing))

    def _sidecars(self, path: str, readers: Sequence[Reader]) -> tuple[tuple[Source, ...], bool]:
        """Where the sidecar of a file may be, and whether that is not fully known."""
        if path.lower().endswith(SIDECAR_SUFFIX):
            return (), False
        sources: list[Source] = []
        unsure = False
        for reader in readers:
            try:
                source = reader.sidecar(sidecar_of(path))
            except PlaceUnavailableError:
                unsure = True
                continue
            if source is not None:
                sources.append(source)
            if isinstance(source, bytes):
                break
        return tuple(sources), unsure


def stem_of(path: str) -> str:
    """The path that a scan and its sidecar have in common: without ``.sdc.json``, else without its last extension."""
    if path.lower().endswith(SIDECAR_SUFFIX):
        return path[: -len(SIDECAR_SUFFIX)]
    folder, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return folder + slash + (stem if dot and stem else name)


def sidecar_of(path: str) -> str:
    """Where the sidecar of a scan would be."""
    return stem_of(path) + SIDECAR_SUFFIX


def is_sidecar(path: str) -> bool:
    """Whether a file is a sidecar."""
    return path.lower().endswith(SIDECAR_SUFFIX)


def scans_of(sidecar: str) -> tuple[str, ...]:
    """Where the scan of a sidecar may be; the usual one first."""
    return tuple(stem_of(sidecar) + suffix for suffix in (".txt", ".fits", ""))
