"""Copying files from one mount to another, one after the other, with a verified copy or a reason for each.

The order for one file: read and hash the source into an incoming file, flush it, read it back from the disk and
compare, look at the source again, give the copy its final name. After the last file the folders are flushed and every
source is looked at once more; only then is a copy called verified.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import format_time, from_ns, kept_time, to_ns
from dichroism_operator.movers.base import Item, ItemResult
from dichroism_operator.movers.errors import FileTrouble
from dichroism_operator.movers.hashing import Checkpoint, blocks, sha256_from_disk
from dichroism_operator.movers.incoming import Incoming, IncomingFile
from dichroism_operator.movers.mount import Mount, sync_folder, user_path
from dichroism_operator.movers.placing import Content, holds, may_hold, place


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file of an item, open; reading it ends as soon as it is not what the item says."""

    mount: Mount
    item: Item
    fd: int
    found: os.stat_result

    def blocks(self) -> Iterator[memoryview]:
        """The bytes from the beginning, exactly as many as expected."""
        path, left = self.item.path, self.item.size
        os.lseek(self.fd, 0, os.SEEK_SET)
        reader = blocks(self.fd)
        while True:
            with self.mount.reading(path):
                block = next(reader, None)
            if block is None:
                break
            left -= len(block)
            if left < 0:
                break
            yield block
        if left:
            now = "shorter" if left > 0 else "longer"
            text = f"{path} became {now} than {self.item.size} bytes while it was read: it is being written"
            raise FileTrouble(Reason.SOURCE_CHANGED, text)

    def sha256(self, checkpoint: Checkpoint) -> str:
        """sha256 of the file, compared with the checksum of record."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
            checkpoint(len(block))
        return self.checked(digest.hexdigest())

    def checked(self, sha256: str) -> str:
        """The sha256 that was found, when it is the one of record and the file is still the same.

        Raises:
            FileTrouble: CHECKSUM_MISMATCH, or what :func:`require_unchanged` raises.
        """
        require_unchanged(self.mount, self.item)
        if self.item.sha256 not in (None, sha256):
            raise FileTrouble(
                Reason.CHECKSUM_MISMATCH,
                f"{self.item.path} on {self.mount.name} has sha256 {sha256} where {self.item.sha256} is on record: its "
                "bytes changed without its size and time; compare it with its other copies before anything is deleted",
            )
        return sha256


@contextmanager
def opened(mount: Mount, item: Item) -> Iterator[SourceFile]:
    """The file of an item, when it has the expected size and time.

    Raises:
        FileTrouble: it has not, is missing, unreadable or no regular file.
    """
    with ExitStack() as stack:
        with mount.reading(item.path):
            fd = stack.enter_context(mount.open(user_path(item.path)))
            found = os.fstat(fd)
        _compare(mount, item, found)
        yield SourceFile(mount, item, fd, found)


def require_unchanged(mount: Mount, item: Item) -> None:
    """Look at the source's path once more.

    Raises:
        FileTrouble: SOURCE_CHANGED, SOURCE_MISSING or SOURCE_UNREADABLE.
    """
    with mount.reading(item.path):
        found = mount.lstat(item.path)
        if found is None:
            raise FileNotFoundError(item.path)
    _compare(mount, item, found)


def _compare(mount: Mount, item: Item, found: os.stat_result) -> None:
    modified_at = from_ns(found.st_mtime_ns)
    # With a checksum of record the source is itself a copy, whose time may have been cut by what made it.
    same_time = kept_time(modified_at, item.modified_at) if item.sha256 else modified_at == item.modified_at
    if not stat.S_ISREG(found.st_mode) or found.st_size != item.size or not same_time:
        raise FileTrouble(
            Reason.SOURCE_CHANGED,
            f"{item.path} on {mount.name} has {found.st_size} bytes of {format_time(modified_at)}, expected were "
            f"{item.size} of {format_time(item.modified_at)}: the new content is copied when it was reported",
        )


class Copier:
    """Copies the items of one task. Call :meth:`copy` for each, then :meth:`settle` once."""

    def __init__(self, source: Mount, destination: Mount, incoming: Incoming, checkpoint: Checkpoint) -> None:
        self._source = source
        self._destination = destination
        self._incoming = incoming
        self._checkpoint = checkpoint
        self._placed: list[tuple[Item, ItemResult]] = []

    def copy(self, item: Item) -> None:
        """Bring one file to the destination.

        Raises:
            FileTrouble: this file can't be copied now.
            MoverUnavailable: source or destination is in trouble as a whole.
        """
        with opened(self._source, item) as source:
            result = self._found_there(source) or self._copied(source)
        self._placed.append((item, result))

    def settle(self) -> list[ItemResult]:
        """Make all names durable, look at every source once more, and say what became of each file placed.

        A source that changed after its copy was placed gives no verified copy. The copy stays: it is complete, and the
        next attempt finds it equal or moves it to the superseded ones.
        """
        for folder in sorted({item.path.rpartition("/")[0] for item, _ in self._placed}):
            try:
                with self._destination.folder(folder) as fd:
                    sync_folder(fd)
            except OSError as error:
                raise self._destination.outage(error) from error
        return [self._settled(item, result) for item, result in self._placed]

    def _settled(self, item: Item, result: ItemResult) -> ItemResult:
        try:
            require_unchanged(self._source, item)
        except FileTrouble as trouble:
            return ItemResult(item.path, trouble.reason, str(trouble))
        return result

    def _found_there(self, source: SourceFile) -> ItemResult | None:
        """The result when the destination already holds this content; the source is only hashed, not copied."""
        path = source.item.path
        with self._destination.placing(path):
            standing = self._destination.lstat(path)
        if standing is None or not may_hold(self._destination, path, standing, source.item.size, source.found):
            return None
        content = Content(source.item.size, source.sha256(self._checkpoint), source.found)
        if not holds(self._destination, path, standing, content, self._checkpoint):
            return None
        return self._adopted(source.item, content.sha256)

    def _copied(self, source: SourceFile) -> ItemResult:
        item = source.item
        with self._incoming.file() as copy:
            content = Content(item.size, self._written(source, copy), source.found)
            with copy.reread() as fd:
                if sha256_from_disk(fd, self._checkpoint) != (content.size, content.sha256):
                    raise FileTrouble(
                        Reason.CHECKSUM_MISMATCH,
                        f"the copy of {item.path} on {self._destination.name} read back differently from what was "
                        "written: it was thrown away and is made again; look after the storage when this repeats",
                    )
            require_unchanged(self._source, item)
            if not place(self._destination, copy, item.path, content, self._checkpoint):
                return self._adopted(item, content.sha256)
        return ItemResult(item.path, Reason.COPIED, sha256=content.sha256)

    def _written(self, source: SourceFile, copy: IncomingFile) -> str:
        """Fill the incoming file, give it the time of the source and flush it; sha256 of what was read."""
        digest = hashlib.sha256()
        for block in source.blocks():
            digest.update(block)
            written = 0
            while written < len(block):
                written += os.write(copy.fd, block[written:])
            self._checkpoint(len(block))
        sha256 = source.checked(digest.hexdigest())
        modified = to_ns(source.item.modified_at)
        os.utime(copy.fd, ns=(modified, modified))
        os.fsync(copy.fd)
        return sha256

    def _adopted(self, item: Item, sha256: str) -> ItemResult:
        """Take over an equal file. It gets the time of the source, so that both can be compared by size and time."""
        result = ItemResult(item.path, Reason.ALREADY_THERE, sha256=sha256)
        modified = to_ns(item.modified_at)
        with self._destination.placing(item.path), self._destination.open(item.path) as fd:
            if from_ns(os.fstat(fd).st_mtime_ns) == item.modified_at:
                return result
            try:
                os.utime(fd, ns=(modified, modified))
                os.fsync(fd)
            except PermissionError:
                return replace(result, message="equal, but somebody else's file: its modification time stays")
        return result
