"""The beamline's Scans as the API lists them, boiled down to what the watcher compares: path, content, succeeded.

Read from plain JSON, because at start-up this may be many thousand objects and no more than five fields matter.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dichroism_crds import timestamps
from dichroism_crds.client import Api
from dichroism_crds.kinds import SUCCEEDED, Scan, ScanPhase
from dichroism_crds.names import ANNOTATION_ABANDON, scan_name
from dichroism_watcher.ledger import FileContent, KnownScan

_ENDED = (ScanPhase.FAILED, ScanPhase.REFUSED)


def _content(fields: dict[str, Any]) -> FileContent:
    modified = datetime.fromisoformat(fields["modifiedAt"])
    return FileContent(int(fields["size"]), timestamps.to_ns(modified) // 1000)


def read_scan(item: dict[str, Any], endpoint: str) -> tuple[str, KnownScan] | None:
    """Path and state of a listed Scan; None for one that is going away or whose name is not its file's.

    Raises:
        KeyError, TypeError, ValueError: the object is not of the expected form.
    """
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    if metadata.get("deletionTimestamp") or metadata["name"] != scan_name(spec["beamline"], endpoint, spec["path"]):
        return None
    content = _content(spec)
    succeeded = (
        any(one["type"] == SUCCEEDED and one["status"] == "True" for one in status.get("conditions", ()))
        and _content(status["content"]) == content
    )
    # A person gave this content up: like one that succeeded, it is not asked for again.
    given_up = status.get("phase") in _ENDED and bool(metadata.get("annotations", {}).get(ANNOTATION_ABANDON))
    return spec["path"], KnownScan(content, succeeded or given_up)


async def list_scans(
    api: Api, beamline: str, endpoint: str, on_unreadable: Callable[[str, str], None]
) -> dict[str, KnownScan]:
    """All Scans of the beamline by path.

    Raises:
        ApiError: the list failed or its snapshot expired; nothing is returned then, because a part of the list would
            look like deleted Scans.
    """
    scans: dict[str, KnownScan] = {}
    async for item in api.list_pages(api.path(Scan), field_selector=f"spec.beamline={beamline}"):
        try:
            found = read_scan(item, endpoint)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            on_unreadable(str(item.get("metadata", {}).get("name")), f"{type(error).__name__}: {error}")
            continue
        if found is not None:
            scans[found[0]] = found[1]
    return scans
