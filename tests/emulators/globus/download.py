"""The HTTPS server of a collection: one file, or a range of it, for a token with the scope of that collection."""

from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from tests.emulators.globus.access import Caller, https_scope
from tests.emulators.globus.answers import Refusal
from tests.emulators.globus.paths import OutsideError, may_read, resolve
from tests.emulators.globus.site import Site


class File(web.FileResponse):
    """A file of a collection, which knows where it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, headers={"Content-Type": "application/octet-stream"})
        self.path = path


def serve(site: Site, collection_id: str, caller: Caller, raw_path: str) -> File:
    """GET /<path>."""
    collection = site.collections.get(collection_id)
    if collection is None or collection.down:
        raise Refusal(503, "ServiceUnavailable", "the collection cannot be reached")
    if not caller.has(https_scope(collection_id)):
        raise Refusal(401, "AuthenticationFailed", "the token is not for this collection")
    path = unquote(raw_path)
    try:
        file = resolve(collection, path)
    except (OutsideError, ValueError) as error:
        raise Refusal(403, "PermissionDenied", f"'{path}' is not in this collection") from error
    if not may_read(collection, caller.client_id):
        raise Refusal(403, "PermissionDenied", "no right to read")
    if not file.is_file():
        raise Refusal(404, "NotFound", f"'{path}' is not a file of this collection")
    return File(file)
