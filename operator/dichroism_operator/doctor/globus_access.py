"""The way to Globus as all checks share it: one login, one pace, every question in a thread."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from globus_sdk import TransferClient

from dichroism_crds.config import Endpoint
from dichroism_operator.doctor.check import NotCheckedHereError
from dichroism_operator.doctor.shared import Shared
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.connection import GlobusConnection, GlobusCredentials, document
from dichroism_operator.threads import in_daemon_thread

PER_SECOND = 3.0
"""Requests a second: what operator and prune runs leave of the identity's 20."""

T = TypeVar("T")


class GlobusAccess:
    """One login for all checks. Use as ``async with GlobusAccess() as globus``; it connects when the first one asks."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._connection = GlobusConnection(environment, per_second=PER_SECOND)
        self._identity = Shared(self._log_in)
        self._documents: dict[str, Shared[Mapping[str, Any]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._identity.end()
        for described in self._documents.values():
            await described.end()
        self._connection.close()

    async def identity(self) -> str:
        """Who we are for Globus, proven by an answered request.

        Raises:
            MoverUnavailable: no credentials, or they are refused, or nobody answers.
        """
        return await self._identity.get()

    async def _log_in(self) -> str:
        credentials = GlobusCredentials.from_environment(self._environment)
        await in_daemon_thread(partial(self.ask, "log in", lambda client: client.task_list(limit=1)))
        return credentials.identity

    async def require(self) -> str:
        """The identity, for checks that are about something else.

        Raises:
            NotCheckedHereError: there is no login.
        """
        try:
            return await self.identity()
        except MoverUnavailable as error:
            raise NotCheckedHereError("needs a login to Globus", "See globus/login") from error

    async def document_of(self, endpoint: Endpoint) -> Mapping[str, Any]:
        """What the service says about an endpoint's collection: name, kind, HTTPS server.

        Raises:
            MoverUnavailable: it says nothing, or there is no such collection.
            TransferAPIError: it says no.
        """
        uuid = endpoint.uuid or ""
        what = f"look up the collection {uuid}"
        ask = partial(self.ask, what, lambda client: document(client.get_endpoint(uuid)))
        return await self._documents.setdefault(uuid, Shared(lambda: in_daemon_thread(ask))).get()

    def ask(self, what: str, request: Callable[[TransferClient], T], *, once: bool = False) -> T:
        """One request, made by a thread that may block; see :meth:`GlobusConnection.call`."""
        return self._connection.call(what, request, once=once)
