"""Tape bundles: pack files into a pax tar with its manifest first, and check one. ``unpacking`` takes members out.

Standard library only and nothing of this project: this one file is sent to a site and run there by whatever Python the
site has (3.9 or newer). So it is longer than the others, and holds :func:`open_folder`, the one way in which any mover
enters a folder. It knows nothing of tasks, endpoints or where a bundle ends up.

A bundle is a plain POSIX pax tar. Its first member is ``MANIFEST.tsv``: a header line, then one line per member in the
order of the tar with path, size, modification time and sha256, separated by tabs. The first member is always the
manifest and the others never are, even when a scan happens to be called ``MANIFEST.tsv``.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import BinaryIO, NamedTuple, NoReturn

MANIFEST = "MANIFEST.tsv"
MANIFEST_HEADER = "path\tsize\tmodified_at\tsha256"
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
"""4,000 members of 1,024 characters need 5 MB; a larger first member is not one of our manifests."""

MAX_MEMBER_BYTES = 64 * 10**9
"""The tape site takes members of at most 68 GB from its own tools; we stay below."""

# Why a member was left out. The words are those of the operator's reasons.
MISSING = "SourceMissing"
CHANGED = "SourceChanged"
UNREADABLE = "SourceUnreadable"
MISMATCH = "ChecksumMismatch"
TOO_LARGE = "TooLarge"

# What a check says about a member.
VERIFIED = "Verified"
ABSENT = "Missing"
DIFFERS = "Differs"

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - datetime.UTC needs Python 3.11
_UNREADABLE_ERRNOS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)
_BLOCK = 1024 * 1024


class Member(NamedTuple):
    """One file: ``path`` relative to the root, ``size`` in bytes, ``modified_us`` in microseconds since 1970 (UTC).

    ``sha256`` is the checksum of record where there is one; a file that differs from it is left out.
    """

    path: str
    size: int
    modified_us: int
    sha256: str | None = None


class LeftOut(NamedTuple):
    """A file that is not in the bundle: ``reason`` is one of this module's words, ``message`` a sentence."""

    path: str
    reason: str
    message: str


class Packed(NamedTuple):
    """What was written: members with their sha256 in order, what was left out, sha256 and size of the whole tar."""

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...]
    sha256: str
    size: int


class BundleDamagedError(ValueError):
    """The tar is not a bundle of ours, or not any more what was packed."""


class SourceLostError(Exception):
    """The source as a whole is in trouble; the cause is the OSError that said so."""


class _LeaveOut(Exception):  # noqa: N818 - a decision about one member, never seen outside
    """This member can't be packed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def no_progress(done: int) -> None:
    """Nobody wants to know."""


# Entering folders and files


def open_folder(root: int, path: str) -> int:
    """Descriptor of the folder ``path`` below the folder open as ``root``; no component may be a link. "" is the root.

    Raises:
        ValueError: a component is empty, ``.`` or ``..``.
        NotADirectoryError: a component is a link or not a folder.
    """
    folder = os.open(".", _FOLDER, dir_fd=root)
    try:
        for part in path.split("/") if path else ():
            if part in ("", ".", ".."):
                raise ValueError(f"path {path!r} has a component {part!r}: it could lead outside the root")
            deeper = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
    except BaseException:
        os.close(folder)
        raise
    return folder


def open_regular(root: int, path: str) -> int:
    """Descriptor for reading the regular file ``path`` below ``root``, where neither it nor a folder above is a link.

    Raises:
        OSError: with errno ELOOP or ENOTDIR for a link or a strange folder, EISDIR or ENXIO for no regular file.
    """
    parent, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise ValueError(f"path {path!r} names no file")
    folder = open_folder(root, parent)
    try:
        # Looked at before it is opened: opening a device may already do something.
        _require_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), path)
        descriptor = os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(found: os.stat_result, path: str) -> None:
    """Refuse links, folders and special files with an errno of their own."""
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link, which is never followed", path)
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "is a folder, not a file", path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENXIO, "is a special file, not a regular one", path)


# Packing


def pack(
    root: int,
    members: Sequence[Member],
    out: BinaryIO,
    *,
    progress: Callable[[int], None] = no_progress,
) -> Packed:
    """Write the bundle of ``members`` below the folder open as ``root`` to ``out`` (empty, seekable, truncatable).

    Members without a checksum of record are hashed first, because the manifest stands in front. Every member is
    hashed (again) while it is packed. One that is missing, unreadable, changed or different is left out; as the
    manifest is then wrong, the tar is written anew without it, so the result never holds a member that its manifest
    does not describe. That ends, because each time there is one member less. Nothing is flushed to disk here.

    Args:
        root: descriptor of the folder that all paths are relative to.
        members: what to pack, in this order.
        out: where the tar goes, a buffered file.
        progress: called with the number of bytes just read; what it raises ends the packing.

    Raises:
        ValueError: a path can't stand in a manifest.
        SourceLostError: the source does not answer.
        OSError: ``out`` can't be written.
    """
    left_out: dict[str, LeftOut] = {}
    wanted = [_hashed_first(root, member, left_out, progress) for member in members]
    remaining = [member for member in wanted if member is not None]
    while remaining:
        out.seek(0)
        out.truncate()
        writer = _HashingWriter(out)
        failed = _write_tar(root, remaining, writer, left_out, progress)
        if failed is None:
            return Packed(tuple(remaining), tuple(left_out.values()), writer.sha256, writer.tell())
        remaining = [one for one in remaining if one != failed and _still_there(root, one, left_out)]
    out.seek(0)
    out.truncate()
    return Packed((), tuple(left_out.values()), hashlib.sha256().hexdigest(), 0)


def _hashed_first(
    root: int, member: Member, left_out: dict[str, LeftOut], progress: Callable[[int], None]
) -> Member | None:
    """The member with a sha256 to put into the manifest, None when it is left out."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in member.path):
        raise ValueError(f"path {member.path!r} has a control character: it can't stand in a manifest")
    if member.size > MAX_MEMBER_BYTES:
        text = f"{member.path} has {member.size} bytes, a member may have {MAX_MEMBER_BYTES}: archive it by hand"
        left_out[member.path] = LeftOut(member.path, TOO_LARGE, text)
        return None
    try:
        with _opened(root, member, progress) as reader:
            if member.sha256 is not None:
                return member
            while reader.read(_BLOCK):
                pass
            return member._replace(sha256=reader.finish())
    except _LeaveOut as trouble:
        left_out[member.path] = LeftOut(member.path, trouble.reason, str(trouble))
        return None


def look_again(root: int, member: Member) -> LeftOut | None:
    """Why the member can't be packed as it is described; None when it is there with its size and time.

    Raises:
        SourceLostError: the source does not answer.
    """
    try:
        with _opened(root, member):
            return None
    except _LeaveOut as trouble:
        return LeftOut(member.path, trouble.reason, str(trouble))


def _still_there(root: int, member: Member, left_out: dict[str, LeftOut]) -> bool:
    """Whether the member can be packed still; asked before the tar is written anew."""
    trouble = look_again(root, member)
    if trouble:
        left_out[member.path] = trouble
    return trouble is None


def _write_tar(
    root: int,
    members: Sequence[Member],
    writer: _HashingWriter,
    left_out: dict[str, LeftOut],
    progress: Callable[[int], None],
) -> Member | None:
    """Write manifest and members; the first member that can't be packed as described ends it and is returned."""
    newest = max(member.modified_us for member in members)
    with tarfile.TarFile(fileobj=writer, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_BLOCK) as tar:
        manifest = manifest_text(members).encode()
        tar.addfile(_header(MANIFEST, len(manifest), newest), io.BytesIO(manifest))
        for member in members:
            try:
                with _opened(root, member, progress) as reader:
                    tar.addfile(_header(member.path, member.size, member.modified_us), reader)
                    found = reader.finish()
                    if found != member.sha256:
                        raise _LeaveOut(
                            MISMATCH,
                            f"{member.path} has sha256 {found} where {member.sha256} is on record: its bytes changed "
                            "without its size and time; compare it with its other copies before anything is deleted",
                        )
            except _LeaveOut as trouble:
                left_out[member.path] = LeftOut(member.path, trouble.reason, str(trouble))
                return member
    return None


def _header(path: str, size: int, modified_us: int) -> tarfile.TarInfo:
    """A header that depends on nothing but its arguments."""
    header = tarfile.TarInfo(path)
    header.size = size
    header.mode = 0o644
    header.mtime = modified_us // 1_000_000
    # Written out, as a float would not carry the microseconds exactly.
    header.pax_headers = {"mtime": f"{modified_us // 1_000_000}.{modified_us % 1_000_000:06d}"}
    return header


@contextmanager
def _opened(root: int, member: Member, progress: Callable[[int], None] = no_progress) -> Iterator[_MemberReader]:
    """The member open for reading, after a look at its size and time."""
    try:
        descriptor = open_regular(root, member.path)
    except FileNotFoundError:
        raise _LeaveOut(MISSING, f"{member.path} is not there") from None
    except OSError as error:
        _unreadable(member, error)
    try:
        yield _MemberReader(descriptor, member, progress)
    finally:
        os.close(descriptor)


def _unreadable(member: Member, error: OSError) -> NoReturn:
    """Blame the member where the error can be its own."""
    if error.errno in _UNREADABLE_ERRNOS:
        raise _LeaveOut(UNREADABLE, f"{member.path} can't be read: {error.strerror}") from error
    raise SourceLostError(f"{member.path} can't be read: {error.strerror}") from error


class _MemberReader:
    """Reads exactly the member's bytes and hashes them; anything else about the file raises ``_LeaveOut``."""

    def __init__(self, descriptor: int, member: Member, progress: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._member = member
        self._progress = progress
        self._hash = hashlib.sha256()
        self._left = member.size
        self._compare()

    def _compare(self) -> None:
        try:
            found = os.fstat(self._descriptor)
        except OSError as error:
            _unreadable(self._member, error)
        # What copied the file to here may have kept whole seconds only. The bytes are judged by their checksum.
        times = (self._member.modified_us, self._member.modified_us // 1_000_000 * 1_000_000)
        if found.st_size != self._member.size or found.st_mtime_ns // 1000 not in times:
            raise _LeaveOut(
                CHANGED,
                f"{self._member.path} has {found.st_size} bytes of {format_us(found.st_mtime_ns // 1000)}, expected "
                f"were {self._member.size} of {format_us(self._member.modified_us)}",
            )

    def read(self, size: int = _BLOCK) -> bytes:
        """The next bytes, as many as asked for; fewer or none only where the expected size ends."""
        pieces = []
        wanted = min(size, self._left)
        while wanted:
            piece = self._next(wanted)
            if not piece:
                raise _LeaveOut(CHANGED, f"{self._member.path} became shorter while it was read")
            wanted -= len(piece)
            self._hash.update(piece)
            pieces.append(piece)
        chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._left -= len(chunk)
        self._progress(len(chunk))
        return chunk

    def finish(self) -> str:
        """sha256 of what was read, after one more look at the end of the file and at its size and time."""
        if self._next(1):
            raise _LeaveOut(CHANGED, f"{self._member.path} became longer while it was read")
        self._compare()
        return self._hash.hexdigest()

    def _next(self, size: int) -> bytes:
        try:
            return os.read(self._descriptor, size)
        except OSError as error:
            _unreadable(self._member, error)


class _HashingWriter(io.RawIOBase):
    """Passes what is written on and hashes it; an error on the way out is never taken for a member's."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out
        self._hash = hashlib.sha256()
        self._written = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._hash.update(data)
        self._out.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


# The manifest


def manifest_text(members: Sequence[Member]) -> str:
    """The manifest of members that all have a sha256."""
    lines = (f"{one.path}\t{one.size}\t{format_us(one.modified_us)}\t{one.sha256}" for one in members)
    return "\n".join((MANIFEST_HEADER, *lines)) + "\n"


def parse_manifest(text: str) -> tuple[Member, ...]:
    """Members in the order of the tar.

    Raises:
        BundleDamagedError: it is not a manifest of ours.
    """
    # Not splitlines(): a path may hold U+2028 and its like.
    header, *lines = text.removesuffix("\n").split("\n")
    if header != MANIFEST_HEADER:
        raise BundleDamagedError(f"the manifest begins with {header[:80]!r} instead of {MANIFEST_HEADER!r}")
    members = []
    for number, line in enumerate(lines, start=2):
        try:
            path, size, modified_at, sha256 = line.split("\t")
            members.append(Member(path, int(size), parse_us(modified_at), sha256))
        except ValueError:
            raise BundleDamagedError(f"line {number} of the manifest can't be read: {line[:80]!r}") from None
    return tuple(members)


def format_us(modified_us: int) -> str:
    """Microseconds since 1970 as ``2026-11-22T17:03:11.123456Z``."""
    moment = _EPOCH + timedelta(microseconds=modified_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_us(text: str) -> int:
    """The inverse of :func:`format_us`."""
    if not text.endswith("Z"):
        raise ValueError(f"time {text!r} does not end in Z")
    moment = datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)  # noqa: UP017
    return (moment - _EPOCH) // timedelta(microseconds=1)


# Reading a bundle


class Checked(NamedTuple):
    """A bundle that was read from end to end: its manifest, and sha256 and size of the whole tar."""

    members: tuple[Member, ...]
    sha256: str
    size: int


def check_bundle(tar: BinaryIO, *, progress: Callable[[int], None] = no_progress) -> Checked:
    """Read the whole tar once, in order, and compare every member with the manifest.

    Raises:
        BundleDamagedError: manifest and members do not agree, or the tar can't be read as one.
    """
    reader = _HashingReader(tar, progress)
    with tar_errors(), tarfile.open(fileobj=reader, mode="r|", bufsize=_BLOCK) as stream:
        manifest = opening_manifest(stream)
        for expected in manifest:
            found = stream.next()
            if found is None or not found.isreg() or (found.name, found.size) != (expected.path, expected.size):
                raise BundleDamagedError(
                    f"the manifest names {expected.path} next, the tar holds {found.name if found else 'nothing more'}"
                )
            if _sha256_of(stream, found) != expected.sha256:
                raise BundleDamagedError(f"{expected.path} in the tar does not have the sha256 of the manifest")
        extra = stream.next()
        if extra is not None:
            raise BundleDamagedError(f"the tar holds {extra.name}, which the manifest does not name")
    while reader.read(_BLOCK):
        pass
    return Checked(manifest, reader.sha256, reader.size)


def read_manifest(tar: BinaryIO) -> tuple[Member, ...]:
    """The manifest, from the tar alone; members are not checked.

    Raises:
        BundleDamagedError: the tar does not begin with a manifest.
    """
    tar.seek(0)
    with tar_errors(), tarfile.open(fileobj=tar, mode="r:") as opened:
        return opening_manifest(opened)


def verify_members(
    tar: BinaryIO,
    wanted: Mapping[str, tuple[int, str]],
    *,
    progress: Callable[[int], None] = no_progress,
) -> dict[str, str]:
    """Read members again: ``VERIFIED`` where one has the given (size, sha256), else ``ABSENT`` or ``DIFFERS``.

    The other members are skipped. Where the tar is damaged, whatever was not read before the damage ``DIFFERS``.
    """
    states: dict[str, str] = {}
    tar.seek(0)
    try:
        with tar_errors(), tarfile.open(fileobj=_ProgressReader(tar, progress), mode="r:") as opened:
            named = {one.path for one in opening_manifest(opened)}
            while (found := opened.next()) is not None:
                if found.name in wanted and found.name not in states:
                    size, sha256 = wanted[found.name]
                    same = found.isreg() and found.size == size and _sha256_of(opened, found) == sha256
                    states[found.name] = VERIFIED if same else DIFFERS
    except BundleDamagedError:
        return {path: states.get(path, DIFFERS) for path in wanted}
    # tarfile takes a damaged header for the end; only the manifest can say that a member was never there.
    return {path: states.get(path, DIFFERS if path in named else ABSENT) for path in wanted}


def opening_manifest(tar: tarfile.TarFile) -> tuple[Member, ...]:
    """The manifest of a tar that was just opened: it must be the first member.

    Raises:
        BundleDamagedError: it is not.
    """
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > MAX_MANIFEST_BYTES:
        raise BundleDamagedError(f"the tar does not begin with {MANIFEST}: it was not made as a bundle")
    content = tar.extractfile(first)
    if content is None:
        raise BundleDamagedError(f"{MANIFEST} can't be read")
    try:
        return parse_manifest(content.read().decode())
    except UnicodeDecodeError as error:
        raise BundleDamagedError(f"{MANIFEST} is not UTF-8") from error


def _sha256_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """sha256 of a member as it is stored."""
    content = tar.extractfile(member)
    if content is None:
        raise BundleDamagedError(f"{member.name} can't be read from the tar")
    digest = hashlib.sha256()
    while chunk := content.read(_BLOCK):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def tar_errors() -> Iterator[None]:
    """What tarfile says about a damaged tar, as one error; trouble of the file system passes through."""
    try:
        yield
    except BundleDamagedError:
        raise
    except (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError) as error:
        raise BundleDamagedError(f"the tar can't be read: {error}") from error


class _ProgressReader(io.RawIOBase):
    """A seekable file that tells how many bytes were read from it."""

    def __init__(self, raw: BinaryIO, progress: Callable[[int], None]) -> None:
        super().__init__()
        self._raw = raw
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        chunk = self._raw.read(size)
        self._progress(len(chunk))
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def seekable(self) -> bool:
        return True


class _HashingReader(_ProgressReader):
    """Reads in order and hashes everything."""

    def __init__(self, raw: BinaryIO, progress: Callable[[int], None]) -> None:
        super().__init__(raw, progress)
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        chunk = super().read(size)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
