"""Where the bytes of a beamline's copies can be had, in the order in which they are tried."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from dichroism_crds.config import Beamline, Config, Endpoint
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable
from dichroism_operator.previews.jobs import Place, Source

LARGEST_DOWNLOAD = 64 * 2**20
"""Bytes. A file is held in memory while it is handed to a worker."""


class PlaceUnavailableError(Exception):
    """The bytes cannot be had here now; the text says why."""


class Reader(Protocol):
    """One way to the copies on one endpoint."""

    endpoint: Endpoint
    name: str
    """For people, such as ``the mount of nersc402``."""

    def source(self, path: str, size: int) -> Source:
        """Where a copy is, or its bytes.

        Raises:
            PlaceUnavailableError: it cannot be had here.
        """

    def sidecar(self, path: str) -> Source | None:
        """The same for a sidecar, which may be absent; None when it is known to be.

        Raises:
            PlaceUnavailableError: it is not known whether there is one.
        """


@runtime_checkable
class ReadsOverHttps(Protocol):
    """A mover whose collections serve files over HTTPS."""

    def read_https(self, endpoint: Endpoint, path: str, limit: int) -> bytes:
        """A whole file of at most ``limit`` bytes.

        Raises:
            FileTrouble: SOURCE_MISSING when nothing is there; TOO_LARGE; SOURCE_UNREADABLE.
            MoverUnavailable: the collection does not answer, or serves no HTTPS.
        """


class MountReader:
    """Through a folder that this machine has mounted; the worker opens the file itself."""

    def __init__(self, endpoint: Endpoint, mount: str) -> None:
        self.endpoint = endpoint
        self.name = f"the mount of {endpoint.name}"
        self._mount = mount

    def source(self, path: str, size: int) -> Source:  # noqa: ARG002 - of any size
        """The place below the mount."""
        return Place(self._mount, path)

    def sidecar(self, path: str) -> Source | None:
        """The place where it would be."""
        return Place(self._mount, path)


class CollectionReader:
    """Over HTTPS from the collection of an endpoint, whole and into memory."""

    def __init__(self, endpoint: Endpoint, mover: ReadsOverHttps) -> None:
        self.endpoint = endpoint
        self.name = f"HTTPS of {endpoint.name}"
        self._mover = mover

    def source(self, path: str, size: int) -> Source:
        """The bytes."""
        if size > LARGEST_DOWNLOAD:
            raise PlaceUnavailableError(f"{size} bytes are more than the {LARGEST_DOWNLOAD} that are read over HTTPS")
        try:
            return self._mover.read_https(self.endpoint, path, LARGEST_DOWNLOAD)
        except (FileTrouble, MoverUnavailable) as error:
            raise PlaceUnavailableError(str(error)) from error

    def sidecar(self, path: str) -> Source | None:
        """The bytes; None when the collection says that nothing is there."""
        try:
            return self._mover.read_https(self.endpoint, path, LARGEST_DOWNLOAD)
        except FileTrouble as error:
            if error.reason == "SourceMissing":
                return None
            raise PlaceUnavailableError(str(error)) from error
        except MoverUnavailable as error:
            raise PlaceUnavailableError(str(error)) from error


def readers_of(beamline: Beamline, config: Config, movers: Mapping[str, Mover]) -> Sequence[Reader]:
    """The ways to a beamline's copies on disk: mount of the destination, mount of the source, HTTPS of both."""
    ends = [config.endpoints[name] for name in (beamline.transfer.destination, beamline.transfer.source)]
    readers: list[Reader] = [MountReader(end, str(end.mount)) for end in ends if end.mount]
    mover = movers.get(beamline.transfer.mover)
    if isinstance(mover, ReadsOverHttps):
        readers += [CollectionReader(end, mover) for end in ends]
    return readers
