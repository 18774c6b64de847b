"""When a run must stop: the stop switch, the Lease, a signal. Asked before every batch and before every file."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dichroism_crds.client import Api
from dichroism_operator.lease import DURATION_S, Lease, LeaseLostError, identity
from dichroism_operator.prune import stopswitch

ASK_AGAIN_S = 1.0
PATIENCE_S = DURATION_S + 5
"""How long somebody else's Lease is watched: the one of a killed run expires meanwhile, a living one is renewed."""

log = logging.getLogger(__name__)


class PruningStoppedError(Exception):
    """The stop switch is on, or the process was asked to end: nothing more may be renamed or deleted."""


class LeaseTakenError(Exception):
    """Somebody else prunes this beamline right now."""


class Gate:
    """Says whether the next batch and the next file may be touched."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lease: Lease | None = None
        self._holding: asyncio.Task[None] | None = None
        self.signalled = False

    @property
    def holder(self) -> str | None:
        """Who we are in the Lease, while it is ours."""
        return self._lease.holder if self._lease else None

    async def before_batch(self) -> None:
        """Ask everything.

        Raises:
            PruningStoppedError: the stop switch is on or can't be read, or a signal came.
            LeaseLostError: somebody else may be pruning.
        """
        if reason := await stopswitch.why_stopped(self._api):
            raise PruningStoppedError(reason)
        self.before_file()

    def before_file(self) -> None:
        """Ask what is known without a request.

        Raises:
            PruningStoppedError: a signal came.
            LeaseLostError: the Lease is not ours any more, or was never taken.
        """
        if self.signalled:
            raise PruningStoppedError("the process was asked to end")
        if self._lease is None or self._holding is None or self._holding.done():
            lost = self._holding.exception() if self._holding and not self._holding.cancelled() else None
            raise LeaseLostError(str(lost or "the Lease is not held"))
        self._lease.check_held()

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[None]:
        """Hold a Lease; it is renewed in the background and given back at the end.

        Raises:
            LeaseTakenError: somebody else has it and renews it.
            ApiError: it can't be taken.
        """
        lease = Lease(self._api, name, identity())
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not await lease.try_acquire():
            if self.signalled:
                raise PruningStoppedError("the process was asked to end")
            if asyncio.get_running_loop().time() > deadline:
                raise LeaseTakenError(f"another process holds the Lease {name} and is pruning: nothing to do here")
            await asyncio.sleep(ASK_AGAIN_S)
        self._lease, self._holding = lease, asyncio.create_task(lease.hold(), name=name)
        try:
            yield
        finally:
            task, self._lease, self._holding = self._holding, None, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await lease.release()
