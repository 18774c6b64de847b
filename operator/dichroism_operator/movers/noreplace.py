"""Renaming without ever replacing what stands at the new name, on file systems with and without help for it."""

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from contextlib import suppress

_RENAME_NOREPLACE = 1
_NOT_HERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def rename_noreplace(old_folder: int, old: str, new_folder: int, new: str, *, private_old: bool) -> None:
    """Rename a file between two folders given by descriptor; what is at ``new`` stays, whoever put it there when.

    On a file system without renameat2, such as NFS, two steps stand in for it. Which ones depends
    on which of the two names is private, that is a random name inside ``.dichroism/`` that nobody else uses:
    :func:`link_and_unlink` when the old one is, :func:`rename_to_private` when the new one is.

    Args:
        old_folder: descriptor of the folder of ``old``.
        old: name in it.
        new_folder: descriptor of the folder of ``new``.
        new: name in it.
        private_old: the old name is private; otherwise the new one must be.

    Raises:
        FileExistsError: something is at ``new``.
        OSError: whatever the file system says.
    """
    try:
        _renameat2()(old_folder, old, new_folder, new)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        (link_and_unlink if private_old else rename_to_private)(old_folder, old, new_folder, new)


def rename_in_one_step(folder: int, old: str, new: str) -> bool:
    """Rename inside a folder only if its file system can do that without replacing in one step; else do nothing.

    Trying is the only way to know: with a name that is taken, the kernel answers for a file system that can't.

    Raises:
        OSError: whatever the file system says, but that it can't.
    """
    try:
        _renameat2()(folder, old, folder, new)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    return True


def link_and_unlink(old_folder: int, old: str, new_folder: int, new: str) -> None:
    """Take the new name with a hard link, which never replaces, then give the old one up.

    Not for a user's old name: a file put there between the two steps would be unlinked.
    """
    try:
        os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False)
    except FileExistsError:
        # Over NFS a repeated request reports a link that the first one made.
        if not _same_file(old_folder, old, new_folder, new):
            raise
    with suppress(FileNotFoundError):
        os.unlink(old, dir_fd=old_folder)


def rename_to_private(old_folder: int, old: str, new_folder: int, new: str) -> None:
    """Look that the new name is free, then rename: enough for a random name that nobody else uses."""
    with suppress(FileNotFoundError):
        os.stat(new, dir_fd=new_folder, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)


def _same_file(old_folder: int, old: str, new_folder: int, new: str) -> bool:
    left = os.stat(old, dir_fd=old_folder, follow_symlinks=False)
    right = os.stat(new, dir_fd=new_folder, follow_symlinks=False)
    return (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)


@functools.cache
def _renameat2() -> Callable[[int, str, int, str], None]:
    """The system call from the C library; where it has none, one that says ENOSYS."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)

    def call(old_folder: int, old: str, new_folder: int, new: str) -> None:
        if function is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if function(old_folder, os.fsencode(old), new_folder, os.fsencode(new), _RENAME_NOREPLACE) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), old, None, new)

    return call
