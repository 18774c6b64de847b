"""The Prune object as one run holds it: read fresh, written at its resourceVersion, given up when others write it."""

from collections.abc import Callable

from dichroism_crds.client import Api, Conflict, NotFound
from dichroism_crds.kinds import Metadata, Prune, PruneStatus
from dichroism_operator.prune.outcome import same_work

_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_ATTEMPTS = 5


class OvertakenError(Exception):
    """The Prune was deleted, or somebody else wrote its status: what we believe about it may be wrong."""


class StatusNotKeptError(RuntimeError):
    """The API server answered with another status than it was sent: its CRDs are older than this program."""


class Record:
    """One Prune; ``prune`` is always as the API server last gave it."""

    def __init__(self, api: Api, prune: Prune, *, dry_run: bool) -> None:
        self._api = api
        self._dry_run = dry_run
        self.prune = prune

    async def refresh(self) -> None:
        """Read it again if a person changed it meanwhile, such as ``spec.suspend``.

        Raises:
            OvertakenError: it was deleted, or its status is not the one we wrote.
        """
        path = self._api.path(Prune, self.prune.name)
        try:
            found = Metadata.model_validate((await self._api.request("GET", path, accept=_METADATA_ONLY))["metadata"])
        except NotFound as error:
            raise self._deleted() from error
        if found.resource_version != self.prune.metadata.resource_version:
            await self._read()

    async def write(self, change: Callable[[Prune], PruneStatus]) -> None:
        """Write what ``change`` makes of the Prune, and see that the API server kept it; nothing in a dry run.

        Raises:
            OvertakenError: somebody else writes it too.
            ApiError: it may or may not be written.
            StatusNotKeptError: the API server dropped a part of it.
        """
        for _ in range(_ATTEMPTS):
            wanted = change(self.prune)
            if self._dry_run or wanted == self.prune.status:
                return
            try:
                made = await self._api.replace_status(self.prune.model_copy(update={"status": wanted}))
            except Conflict:
                await self._read()
                continue
            except NotFound as error:
                raise self._deleted() from error
            if made.status != wanted:
                raise StatusNotKeptError(
                    f"{made.name}: the API server did not keep the status as it was sent; are the CRDs older?"
                )
            self.prune = made
            return
        raise OvertakenError(f"{self.prune.name} changes faster than its status can be written")

    async def _read(self) -> None:
        try:
            fresh = await self._api.get(Prune, self.prune.name)
        except NotFound as error:
            raise self._deleted() from error
        if fresh.metadata.uid != self.prune.metadata.uid or not same_work(fresh.status, self.prune.status):
            raise OvertakenError(f"somebody else wrote the status of {self.prune.name} while this run worked on it")
        self.prune = fresh

    def _deleted(self) -> OvertakenError:
        return OvertakenError(f"{self.prune.name} was deleted; what lies in its trash stays there")
