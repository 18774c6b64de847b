"""Taking many members out of one bundle in one pass. How a bundle looks inside is the business of ``bundle``."""

import hashlib
import tarfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import IO, BinaryIO

from dichroism_crds.timestamps import EPOCH
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.hashing import BLOCK, Checkpoint, no_checkpoint

Content = tuple[int, str]
"""Size in bytes and sha256 that a member must have."""
Place = Callable[[str, datetime | None], AbstractContextManager[BinaryIO]]
"""Opens the place for the member of that name and modification time; at an error it throws away what it got."""


class UnusableError(Exception):
    """The bytes of a member can't be used; raised inside its place, so that what was written is thrown away."""

    def __init__(self, state: CopyState) -> None:
        super().__init__(state)
        self.state = state


def unpack(
    tar: BinaryIO, wanted: Mapping[str, Content], place: Place, checkpoint: Checkpoint = no_checkpoint
) -> dict[str, CopyState]:
    """Write each wanted member to its place, compared with the size and sha256 that it must have.

    Members are skipped without being read where they are not wanted. A bundle that is damaged gives what can be read
    before the damage; whatever else is wanted DIFFERS. A member that the bundle does not hold is MISSING.

    Args:
        tar: the bundle, seekable.
        wanted: what each member must be.
        place: where each goes; called for one after the other.
        checkpoint: told how many bytes of members were read; what it raises ends it all.

    Raises:
        OSError: the bundle or a place can't be read or written.
    """
    states: dict[str, CopyState] = {}
    whole = True
    tar.seek(0)
    try:
        with tarfile.open(fileobj=tar, mode="r:") as opened:
            opened.next()  # the manifest, which a scan may be called like
            while len(states) < len(wanted) and (found := opened.next()) is not None:
                if found.name in wanted and found.name not in states:
                    states[found.name] = _take(opened, found, wanted[found.name], place, checkpoint)
    except (tarfile.TarError, EOFError):
        whole = False
    lost = CopyState.MISSING if whole else CopyState.DIFFERS
    return {name: states.get(name, lost) for name in wanted}


def _take(
    tar: tarfile.TarFile, member: tarfile.TarInfo, content: Content, place: Place, checkpoint: Checkpoint
) -> CopyState:
    size, sha256 = content
    source = tar.extractfile(member) if member.isreg() and member.size == size else None
    if source is None:
        return CopyState.DIFFERS
    digest = hashlib.sha256()
    try:
        with place(member.name, _time_of(member)) as out:
            while block := _next(source):
                digest.update(block)
                out.write(block)
                checkpoint(len(block))
            if digest.hexdigest() != sha256:
                raise UnusableError(CopyState.DIFFERS)
    except UnusableError as error:
        return error.state
    return CopyState.VERIFIED


def _next(source: IO[bytes]) -> bytes:
    """The next bytes; an error of the bundle's storage must not look like one of the place."""
    try:
        return source.read(BLOCK)
    except OSError as error:
        raise UnusableError(CopyState.UNKNOWN) from error


def _time_of(member: tarfile.TarInfo) -> datetime | None:
    """The exact modification time: the header says it in decimal, and a float would not carry the microseconds."""
    try:
        return EPOCH + timedelta(microseconds=int(Decimal(member.pax_headers["mtime"]) * 1_000_000))
    except (KeyError, InvalidOperation, ValueError, OverflowError):
        return None
