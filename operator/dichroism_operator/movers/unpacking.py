"""Taking many members out of one bundle in one pass. How a bundle looks inside is the business of ``bundle``.

Standard library and ``bundle`` only, Python 3.9 or newer: it is sent to the tape site together with that one.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, Protocol, Tuple  # noqa: UP035 - evaluated on Python 3.9

from dichroism_operator.movers.bundle import (
    ABSENT,
    DIFFERS,
    VERIFIED,
    BundleDamagedError,
    no_progress,
    opening_manifest,
    tar_errors,
)

UNKNOWN = "Unknown"
"""The storage did not give the bytes."""

Content = Tuple[int, str]  # noqa: UP006 - evaluated on Python 3.9
"""Size in bytes and sha256 that a member must have."""

_BLOCK = 1024 * 1024
_FAR_S = 250_000_000_000
"""Later than this, in the year 9892, nothing was measured."""


class Place(Protocol):
    """Opens the place for a member of that name; at an error it throws away what it got."""

    def __call__(self, path: str, modified_us: int | None) -> AbstractContextManager[BinaryIO]:
        """``modified_us`` in microseconds since 1970 (UTC); None where the bundle does not tell."""


class _Unusable(Exception):  # noqa: N818 - becomes a member's state
    """The bytes of a member can't be used; raised inside its place, so that what was written is thrown away."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def unpack(
    tar: BinaryIO,
    wanted: Mapping[str, Content],
    place: Place,
    progress: Callable[[int], None] = no_progress,
) -> dict[str, str]:
    """Write each wanted member to its place, compared with the size and sha256 that it must have.

    Members are skipped without being read where they are not wanted. A bundle that is damaged gives what can be read
    before the damage; whatever else is wanted ``DIFFERS``. A member that the bundle does not hold is ``ABSENT``, one
    whose bytes the storage does not give is ``UNKNOWN``.

    Args:
        tar: the bundle, seekable.
        wanted: what each member must be.
        place: where each goes; called for one after the other.
        progress: told how many bytes of members were read; what it raises ends it all.

    Raises:
        OSError: the bundle or a place can't be read or written.
    """
    states: dict[str, str] = {}
    named = set(wanted)  # A bundle without a readable manifest may have held anything.
    tar.seek(0)
    try:
        with tar_errors():
            opened = tarfile.open(fileobj=tar, mode="r:")  # noqa: SIM115 - closed by the block below
        with opened:
            with suppress(BundleDamagedError):  # The members may be whole all the same.
                named = {member.path for member in opening_manifest(opened)}
            while len(states) < len(wanted) and (found := _next_member(opened)) is not None:
                if found.name in wanted and found.name not in states:
                    states[found.name] = _take(opened, found, wanted[found.name], place, progress)
    except BundleDamagedError:
        named = set(wanted)
    # tarfile takes a damaged header for the end; only the manifest can say that a member was never there.
    return {path: states.get(path, DIFFERS if path in named else ABSENT) for path in wanted}


def put_in_place(
    source: BinaryIO,
    path: str,
    modified_us: int | None,
    content: Content,
    place: Place,
    progress: Callable[[int], None] = no_progress,
) -> str:
    """Copy one file to its place; ``VERIFIED``, else ``DIFFERS`` or ``UNKNOWN`` and nothing is left in the place.

    Raises:
        OSError: the place can't be written.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with place(path, modified_us) as out:
            while block := _read(source):
                digest.update(block)
                size += len(block)
                out.write(block)
                progress(len(block))
            if (size, digest.hexdigest()) != tuple(content):
                raise _Unusable(DIFFERS)
    except _Unusable as trouble:
        return trouble.state
    return VERIFIED


def _next_member(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    with tar_errors():
        return tar.next()


def _take(
    tar: tarfile.TarFile, member: tarfile.TarInfo, content: Content, place: Place, progress: Callable[[int], None]
) -> str:
    source = tar.extractfile(member) if member.isreg() and member.size == content[0] else None
    if source is None:
        return DIFFERS
    return put_in_place(source, member.name, _time_of(member), content, place, progress)  # type: ignore[arg-type]


def _read(source: BinaryIO) -> bytes:
    """The next bytes; an error of the bundle's storage must not look like one of the place."""
    try:
        with tar_errors():
            return source.read(_BLOCK)
    except BundleDamagedError:
        raise _Unusable(DIFFERS) from None
    except OSError as error:
        raise _Unusable(UNKNOWN) from error


def _time_of(member: tarfile.TarInfo) -> int | None:
    """The exact modification time: the header says it in decimal, and a float would not carry the microseconds."""
    try:
        moment = Decimal(member.pax_headers["mtime"])
        return int(moment * 1_000_000) if 0 <= moment < _FAR_S else None
    except (KeyError, InvalidOperation):
        return None
