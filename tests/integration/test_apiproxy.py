"""The proxy that goes wrong on demand: what it promises about each fault is true of the real API server behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from dichroism_crds.client import AlreadyExists, Api, Denied, NotFound, Unavailable
from tests.api import connected
from tests.cluster import Cluster
from tests.emulators.apiproxy.faults import Action
from tests.emulators.apiproxy.process import ApiProxy


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    with ApiProxy(tmp_path / "proxy", cluster.kubeconfig, environment=cluster.environment()) as started:
        yield started


@pytest.fixture
async def api(proxy: ApiProxy, namespace: str) -> AsyncIterator[Api]:
    async with connected(proxy.kubeconfig, namespace) as made:
        yield made


async def create(api: Api, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    await api.request("POST", api.builtin_path("v1", "configmaps"), body=body)


async def there(api: Api, name: str) -> bool:
    try:
        await api.request("GET", api.builtin_path("v1", "configmaps", name))
    except NotFound:
        return False
    return True


@pytest.mark.parametrize(
    ("action", "status", "done"),
    [
        (Action.LOSE_BEFORE, 0, False),
        (Action.LOSE_AFTER, 0, True),
        (Action.CUT, 0, True),
        (Action.REFUSE, 503, False),
    ],
)
async def test_a_fault_is_done_or_not_as_it_says_and_hits_as_often_as_asked(
    proxy: ApiProxy, api: Api, action: Action, status: int, done: bool
) -> None:
    proxy.fault(action, method="POST", path="configmaps")
    with pytest.raises(Unavailable) as caught:
        await create(api, "one")
    assert caught.value.status == status
    assert await there(api, "one") is done
    if done:
        with pytest.raises(AlreadyExists):
            await create(api, "one")
    else:
        await create(api, "one")


async def test_a_refusal_says_when_to_come_back(proxy: ApiProxy, api: Api) -> None:
    proxy.fault(Action.REFUSE, status=429, retry_after=7)
    with pytest.raises(Unavailable) as caught:
        await there(api, "one")
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


async def test_a_question_that_is_put_off_for_a_moment_is_put_again(proxy: ApiProxy, api: Api) -> None:
    proxy.fault(Action.REFUSE, status=429, retry_after=1)
    assert not await there(api, "one")
    proxy.fault(Action.REFUSE, status=429, retry_after=1)
    with pytest.raises(Unavailable):  # never a write: its caller decides
        await create(api, "one")


async def test_in_an_outage_nobody_listens_and_after_it_everything_is_as_before(proxy: ApiProxy, api: Api) -> None:
    await create(api, "one")
    proxy.outage()
    with pytest.raises(Unavailable) as caught:
        await there(api, "one")
    assert caught.value.status == 0
    proxy.end_outage()
    assert await there(api, "one")
    proxy.outage(seconds=0.2)
    async with asyncio.timeout(30):
        while True:
            try:
                assert await there(api, "one")
                return
            except Unavailable:
                await asyncio.sleep(0.1)


async def test_a_watch_streams_until_it_is_cut(proxy: ApiProxy, api: Api) -> None:
    got = b""

    async def watch() -> None:
        nonlocal got
        url = f"{api.client.configuration.host}{api.builtin_path('v1', 'configmaps')}?watch=1"
        headers: dict[str, str] = {}
        await api.client.update_params_for_auth(headers, [], ["BearerToken"], url, "GET", None)
        session = api.client.rest_client.pool_manager
        assert session is not None
        async with session.get(url, headers=headers) as answer:
            async for chunk in answer.content.iter_any():
                got += chunk

    await create(api, "one")
    proxy.fault(Action.CUT, watch=True, seconds=1)
    with pytest.raises(aiohttp.ClientError):
        await watch()
    assert b'"ADDED"' in got
    proxy.fault(Action.LOSE_BEFORE, watch=True, times=None)  # the client asks again by itself on another connection
    with pytest.raises(aiohttp.ClientError):
        await watch()


async def test_the_user_behind_it_stays_who_it_is(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig_for(namespace, "default")
    with ApiProxy(tmp_path / "proxy", kubeconfig, environment=cluster.environment()) as proxy:
        async with connected(proxy.kubeconfig, namespace) as api:
            with pytest.raises(Denied):
                await there(api, "one")


async def test_the_weather_of_a_seed_is_the_same_again(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    async def answered(api: Api) -> bool:
        try:
            await there(api, "none")
        except Unavailable:
            return False
        return True

    seen = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        with ApiProxy(folder, cluster.kubeconfig, seed=402, environment=cluster.environment()) as proxy:
            proxy.fault(Action.REFUSE, chance=0.3, times=None)
            async with connected(proxy.kubeconfig, namespace) as api:
                seen.append([await answered(api) for _ in range(20)])
    assert seen[0] == seen[1]
    assert 0 < sum(seen[0]) < 20
