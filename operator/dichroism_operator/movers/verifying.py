"""Proving recorded copies again: every byte is read from the mount, nothing is taken from a record."""

import os
from collections import defaultdict
from collections.abc import Sequence

from dichroism_crds.paths import check_relative_path
from dichroism_crds.timestamps import from_ns
from dichroism_operator.movers import bundle
from dichroism_operator.movers.base import CopyState, CopyToVerify
from dichroism_operator.movers.errors import NotARegularFileError
from dichroism_operator.movers.hashing import no_checkpoint, sha256_from_disk
from dichroism_operator.movers.mount import Mount


def verify_copies(mount: Mount, copies: Sequence[CopyToVerify]) -> dict[CopyToVerify, CopyState]:
    """State of each copy; a bundle is read once for all its members.

    Raises:
        PathError: a path that no copy can have.
        MoverUnavailable: the endpoint is in trouble.
    """
    by_bundle: dict[str | None, list[CopyToVerify]] = defaultdict(list)
    for copy in copies:
        check_relative_path(copy.bundle or copy.path)
        by_bundle[copy.bundle].append(copy)
    states = {copy: _file_state(mount, copy) for copy in by_bundle.pop(None, [])}
    for path, members in by_bundle.items():
        if path is not None:
            states |= _member_states(mount, path, members)
    return states


def _file_state(mount: Mount, copy: CopyToVerify) -> CopyState:
    try:
        with mount.open(copy.path) as fd:
            found = os.fstat(fd)
            if found.st_size != copy.size or copy.modified_at not in (None, from_ns(found.st_mtime_ns)):
                return CopyState.DIFFERS
            same = sha256_from_disk(fd, no_checkpoint) == (copy.size, copy.sha256)
            return CopyState.VERIFIED if same else CopyState.DIFFERS
    except OSError as error:
        return _state_of(mount, error)


def _member_states(mount: Mount, path: str, copies: Sequence[CopyToVerify]) -> dict[CopyToVerify, CopyState]:
    asked: dict[str, CopyToVerify] = {}
    for copy in copies:
        asked.setdefault(copy.path, copy)
    try:
        with mount.file(path) as tar:
            os.posix_fadvise(tar.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = bundle.verify_members(tar, {member: (copy.size, copy.sha256) for member, copy in asked.items()})
    except OSError as error:
        return dict.fromkeys(copies, _state_of(mount, error))
    states = {copy: CopyState(found[member]) for member, copy in asked.items()}
    # The same member asked for with another content: rare, and at most one of them is right.
    others = [copy for copy in copies if copy not in states]
    return states | (_member_states(mount, path, others) if others else {})


def _state_of(mount: Mount, error: OSError) -> CopyState:
    """What an error says about one copy, when the endpoint as a whole answers."""
    if mount.is_outage(error):
        raise mount.outage(error) from error
    if isinstance(error, FileNotFoundError):
        return CopyState.MISSING
    return CopyState.DIFFERS if isinstance(error, NotARegularFileError) else CopyState.UNKNOWN
