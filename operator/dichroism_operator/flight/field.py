"""Where the file of a flight check lies: in ``.dichroism/flight`` of each end, under a name that tells its age.

What killed checks left there is found by that name and deleted after a day. No other file there is ever touched, and
the folder itself stays.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from dichroism_crds.config import Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers.base import Item
from dichroism_operator.movers.mount import MANIFESTS, Mount, readable

FLIGHT = f"{PRIVATE_DIR}/flight"
PROOF = f"{FLIGHT}/{PRIVATE_DIR}"
"""Makes the folder an endpoint of its own for the movers, which look for ``.dichroism`` at a root."""
KEPT_MANIFESTS = f"{FLIGHT}/{MANIFESTS}"
STANDING = "standing.bin"
"""The file that a person puts once where we can't write content: at the source of a Globus hop."""
SIZE = 64 * 1024
"""Bytes: more than one block of anything, and nothing beside a scan."""
OLD = timedelta(days=1)
"""So old, a file was left by a check that was killed: none lasts so long."""
_STAMP = "%Y%m%dT%H%M%SZ"
_OURS = re.compile(r"flight-[a-z0-9]{1,16}-(\d{8}T\d{6}Z)-[0-9a-f]{8}\.bin(?:\.tar(?:\.tsv)?)?\Z")


def new_name(beamline: str, moment: datetime) -> str:
    """A name that no other check has, with the moment in it."""
    return f"flight-{beamline.lower()}-{moment.astimezone(UTC):{_STAMP}}-{secrets.token_hex(4)}.bin"


def left_behind(names: Iterable[str], moment: datetime) -> list[str]:
    """Those of the names that a check gave more than a day before ``moment``."""
    return [name for name in names if (made := _made(name)) and moment - made > OLD]


def _made(name: str) -> datetime | None:
    found = _OURS.match(name)
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def field_of(endpoint: Endpoint) -> Endpoint:
    """The folder of the flight checks as an endpoint of its own, under the same name: its paths stay below it."""
    return endpoint.model_copy(
        update={
            "root_path": f"{endpoint.root_path.rstrip('/')}/{FLIGHT}",
            "globus_path": f"{endpoint.collection_path.rstrip('/')}/{FLIGHT}",
            "mount": endpoint.mount / FLIGHT if endpoint.mount else None,
        }
    )


def write(endpoint: Endpoint, name: str) -> Item:
    """Write a file of random bytes into the folder of a mounted endpoint; its path is relative to :func:`field_of`.

    Raises:
        MoverUnavailable: the endpoint is not mounted here, not writable, or full.
    """
    content = secrets.token_bytes(SIZE)
    with Mount(endpoint) as mount:
        try:
            with mount.folder(PROOF, create=True), mount.folder(FLIGHT) as folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(name, flags, 0o644, dir_fd=folder)
                try:
                    with open(fd, "wb", closefd=False) as file:
                        file.write(content)
                    os.fsync(fd)
                    found = os.fstat(fd)
                except BaseException:
                    os.unlink(name, dir_fd=folder)
                    raise
                finally:
                    os.close(fd)
        except OSError as error:
            raise mount.outage(error) from error
    return Item(name, found.st_size, from_ns(found.st_mtime_ns), hashlib.sha256(content).hexdigest())


def clear(endpoint: Endpoint, name: str, moment: datetime) -> int:
    """Delete the file that :func:`write` made, and what killed checks left there; returns how many files they left.

    Raises:
        MoverUnavailable: it can't be done.
    """
    with Mount(endpoint) as mount:
        try:
            with mount.folder(FLIGHT) as folder:
                listable = readable(folder)
                try:
                    with os.scandir(listable) as entries:
                        old = left_behind((entry.name for entry in entries), moment)
                finally:
                    os.close(listable)
                for one in (name, *old):
                    with suppress(FileNotFoundError):
                        os.unlink(one, dir_fd=folder)
        except OSError as error:
            raise mount.outage(error) from error
    return len(old)
