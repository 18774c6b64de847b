"""Documents of the Transfer API about tasks and files, made from rows and from the file system."""

import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.emulators.globus import lifecycle
from tests.emulators.globus.answers import Json
from tests.emulators.globus.attempts import FOLDER
from tests.emulators.globus.clock import stamp
from tests.emulators.globus.settings import Collection
from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import INACTIVE, TRANSFER, Item, State, Task

_QUEUED = "Queued"
_OK = "OK"
_PAUSED = "PAUSED_BY_ADMIN"


def _of_state(counts: Mapping[str, int], *states: State, kind: str = "") -> int:
    return sum(n for key, n in counts.items() if key.startswith(kind) and key.partition("/")[2] in states)


def _subtasks(counts: Mapping[str, int]) -> Json:
    names = {
        "pending": (State.PENDING,),
        "retrying": (State.RETRYING,),
        "succeeded": (State.SUCCEEDED, State.SYNCED),
        "expired": (State.EXPIRED,),
        "canceled": (State.CANCELED,),
        "failed": (State.FAILED,),
        "skipped_errors": (State.SKIPPED,),
    }
    by_name = {f"subtasks_{name}": _of_state(counts, *states) for name, states in names.items()}
    return {"subtasks_total": sum(counts.values())} | by_name


def _nice_status(site: Site, task: Task) -> Json:
    message = lifecycle.pause_message(site, task)
    code: str | None = _OK
    details = None
    if task.ended:
        code = None
    elif message is not None:
        code, details = _PAUSED, message
    elif task.status == INACTIVE:
        code, details = "NO_CREDENTIALS", "credentials have expired"
    elif task.trouble:
        code, details = task.trouble, task.trouble_details
    elif task.started is None:
        code = _QUEUED
    return {
        "nice_status": code,
        "nice_status_details": details,
        "nice_status_short_description": code and code.lower().replace("_", " "),
        "nice_status_expires_in": None if task.ended else -1,
        "is_ok": None if task.ended else code in (_OK, _QUEUED),
        "is_paused": not task.ended and message is not None,
    }


def _counters(site: Site, task: Task, counts: Mapping[str, int]) -> Json:
    files = sum(n for key, n in counts.items() if not key.startswith(f"{FOLDER}/"))
    directories = sum(n for key, n in counts.items() if key.startswith(f"{FOLDER}/"))
    last = task.completion_time if task.completion_time is not None else site.clock.now()
    seconds = max(last - (task.request_time if task.started is None else task.started), 0.001)
    return {
        "faults": task.faults,
        "files": files,
        "directories": directories,
        "symlinks": 0,
        "files_skipped": _of_state(counts, State.SYNCED),
        "files_transferred": _of_state(counts, State.SUCCEEDED) - _of_state(counts, State.SUCCEEDED, kind=FOLDER),
        "bytes_transferred": task.bytes_transferred,
        "bytes_checksummed": task.bytes_checksummed,
        "effective_bytes_per_second": int(task.bytes_transferred / seconds),
    }


def _common_base(paths: list[str]) -> str | None:
    return os.path.commonpath(paths) + "/" if paths and len({path.startswith("/") for path in paths}) == 1 else None


def task_document(site: Site, task: Task) -> Json:
    """A task as get_task and task_list show it."""
    options = json.loads(task.options)
    counts = site.tasks.counts(task)
    transfer = task.type == TRANSFER
    client = site.settings.client(task.client)
    source, destination = (site.collections.get(name or "") for name in (task.source, task.destination))
    base = {
        "DATA_TYPE": "task",
        "task_id": task.task_id,
        "type": task.type,
        "status": task.status,
        "label": task.label,
        "owner_id": task.client,
        "username": client.username if client else None,
        "command": "API 0.10",
        "request_time": stamp(task.request_time),
        "completion_time": stamp(task.completion_time),
        "deadline": stamp(task.deadline),
        "source_endpoint": None,
        "source_endpoint_id": task.source,
        "source_endpoint_display_name": source.display_name if source else None,
        "source_local_user": options.get("source_local_user") or options.get("local_user"),
        "source_local_user_status": "NO_PERMISSION",
        "source_base_path": None,
        "destination_endpoint": None,
        "destination_endpoint_id": task.destination,
        "destination_endpoint_display_name": destination.display_name if destination else None,
        "destination_local_user": options.get("destination_local_user"),
        "destination_local_user_status": "NO_PERMISSION" if transfer else None,
        "destination_base_path": None,
        "sync_level": options.get("sync_level"),
        "recursive_symlinks": "ignore" if transfer else None,
        "filter_rules": options.get("filter_rules"),
        "history_deleted": bool(task.history_deleted),
        "canceled_by_admin": None if task.admin_message is None else "SOURCE",
        "canceled_by_admin_message": task.admin_message,
        "fatal_error": json.loads(task.fatal) if task.fatal else None,
    }
    flags = ("encrypt_data", "verify_checksum", "delete_destination_extra", "preserve_timestamp", "skip_source_errors")
    base |= {name: bool(options.get(name)) for name in (*flags, "fail_on_quota_errors")}
    if options.get("store_base_path_info") and not task.history_deleted:
        items = site.tasks.page(task, tuple(State), -1, 1_000_000)
        base["source_base_path"] = _common_base([os.path.dirname(item.source_path) for item in items])
        base["destination_base_path"] = _common_base([os.path.dirname(item.destination_path or "") for item in items])
    return base | _counters(site, task, counts) | _subtasks(counts) | _nice_status(site, task)


def event_document(row: Mapping[str, object]) -> Json:
    """An event of a task."""
    return {
        "DATA_TYPE": "event",
        "code": row["code"],
        "description": row["description"],
        "details": row["details"],
        "is_error": bool(row["is_error"]),
        "time": stamp(float(str(row["t"]))),
    }


def successful_transfer(item: Item) -> Json:
    """A file that was sent; the checksum is there when it was verified."""
    return {
        "DATA_TYPE": "successful_transfer",
        "source_path": item.source_path,
        "destination_path": item.destination_path,
        "size": item.size,
        "checksum": item.checksum,
        "checksum_algorithm": item.algorithm if item.checksum else None,
        "dynamic_path": False,
    }


def skipped_error(item: Item) -> Json:
    """A file that was left out because of its source."""
    return {
        "DATA_TYPE": "skipped_error",
        "source_path": item.source_path,
        "destination_path": item.destination_path,
        "error_code": item.error,
        "error_details": item.error_details,
        "error_time": stamp(item.error_time),
        "is_directory": item.type == FOLDER,
        "is_symlink": False,
        "is_delete_destination_extra": False,
        "checksum_algorithm": item.algorithm,
        "external_checksum": item.external_checksum,
    }


def file_document(path: Path) -> Json:
    """A file or folder as ls and stat show it; the time has whole seconds only.

    Raises:
        OSError: it cannot be looked at.
    """
    found = path.lstat()
    link = path.is_symlink()
    seen = path.stat() if link and path.exists() else found
    return {
        "DATA_TYPE": "file",
        "name": path.name,
        "type": "dir" if stat.S_ISDIR(seen.st_mode) else "file",
        "size": seen.st_size,
        "last_modified": _listed_time(seen.st_mtime),
        "permissions": f"{stat.S_IMODE(seen.st_mode):04o}",
        "user": str(seen.st_uid),
        "group": str(seen.st_gid),
        "link_target": os.readlink(path) if link else None,
        "link_size": found.st_size if link else None,
        "link_last_modified": _listed_time(found.st_mtime) if link else None,
        "link_user": str(found.st_uid) if link else None,
        "link_group": str(found.st_gid) if link else None,
    }


def _listed_time(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%d %H:%M:%S+00:00")


def endpoint_document(collection: Collection, https_server: str | None) -> Json:
    """A collection, with the fields that every kind of endpoint has."""
    absent = (
        "globus_connect_setup_key gcp_connected gcp_paused s3_url s3_owner_activated host_endpoint_id host_path "
        "myproxy_server myproxy_dn non_functional_endpoint_display_name non_functional_endpoint_id oauth_server "
        "default_directory"
    )
    no = (
        "public french_english_bilingual is_globus_connect disable_verify disable_anonymous_writes force_verify "
        "force_encryption mfa_required non_functional activated shareable acl_available acl_editable in_use"
    )
    return {
        "DATA_TYPE": "endpoint",
        "id": collection.collection_id,
        "display_name": collection.display_name,
        "organization": "",
        "username": "",
        "description": "",
        "entity_type": collection.entity_type,
        "high_assurance": collection.high_assurance,
        "https_server": https_server,
        "expires_in": -1,
        "expire_time": None,
        "DATA": [],
        **dict.fromkeys(absent.split()),
        **dict.fromkeys(no.split(), False),
    }
