"""Puts right what somebody changed in Prefect's UI, and closes the runs of objects that are no longer in the cluster.

A run's own history says what it should show: the newest of its states that is ours.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import timedelta
from typing import Any

from dichroism_crds.timestamps import format_time, now
from dichroism_operator.mirror.errors import NotThere
from dichroism_operator.mirror.runs import NOT_RUN_BY_WORKERS, Runs
from dichroism_operator.mirror.server import PrefectServer
from dichroism_operator.mirror.states import RunState, StateType, shown_state

PAGE = 200
MOST_PAGES = 50
LOOK_BACK = timedelta(days=1)
"""Runs that somebody ended longer ago stay as they are."""
_NEVER_OURS = ("SCHEDULED", "CANCELLING", "PAUSED")
_ENDED_BY_OTHERS = ("CANCELLED", "CRASHED")

log = logging.getLogger(__name__)


async def put_right(server: PrefectServer, runs: Runs, deployments: Collection[str]) -> int:
    """Tell every run that shows a state which the mirror never sets what it should show; returns how many.

    Runs without any state of ours were started in the UI; they wait in a paused pool and are left alone.
    """
    restored = 0
    since = {"end_time": {"after_": format_time(now() - LOOK_BACK)}}
    for types, limits in ((_NEVER_OURS, {}), (_ENDED_BY_OTHERS, since)):
        for wire in await _find(server, deployments, types, limits):
            ours = None if shown_state(wire.get("state")) else await _newest_of_ours(server, str(wire["id"]))
            if ours:
                await _restore(server, runs, wire, ours)
                restored += 1
    return restored


async def close_gone(
    server: PrefectServer,
    runs: Runs,
    deployments: Collection[str],
    present: Callable[[], Awaitable[Collection[str]]],
) -> int:
    """Give an end to open runs whose Scan or Transfer is gone; ``present`` lists the uids of all that are there."""
    open_runs = await _find(server, deployments, (StateType.PENDING, StateType.RUNNING), {})
    doubtful = [wire for wire in open_runs if wire.get("idempotency_key") and not runs.knows(wire["idempotency_key"])]
    if not doubtful:
        return 0
    uids = await present()
    gone = [wire for wire in doubtful if wire["idempotency_key"] not in uids and shown_state(wire.get("state"))]
    for wire in gone:
        text = "no longer in the cluster; its end was not seen. The file is not touched by this"
        try:
            await runs.tell(str(wire["id"]), RunState(StateType.CANCELLED, "Cancelled", now(), text))
        except NotThere:
            continue
    return len(gone)


async def _restore(server: PrefectServer, runs: Runs, wire: dict[str, Any], ours: RunState) -> None:
    run_id = str(wire["id"])
    try:
        # The button Retry also allows workers to run it.
        await server.call("update run", "PATCH", f"/flow_runs/{run_id}", {"empirical_policy": NOT_RUN_BY_WORKERS})
        await runs.tell(run_id, ours)
    except NotThere:
        return
    runs.forget(str(wire.get("idempotency_key")))
    log.info("the run %s showed %s, which is not ours; it shows %s again", run_id, wire.get("state_name"), ours.name)


async def _newest_of_ours(server: PrefectServer, run_id: str) -> RunState | None:
    _, history = await server.call("read states", "GET", "/flow_run_states/", params={"flow_run_id": run_id})
    ours = [state for one in history or () if (state := shown_state(one))]
    return max(ours, key=lambda state: state.order, default=None)


async def _find(
    server: PrefectServer, deployments: Collection[str], types: Iterable[str], limits: dict[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in range(MOST_PAGES):
        body = {
            "flow_runs": {
                "deployment_id": {"any_": list(deployments)},
                "state": {"type": {"any_": [str(one) for one in types]}},
                **limits,
            },
            "limit": PAGE,
            "offset": page * PAGE,
        }
        _, runs = await server.call("list runs", "POST", "/flow_runs/filter", body)
        found += runs
        if len(runs) < PAGE:
            break
    return found
