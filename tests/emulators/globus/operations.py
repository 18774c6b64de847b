"""Routes that look at files or change them at once: endpoint, ls, stat, mkdir, rename."""

import fnmatch
import os
from pathlib import Path

from tests.emulators.globus import documents
from tests.emulators.globus.answers import Answer, Json, Refusal, request_id
from tests.emulators.globus.call import Call
from tests.emulators.globus.paths import OutsideError, may_write, resolve
from tests.emulators.globus.settings import Collection

_MOST = 100_000


def _reach(call: Call, failure: str, *, writes: bool = False) -> Collection:
    """The collection of the path, when it can be reached and the caller may do this."""
    collection = call.collection(call.params["id"])
    call.require_rights(collection)
    if collection.down:
        message = f"no connection to {collection.display_name or collection.collection_id}"
        raise Refusal(502, f"ExternalError.{failure}.ConnectFailed", message)
    if writes and not may_write(collection, call.caller.client_id):
        raise _denied(call, "no right to write")
    if writes and collection.read_only:
        raise Refusal(502, f"ExternalError.{failure}.PermissionDenied", "the collection is read-only")
    return collection


def _denied(call: Call, detail: str) -> Refusal:
    message = f"Denied by endpoint, Error ({call.path.rpartition('/')[2]})\nEndpoint: {call.params['id']}\n"
    return Refusal(403, "EndpointPermissionDenied", f"{message}Details: 500 Command failed : {detail}.\\r\\n\n")


def _path(call: Call, collection: Collection, path: object, *, follow: bool = True) -> Path:
    if not isinstance(path, str) or not path:
        raise Refusal(400, "ClientError.BadRequest", "a path is missing")
    try:
        return resolve(collection, path, follow=follow)
    except (OutsideError, ValueError) as error:
        raise _denied(call, "Path not allowed") from error


async def endpoint(call: Call) -> Answer:
    """GET /endpoint/ID; a collection is visible without a right on its files."""
    collection = call.collection(call.params["id"])
    return Answer(documents.endpoint_document(collection, call.site.urls.get(collection.collection_id)))


async def pause_rules(call: Call) -> Answer:
    """GET /endpoint/ID/my_effective_pause_rule_list: the rules that hold the caller's tasks on this collection."""
    collection = call.collection(call.params["id"])
    rules = []
    if collection.paused is not None:
        limited = {"DATA_TYPE": "pause_rule_limited", "endpoint_id": collection.collection_id}
        rules = [limited | {"message": collection.paused}]
    return Answer({"DATA_TYPE": "pause_rule_limited_list", "DATA": rules})


async def ls(call: Call) -> Answer:
    """GET /operation/endpoint/ID/ls; each page lists the whole folder again."""
    collection = _reach(call, "DirListingFailed")
    asked = call.query.get("path", "/")
    folder = _path(call, collection, asked)
    if not folder.exists():
        message = f"Directory '{asked}' not found on endpoint"
        raise Refusal(404, "ClientError.NotFound", message)
    if not folder.is_dir():
        raise Refusal(502, "ExternalError.DirListingFailed.NotDirectory", f"'{asked}' is not a directory")
    hidden = call.query.get("show_hidden", "1") not in ("0", "false")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError as error:
        raise Refusal(502, "ExternalError.DirListingFailed.PermissionDenied", f"'{asked}': {error.strerror}") from error
    names = [entry.name for entry in entries if (hidden or not entry.name.startswith(".")) and _is_wanted(call, entry)]
    limit, offset = call.number("limit", _MOST, _MOST), call.number("offset", 0, 10**9)
    rows = [row for name in names[offset : offset + limit] if (row := _row(folder / name))]
    body: Json = {
        "DATA_TYPE": "file_list",
        "absolute_path": asked,
        "endpoint": collection.collection_id,
        "path": asked,
        "length": len(rows),
        "limit": limit,
        "offset": offset,
        "total": len(names),
        "rename_supported": True,
        "symlink_supported": False,
    }
    return Answer(body | {"DATA": rows})


def _row(path: Path) -> Json | None:
    try:
        return documents.file_document(path)
    except FileNotFoundError:  # gone since it was listed
        return None


def _is_wanted(call: Call, entry: "os.DirEntry[str]") -> bool:
    """Whether an entry passes ``filter=``: names (with ``~`` a pattern) and types, joined by ``/``."""
    for clause in filter(None, call.query.get("filter", "").split("/")):
        name, _, text = clause.partition(":")
        if name == "name":
            fits = any(_name_fits(entry.name, wanted) for wanted in text.split(","))
        elif name == "type":
            fits = ("dir" if entry.is_dir() else "file") in text.split(",")
        else:
            raise Refusal(400, "ClientError.BadRequest", f"files cannot be filtered by '{name}' here")
        if not fits:
            return False
    return True


def _name_fits(name: str, wanted: str) -> bool:
    if wanted.startswith("~"):
        return fnmatch.fnmatch(name.lower(), wanted[1:].lower())
    return name == wanted.removeprefix("=")


async def stat(call: Call) -> Answer:
    """GET /operation/endpoint/ID/stat."""
    collection = _reach(call, "StatFailed")
    asked = call.query.get("path", "/")
    try:
        return Answer(documents.file_document(_path(call, collection, asked, follow=False)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(collection, asked) from error


def _not_found(collection: Collection, path: str) -> Refusal:
    message = (
        f"Path not found, Error (list)\nEndpoint: {collection.display_name} ({collection.collection_id})\n"
        f"Message: No such file or directory\n---\nDetails: Error: '{path}' not found\\r\\n"
        "550-GlobusError: v=1 c=PATH_NOT_FOUND\\r\\n550-GridFTP-Errno: 2\\r\\n550 End.\\r\\n\n"
    )
    return Refusal(404, "NotFound", message)


async def mkdir(call: Call) -> Answer:
    """POST /operation/endpoint/ID/mkdir: one level; the parent must be there."""
    collection = _reach(call, "MkdirFailed", writes=True)
    path = _path(call, collection, call.body().get("path"))
    try:
        path.mkdir()
    except FileExistsError as error:
        raise Refusal(502, "ExternalError.MkdirFailed.Exists", f"Path already exists: {path.name}") from error
    except FileNotFoundError as error:
        raise Refusal(502, "ExternalError.MkdirFailed.NotFound", f"No folder to make {path.name} in") from error
    except OSError as error:
        raise Refusal(502, "ExternalError.MkdirFailed.PermissionDenied", str(error.strerror)) from error
    return _done(call, "mkdir_result", "DirectoryCreated", "The directory was created successfully", 202)


async def rename(call: Call) -> Answer:
    """POST /operation/endpoint/ID/rename: replaces an existing file, as POSIX does, unless the collection does not."""
    collection = _reach(call, "RenameFailed", writes=True)
    body = call.body()
    old = _path(call, collection, body.get("old_path"), follow=False)
    new = _path(call, collection, body.get("new_path"), follow=False)
    if not os.path.lexists(old):
        raise _not_found(collection, str(body["old_path"]))
    if os.path.lexists(new) and not collection.rename_overwrites:
        raise Refusal(502, "ExternalError.RenameFailed.Exists", f"Path already exists: {body['new_path']}")
    try:
        os.rename(old, new)
    except FileNotFoundError as error:
        raise Refusal(502, "ExternalError.RenameFailed.NotFound", f"No folder for {body['new_path']}") from error
    except OSError as error:
        raise Refusal(502, "ExternalError.RenameFailed", f"{body['new_path']}: {error.strerror}") from error
    return _done(call, "result", "FileRenamed", "File or directory renamed successfully", 202)


def _done(call: Call, kind: str, code: str, message: str, status: int) -> Answer:
    body = {"DATA_TYPE": kind, "code": code, "message": message, "request_id": request_id(), "resource": call.path}
    return Answer(body, status)
