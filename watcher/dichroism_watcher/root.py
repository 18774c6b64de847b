"""A watched root and the proof that it is there and still the same one. Everything blocks."""

import stat
from pathlib import Path

from dichroism_crds.names import PRIVATE_DIR


class RootUnavailableError(Exception):
    """The watched root is not what it was: nothing seen below it may be believed, above all not that files are gone."""


class Root:
    """A watched root. It must hold the folder ``.dichroism``: an empty mount point does not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device: int | None = None

    def check(self) -> None:
        """Prove that the root is there, has its mark and is the file system that it was.

        Raises:
            RootUnavailableError: it is not; the text says how and what to do.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise RootUnavailableError(
                f"watched root {self.path}: {error.strerror}; mount it or correct the config"
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise RootUnavailableError(f"watched root {self.path} is not a folder; correct the config")
        self._check_mark()
        if self._device is not None and found.st_dev != self._device:
            raise RootUnavailableError(
                f"watched root {self.path} is on another device than before, so it was probably unmounted: "
                "mount it again; if the change is meant, restart the watcher"
            )
        self._device = found.st_dev

    def _check_mark(self) -> None:
        try:
            marked = stat.S_ISDIR((self.path / PRIVATE_DIR).lstat().st_mode)
        except FileNotFoundError:
            marked = False
        except OSError as error:
            raise RootUnavailableError(
                f"watched root {self.path}: {PRIVATE_DIR} cannot be looked at ({error.strerror}); give the watcher's "
                "user the right to enter the root"
            ) from error
        if not marked:
            raise RootUnavailableError(
                f"watched root {self.path} has no folder {PRIVATE_DIR}, so it is probably not mounted: mount it; if it "
                f"is the right folder and new, make {PRIVATE_DIR} in it once"
            )
