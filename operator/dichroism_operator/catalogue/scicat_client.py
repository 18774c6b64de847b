"""One conversation with SciCat: pyscicat's client with its defects mended. No retries and no policy in here.

What differs from pyscicat 0.4.8: every request has a timeout; the token travels in the header alone, never in a URL; a
``.netrc`` cannot replace it; redirects are not followed; errors have a type and the HTTP status; archive copies, the
lifecycle, partial updates and deletions exist. A client is pinned to one token and one dataset: when the token is
rejected the conversation is over, because what was read before (an empty list, say) may have been read by nobody.
"""

import json
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from pydantic import BaseModel
from pyscicat.client import ScicatClient

from dichroism_operator.catalogue.base import ADDING, REMOVING
from dichroism_operator.catalogue.errors import CatalogueError, CatalogueUnavailable, EntryRefused

Timeout = tuple[float, float]
"""Seconds to connect, and seconds without a byte of the answer."""

MAX_BODY = 15 * 1024 * 1024
"""The backend answers 500 to more than 16 MB, which would look like an outage."""

_MESSAGE_LENGTH = 500
_ENTRY_STATUSES = frozenset({400, 413, 422})


DATASET_FIELDS = (
    "pid",
    "sourceFolder",
    "datasetName",
    "size",
    "creationTime",
    "updatedAt",
    "proposalId",
    "proposalIds",
    "datasetlifecycle",
)
"""What a listing of datasets asks for: metadata would be most of its bytes."""


class TokenRejectedError(CatalogueError):
    """The token is expired or was never good: log in and begin again from the first look."""


class MissingError(CatalogueError):
    """404: the dataset, or the route, is not there."""


class ConflictError(CatalogueError):
    """409: the unique key is taken."""


def new_session(base_url: str) -> requests.Session:
    """A session for one thread, with the environment's proxies and certificates but without its ``.netrc``.

    requests would look them up for every request, and let a ``.netrc`` replace the token.
    """
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(requests.utils.get_environ_proxies(base_url))
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return session


def send(
    http: requests.Session,
    method: str,
    url: str,
    timeout: Timeout,
    *,
    token: str | None = None,
    body: Any = None,
    params: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """One request: status and parsed JSON (None for an empty answer).

    Raises:
        CatalogueUnavailable: no answer, a redirect, or an answer that is not JSON, whatever its status.
        EntryRefused: the body is larger than the server, or a proxy before it, takes.
    """
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    if data and len(data) > MAX_BODY:
        raise EntryRefused(f"the entry has {len(data)} bytes, the catalogue takes {MAX_BODY}: shorten its metadata")
    headers = {"Accept": "application/json"}
    if data:
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        response = http.request(
            method,
            url,
            data=data,
            params=params,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise CatalogueUnavailable(f"no answer from the catalogue ({type(error).__name__})") from error
    status = response.status_code
    if 300 <= status < 400:
        raise CatalogueUnavailable(
            f"the catalogue redirects (HTTP {status}): set scicat.url to the address it redirects to",
            http_status=status,
        )
    if data and status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # a proxy says so with a page of HTML
        raise EntryRefused(
            f"the entry has {len(data)} bytes, more than the catalogue or a proxy before it takes (HTTP 413): shorten "
            "its metadata, or have the proxy's limit raised",
            http_status=status,
        )
    try:
        return status, json.loads(response.content) if response.content else None
    except ValueError as error:
        raise CatalogueUnavailable(
            f"not the catalogue but something else answers (HTTP {status}, no JSON): a proxy's error page, or "
            "scicat.url is wrong",
            http_status=status,
        ) from error


def server_message(answer: Any, *secrets: str) -> str:
    """What the server says, shortened, as one line, without any of the secrets should it echo them."""
    said = answer.get("message", answer) if isinstance(answer, dict) else answer
    text = "; ".join(map(str, said)) if isinstance(said, list) else str(said)
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return " ".join(text.split())[:_MESSAGE_LENGTH]


class SciCatClient(ScicatClient):
    """One dataset, one token. Methods named as in pyscicat are pyscicat's; the others are what it lacks."""

    def __init__(
        self,
        base_url: str,
        token: str,
        http: requests.Session,
        timeout: Timeout,
        pid: str,
        before_change: Callable[[], None] = lambda: None,
    ) -> None:
        """``before_change`` is called right before every request that changes something, and may raise."""
        super().__init__(base_url, token=token)
        self._before_change = before_change
        self._http = http
        self._timeout = timeout
        self._pid = pid
        self._dataset = f"Datasets/{quote(pid, safe='')}"

    def _call_endpoint(self, cmd: str, endpoint: str, data: BaseModel | None = None, operation: str = "") -> Any:
        """Where every call of pyscicat's own methods ends."""
        body = None if data is None else data.model_dump(mode="json", exclude_none=True)
        return self._call(cmd.upper(), endpoint, operation, body)

    def _call(
        self, method: str, endpoint: str, operation: str, body: Any = None, params: dict[str, str] | None = None
    ) -> Any:
        url = f"{self._base_url.rstrip('/')}/{endpoint}"
        if method != "GET":
            self._before_change()
        try:
            status, answer = send(self._http, method, url, self._timeout, token=self._token, body=body, params=params)
        except CatalogueError as error:
            error.operation, error.pid = operation, self._pid
            raise
        if 200 <= status < 300:
            return answer
        raise self._error(status, answer, operation)

    def _error(self, status: int, answer: Any, operation: str) -> CatalogueError:
        said = server_message(answer, self._token or "")
        about: dict[str, Any] = {"http_status": status, "operation": operation, "pid": self._pid}
        if status == 401 or (status == 403 and not self._token_works()):
            return TokenRejectedError(f"the catalogue rejects the token: {said}", **about)
        text = f"the catalogue refuses {operation} of dataset {self._pid} (HTTP {status}): {said}"
        if status == 403:
            return EntryRefused(f"{text}. Give the account the right, or the dataset a group of the account", **about)
        if status in _ENTRY_STATUSES:
            return EntryRefused(
                f"{text}. Correct the scan's metadata or the ingest section of the configuration", **about
            )
        if status == 404:
            return MissingError(text, **about)
        if status == 409:
            return ConflictError(text, **about)
        return CatalogueUnavailable(
            f"the catalogue is in trouble: HTTP {status} to {operation} of dataset {self._pid}: {said}", **about
        )

    def _token_works(self) -> bool:
        """Whether a 403 is about rights: 4.x answers 403 to an expired token as well."""
        url = f"{self._base_url.rstrip('/')}/auth/whoami"
        status, answer = send(self._http, "GET", url, self._timeout, token=self._token)
        if status >= 500 or status == 429:
            raise CatalogueUnavailable(f"the catalogue is in trouble: HTTP {status} to whoami", http_status=status)
        return status == 200 and isinstance(answer, dict) and bool(answer.get("username"))

    def _list(self, endpoint: str, operation: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]:
        answer = self._call("GET", endpoint, operation, params=params)
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise CatalogueUnavailable(
                f"the catalogue answers {operation} of dataset {self._pid} with something that is no list",
                operation=operation,
                pid=self._pid,
            )
        return answer

    def find_dataset(self) -> dict[str, Any] | None:
        """The dataset, or None. Some routes answer 200 without a body when nothing is found."""
        try:
            answer = self.datasets_get_one(self._pid)
        except MissingError:
            return None
        if answer is not None and (not isinstance(answer, dict) or answer.get("pid") != self._pid):
            raise CatalogueUnavailable(
                f"the catalogue answers with something else than dataset {self._pid}", pid=self._pid
            )
        return answer

    def add_dataset(self, dataset: BaseModel) -> None:
        """Create it; raises ConflictError when the pid is taken."""
        self._call_endpoint("post", "Datasets", dataset, "creation")

    def patch_dataset(self, changes: dict[str, Any]) -> None:
        """Change some fields. Never the lifecycle: this route would reset the rest of it."""
        self._call("PATCH", self._dataset, "update", changes)

    def patch_lifecycle(self, changes: dict[str, Any]) -> None:
        """Change some fields of the lifecycle through its own route, which merges."""
        self._call("PATCH", f"{self._dataset}/datasetlifecycle", "lifecycle update", changes)

    def file_lists(self) -> list[dict[str, Any]]:
        """All origdatablocks."""
        return self._list(f"{self._dataset}/origdatablocks", "reading of file lists")

    def add_file_list(self, files: dict[str, Any]) -> None:
        """Add an origdatablock; nothing keeps the server from adding the same one twice."""
        self._call("POST", f"{self._dataset}/origdatablocks", "adding a file list", files)

    def remove_file_list(self, key: str) -> None:
        """Remove an origdatablock; few accounts may."""
        self._call("DELETE", f"{self._dataset}/origdatablocks/{quote(key, safe='')}", "removing a file list")

    def archive_copies(self) -> list[dict[str, Any]]:
        """All datablocks."""
        return self._list(f"{self._dataset}/datablocks", "reading of archive copies")

    def add_archive_copy(self, copy: dict[str, Any]) -> None:
        """Add a datablock. A taken archiveId is 409 or 500, depending on backend and route."""
        self._call("POST", f"{self._dataset}/datablocks", "adding an archive copy", copy)

    def attachments(self) -> list[dict[str, Any]]:
        """The attachments, newest first; the server shows ten at most."""
        return self._list(f"{self._dataset}/attachments", "reading of attachments")

    def add_attachment(self, attachment: dict[str, Any]) -> None:
        """Add an attachment; nothing keeps the server from adding the same one twice."""
        self._call("POST", f"{self._dataset}/attachments", ADDING, attachment)

    def remove_attachment(self, key: str) -> None:
        """Remove an attachment. Never replace one: the server would lose which dataset it belongs to."""
        self._call("DELETE", f"{self._dataset}/attachments/{quote(key, safe='')}", REMOVING)

    def page_of_datasets(self, location: str, skip: int, limit: int) -> list[dict[str, Any]]:
        """Datasets of a location that we may see, so many from the ``skip``-th on, without their metadata."""
        query = {
            "where": {"creationLocation": {"inq": [location]}},  # a plain text may be taken for a date
            "limits": {"skip": skip, "limit": limit, "order": "pid:asc"},
            "fields": list(DATASET_FIELDS),
        }
        return self._list("Datasets", "reading of all datasets", {"filter": json.dumps(query)})

    def page_of_archive_copies(self, skip: int, limit: int) -> list[dict[str, Any]]:
        """Datablocks of all datasets that we may see, so many from the ``skip``-th on."""
        query = json.dumps({"where": {}, "limits": {"skip": skip, "limit": limit, "order": "archiveId:asc"}})
        return self._list("Datablocks", "reading of all archive copies", {"filter": query})

    def archive_copies_of(self, archive_id: str) -> list[dict[str, Any]]:
        """Datablocks of any dataset with this archiveId. ``inq`` because a plain text may be taken for a date."""
        query = json.dumps({"where": {"archiveId": {"inq": [archive_id]}}})
        return self._list("Datablocks", "search for an archive copy", {"filter": query})
