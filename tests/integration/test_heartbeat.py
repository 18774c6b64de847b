"""From the watcher's Lease to the operator's alarm, on a real API server, each under its own rights."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from dichroism_crds.client import Api, ApiError, Denied
from dichroism_crds.config import load
from dichroism_crds.heartbeat import LEASES, Heartbeat, lease_name
from dichroism_crds.names import OPERATOR_LEASE
from dichroism_crds.timestamps import now
from dichroism_operator.board import Board
from dichroism_operator.lanes.base import Context
from dichroism_operator.lanes.heartbeats import EVERY_S, FIRST_S, Heartbeats
from dichroism_operator.metrics import REGISTRY
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from dichroism_watcher.heartbeat import Heart
from tests.api import acting
from tests.chart import CHART, OPERATOR, WATCHER, install
from tests.cluster import Cluster
from tests.cluster.cluster import kubeconfig_text

CONFIG = CHART.parents[1] / "config.yml"
WITHIN_S = 300


class Listener:
    """The operator's lane, with a clock of the test's own."""

    def __init__(self, api: Api) -> None:
        self.now = 0.0
        config = load(CONFIG)
        self.recorder = Recorder(api, "test")
        writer = StatusWriter(api, config, board := Board(), {}, lambda _: None)
        context = Context(api, config, board, writer, self.recorder, {})
        self.lane = Heartbeats(context, lambda: self.now)

    async def look(self, after_s: float) -> None:
        self.now += after_s
        await self.lane.turn()

    def metric(self, name: str, beamline: str = "BL402", **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"dichroism_watcher_{name}", {"beamline": beamline, **labels})

    async def told(self, cluster: Cluster, namespace: str) -> str:
        """Reasons and messages of the Events about the Lease of BL402."""
        await self.recorder.drain()
        selector = f"--field-selector=involvedObject.kind=Lease,involvedObject.name={lease_name('BL402')}"
        return cluster.kubectl("get", "events", "-n", namespace, selector)


@pytest.fixture
def installed(cluster: Cluster, namespace: str) -> str:
    install(cluster, namespace, CONFIG.read_text())
    return namespace


@pytest.fixture
async def listener(cluster: Cluster, installed: str) -> AsyncIterator[Listener]:
    async with acting(cluster, installed, OPERATOR) as api:
        yield Listener(api)


@pytest.fixture
async def watcher(cluster: Cluster, installed: str) -> AsyncIterator[Api]:
    async with acting(cluster, installed, WATCHER) as api:
        yield api


def word(ago_s: float = 0.0, trouble: str = "", **files: int) -> Heartbeat:
    """What a watcher says whose last pass ended so long ago by its own clock."""
    return Heartbeat("host_1", now() - timedelta(seconds=ago_s), WITHIN_S, trouble, files)


async def beat(api: Api, *words: Heartbeat) -> None:
    """Beat once with each word."""
    heart, waiting = Heart(api, every_s=0), list(words)

    def next_word() -> dict[str, Heartbeat]:
        if not waiting:
            raise asyncio.CancelledError
        return {"BL402": waiting.pop(0)}

    with pytest.raises(asyncio.CancelledError):
        await heart.beat(next_word)


async def test_a_watcher_that_works_is_heard_with_its_numbers(listener: Listener, watcher: Api) -> None:
    await beat(watcher, word(ago_s=500, quarantined=3), word(pending=2, quarantined=1))
    await listener.look(0)
    assert listener.metric("silent") == 0
    assert listener.metric("files", state="quarantined") == 1
    assert listener.metric("files", state="pending") == 2
    await listener.look(WITHIN_S - 60)
    assert listener.metric("heartbeat_age_seconds") == pytest.approx(WITHIN_S - 60, abs=50)
    await beat(watcher, word())
    await listener.look(EVERY_S)
    assert listener.metric("heartbeat_age_seconds") == 0


async def test_a_watcher_that_grows_silent_raises_an_alarm_until_it_is_back(
    cluster: Cluster, installed: str, listener: Listener, watcher: Api
) -> None:
    last = word()
    await beat(watcher, last)
    await listener.look(0)
    assert listener.metric("silent") == 0
    # It runs on and tells that its folder is away: its last pass does not get younger by that.
    await beat(watcher, Heartbeat(last.holder, last.completed, WITHIN_S, "watched root /data: No such file"))
    await listener.look(WITHIN_S + 1)
    assert listener.metric("silent") == 1
    told = await listener.told(cluster, installed)
    assert "WatcherSilent" in told
    assert "watched root /data: No such file" in told
    assert "WatcherBack" not in told
    await beat(watcher, word())
    await listener.look(EVERY_S)
    assert listener.metric("silent") == 0
    assert "WatcherBack" in await listener.told(cluster, installed)


async def test_trouble_that_a_watcher_tells_is_told_while_it_still_works(
    cluster: Cluster, installed: str, listener: Listener, watcher: Api
) -> None:
    await beat(watcher, word(trouble="journal /var/lib/dichroism cannot be written"))
    await listener.look(0)
    assert (listener.metric("silent"), listener.metric("trouble")) == (0, 1)
    told = await listener.told(cluster, installed)
    assert "WatcherTrouble" in told
    assert "journal /var/lib/dichroism cannot be written" in told
    await beat(watcher, word())
    await listener.look(EVERY_S)
    assert listener.metric("trouble") == 0


async def test_a_token_that_ends_soon_is_trouble_and_a_fresh_one_is_none(
    cluster: Cluster, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for duration, trouble in (("1h", True), ("2160h", False)):
        token = cluster.kubectl("create", "token", WATCHER, "-n", installed, f"--duration={duration}").strip()
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        kubeconfig = cluster.state.folder / "kubeconfigs" / f"{installed}.{duration}"
        kubeconfig.write_text(kubeconfig_text(view["clusters"][0]["cluster"], {"token": token}))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        async with await Api.connect(installed) as api:
            assert bool(Heart(api).token_trouble()) is trouble


async def test_a_watcher_that_died_before_we_started_is_silent_at_the_first_look(
    listener: Listener, watcher: Api
) -> None:
    await beat(watcher, word(ago_s=2 * WITHIN_S))
    await listener.look(0)
    assert listener.metric("silent") == 1


async def test_a_clock_that_is_a_day_ahead_hides_no_silence(listener: Listener, watcher: Api) -> None:
    await beat(watcher, word(ago_s=-86_400))
    await listener.look(0)
    assert listener.metric("silent") == 0
    await listener.look(WITHIN_S + 1)
    assert listener.metric("silent") == 1


async def test_a_beamline_without_a_watcher_is_silent_after_a_while(
    cluster: Cluster, installed: str, listener: Listener
) -> None:
    await listener.look(FIRST_S - 1)
    assert listener.metric("silent", "BL631") == 0
    await listener.look(2)
    assert listener.metric("silent", "BL631") == 1
    assert "no watcher has left word" in await listener.told(cluster, installed)


async def test_a_lease_that_makes_no_sense_is_no_heartbeat_and_stops_nothing(
    cluster: Cluster, installed: str, listener: Listener, watcher: Api
) -> None:
    await beat(watcher, word(pending=1))
    annotation = f"dichroism.als.lbl.gov/files=pending=many quarantined=9{'9' * 9} {'x' * 10_000}"
    cluster.kubectl("annotate", "lease", lease_name("BL402"), annotation, "--overwrite", "-n", installed)
    await listener.look(0)
    assert listener.metric("silent") == 0
    assert listener.metric("files", state="pending") == 0


async def test_the_watcher_can_touch_no_other_lease_and_read_none(watcher: Api) -> None:
    for name in (OPERATOR_LEASE, "dichroism-prune-bl402", lease_name("BL999")):
        with pytest.raises(Denied):
            await watcher.request("PATCH", watcher.builtin_path(*LEASES, name), body={}, content_type=MERGE)
    with pytest.raises(Denied):
        await watcher.request("GET", watcher.builtin_path(*LEASES, lease_name("BL402")))


MERGE = "application/merge-patch+json"


async def test_a_cluster_that_refuses_the_word_is_told_of_once_and_holds_up_nothing(
    cluster: Cluster, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    async with acting(cluster, namespace, "nobody") as api:
        with pytest.raises(ApiError):
            await api.request("GET", api.builtin_path(*LEASES, lease_name("BL402")))
        await beat(api, word(), word())
    assert len([one for one in caplog.records if "no word can be left" in one.message]) == 1
