"""One finished file to the API: create its Scan, or bring the content in its Scan up to date. Idempotent.

The name of the Scan is made from beamline, endpoint and path, so a repeated request, a second watcher or a restart
meets the same object. This module makes one attempt; waiting and repeating is ``watch``'s.
"""

from enum import Enum

from pydantic import ValidationError

from dichroism_crds import timestamps
from dichroism_crds.client import AlreadyExists, Api, Denied, Invalid, NotFound, Unavailable
from dichroism_crds.kinds import Metadata, Scan, ScanSpec
from dichroism_crds.names import ANNOTATION_MOVED_TO, LABEL_BEAMLINE, LABEL_ORIGIN, Origin, scan_name
from dichroism_watcher.records import FileContent


class How(Enum):
    """What it took until the API held the content."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class RefusedError(Exception):
    """This content of this file will never be taken; the text says why and what to do."""


class NotNowError(Exception):
    """The Scan of this file is in the way at present: ask again later."""


class Remedy(Enum):
    """What to do about a failed attempt."""

    REST = "rest"
    """Leave the file alone until it changes."""
    RETRY_FILE = "retry file"
    """Ask again for this file later; others go on."""
    PAUSE_ALL = "pause all"
    """The API as a whole does not serve us."""


def remedy(error: Exception) -> Remedy:
    """What an error of :func:`put_scan` calls for. An unknown error is taken as this file's, to be asked again."""
    match error:
        case RefusedError() | Invalid():
            return Remedy.REST
        case Unavailable() | Denied() | NotFound():  # not found: the kind is not installed, or no such namespace
            return Remedy.PAUSE_ALL
        case _:
            return Remedy.RETRY_FILE


def build_scan(beamline: str, endpoint: str, path: str, content: FileContent, origin: Origin = Origin.LIVE) -> Scan:
    """The Scan of a finished file.

    Raises:
        RefusedError: size or modification time lie outside what the API can hold.
    """
    try:
        return Scan(
            metadata=Metadata(
                name=scan_name(beamline, endpoint, path),
                labels={LABEL_BEAMLINE: beamline, LABEL_ORIGIN: origin.value},
            ),
            spec=ScanSpec(
                beamline=beamline,
                path=path,
                size=content.size,
                modified_at=timestamps.from_ns(content.mtime_us * 1000),
            ),
        )
    except (ValidationError, OverflowError) as error:
        raise RefusedError(
            f"size {content.size} or modification time {content.mtime_us / 1e6:.0f} s since 1970 cannot be written "
            "down in a Scan, so the file is not copied: correct its modification time"
        ) from error


async def put_scan(api: Api, wanted: Scan) -> How:
    """Make the API hold ``wanted``'s path with ``wanted``'s content.

    Raises:
        RefusedError: the name belongs to another file's Scan.
        NotNowError: the Scan is being deleted, or went away meanwhile.
        ApiError: the API refused or did not answer; it may have acted nevertheless.
    """
    try:
        await api.create(wanted)
    except AlreadyExists:
        return await _bring_up_to_date(api, wanted)
    except ValidationError as error:
        raise NotNowError(f"the API stored Scan {wanted.name} in a form that cannot be read: {error}") from error
    return How.CREATED


async def _bring_up_to_date(api: Api, wanted: Scan) -> How:
    try:
        held = await api.get(Scan, wanted.name)
        if held.metadata.deletion_timestamp is not None:
            raise NotNowError(f"Scan {wanted.name} is being deleted; it is created again once it is gone")
        if (held.spec.beamline, held.spec.path) != (wanted.spec.beamline, wanted.spec.path):
            raise RefusedError(
                f"Scan {wanted.name} describes {held.spec.path!r} of {held.spec.beamline} instead of this file, which "
                "is therefore not copied: delete that Scan, then change this file's modification time"
            )
        patch: dict[str, object] = {}
        if held.content != wanted.content:
            patch["spec"] = wanted.spec.model_dump(mode="json", by_alias=True, include={"size", "modified_at"})
        if ANNOTATION_MOVED_TO in held.metadata.annotations:  # the file is back
            patch["metadata"] = {"annotations": {ANNOTATION_MOVED_TO: None}}
        if not patch:
            return How.UNCHANGED
        await api.patch(Scan, wanted.name, patch)
    except NotFound as error:
        raise NotNowError(f"Scan {wanted.name} was deleted meanwhile; it is created again") from error
    except ValidationError as error:
        raise NotNowError(f"Scan {wanted.name} cannot be read by this version: {error}") from error
    return How.UPDATED


async def note_moved(api: Api, name: str, path: str) -> bool:
    """Write on a Scan where its file is now; False when there is no such Scan (any more).

    Raises:
        ApiError: the API refused or did not answer; it may have acted nevertheless.
    """
    try:
        await api.patch(Scan, name, {"metadata": {"annotations": {ANNOTATION_MOVED_TO: path}}})
    except NotFound:
        return False
    except ValidationError as error:
        raise NotNowError(f"Scan {name} cannot be read by this version: {error}") from error
    return True
