"""The Kubernetes API as all checks share it: connected to once, by whoever asks first."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from dichroism_crds.client import Api, ApiError
from dichroism_operator.doctor.check import NotCheckedHereError
from dichroism_operator.doctor.shared import Shared

ANSWER_S = 10.0
"""Seconds within which a server that works answers a small question."""
_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCOUNT = re.compile(r"system:serviceaccount:[^:]+:.+-(operator|pruner|watcher|flight|audit)\Z")
_SEE = "See kubernetes/api"


class Role(StrEnum):
    """Which of our programs a place belongs to: the chart gives each a service account and mounts of its own."""

    OPERATOR = "operator"
    PRUNER = "pruner"
    WATCHER = "watcher"
    FLIGHT = "flight"
    AUDIT = "audit"
    PERSON = "person"
    """None of them: a person with an account of their own."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are for the API server."""

    username: str

    @property
    def role(self) -> Role:
        """From the name of the service account, which ends as the chart makes it."""
        found = _ACCOUNT.match(self.username)
        return Role(found[1]) if found else Role.PERSON


class Cluster:
    """One connection for all checks. Use as ``async with Cluster(namespace) as cluster``."""

    def __init__(self, namespace: str | None = None) -> None:
        self._namespace = namespace
        self._connection = Shared(self._connect)
        self._api: Api | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.end()
        if self._api:
            await self._api.close()

    async def connected(self) -> tuple[Api, Identity]:
        """The connection, proven by an answer to the question who we are.

        Raises:
            ApiError: there is no way to the API, or it does not know us.
        """
        return await self._connection.get()

    async def api(self) -> Api:
        """The connection, for checks that are about something else.

        Raises:
            NotCheckedHereError: there is none.
        """
        try:
            return (await self.connected())[0]
        except ApiError as error:
            raise NotCheckedHereError("needs the Kubernetes API, which can't be used from here", _SEE) from error

    async def role(self) -> Role:
        """The role of our account; a person's when the API does not tell."""
        try:
            return (await self.connected())[1].role
        except ApiError:
            return Role.PERSON

    async def _connect(self) -> tuple[Api, Identity]:
        self._api = await Api.connect(self._namespace)
        answer = await self._api.request(
            "POST",
            _REVIEWS,
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            timeout=ANSWER_S,
        )
        return self._api, Identity(str(answer.get("status", {}).get("userInfo", {}).get("username", "")))


def nothing_points_to_a_cluster(error: ApiError) -> bool:
    """Whether nobody said where the API is, so that its absence here may be meant."""
    return error.reason == "NoCredentials" and not os.environ.get("KUBECONFIG")
