"""Reading a file through a collection's HTTPS server: for what is neither mounted nor large."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import requests
from globus_sdk import TransferAPIError, TransferClient
from globus_sdk.scopes import GCSCollectionScopes

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.collection import Collection
from dichroism_operator.movers.globus.connection import HTTP_TIMEOUT_S, GlobusConnection, document

MAX_BYTES = 64 * 10**6
"""Larger files are not read: it would take minutes, and the collection's server is shared with people."""
TOKEN_LIFE_S = 3600.0
SERVER_LIFE_S = 3600.0
_BLOCK = 1024 * 1024


class TooLargeError(Exception):
    """The file is larger than what was asked for."""


class Downloads:
    """Reads files of collections; keeps tokens and server names in memory for an hour."""

    def __init__(self, connection: GlobusConnection) -> None:
        self._connection = connection
        self._tokens: dict[str, tuple[float, str]] = {}
        self._servers: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def read(self, collection: Collection, path: str, limit: int = MAX_BYTES) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: it is not there.
            TooLargeError: it has more than ``limit`` bytes.
            MoverUnavailable: it can't be read now, or the collection has no HTTPS server.
        """
        parts: list[bytes] = []
        size = 0
        for block in self._blocks(collection, path):
            size += len(block)
            if size > limit:
                raise TooLargeError(f"{path} on {collection.name} has more than {limit} bytes")
            parts.append(block)
        return b"".join(parts)

    def sha256(self, collection: Collection, path: str) -> tuple[int, str]:
        """Size and sha256 of the whole file; raises like :meth:`read`."""
        digest = hashlib.sha256()
        size = 0
        for block in self._blocks(collection, path):
            size += len(block)
            if size > MAX_BYTES:
                raise TooLargeError(f"{path} on {collection.name} has more than {MAX_BYTES} bytes")
            digest.update(block)
        return size, digest.hexdigest()

    def _blocks(self, collection: Collection, path: str) -> Iterator[bytes]:
        what = f"read {path} on {collection.name}"
        try:
            with self._answer(collection, path, what) as answer:
                yield from answer.iter_content(_BLOCK)
        except requests.RequestException as error:
            text = f"{what}: the collection's HTTPS server does not answer ({type(error).__name__})"
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text) from error

    @contextmanager
    def _answer(self, collection: Collection, path: str, what: str) -> Iterator[requests.Response]:
        """A good answer, its body not read yet; a refused token is replaced once."""
        url = self._server(collection) + quote(collection.path(path))
        for attempt in (1, 2):
            # A redirect could carry the token elsewhere, and without `auth` a .netrc would replace it.
            with requests.get(
                url,
                auth=_bearer(self._token(collection, what)),
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=HTTP_TIMEOUT_S,
                allow_redirects=False,
            ) as answer:
                if answer.status_code == 200:
                    yield answer
                    return
                if answer.status_code == 404:
                    raise FileNotFoundError(f"{what}: it is not there")
                if answer.status_code != 401 or attempt == 2:
                    raise _refusal(answer.status_code, what)
            with self._lock:
                self._tokens.pop(collection.uuid, None)

    def _token(self, collection: Collection, what: str) -> str:
        with self._lock:
            until, token = self._tokens.get(collection.uuid, (0.0, ""))
        if until > time.monotonic():
            return token
        token = self._connection.token(GCSCollectionScopes(collection.uuid).https, what)
        with self._lock:
            self._tokens[collection.uuid] = (time.monotonic() + TOKEN_LIFE_S, token)
        return token

    def _server(self, collection: Collection) -> str:
        """Address of the collection's HTTPS server, as Globus tells it."""
        with self._lock:
            until, server = self._servers.get(collection.uuid, (0.0, ""))
        if until > time.monotonic():
            return server

        def ask(client: TransferClient) -> str:
            return str(document(client.get_endpoint(collection.uuid)).get("https_server") or "")

        try:
            server = self._connection.call(f"ask for the HTTPS server of {collection.name}", ask).rstrip("/")
        except TransferAPIError as error:
            text = f"Globus does not tell the HTTPS server of {collection.name}: {error.code}"
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text) from error
        if not urlsplit(server).hostname:
            text = f"the collection of {collection.name} has no HTTPS server: turn it on, or mount the endpoint"
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)
        with self._lock:
            self._servers[collection.uuid] = (time.monotonic() + SERVER_LIFE_S, server)
        return server


def _bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _refusal(status: int, what: str) -> MoverUnavailable:
    if status in (401, 403):
        text = f"{what}: the collection's HTTPS server refuses us ({status}). Give our identity the permission"
        return MoverUnavailable(Reason.PERMISSION_DENIED, text)
    return MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, f"{what}: the collection's HTTPS server answers {status}")
