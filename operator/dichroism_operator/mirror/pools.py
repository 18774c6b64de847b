"""Work pools, queues, flows and deployments: made when they are missing, left alone when somebody else uses them."""

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dichroism_operator.mirror.errors import MirrorOff, NotThere, RequestRefused, Trouble
from dichroism_operator.mirror.names import POOL_TYPE, TAG, Deployment, Layout, Pool
from dichroism_operator.mirror.server import PrefectServer

_OURS = "Shows what the dichroism operator does. Paused for good: nothing in it is ever run."
"""Description of our pools. One that was taken over keeps its type, and is known as ours by this."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was made sure of: ids of the deployments by name, and what had to be changed for it, for people."""

    deployments: dict[str, str]
    changes: tuple[str, ...]


class PoolInUse(MirrorOff):
    """A pool or deployment of our names is somebody else's: the mirror stays off, and nothing was touched."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. The mirror is off and nothing was changed. Stop what uses it, or set prefect.takeOver: true",
            trouble=Trouble.POOL_IN_USE,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What Prefect has of the layout; None where it has nothing."""

    pools: tuple[tuple[Pool, dict[str, Any] | None], ...]
    deployments: tuple[tuple[Deployment, dict[str, Any] | None], ...]


async def look(server: PrefectServer, layout: Layout) -> Standing:
    """Find everything; nothing is changed.

    Raises:
        MirrorError: Prefect does not answer, or refuses us.
    """
    return Standing(
        tuple([(pool, await _find_pool(server, pool.name)) for pool in layout.pools]),
        tuple([(one, await _find_deployment(server, one)) for one in layout.deployments]),
    )


async def check_unused(server: PrefectServer, standing: Standing) -> None:
    """See that nobody else uses what stands there.

    Raises:
        PoolInUse: somebody does.
        MirrorError: Prefect does not answer, or refuses us.
    """
    for pool, found in standing.pools:
        if found:
            await _check_pool(server, pool, found)
    for deployment, found in standing.deployments:
        _check_deployment(deployment, found)


async def queues_of(server: PrefectServer, pool: str) -> list[dict[str, Any]]:
    """The queues of a work pool."""
    _, queues = await server.call("list queues", "POST", f"/work_pools/{quote(pool)}/queues/filter", {})
    return list(queues or ())


async def prepare(server: PrefectServer, layout: Layout, *, take_over: bool) -> Prepared:
    """Make sure that everything is there and every pool is paused; repeated, it changes nothing.

    All pools and deployments are looked at before the first one is touched.

    Raises:
        PoolInUse: somebody else uses one of them, and ``take_over`` is not set.
        MirrorOff: Prefect does not answer, refuses us or the setup.
    """
    try:
        standing = await look(server, layout)
        if not take_over:
            await check_unused(server, standing)
        changes: list[str] = []
        for pool, found in standing.pools:
            changes += await _put_pool(server, pool, found)
        ids = {}
        for deployment, found in standing.deployments:
            if found is None or not _as_wanted(found, deployment):
                found = await _put_deployment(server, deployment)
                changes.append(f"deployment {deployment.flow}/{deployment.name}")
            ids[deployment.name] = str(found["id"])
    except (RequestRefused, NotThere) as error:
        raise MirrorOff(
            f"{error}. Does PREFECT_API_URL end with /api, and is the server Prefect 3?",
            http_status=error.http_status,
            operation=error.operation,
        ) from error
    for change in changes:
        log.info("made in Prefect: %s", change)
    return Prepared(ids, tuple(changes))


async def _find_pool(server: PrefectServer, name: str) -> dict[str, Any] | None:
    try:
        _, found = await server.call("read pool", "GET", f"/work_pools/{quote(name)}")
    except NotThere:
        return None
    return _section(found)


async def _find_deployment(server: PrefectServer, wanted: Deployment) -> dict[str, Any] | None:
    path = f"/deployments/name/{quote(wanted.flow)}/{quote(wanted.name)}"
    try:
        _, found = await server.call("read deployment", "GET", path)
    except NotThere:
        return None
    return _section(found)


async def _check_pool(server: PrefectServer, pool: Pool, found: dict[str, Any]) -> None:
    """See whether somebody works with a pool. Workers at one of ours that is paused get nothing and lose nothing."""
    if not _is_ours(found):
        raise PoolInUse(f"the work pool {pool.name} has the type {found.get('type')!r}, which is not the mirror's")
    if found.get("is_paused"):
        return
    body = {"workers": {"status": {"any_": ["ONLINE"]}}}
    _, workers = await server.call("list workers", "POST", f"/work_pools/{quote(pool.name)}/workers/filter", body)
    if workers:
        names = ", ".join(str(one.get("name")) for one in workers[:3])
        raise PoolInUse(f"the work pool {pool.name} has live workers ({names})")


def _is_ours(pool: dict[str, Any]) -> bool:
    return pool.get("type") == POOL_TYPE or pool.get("description") == _OURS


def _check_deployment(wanted: Deployment, found: dict[str, Any] | None) -> None:
    if found and TAG not in (found.get("tags") or ()):
        raise PoolInUse(f"the deployment {wanted.flow}/{wanted.name} is not the mirror's")


async def _put_pool(server: PrefectServer, pool: Pool, found: dict[str, Any] | None) -> list[str]:
    """Make the pool, or pause one that somebody set going; make its queues."""
    changes = []
    if found is None:
        body = {
            "name": pool.name,
            "type": POOL_TYPE,
            "is_paused": True,
            "description": _OURS,
        }
        await server.call("make pool", "POST", "/work_pools/", body)
        changes.append(f"work pool {pool.name}, paused")
    elif not _is_ours(found):
        body = {"is_paused": True, "description": _OURS}
        await server.call("take pool", "PATCH", f"/work_pools/{quote(pool.name)}", body)
        changes.append(f"work pool {pool.name}, taken over and paused")
    elif not found.get("is_paused"):
        await server.call("pause pool", "PATCH", f"/work_pools/{quote(pool.name)}", {"is_paused": True})
        changes.append(f"work pool {pool.name}, paused again")
    there = {one.get("name") for one in await queues_of(server, pool.name)}
    for queue in pool.queues:
        if queue not in there:
            await server.call("make queue", "POST", f"/work_pools/{quote(pool.name)}/queues", {"name": queue})
            changes.append(f"work queue {pool.name}/{queue}")
    return changes


async def _put_deployment(server: PrefectServer, wanted: Deployment) -> dict[str, Any]:
    _, flow = await server.call("make flow", "POST", "/flows/", {"name": wanted.flow})
    body = {
        "name": wanted.name,
        "flow_id": _section(flow)["id"],
        "work_pool_name": wanted.pool,
        "work_queue_name": wanted.queue,
        "paused": True,
        "enforce_parameter_schema": False,
        "tags": [TAG],
        "description": wanted.description,
    }
    _, made = await server.call("make deployment", "POST", "/deployments/", body)
    return _section(made)


def _as_wanted(found: dict[str, Any], wanted: Deployment) -> bool:
    return (
        found.get("work_pool_name") == wanted.pool
        and found.get("work_queue_name") == wanted.queue
        and found.get("paused") is True
        and TAG in (found.get("tags") or ())
        and found.get("description") == wanted.description
    )


def _section(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or "id" not in answer:
        raise MirrorOff("Prefect answers with something that has no id")
    return answer
