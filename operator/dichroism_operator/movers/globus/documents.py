"""The documents of the Transfer API as far as we read them. An answer that is not one of them is malformed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dichroism_operator.movers.base import FileStat
from dichroism_operator.movers.globus.errors import MalformedAnswerError

SHA256 = "SHA256"
ACTIVE, INACTIVE, SUCCEEDED, FAILED = "ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task as ``task_list`` shows it. ``nice_status`` is the code of its present trouble, None without one."""

    task_id: str
    status: str
    label: str
    nice_status: str | None
    nice_details: str
    is_paused: bool
    files_transferred: int
    bytes_transferred: int
    faults: int
    files_skipped: int
    skipped_errors: int
    history_deleted: bool
    fatal_code: str | None
    fatal_description: str
    canceled_by_admin: bool
    admin_message: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen: INACTIVE and paused are not the end."""
        return self.status in (SUCCEEDED, FAILED)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "TaskDocument":
        """Read one.

        Raises:
            MalformedAnswerError: it has no task id or status.
        """
        fatal = wire.get("fatal_error")
        fatal = fatal if isinstance(fatal, Mapping) else {}
        nice = wire.get("nice_status")
        return cls(
            task_id=_text(wire, "task_id"),
            status=_text(wire, "status"),
            label=str(wire.get("label") or ""),
            nice_status=None if nice in (None, "OK", "Queued") else str(nice),
            nice_details=str(wire.get("nice_status_details") or wire.get("nice_status_short_description") or ""),
            is_paused=bool(wire.get("is_paused")),
            files_transferred=_number(wire, "files_transferred"),
            bytes_transferred=_number(wire, "bytes_transferred"),
            faults=_number(wire, "faults"),
            files_skipped=_number(wire, "files_skipped"),
            skipped_errors=_number(wire, "subtasks_skipped_errors"),
            history_deleted=bool(wire.get("history_deleted")),
            fatal_code=str(fatal["code"]) if fatal.get("code") else None,
            fatal_description=str(fatal.get("description") or ""),
            canceled_by_admin=bool(wire.get("canceled_by_admin")),
            admin_message=str(wire.get("canceled_by_admin_message") or ""),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that a task says it transferred; ``sha256`` where the collection reports that algorithm."""

    destination_path: str
    size: int | None
    sha256: str | None

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Sent":
        """Read one row of ``successful_transfers``."""
        algorithm = str(wire.get("checksum_algorithm") or "").upper().replace("-", "")
        checksum = str(wire.get("checksum") or "").lower()
        is_sha256 = algorithm == SHA256 and len(checksum) == 64 and set(checksum) <= set("0123456789abcdef")
        size = wire.get("size")
        return cls(
            _text(wire, "destination_path"), size if isinstance(size, int) else None, checksum if is_sha256 else None
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that a task left out because of an error at its source."""

    destination_path: str
    code: str
    details: str

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Skipped":
        """Read one row of ``skipped_errors``."""
        return cls(
            _text(wire, "destination_path"), str(wire.get("error_code") or ""), str(wire.get("error_details") or "")
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing shows at a name: ``stat`` for a regular file that is no link, None for anything else."""

    name: str
    is_folder: bool
    stat: FileStat | None

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Entry":
        """Read one file document."""
        name = str(wire.get("name") or "")
        kind = _text(wire, "type")
        is_link = bool(wire.get("link_target"))
        if kind != "file" or is_link:
            return cls(name, kind == "dir" and not is_link, None)
        return cls(name, False, FileStat(_number(wire, "size"), _moment(_text(wire, "last_modified"))))


def rows(wire: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a list document.

    Raises:
        MalformedAnswerError: it has none.
    """
    data = wire.get("DATA")
    if not isinstance(data, list) or not all(isinstance(row, Mapping) for row in data):
        raise MalformedAnswerError("a list was expected")
    return data


def tasks(wire: Mapping[str, Any]) -> list[TaskDocument]:
    """The tasks of a list document."""
    return [TaskDocument.from_wire(row) for row in rows(wire)]


def entries(wire_rows: Iterable[Mapping[str, Any]]) -> dict[str, Entry]:
    """Entries of a listing by name."""
    return {entry.name: entry for entry in map(Entry.from_wire, wire_rows)}


def _text(wire: Mapping[str, Any], key: str) -> str:
    value = wire.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedAnswerError(f"{key} is missing")
    return value


def _number(wire: Mapping[str, Any], key: str) -> int:
    value = wire.get(key)
    return value if isinstance(value, int) else 0


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedAnswerError(f"{text!r} is no time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
