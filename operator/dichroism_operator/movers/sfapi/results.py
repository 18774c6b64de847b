"""What the result document of a packing says about every item. Nothing else is believed, and this not blindly."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers.base import Item, ItemResult, Progress, TaskState
from dichroism_operator.movers.bundling import LEFT_OUT_REASONS

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def settle(
    document: Mapping[str, Any], path: str, items: Sequence[Item], troubles: Sequence[ItemResult], job_id: str
) -> Progress:
    """The end of a task: one result per item.

    Args:
        document: the result.
        path: of the bundle that was asked for.
        items: what the job was given.
        troubles: results of items that were not given to it.
        job_id: for people.
    """
    sha256, size = document.get("sha256"), document.get("size")
    if document.get("bundle") != path or not (sha256 is None or (_is_sha256(sha256) and isinstance(size, int))):
        text = f"the result of job {job_id} is not about {path}; the files are planned again"
        return Progress(TaskState.FAILED, message=text, reason=Reason.RESULTS_LOST, over=True)
    members = {str(row[0]): row for row in _rows(document, "members", 4)} if sha256 else {}
    left_out = {str(row[0]): row for row in _rows(document, "left_out", 3)}
    reason = Reason.ALREADY_THERE if document.get("stood") else Reason.COPIED
    results = [*troubles, *(_result(item, members, left_out, reason) for item in items)]
    progress = Progress.of_results(results, items, f", job {job_id}")
    return replace(progress, bundle_sha256=sha256, bundle_size=size) if progress.files or members else progress


def _result(
    item: Item, members: Mapping[str, Sequence[Any]], left_out: Mapping[str, Sequence[Any]], reason: Reason
) -> ItemResult:
    if row := left_out.get(item.path):
        return ItemResult(item.path, LEFT_OUT_REASONS.get(str(row[1]), Reason.SOURCE_UNREADABLE), str(row[2])[:1024])
    row = members.get(item.path)
    if row is None or (row[1], row[2]) != (item.size, to_ns(item.modified_at) // 1000) or not _is_sha256(row[3]):
        text = f"{item.path} is not in the job's result as it was asked for; it is planned again"
        return ItemResult(item.path, Reason.RESULTS_LOST, text)
    if item.sha256 not in (None, row[3]):
        text = f"{item.path} was packed with sha256 {row[3]} where {item.sha256} is on record"
        return ItemResult(item.path, Reason.CHECKSUM_MISMATCH, text)
    return ItemResult(item.path, reason, sha256=str(row[3]))


def _rows(document: Mapping[str, Any], key: str, width: int) -> list[Sequence[Any]]:
    rows = document.get(key)
    return [row for row in rows if isinstance(row, list) and len(row) == width] if isinstance(rows, list) else []


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None
