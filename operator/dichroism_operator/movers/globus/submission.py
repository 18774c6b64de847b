"""Submitting a Transfer's task exactly once, and finding it again when the answer was lost.

The submission id is fetched and made durable before; the same id posted twice is the same task for the service. What
is posted depends on nothing but the items that are handed in.
"""

from collections.abc import Collection as AbstractCollection
from collections.abc import Sequence
from datetime import datetime, timedelta

from globus_sdk import MISSING, DeleteData, TransferAPIError, TransferClient, TransferData

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, Task
from dichroism_operator.movers.errors import MoverUnavailable, TaskRefused
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.connection import GlobusConnection, document
from dichroism_operator.movers.globus.documents import ACTIVE, INACTIVE, SHA256, TaskDocument, tasks
from dichroism_operator.movers.globus.errors import MalformedAnswerError

MAX_LABEL = 128
SUBMISSION_LIFE = timedelta(hours=12)
"""A submission id that was not used so long is not used any more. How long the service knows one is not documented."""
DEADLINE = timedelta(hours=24)
"""After which an unfinished task is ended, and what it did not reach is planned again."""
LISTED = 1000
"""Tasks in one answer, the most that the service gives."""


class SubmissionRefusedError(Exception):
    """The service does not know the submission id (any more)."""


def new_submission_id(connection: GlobusConnection) -> str:
    """A fresh id from the service, to be made durable before it is used."""

    def ask(client: TransferClient) -> str:
        value = document(client.get_submission_id()).get("value")
        if not isinstance(value, str) or not value:
            raise MalformedAnswerError("no submission id")
        return value

    return connection.call("get a submission id", ask)


def transfer_data(
    task: Task, items: Sequence[Item], source: Collection, destination: Collection, deadline: datetime
) -> TransferData:
    """The body of the submission.

    Checksums are compared after each file (``verify_checksum``) and before (``sync_level``), so a file that is right
    is not sent again and a partial one is never trusted. Missing sources are skipped and read back afterwards.
    """
    data = TransferData(
        source.uuid,
        destination.uuid,
        label=task.label,
        submission_id=task.submission_id,
        sync_level="checksum",
        verify_checksum=True,
        preserve_timestamp=True,
        encrypt_data=True,
        deadline=deadline.isoformat(timespec="seconds"),
        skip_source_errors=True,
        fail_on_quota_errors=True,
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for item in items:
        data.add_item(
            source.path(item.path),
            destination.path(item.path),
            recursive=False,
            external_checksum=item.sha256 or MISSING,
            checksum_algorithm=SHA256,
        )
    return data


def submit(connection: GlobusConnection, data: TransferData | DeleteData) -> str:
    """Post the task; its id, also when the same submission was accepted before.

    Raises:
        SubmissionRefusedError: the submission id is not known to the service.
        TaskRefused: the service refuses the body.
        MoverUnavailable: try the same again later.
    """

    def ask(client: TransferClient) -> str:
        answer = client.submit_transfer(data) if isinstance(data, TransferData) else client.submit_delete(data)
        task_id = document(answer).get("task_id")
        if not isinstance(task_id, str) or not task_id:
            raise MalformedAnswerError("no task id")
        return task_id

    try:
        return connection.call("submit a task", ask)
    except TransferAPIError as error:
        said = f"{error.code}: {(error.message or '')[:300]}"
        if error.http_status == 409:
            text = f"Globus runs another task with the same files ({said}). Its end is awaited"
            raise MoverUnavailable(Reason.CONFLICTING_TASK, text) from error
        if "submission_id" in (error.message or "").lower().replace(" ", "_") or "SubmissionId" in (error.code or ""):
            raise SubmissionRefusedError(said) from error
        raise TaskRefused(f"Globus refuses the task ({error.http_status} {said})") from error


def find(connection: GlobusConnection, label: str) -> TaskDocument | None:
    """Our task of that label, running or ended; None when the service has none."""
    found = _list(connection, f"find the task {label!r}", {"label": label})
    return next((task for task in found if task.label == label), None)


def read(connection: GlobusConnection, task_ids: AbstractCollection[str]) -> dict[str, TaskDocument]:
    """Tasks by id, in one request; one that is not in the answer is gone for good."""
    ordered = sorted(task_ids)
    found: dict[str, TaskDocument] = {}
    for start in range(0, len(ordered), LISTED):
        for task in _list(connection, "read our tasks", {"task_id": ordered[start : start + LISTED]}):
            found[task.task_id] = task
    return found


def running_labels(connection: GlobusConnection, prefix: str) -> frozenset[str]:
    """Labels of our running tasks that start with ``prefix``."""
    found = _list(connection, "list our running tasks", {"status": [ACTIVE, INACTIVE]})
    return frozenset(task.label for task in found if task.label.startswith(prefix))


def _list(connection: GlobusConnection, what: str, clauses: dict[str, str | list[str]]) -> list[TaskDocument]:
    def ask(client: TransferClient) -> list[TaskDocument]:
        return tasks(document(client.task_list(limit=LISTED, filter={"type": "TRANSFER", **clauses})))

    return connection.call(what, ask)


def cancel(connection: GlobusConnection, task_id: str) -> None:
    """Ask for the end of a task; that it ended already, or is gone, is fine."""
    try:
        connection.call(f"cancel task {task_id}", lambda client: client.cancel_task(task_id))
    except TransferAPIError as error:
        if error.http_status not in (404, 409):
            raise MoverUnavailable(
                Reason.SERVICE_UNAVAILABLE, f"cancel task {task_id}: Globus answers {error.http_status} {error.code}"
            ) from error
