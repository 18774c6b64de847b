"""Brings one flow run up to date: made under the object's uid, then its states one by one, then its page.

Prefect takes whatever state it is told with ``force``, in any order and as often as it is told. So the order is guarded
here: a state is told only when it is later than the one that the run shows.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dichroism_operator.metrics import MIRROR_STATES
from dichroism_operator.mirror.errors import MirrorOff, NotThere, ServerBusy
from dichroism_operator.mirror.page import Artifact
from dichroism_operator.mirror.server import PrefectServer
from dichroism_operator.mirror.states import Run, RunState, missing, shown_state

MOST_KNOWN = 20_000
"""Runs whose state is remembered, about 500 bytes each; of any other the server is asked first."""
LOST_WAITS_S = (0.2, 1.0, 5.0)
"""After an answer was lost, which happens whenever the server drops a connection that it kept open."""
NOT_RUN_BY_WORKERS = {"retry_type": "in_process"}
"""A worker is never offered a run with this policy, even if its pool were not paused."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What a run shows. ``state`` None: something that is not ours. ``paged``: it may have an artifact."""

    id: str
    state: RunState | None
    paged: bool


class Runs:
    """The flow runs of one server. ``deployments`` are ids by name."""

    def __init__(self, server: PrefectServer, deployments: Mapping[str, str]) -> None:
        self._server = server
        self._deployments = deployments
        self._known: OrderedDict[str, Known] = OrderedDict()

    async def show(self, run: Run, *, briefly: bool = False) -> None:
        """Bring a run up to date. ``briefly``: only with the newest state, whose message has the earlier ones.

        Raises:
            MirrorOff: not now; the same call later goes on from where this one ended.
            RequestRefused: this run will never be taken.
        """
        for wait in (*LOST_WAITS_S, None):
            try:
                await self._show(run, briefly)
                return
            except NotThere:
                # Somebody deleted the run: the same key makes a new one. The deployment may be gone as well.
                gone = self._known.pop(run.key, None)
                if gone is None:
                    raise MirrorOff(f"Prefect has no deployment {run.deployment} any more; it is made again") from None
            except ServerBusy:
                self._known.pop(run.key, None)  # what the lost request did, only the server knows
                if wait is None:
                    raise
                await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311
            except MirrorOff:
                self._known.pop(run.key, None)
                raise
        raise MirrorOff(f"the run of {run.name} is deleted again and again")

    async def _show(self, run: Run, briefly: bool) -> None:
        known = self._known.get(run.key)
        if known is None:
            first = run.latest if briefly else run.states[0]
            known = await self._create(run, first)
        for state in missing(run, known.state, briefly=briefly):
            await self.tell(known.id, state)
            known = self._remember(run.key, replace(known, state=state))
        if run.artifact:
            await self._page(run.artifact, known)
            self._remember(run.key, replace(known, paged=True))

    async def _create(self, run: Run, first: RunState) -> Known:
        """Make the run, or find the one that was made with its key: the answer shows its present state."""
        body = {
            "name": run.name,
            "parameters": run.parameters,
            "tags": list(run.tags),
            "idempotency_key": run.key,
            "work_queue_name": run.queue,
            "empirical_policy": NOT_RUN_BY_WORKERS,
            "state": first.wire(),
        }
        path = f"/deployments/{self._deployments[run.deployment]}/create_flow_run"
        status, answer = await self._server.call("create run", "POST", path, body)
        made = status == 201
        if made:
            MIRROR_STATES.labels(first.type).inc()
        known = Known(str(answer["id"]), first if made else shown_state(answer.get("state")), paged=not made)
        return self._remember(run.key, known)

    async def tell(self, run_id: str, state: RunState) -> None:
        """Set one state whatever the run shows."""
        body = {"state": state.wire(), "force": True}
        _, answer = await self._server.call("set state", "POST", f"/flow_runs/{run_id}/set_state", body)
        if answer.get("status") != "ACCEPT":
            raise MirrorOff(f"Prefect does not accept a state that is set with force: {answer.get('status')}")
        MIRROR_STATES.labels(state.type).inc()

    async def _page(self, artifact: Artifact, known: Known) -> None:
        """Put the artifact there, in place of an older one of the same run."""
        old = await self._artifact_of(known.id, artifact.key) if known.paged else None
        if old is None:
            body = {
                "key": artifact.key,
                "type": "markdown",
                "data": artifact.text,
                "description": artifact.description,
                "flow_run_id": known.id,
            }
            await self._server.call("make artifact", "POST", "/artifacts/", body)
        elif old.get("data") != artifact.text:
            await self._server.call("update artifact", "PATCH", f"/artifacts/{old['id']}", {"data": artifact.text})

    async def _artifact_of(self, run_id: str, key: str) -> dict[str, Any] | None:
        body = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "key": {"any_": [key]}}, "limit": 1}
        _, found = await self._server.call("find artifact", "POST", "/artifacts/filter", body)
        return found[0] if found else None

    def forget(self, key: str) -> None:
        """Somebody changed the run in Prefect: look at it before the next state."""
        self._known.pop(key, None)

    def knows(self, key: str) -> bool:
        """Whether this process has shown a run lately, so that its object is there."""
        return key in self._known

    def _remember(self, key: str, known: Known) -> Known:
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return known
