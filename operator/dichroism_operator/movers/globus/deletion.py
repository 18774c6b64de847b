"""Deleting files inside ``.dichroism/`` with delete tasks. No other path ever gets into one, and never a folder."""

import errno
import time
from collections.abc import Sequence
from datetime import timedelta

from globus_sdk import DeleteData

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.movers.errors import MoverUnavailable, NotARegularFileError, TaskRefused
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.connection import GlobusConnection, document
from dichroism_operator.movers.globus.documents import TaskDocument
from dichroism_operator.movers.globus.submission import SubmissionRefusedError, new_submission_id, submit
from dichroism_operator.movers.mount import private_path

LABEL = "dichroism empties its trash"
PATIENCE_S = 600.0
"""After which the run goes on without having seen the end; the next one looks what is left."""
LONGEST_WAIT_S = 15.0


def delete_private(
    connection: GlobusConnection, collection: Collection, paths: Sequence[str], first_wait_s: float
) -> None:
    """Delete exactly these files, and look afterwards that they are gone.

    Raises:
        PathError: a path is not private; nothing was deleted.
        NotARegularFileError: a link or folder is among them; nothing was deleted.
        MoverUnavailable: not all are gone.
    """
    for path in paths:
        private_path(path)
    doomed = [path for path, entry in collection.look(paths).items() if entry is not None]
    for path, entry in collection.look(doomed).items():
        plain = collection.is_plain_folder(path.rpartition("/")[0])
        if entry is not None and (entry.stat is None or not plain):
            raise NotARegularFileError(errno.EINVAL, "is no regular file, so it is not deleted", path)
    if not doomed:
        return
    data = DeleteData(
        collection.uuid,
        label=LABEL,
        submission_id=new_submission_id(connection),
        recursive=False,
        ignore_missing=True,
        interpret_globs=False,
        deadline=(now() + timedelta(seconds=2 * PATIENCE_S)).isoformat(timespec="seconds"),
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for path in doomed:
        data.add_item(collection.path(path))
    try:
        task_id = submit(connection, data)
    except (SubmissionRefusedError, TaskRefused) as error:
        raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"trash of {collection.name}: {error}") from error
    ended = _await(connection, task_id, first_wait_s)
    left = [path for path, entry in collection.look(doomed).items() if entry is not None]
    if left:
        said = f"{ended.status} {ended.fatal_code or ended.nice_status or ''}".strip()
        raise MoverUnavailable(
            Reason.ENDPOINT_UNAVAILABLE,
            f"{len(left)} of {len(doomed)} files are still in the trash of {collection.name} (task {task_id}: {said}), "
            f"the first is {left[0]}",
        )


def _await(connection: GlobusConnection, task_id: str, first_wait_s: float) -> TaskDocument:
    """The task at its end, or as it is when patience is over."""
    start = time.monotonic()
    wait = first_wait_s
    while True:
        time.sleep(wait)
        task = connection.call(
            f"read task {task_id}", lambda client: TaskDocument.from_wire(document(client.get_task(task_id)))
        )
        if task.ended or time.monotonic() - start > PATIENCE_S:
            return task
        wait = min(wait * 1.5, LONGEST_WAIT_S)
