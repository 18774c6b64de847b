"""How a lane reads many Scans and writes what it read: few requests, and nothing older than what the API server has."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from dichroism_crds.client import Api
from dichroism_crds.config import load
from dichroism_crds.kinds import ConditionStatus, Metadata, Scan, ScanSpec, Step
from dichroism_crds.names import scan_name
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import lifecycle
from dichroism_operator.board import Board
from dichroism_operator.lanes.base import LISTED_FOR_A_READ, Context, StepLane
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import REQUESTS, StatusWriter
from tests.api import acting
from tests.chart import CHART, OPERATOR, install
from tests.cluster import Cluster

CONFIG = CHART.parents[1] / "config.yml"
MANY = 2 * LISTED_FOR_A_READ


class Reader(StepLane):
    """A lane that does nothing by itself."""

    async def turn(self) -> float:
        return self.idle_s


@pytest.fixture
async def lane(cluster: Cluster, namespace: str) -> AsyncIterator[Reader]:
    """The first hop of BL402 with many Scans on its board, under the operator's rights."""
    install(cluster, namespace, CONFIG.read_text())
    config = load(CONFIG)
    async with acting(cluster, namespace) as admin:
        scans = [await admin.create(a_scan(number)) for number in range(MANY)]
    async with acting(cluster, namespace, OPERATOR) as api:
        writer = StatusWriter(api, config, board := Board(), {}, lambda _: None)
        context = Context(api, config, board, writer, Recorder(api, "test"), {})
        for scan in scans:
            board.put(scan, frozenset({Step.TRANSFERRED}))
        yield Reader("reader", context, config.beamlines["BL402"], Step.TRANSFERRED)


def a_scan(number: int) -> Scan:
    path = f"2026/261122/scan{number:03d}.txt"
    spec = ScanSpec(beamline="BL402", path=path, size=number, modified_at=now())
    return Scan(metadata=Metadata(name=scan_name("BL402", "data402", path)), spec=spec)


def counted(api: Api) -> Counter[str]:
    """Requests by method, from now on."""
    requests: Counter[str] = Counter()
    api.on_answer = lambda method, _: requests.update([method])
    return requests


def names(lane: Reader) -> list[str]:
    return [card.name for card in lane.candidates()]


async def test_many_scans_are_read_with_one_request_and_few_one_by_one(lane: Reader) -> None:
    requests = counted(lane.context.api)
    assert [scan.name for scan in await lane.read_scans(names(lane))] == names(lane)
    assert requests == {"GET": 1}
    few = names(lane)[: LISTED_FOR_A_READ - 1]
    assert [scan.name for scan in await lane.read_scans(few)] == few
    assert requests == {"GET": 1 + len(few)}


async def test_what_the_list_does_not_show_is_asked_for_and_what_is_gone_is_left_out(lane: Reader) -> None:
    wanted = names(lane)
    gone, moved_on, *others = wanted
    api = lane.context.api
    scan = await api.get(Scan, moved_on)
    lifecycle.succeed(scan, Step.TRANSFERRED, Reason.COPIED, "", now())
    lifecycle.derive(scan, lane.beamline, 3, now(), {})
    await api.replace_status(scan)
    await api.delete(Scan, gone)
    found = {scan.name: scan for scan in await lane.read_scans(wanted)}
    assert set(found) == {moved_on, *others}
    assert lifecycle.is_done(found[moved_on], Step.TRANSFERRED)
    assert gone not in names(lane), "the board forgets what is gone"


async def test_what_was_read_is_written_without_another_read(lane: Reader) -> None:
    scans = await lane.read_scans(names(lane))
    requests = counted(lane.context.api)
    for scan in scans[:3]:
        assert await lane.context.writer.submit(scan.name, scan.metadata.uid or "", copied, scan)
    assert requests == {"PUT": 3}


async def test_a_whole_batch_that_is_told_at_once_holds_nothing_else_up(lane: Reader) -> None:
    turns = 0
    told_at: Counter[int] = Counter()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def change(scan: Scan) -> bool:
        told_at[turns] += 1
        return copied(scan)

    scans = await lane.read_scans(names(lane))
    beside = asyncio.create_task(others())
    submit = lane.context.writer.submit
    told = await asyncio.gather(*(submit(one.name, one.metadata.uid or "", change, one) for one in scans))
    beside.cancel()
    assert all(told)
    assert told_at.total() == len(scans)
    assert max(told_at.values()) <= REQUESTS


async def test_what_changed_since_it_was_read_is_not_overwritten(lane: Reader) -> None:
    api, writer = lane.context.api, lane.context.writer
    seen, gone, *_ = await lane.read_scans(names(lane))
    between = await api.get(Scan, seen.name)
    lifecycle.put_off(between, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "told in between", now())
    await api.replace_status(between)
    assert await writer.submit(seen.name, seen.metadata.uid or "", copied, seen)
    after = await api.get(Scan, seen.name)
    assert lifecycle.is_done(after, Step.TRANSFERRED)
    assert after.condition(Step.CATALOGUED).message == "told in between"
    assert after.condition(Step.CATALOGUED).status == ConditionStatus.FALSE

    await api.delete(Scan, gone.name)
    assert not await writer.submit(gone.name, gone.metadata.uid or "", copied, gone)


def copied(scan: Scan) -> bool:
    """The change that a lane makes when the file has arrived."""
    lifecycle.succeed(scan, Step.TRANSFERRED, Reason.COPIED, "", now())
    return True


async def test_the_end_of_the_process_amid_a_write_leaves_no_word_of_an_error(lane: Reader) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(str(about)))
    asked = asyncio.create_task(lane.context.writer.submit(a_scan(0).name, "uid", lambda _: True))
    await asyncio.sleep(0.1)
    (write,) = [task for task in asyncio.all_tasks() if task.get_name() == f"write {a_scan(0).name}"]
    for task in (asked, write):
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    del asked, write, task
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
