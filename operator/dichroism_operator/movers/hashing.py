"""Reading open files in blocks and hashing them, from the disk and not from memory."""

import hashlib
import os
from collections.abc import Callable, Iterator

BLOCK = 1024 * 1024
"""Bytes read at once; larger ones gain nothing and delay a cancellation."""

Checkpoint = Callable[[int], None]
"""Told how many bytes were just handled; raises to stop the work."""


def blocks(fd: int, size: int = BLOCK) -> Iterator[memoryview]:
    """What is left of the file. Each block is valid until the next is asked for."""
    buffer = memoryview(bytearray(size))
    while count := os.readv(fd, [buffer]):
        yield buffer[:count]


def sha256_from_disk(fd: int, checkpoint: Checkpoint) -> tuple[int, str]:
    """Size and sha256 of the whole file, as the storage gives it back.

    The pages that the kernel keeps of it are dropped first where it allows that: otherwise a copy that never reached
    the disk would be proven with the memory it was written from. Written pages have to be flushed before.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(fd, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    size = 0
    for block in blocks(fd):
        digest.update(block)
        size += len(block)
        checkpoint(len(block))
    return size, digest.hexdigest()


def no_checkpoint(_count: int) -> None:
    """For work that nobody cancels."""
