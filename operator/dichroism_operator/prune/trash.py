"""Moving the files of one Prune into the trash of their endpoint, back from it, and out of the world.

A file outside ``.dichroism/`` is only ever renamed, and only into the trash; what is deleted has a path that this
module read from the trash itself. Folders that become empty are the matter of ``folders``.
"""

import asyncio
import logging
from collections.abc import Sequence

from dichroism_crds.config import Endpoint
from dichroism_crds.kinds import Prune
from dichroism_crds.reasons import KeptReason
from dichroism_operator import killpoints
from dichroism_operator.movers.base import FileStat, KeepsFolders, Mover
from dichroism_operator.movers.errors import MoverUnavailable, NotARegularFileError
from dichroism_operator.prune.ledger import Entry, Ledger, derive, trash_folder, trash_path

log = logging.getLogger(__name__)


class Trash:
    """The trash of one Prune. Every method raises ``MoverUnavailable`` when the endpoint is in trouble."""

    def __init__(self, mover: Mover, endpoint: Endpoint, prune: Prune) -> None:
        self._mover = mover
        self._endpoint = endpoint
        self._prune = prune

    async def read(self) -> Ledger:
        """What lies there now."""
        folder = trash_folder(self._prune.name)
        return derive(self._prune, await asyncio.to_thread(self._mover.list_private, self._endpoint, folder))

    async def look(self, paths: Sequence[str]) -> dict[str, FileStat | KeptReason | None]:
        """What lies at each original path; UNREADABLE where it can't be told for one path alone."""
        try:
            return dict(await asyncio.to_thread(self._mover.stat, self._endpoint, paths))
        except (MoverUnavailable, OSError, ValueError):
            # Either the endpoint is in trouble, which this tells, or one path of the batch is.
            await self.read()
        found: dict[str, FileStat | KeptReason | None] = {}
        for path in paths:
            try:
                found |= await asyncio.to_thread(self._mover.stat, self._endpoint, [path])
            except (MoverUnavailable, OSError, ValueError) as error:
                log.warning("%s can't be examined: %s", path, error, extra={"prune": self._prune.name})
                found[path] = KeptReason.UNREADABLE
        return found

    async def put_in(self, index: int) -> Entry | KeptReason:
        """Rename an item into the trash and look there whether it is the expected file; if not, put it back.

        Returns:
            The entry, or why the file is not in the trash (ORIGINAL_OCCUPIED: it is, and can't go back).
        """
        item = self._prune.spec.items[index]
        path = trash_path(self._prune, index)
        try:
            await asyncio.to_thread(self._mover.rename, self._endpoint, item.path, path)
        except FileNotFoundError:
            return KeptReason.ALREADY_GONE
        except NotARegularFileError:
            return KeptReason.SOURCE_MOVED
        except OSError as error:
            log.warning("%s can't be renamed: %s", item.path, error, extra={"prune": self._prune.name})
            return KeptReason.UNREADABLE
        killpoints.reach("file-renamed")
        found = (await asyncio.to_thread(self._mover.stat, self._endpoint, [path]))[path]
        if found is None:
            log.error("%s is gone right after its rename to %s: look after it", item.path, path)
            return KeptReason.UNREADABLE
        entry = Entry(path, index, item, found)
        if entry.intact:
            return entry
        log.warning("%s was exchanged in the last moment, it is put back", item.path)
        return await self.put_back(entry) or KeptReason.SOURCE_CHANGED

    async def put_back(self, entry: Entry) -> KeptReason | None:
        """Rename an entry to its original path, which must be free; None when it is back there.

        Its folder is made anew where it was removed meanwhile and the mover can make one.
        """
        try:
            await self._rename_back(entry)
        except FileExistsError:
            log.error("%s can't go back to %s: the path is taken", entry.path, entry.item.path)
            return KeptReason.ORIGINAL_OCCUPIED
        except OSError as error:
            log.error("%s can't go back to %s: %s", entry.path, entry.item.path, error)
            return KeptReason.UNREADABLE
        log.info("%s is back from the trash", entry.item.path, extra={"prune": self._prune.name})
        return None

    async def _rename_back(self, entry: Entry) -> None:
        try:
            await asyncio.to_thread(self._mover.rename, self._endpoint, entry.path, entry.item.path)
        except NotADirectoryError:
            if not isinstance(self._mover, KeepsFolders):
                raise
            folder = entry.item.path.rpartition("/")[0]
            await asyncio.to_thread(self._mover.make_folder, self._endpoint, folder)
            log.info("folder %s was made anew", folder, extra={"prune": self._prune.name})
            await asyncio.to_thread(self._mover.rename, self._endpoint, entry.path, entry.item.path)

    async def delete(self, entries: Sequence[Entry]) -> None:
        """Delete exactly these."""
        await asyncio.to_thread(self._mover.delete_private, self._endpoint, [entry.path for entry in entries])
