"""Which names on the acquisition storage are scan files: the rule by which the watcher looks, and commands explain."""

import fnmatch
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from dichroism_crds.names import PRIVATE_DIR


class Rules:
    """What counts as a scan file: globs of what does not, and how the end of one is told.

    A pattern with a slash is matched with the whole relative path, any other with every single name on it, so that it
    also shuts out folders. Upper and lower case differ. Our own folder is always left out. ``sentinel`` is the name of
    a file beside the scan file that tells its end, with ``{name}`` or ``{stem}`` for the scan file's; it is no scan.
    """

    def __init__(self, excluded: Iterable[str] = (), sentinel: str | None = None) -> None:
        every = (PRIVATE_DIR, *excluded)
        self._name = _any_of([pattern for pattern in every if "/" not in pattern])
        self._path = _any_of([pattern for pattern in every if "/" in pattern])
        self._sentinel = sentinel
        literal = re.split(r"\{name\}|\{stem\}", sentinel) if sentinel else []
        self._sentinels = re.compile(".+".join(map(re.escape, literal)), re.DOTALL) if sentinel else None

    def excludes(self, folder: str, name: str) -> bool:
        """Whether the entry ``name`` of ``folder`` (relative) is left out."""
        if self._name is not None and self._name.match(name):
            return True
        return self._path is not None and self._path.match(join(folder, name)) is not None

    def excluded_by(self, path: str) -> str | None:
        """The part of a relative path, itself or a folder above it, by which the file is left out; None: by none."""
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(len(parts)))
        return next((name for folder, name in zip(above, parts, strict=True) if self.excludes(folder, name)), None)

    def is_sentinel(self, name: str) -> bool:
        """Whether a file of that name tells of another one."""
        return self._sentinels is not None and self._sentinels.fullmatch(name) is not None

    def sentinel_of(self, name: str) -> str | None:
        """Name of the file that tells the end of the scan file ``name``; None without such a rule."""
        if self._sentinel is None:
            return None
        return self._sentinel.replace("{name}", name).replace("{stem}", PurePosixPath(name).stem)


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None


def join(folder: str, name: str) -> str:
    """Relative path of an entry; the root is the empty folder."""
    return f"{folder}/{name}" if folder else name
