"""The work of a worker process: read the bytes of a copy, prove that they are the recorded ones, understand them.

Imported by workers alone: it needs numpy, and matplotlib for pictures.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator

from dichroism_operator import science
from dichroism_operator.movers.bundle import open_regular
from dichroism_operator.previews.jobs import Answer, Description, Job, Place, Source
from dichroism_operator.science.preview import SIDECAR
from dichroism_operator.science.sidecar import LARGEST

KEPT = 64 * 2**20
"""Bytes that are kept of a file. The rest is hashed only: no known scan is longer, and of an image the start is enough.
"""
_BLOCK = 2**20


class UnreadError(Exception):
    """The bytes could not be had; the text says why."""


class OtherContentError(Exception):
    """The bytes are not those of the recorded copy."""


def carry_out(job: Job) -> Answer:
    """Do one job; never raises."""
    until = time.monotonic() + job.seconds
    try:
        content = read_copy(job.source, job.size, job.sha256, until)
        sidecar, unread = _sidecar(job.sidecars)
        preview = science.build_preview(
            content,
            job.beamline,
            job.path,
            sidecar=sidecar,
            seconds=max(until - time.monotonic(), 0.0),
            picture=job.picture,
        )
        if not job.picture and time.monotonic() > until:
            raise UnreadError(f"was not understood within {job.seconds:.0f} s")
    except OtherContentError as error:
        return Answer(unread=str(error), differs=True)
    except UnreadError as error:
        return Answer(unread=str(error))
    except Exception as error:
        return Answer(unread=f"{type(error).__name__}: {error}")
    problems = [preview.problem] if preview.problem else []
    if job.size > len(content):
        problems.append(f"only the first {len(content)} of {job.size} bytes were looked at")
    return Answer(
        Description(
            metadata=preview.metadata,
            fields=science.FIELDS,
            techniques=tuple(preview.techniques),
            keywords=tuple(science.keywords(preview.metadata)),
            start_time=preview.start_time,
            end_time=preview.end_time,
            proposal=preview.proposal,
            sample=preview.sample,
            has_sidecar=sidecar is not None,
            sidecar_unread=unread,
            problem="; ".join(problems) or None,
            drawable="quicklook" in preview.metadata and preview.metadata.get("file_format") != SIDECAR,
            png=preview.png,
            headline=preview.headline,
        )
    )


def read_copy(source: Source, size: int, sha256: str | None, until: float = float("inf")) -> bytes:
    """The first 64 MB of a copy, after all of it was read and found to be the recorded one.

    Args:
        source: Where it is, or its bytes.
        size: Recorded size in bytes.
        sha256: Recorded checksum, None when none is known.
        until: On the monotonic clock; reading does not go on after it.

    Raises:
        UnreadError: it is not there, cannot be read, or not in time.
        OtherContentError: size or checksum differ.
    """
    digest, kept, found = hashlib.sha256(), bytearray(), 0
    with _opened(source) as (blocks, length):
        if length != size:
            raise OtherContentError(f"has {length} bytes where {size} are recorded")
        for block in blocks():
            digest.update(block)
            found += len(block)
            kept += block[: max(KEPT - len(kept), 0)]
            if time.monotonic() > until:
                raise UnreadError(f"was not read in time: {found} of {size} bytes")
    if found != size:
        raise OtherContentError(f"has {found} bytes where {size} are recorded")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise OtherContentError("has another checksum than recorded")
    return bytes(kept)


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[tuple[Callable[[], Iterator[bytes]], int]]:
    if isinstance(source, bytes):
        yield lambda: iter((source,)), len(source)
        return
    with contextlib.ExitStack() as stack:
        try:
            descriptor = _open(source)
            stack.callback(os.close, descriptor)
            length = os.fstat(descriptor).st_size
        except (OSError, ValueError) as error:
            raise UnreadError(f"cannot be opened: {_words(error)}") from error

        def blocks() -> Iterator[bytes]:
            try:
                while block := os.read(descriptor, _BLOCK):
                    yield block
            except OSError as error:
                raise UnreadError(f"cannot be read: {_words(error)}") from error

        yield blocks, length


def _open(place: Place) -> int:
    root = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_regular(root, place.path)
    finally:
        os.close(root)


def _sidecar(sources: tuple[Source, ...]) -> tuple[bytes | None, bool]:
    """The first sidecar that is there, and whether there may be one that could not be read."""
    unread = False
    for source in sources:
        if isinstance(source, bytes):
            return source, False
        try:
            descriptor = _open(source)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unread = True
            continue
        try:
            with open(descriptor, "rb") as stream:
                return stream.read(LARGEST + 1), False
        except OSError:
            unread = True
    return None, unread


def _words(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
