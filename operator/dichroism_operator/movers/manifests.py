"""Reading the manifests that bundles leave on disk, where the endpoint that was archived from is mounted."""

import logging
import os
from collections.abc import Callable, Iterator

from dichroism_crds.config import Endpoint
from dichroism_operator.movers.bundle import MAX_MANIFEST_BYTES, BundleDamagedError, Member, parse_manifest
from dichroism_operator.movers.errors import NotARegularFileError
from dichroism_operator.movers.mount import MANIFESTS, Mount, readable

log = logging.getLogger(__name__)


def manifests_on(endpoint: Endpoint, wanted: Callable[[str], bool]) -> Iterator[tuple[str, tuple[Member, ...]]]:
    """File name and members of each manifest whose name is wanted; a damaged one is logged and left out.

    Raises:
        MoverUnavailable: the endpoint is not mounted, or does not answer.
    """
    with Mount(endpoint) as mount:
        try:
            for name in _names(mount, wanted):
                with mount.file(f"{MANIFESTS}/{name}") as file:
                    text = file.read(MAX_MANIFEST_BYTES)
                try:
                    yield name, parse_manifest(text.decode())
                except (BundleDamagedError, UnicodeDecodeError) as error:
                    log.error("manifest %s on %s can't be read: %s", name, endpoint.name, error)
        except NotARegularFileError as error:
            log.error("in the manifests of %s: %s", endpoint.name, error)
        except OSError as error:
            raise mount.outage(error) from error


def _names(mount: Mount, wanted: Callable[[str], bool]) -> list[str]:
    try:
        with mount.folder(MANIFESTS) as folder:
            listable = readable(folder)
            try:
                with os.scandir(listable) as entries:
                    return sorted(entry.name for entry in entries if wanted(entry.name))
            finally:
                os.close(listable)
    except FileNotFoundError:
        return []
