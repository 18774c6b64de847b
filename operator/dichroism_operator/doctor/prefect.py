"""Prefect: whether the mirror can show runs there, and what is left of the flows that ran here before."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from dichroism_crds.config import Config
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem, warning
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.place import Place
from dichroism_operator.mirror import access
from dichroism_operator.mirror.errors import MirrorError, Trouble
from dichroism_operator.mirror.names import layout, number_of
from dichroism_operator.mirror.pools import PoolInUse, Standing, check_unused, look, queues_of
from dichroism_operator.mirror.server import PrefectServer

_PAGE = 200
_CUT_OVER = "docs/how-to/come-from-the-flows.md"
_SWITCH_ON = "docs/how-to/prefect.md"
_LIMIT = "concurrency_limit"

Asking = Callable[[PrefectServer, Config], Awaitable[Findings]]


def checks(place: Place) -> list[Check]:
    """Nothing where runs are not shown in Prefect."""
    config = place.config
    if config is None or not config.prefect.enabled:
        return []
    return [
        Check("prefect/server", "Prefect answers and takes our login", partial(_ask, place, config, _server)),
        Check("prefect/pools", "nobody else uses our pools and deployments", partial(_ask, place, config, _pools)),
        Check("prefect/limits", "no limit counts runs that are only shown", partial(_ask, place, config, _limits)),
        Check("prefect/old-flows", "no prune run of earlier flows waits", partial(_ask, place, config, _old_flows)),
    ]


async def _ask(place: Place, config: Config, asking: Asking) -> Findings:
    """Ask, each check with a connection of its own; that Prefect can't be asked is told by the first one alone."""
    first = asking is _server
    try:
        url = access.api_url(place.environment)
    except MirrorError as error:
        if not first:
            return [not_checked("needs the address of Prefect", "See prefect/server")]
        if await place.role() == Role.OPERATOR:
            return [problem(str(error), f"Set {access.URL} in the Secret of the operator: {_SWITCH_ON}")]
        return [not_checked(f"{access.URL} is not set here", f"Set {access.URL}, or run this in the operator's pod")]
    try:
        async with PrefectServer.at(url, lambda: access.authorization(place.environment)) as server:
            return await asking(server, config)
    except MirrorError as error:
        if not first:
            return [not_checked("Prefect could not be asked", "See prefect/server")]
        remedy = "Look at the Prefect server and the network; copies do not wait for it"
        if getattr(error, "trouble", None) == Trouble.LOGIN_FAILED:
            remedy = f"Correct {access.AUTH_STRING} or {access.KEY} (in the cluster: the Secret)"
        return [problem(str(error), remedy)]


async def _server(server: PrefectServer, config: Config) -> Findings:  # noqa: ARG001 - of all these questions
    _, version = await server.call("read version", "GET", "/admin/version")
    return [ok(f"{server.url} answers, version {str(version)[:40]}")]


async def _pools(server: PrefectServer, config: Config) -> Findings:
    standing = await look(server, layout(config))
    try:
        await check_unused(server, standing)
    except PoolInUse as error:
        if config.prefect.take_over:
            return [warning(f"{error}", f"prefect.takeOver is set, so the operator takes it: {_CUT_OVER}")]
        return [problem(str(error), f"Follow the cut-over in {_CUT_OVER}")]
    if config.prefect.take_over:
        text = "prefect.takeOver is still set: what somebody makes under our names would be taken from them"
        return [warning(text, "Remove takeOver from the configuration")]
    missing = [one.name for one, found in standing.pools if found is None]
    missing += [one.name for one, found in standing.deployments if found is None]
    if missing:
        return [warning(f"not made yet: {', '.join(missing)}", "The operator makes them; or: dichroism prefect init")]
    return [ok("pools and deployments are ours")]


async def _limits(server: PrefectServer, config: Config) -> Findings:
    standing = await look(server, layout(config))
    queues = {pool.name: await queues_of(server, pool.name) for pool, found in standing.pools if found}
    return judge_limits(standing, queues)


def judge_limits(standing: Standing, queues: dict[str, list[dict[str, Any]]]) -> list[Finding]:
    """Concurrency limits on what is ours: shown runs count against them, and their ends release other runs' places."""
    limited = [f"work pool {pool.name}" for pool, found in standing.pools if found and found.get(_LIMIT) is not None]
    limited += [
        f"work queue {pool}/{queue.get('name')}"
        for pool, found in queues.items()
        for queue in found
        if queue.get(_LIMIT) is not None
    ]
    limited += [
        f"deployment {one.flow}/{one.name}"
        for one, found in standing.deployments
        if found and (found.get(_LIMIT) is not None or found.get("global_concurrency_limit") is not None)
    ]
    if not limited:
        return [ok("no concurrency limits")]
    text = f"concurrency limits on {', '.join(limited)}: runs that are only shown count against them"
    return [warning(text, "Remove these limits in Prefect's UI; nothing here is ever run, so nothing needs them")]


async def _old_flows(server: PrefectServer, config: Config) -> Findings:
    waiting: dict[str, dict[str, Any]] = {}
    named = {"name": {"like_": "prune"}}
    for by in ("flows", "deployments", "flow_runs"):
        runs: dict[str, Any] = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        body: dict[str, Any] = {"flow_runs": runs, "limit": _PAGE}
        (runs if by == "flow_runs" else body).update(named if by == "flow_runs" else {by: named})
        _, found = await server.call("list prune runs", "POST", "/flow_runs/filter", body)
        waiting |= {str(one.get("id")): one for one in found}
    for kind, key in (("deployments", "deployment_id"), ("flows", "flow_id")):
        ids = sorted({str(run[key]) for run in waiting.values() if run.get(key)})
        _, found = await server.call(f"read {kind}", "POST", f"/{kind}/filter", {kind: {"id": {"any_": ids}}})
        names = {one.get("id"): one.get("name") for one in found}
        for run in waiting.values():
            run[kind] = names.get(run.get(key))
    return judge_old_flows(list(waiting.values()), config)


def judge_old_flows(waiting: list[dict[str, Any]], config: Config) -> list[Finding]:
    """Prune runs that wait; those of other beamlines of the same server are nobody's business here."""
    words = {"dichroism", *(number_of(name) for name in config.beamlines), *config.endpoints}
    words |= {endpoint.root_path for endpoint in config.endpoints.values()}
    keys = ("name", "parameters", "work_queue_name", "work_pool_name", "tags", "deployments", "flows")
    ours = [run for run in waiting if any(word in json.dumps([run.get(key) for key in keys]) for word in words)]
    if not ours:
        return [ok("no prune run of earlier flows is scheduled")]
    more = "or more " if len(waiting) >= _PAGE else ""
    names = ", ".join(sorted(str(run.get("name")) for run in ours)[:3])
    text = (
        f"prune runs of the flows that ran here before are scheduled, {len(ours)} {more}({names}): "
        "they would delete files without the checks of dichroism prune"
    )
    remedy = f"prefect flow-run ls --state-type SCHEDULED --limit 200 shows them; delete their deployments: {_CUT_OVER}"
    return [problem(text, remedy)]
