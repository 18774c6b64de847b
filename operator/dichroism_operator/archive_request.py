"""The word that closes a tape bundle early: one ConfigMap per beamline, written by a person, only read by the operator.

It says "whatever waited at this moment shall not wait longer". So it may be written twice, read after a crash, and
left in place: files that come later are not meant by it. A new word replaces the old one.
"""

from datetime import datetime
from typing import Any

from dichroism_crds.client import AlreadyExists, Api, NotFound
from dichroism_crds.names import ARCHIVE_NOW_PREFIX
from dichroism_crds.timestamps import format_time, now
from dichroism_operator.filling import Request

READ_TIMEOUT_S = 10.0
_BY_SHOWN = 100


def config_map_name(beamline: str) -> str:
    """Name of the ConfigMap of a beamline."""
    return f"{ARCHIVE_NOW_PREFIX}{beamline.lower()}"


async def ask(api: Api, beamline: str, by: str) -> Request:
    """Ask for the bundle of a beamline to be closed; what comes later than this moment is not meant.

    The moment is the API server's, so a wrong clock on somebody's machine closes nothing of tomorrow.

    Raises:
        ApiError: it may not have been written.
    """
    name = config_map_name(beamline)
    await _data(api, beamline)  # tells the server's time
    request = Request(by, now() + api.server_ahead)
    body = {"metadata": {"name": name}, "data": {"by": request.by, "at": format_time(request.at)}}
    whole = {"apiVersion": "v1", "kind": "ConfigMap", **body}
    try:
        await api.request("POST", api.builtin_path("v1", "configmaps"), body=whole)
    except AlreadyExists:
        path = api.builtin_path("v1", "configmaps", name)
        await api.request("PATCH", path, body=body, content_type="application/merge-patch+json")
    return request


async def read(api: Api, beamline: str) -> Request | None:
    """The last word about a beamline; None when nobody ever asked.

    Raises:
        ValueError: the ConfigMap does not say what it should.
        ApiError: it can't be read.
    """
    data = await _data(api, beamline)
    return None if data is None else _parse(data, config_map_name(beamline))


async def _data(api: Api, beamline: str) -> dict[str, Any] | None:
    path = api.builtin_path("v1", "configmaps", config_map_name(beamline))
    try:
        found = await api.request("GET", path, timeout=READ_TIMEOUT_S)
    except NotFound:
        return None
    return found.get("data") or {}


def _parse(data: dict[str, Any], name: str) -> Request:
    try:
        at = datetime.fromisoformat(str(data["at"]))
        by = "".join(char for char in str(data["by"]) if char.isprintable())[:_BY_SHOWN]
        if at.tzinfo is None:
            raise ValueError("its time has no zone")
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"ConfigMap {name} asks for a bundle to be closed but makes no sense ({error!r}), so it is ignored. Write "
            f"it anew with dichroism archive now"
        ) from error
    return Request(by or "somebody", at)
