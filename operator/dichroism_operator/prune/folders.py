"""Folders that a Prune left empty: removed where the configuration says so. It never fails a run and keeps no file.

Only a folder in which a deleted file of the Prune lay is a candidate, and the one above a folder that was just removed.
What is in a folder is never asked: the mover removes none that is not empty.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from dichroism_crds.kinds import Prune
from dichroism_operator.movers.base import KeepsFolders
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.prune.audit import Audit
from dichroism_operator.prune.gate import PruningStoppedError
from dichroism_operator.prune.run import Run

UNTOUCHED = timedelta(days=1)
"""A folder that changed later stays: whoever used it may be about to write there."""

log = logging.getLogger(__name__)


async def remove_emptied(run: Run, prune: Prune, deleted: Iterable[str], audit: Audit) -> None:
    """Remove folders of these deleted files, and those above, that are empty and untouched, and tell which.

    Trouble is logged and ends it: a folder that stays costs nothing.

    Raises:
        LeaseLostError: somebody else may be pruning.
    """
    beamline = run.config.beamlines.get(prune.spec.beamline)
    rule = beamline.prune.get(run.endpoint.name) if beamline else None
    mover = run.mover_of(run.endpoint.name)
    if rule is None or not rule.remove_empty_folders or not isinstance(mover, KeepsFolders):
        return
    todo = {_above(path) for path in deleted} - {""}
    removed: list[str] = []
    try:
        await run.before_batch()
        untouched = await _untouched(run, mover, todo)
        while todo:
            folder = max(todo, key=_depth)
            todo.remove(folder)
            if folder not in untouched:
                continue
            run.gate.before_file()
            if await asyncio.to_thread(mover.remove_folder, run.endpoint, folder):
                removed.append(folder)
                if above := _above(folder):
                    todo.add(above)
                    run.thinned |= {above} & untouched
    except PruningStoppedError as stopped:
        log.info("%s: folders that it left empty stay: %s", prune.name, stopped)
    except (MoverUnavailable, OSError) as error:
        log.warning("%s: folders that it left empty stay: %s", prune.name, error, extra={"prune": prune.name})
    if removed:
        run.summary.folders += len(removed)
        audit.folders_removed(removed)


async def _untouched(run: Run, mover: KeepsFolders, folders: Iterable[str]) -> set[str]:
    """Which of the folders and those above them nobody changed lately, but for what this run removed from them."""
    every = sorted({one for folder in folders for one in _lineage(folder)})
    changed = await asyncio.to_thread(mover.folders_changed, run.endpoint, every)
    limit = run.earliest - UNTOUCHED
    return {folder for folder, moment in changed.items() if moment <= limit or folder in run.thinned}


def _lineage(folder: str) -> Sequence[str]:
    """A folder and all above it, without the root."""
    parts = folder.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _depth(folder: str) -> int:
    return folder.count("/")
