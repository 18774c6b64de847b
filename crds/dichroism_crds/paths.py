"""Relative paths as they stand in Scans: untrusted text until checked here."""

import fnmatch
import re

MAX_PATH = 1024
"""Characters in a relative path; the CRDs carry the same number."""

RELATIVE_PATH_PATTERN = (
    r"^(?:[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\.[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\.\.[^/\x00-\x1f\x7f]+)"
    r"(?:/(?:[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\.[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\.\.[^/\x00-\x1f\x7f]+))*$"
)
"""RE2 has no look-ahead, so 'any component but . and ..' is spelled out. Used by the CRD rule and by this module."""

RELATIVE_PATH_RULE = (
    "must be relative to the endpoint's root, without empty, '.' or '..' components and without control characters"
)

_RELATIVE_PATH = re.compile(RELATIVE_PATH_PATTERN.removesuffix("$") + r"\Z")


class PathError(ValueError):
    """A path that may not be used; the text names it and says what is wrong."""


def check_relative_path(path: str) -> str:
    """Return ``path`` unchanged when it is a legal relative path.

    Raises:
        PathError: it is absolute, too long, not UTF-8, or has an empty, ``.`` or ``..`` part or a control character.
    """
    if len(path) > MAX_PATH:
        raise PathError(f"path of {len(path)} characters is longer than {MAX_PATH}: {path[:80]!r}...")
    if not _RELATIVE_PATH.match(path):
        raise PathError(f"path {path!r} {RELATIVE_PATH_RULE}")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise PathError(f"path {path!r} is not valid UTF-8, no mover can carry it: rename the file") from error
    return path


def is_relative_path(path: str) -> bool:
    """Whether :func:`check_relative_path` takes it: for lists that others wrote, where a bad name is passed over."""
    try:
        check_relative_path(path)
    except PathError:
        return False
    return True


def path_covered(path: str, pattern: str) -> bool:
    """Whether ``pattern`` names the file, a folder above it, or fits as a shell pattern, in which ``*`` crosses ``/``.

    Where a pattern can be read in two ways, both readings count.
    """
    return (
        path == pattern
        or path.startswith(f"{pattern}/")
        or fnmatch.fnmatchcase(path, pattern)
        or fnmatch.fnmatchcase(path, f"{pattern}/*")
    )
