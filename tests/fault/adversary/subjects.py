"""One file that stands in a Prune, and what the adversary knows about it. No I/O but reading back what lies where."""

import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.names import PRIVATE_DIR

DATA, CFS, TAPE = "data402", "nersc402", "hpss402"


@dataclass
class Subject:
    """``content`` is what was scheduled; ``foreign`` what the adversary put in its place and must survive as well.

    ``goes`` says whether the file must be gone in the end (True), must not (False), or may (None). ``lost`` says that
    the adversary itself took the scheduled content away. ``both``: it stands in a Prune of the disk copy too.
    ``waits``: what lies in the trash stays there as long as its Prune is suspended. ``notes``: a file that the
    adversary put beside it.
    """

    number: int
    path: str
    content: bytes
    mtime_ns: int
    bundle: str
    fault: str = "none"
    later: str = "none"
    goes: bool | None = True
    lost: bool = False
    both: bool = False
    waits: bool = False
    notes: Path | None = None
    prune: str = ""
    foreign: list[bytes] = field(default_factory=list)
    proposal: str | None = None


class Shelves:
    """Reads the three folders with means that the prune job does not use."""

    def __init__(self, roots: dict[str, Path]) -> None:
        self.roots = roots

    def at(self, endpoint: str, path: str) -> bytes | None:
        """Bytes of a regular file that is reached without any link; None when there is none."""
        place = self.roots[endpoint]
        for part in Path(path).parts:
            place = place / part
            if place.is_symlink():
                return None
        try:
            return place.read_bytes() if stat.S_ISREG(place.lstat().st_mode) else None
        except FileNotFoundError:
            return None

    def trash(self, endpoint: str) -> set[bytes]:
        """Content of everything in the trash."""
        folder = self.roots[endpoint] / PRIVATE_DIR / "trash"
        return {file.read_bytes() for file in folder.rglob("*") if file.is_file() and not file.is_symlink()}

    def listing(self, endpoint: str) -> set[str]:
        """Paths of everything there, the trash included."""
        return {str(file) for file in self.roots[endpoint].rglob("*") if not file.is_dir() or file.is_symlink()}

    def on_tape(self, subject: Subject) -> bool:
        """Whether the bundle still gives the content back."""
        try:
            with tarfile.open(self.roots[TAPE] / subject.bundle, "r|") as tar:
                for member in tar:  # as a stream: a bundle that is damaged further on still has this one
                    if member.name == subject.path and (body := tar.extractfile(member)):
                        return body.read() == subject.content
        except (tarfile.TarError, OSError, EOFError):
            return False
        return False
