"""The beamline's Scans as the API tells of them, boiled down to what the watcher compares: path, content, how far.

Read from plain JSON, because at start-up this may be many thousand objects and few fields matter.
"""

from datetime import datetime
from typing import Any

from dichroism_crds import timestamps
from dichroism_crds.kinds import SUCCEEDED, ScanPhase, Step
from dichroism_crds.names import ANNOTATION_ABANDON, ANNOTATION_MOVED_TO, LABEL_ORIGIN, Origin, scan_name
from dichroism_watcher.records import FileContent, KnownScan

_ENDED = (ScanPhase.FAILED, ScanPhase.REFUSED)


def _content(fields: dict[str, Any]) -> FileContent:
    modified = datetime.fromisoformat(fields["modifiedAt"])
    return FileContent(int(fields["size"]), timestamps.to_ns(modified) // 1000)


def read_scan(item: dict[str, Any], endpoint: str) -> tuple[str, KnownScan | None] | None:
    """Path and state of a Scan; no state for one that is going away, None for one whose name is not its file's.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the object is not of the expected form.
    """
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    if metadata["name"] != scan_name(spec["beamline"], endpoint, spec["path"]):
        return None
    if metadata.get("deletionTimestamp"):
        return spec["path"], None
    content = _content(spec)
    true = {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}
    current = "content" in status and _content(status["content"]) == content
    annotations = metadata.get("annotations", {})
    # A person gave this content up: like one that succeeded, it is not asked for again.
    ended = status.get("phase") in _ENDED
    given_up = ended and bool(annotations.get(ANNOTATION_ABANDON))
    return spec["path"], KnownScan(
        content,
        succeeded=(current and SUCCEEDED in true) or given_up,
        transferred=current and Step.TRANSFERRED.value in true,
        moved_to=annotations.get(ANNOTATION_MOVED_TO) or None,
        ended=ended or bool(spec.get("suspend")),
        live=metadata.get("labels", {}).get(LABEL_ORIGIN, Origin.LIVE) == Origin.LIVE,
    )
