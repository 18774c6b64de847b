"""Instruments write in every way; meanwhile a watcher is killed, cut off, misled and robbed of its memory.

At the end every finished file has one Scan with its content, no file has two, and none had one of a part of it. The
short form uses fixed seeds; CHAOS=full writes 10,000 files and kills at least 200 times.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import pytest

from dichroism_crds.client import Conflict
from dichroism_crds.killpoints import ENV as KILL_AT
from dichroism_crds.kinds import Scan
from dichroism_crds.timestamps import format_time, now
from dichroism_watcher import killpoints
from tests.api import acting
from tests.cluster import Cluster
from tests.conftest import FULL
from tests.fault import disturbances
from tests.fault.disturbances import NotPermittedError, WallClock
from tests.fault.watching import FULL_PASS_S, Key, Listed, Watching, content_of, content_on


@dataclass(frozen=True)
class Size:
    """How much of everything. ``chance`` is that of each kind of API fault, ``lives`` the seconds between two kills."""

    writers: int
    files: int
    at_once: int
    kills: int
    quiet: float
    lives: tuple[float, float]
    chance: float
    patience: float


SIZE = (
    Size(writers=4, files=2_500, at_once=7, kills=200, quiet=3.0, lives=(1.0, 5.0), chance=0.02, patience=900)
    if FULL
    else Size(writers=4, files=45, at_once=6, kills=7, quiet=1.5, lives=(1.5, 4.0), chance=0.02, patience=90)
)
SEED = 402
QUEUE = 64
REFILL = 40
"""Files that each of two more instruments writes when all is written before the kills are done."""
START_S = 60.0
SETTLED = 2000
"""Most Scans of which the operator's part is played."""
FACTS = Path(__file__).parents[2] / "build" / "chaos-watcher.txt"


T = TypeVar("T")


class Chaos:
    """Kills and disturbs by the seed."""

    def __init__(self, watching: Watching, stack: ExitStack) -> None:
        self.watching, self.counts = watching, watching.counts
        self.rng = random.Random(SEED)
        self.not_tried: dict[str, str] = {}
        self.ends: Counter[str] = Counter()
        self.clock: WallClock | None = None
        self.small_disk = self.mounted = False
        self._stack = stack
        self._prepare()
        ways = (self.outage, self.clock_jump, self.frozen, self.flooded, self.disk_full, self.root_away)
        self._ways = self._again_and_again([*ways, None, None])
        self._points = self._again_and_again([*get_args(killpoints.Point), *[""] * 6])
        self._loss = self._again_and_again([*["no"] * (9 if FULL else 3), "yes"])

    def _again_and_again(self, choices: Sequence[T]) -> Iterator[T]:
        """All of them in some order, then in another, so that each comes up soon."""
        while True:
            yield from self.rng.sample(choices, len(choices))

    def _try(self, name: str, way: Callable[[], None]) -> bool:
        try:
            way()
        except NotPermittedError as error:
            self.not_tried[name] = str(error)
            return False
        return True

    def _prepare(self) -> None:
        watching, enter = self.watching, self._stack.enter_context
        self.small_disk = self._try(
            "journal's disk full", lambda: enter(disturbances.small_disk(watching.state, "16m"))
        )
        storage, seen = watching.roots["BL402"], watching.folder / "mounted"
        watching.prepare()
        self.mounted = self._try("root unmounted", lambda: enter(disturbances.seen_at(storage, seen)))
        if self.mounted:
            watching.seen_roots["BL402"] = seen
            watching.prepare()

        def clock() -> None:
            self.clock = WallClock(watching.folder)
            watching.always(**self.clock.environment)

        self._try("wall clock set", clock)

    # --- what is done during a life of the watcher

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.counts["API outage"] += 1
        self.watching.proxy.outage()
        try:
            yield
        finally:
            self.watching.proxy.end_outage()

    @contextmanager
    def clock_jump(self) -> Iterator[None]:
        if self.clock:
            self.counts["wall clock set"] += 1
            self.clock.set(self.rng.choice((-1, 1)) * self.rng.choice((3, 3600, 86_400 * 40, 86_400 * 3650)))
        yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        process = self.watching.process
        if process is not None and self.watching.running:
            self.counts["stopped and continued"] += 1
            process.send_signal(signal.SIGSTOP)
        yield
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def flooded(self) -> Iterator[None]:
        with self.frozen():
            self.counts["notices flooded"] += 1
            for root in self.watching.roots.values():
                for folder in [root, *sorted(root.glob("2026/2611*"))[-1:]]:
                    disturbances.flood(folder)
            yield

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        if not self.small_disk:
            yield
            return
        self.counts["journal's disk full"] += 1
        with disturbances.full(self.watching.state):
            yield

    @contextmanager
    def root_away(self) -> Iterator[None]:
        if not self.mounted:
            yield
            return
        self.counts["root unmounted"] += 1
        with disturbances.unmounted(self.watching.roots["BL402"], self.watching.seen_roots["BL402"]):
            yield

    # --- lives

    def live(self) -> None:
        """Start it, disturb it perhaps, kill it at a named instant or at any."""
        at, way = next(self._points), next(self._ways)
        environment = {KILL_AT: f"{at}:{self.rng.randint(1, 5)}"} if at else {}
        before = self.rng.random() < 0.3
        with ExitStack() as stack:
            if way and before:
                stack.enter_context(way())
            self.start(**environment)
            # Now and then it is killed while it starts; else it first gets to work, however slow the machine is.
            up = self.rng.random() < 0.1 or self.watching.is_up(START_S)
            end = time.monotonic() + self.rng.uniform(*SIZE.lives)
            if way and not before:
                self.sleep(self.rng.uniform(0.2, 1.0))
                stack.enter_context(way())
                self.sleep(self.rng.uniform(0.2, 1.2) * self.watching.quiet)
                if self.rng.random() < 0.5:
                    stack.close()
            self.sleep(end - time.monotonic())
            in_flight = up and (self.watching.writing or bool(self.watching.lacking(self.watching.scans())))
            self.ends["at a named instant" if not self.watching.running else "at any instant"] += 1
            ended = self.watching.kill()
            assert ended == -signal.SIGKILL, f"the watcher ended by itself ({ended}):\n{self.watching.words()}"
            self.counts["kills with work in flight" if in_flight else "kills at rest or at the start"] += 1
        if next(self._loss) == "yes":
            what = disturbances.lose_journal(self.watching.state, self.rng)
            self.counts[what] += 1
            if self.watching.collected and what != "journal not there yet":
                self.counts["journal lost after collection"] += 1

    def start(self, **environment: str) -> None:
        """Start it, with a queue of few notices where that may be set."""
        if FULL and QUEUE:
            with self.few_notices():
                self.watching.start(**environment)
                self.sleep(0.8)  # the queue's length is that of the moment at which it is made
        else:
            self.watching.start(**environment)

    @contextmanager
    def few_notices(self) -> Iterator[None]:
        try:
            with disturbances.short_queue(QUEUE):
                self.counts[f"starts with a queue of {QUEUE}"] += 1
                yield
        except NotPermittedError as error:
            self.not_tried[f"queue of {QUEUE}"] = str(error)
            yield

    def sleep(self, seconds: float) -> None:
        """Sleep, but not on when it killed itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.watching.running:
            time.sleep(0.05)

    # --- the operator's part

    async def settle(self) -> None:
        """Report for many Scans that they were copied, for more that all is done, as the operator would."""
        async with acting(self.watching.cluster, self.watching.namespace) as api:
            listed = [one async for one in api.list_pages(api.path(Scan))]
            for scan in self.rng.sample(listed, min(SETTLED, len(listed) * 3 // 4)):
                done = self.rng.choice((("Transferred",), ("Transferred", "Succeeded"), ("Transferred", "Succeeded")))
                moment, spec = format_time(now()), scan["spec"]
                scan["status"] = {
                    "content": {"size": spec["size"], "modifiedAt": spec["modifiedAt"]},
                    "conditions": [
                        {"type": one, "status": "True", "reason": "Completed", "lastTransitionTime": moment}
                        for one in done
                    ],
                }
                name = scan["metadata"]["name"]
                with suppress(Conflict):  # the watcher was quicker, with a new content
                    await api.request("PUT", api.path(Scan, name, "status"), body=scan)
                    self.counts[f"Scans told {done[-1]}"] += 1

    async def collect(self, done: list[str]) -> None:
        """Delete Scans that are done, as the operator does in the course of time."""
        async with acting(self.watching.cluster, self.watching.namespace) as api:
            for name in done:
                await api.delete(Scan, name)
                self.counts["Scans collected"] += 1

    def settle_and_collect(self) -> None:
        """In fair weather: some are done, the watcher learns of it, and half of those are collected."""
        watching = self.watching
        self.fair()
        watching.start()
        watching.wait_for(
            lambda: len(watching.scans()) > len(watching.outcomes()) // 2, lambda: "few Scans are made", SIZE.patience
        )
        asyncio.run(self.settle())
        scans = watching.scans()
        succeeded = {
            key: scan["metadata"]["name"]
            for key, scan in scans.items()
            if any(one["type"] == "Succeeded" and one["status"] == "True" for one in scan["status"]["conditions"])
        }
        contents = {key: content_of(scans[key]) for key in succeeded}

        def untold() -> set[Key]:
            """Files with the very content that succeeded; instruments write on, and a new content is not done."""
            same = {key for key, one in contents.items() if one == content_on(watching.roots[key[0]] / key[1])}
            return same - watching.safe()

        watching.wait_for(
            lambda: not untold(),
            lambda: f"the journal does not know of the success of {sorted(untold())[:5]}",
            SIZE.patience,
        )
        finished = {key for key, one in watching.outcomes().items() if one.scan and not one.former and key in succeeded}
        # One that was written again since is not done any more.
        chosen = sorted(key for key in finished & watching.safe() if self.rng.random() < 0.5)
        scans = watching.scans()
        chosen = [key for key in chosen if content_of(scans[key]) == content_on(watching.roots[key[0]] / key[1])]
        asyncio.run(self.collect([succeeded[key] for key in chosen]))
        watching.collected |= set(chosen)
        watching.kill()
        self.storm()

    # --- weather

    def storm(self) -> None:
        """Every kind of fault on the way to the API."""
        self.watching.proxy.weather(SIZE.chance)

    def fair(self) -> None:
        """No fault any more, and the right time."""
        self.watching.proxy.clear()
        self.watching.proxy.end_outage()
        if self.clock:
            self.clock.set(0)

    # --- for people

    def table(self) -> str:
        """What happened, in three columns."""
        outcomes = Counter(one.style for one in self.watching.outcomes().values())
        sections = {
            "files": outcomes | {"in all": outcomes.total()},
            "done to the watcher": self.counts | {f"killed {how}": count for how, count in self.ends.items()},
            "requests": self.watching.proxy.counts(),
        }
        lines = []
        for title, rows in sections.items():
            lines += [f"{title}:", *(f"  {count:6d}  {name}" for name, count in sorted(rows.items()))]
        lines += [f"not tried: {name}: {why}" for name, why in self.not_tried.items()]
        return "\n".join(lines)


@pytest.mark.timeout(7200 if FULL else 600)
def test_whatever_happens_every_file_gets_one_scan_and_none_of_a_part_of_it(
    cluster: Cluster, namespace: str, tmp_path: Path, record_table: Callable[[str], None]
) -> None:
    watching = Watching(cluster, namespace, tmp_path, quiet=SIZE.quiet, seed=SEED)
    with watching, ExitStack() as stack:
        chaos = Chaos(watching, stack)
        stack.callback(watching.kill)
        chaos.storm()
        watching.write(SIZE.writers, SIZE.files, SIZE.at_once)
        collected = False
        while chaos.counts["kills with work in flight"] < SIZE.kills or watching.writing:
            if not watching.writing:
                watching.write(2, REFILL, SIZE.at_once)
            chaos.live()
            if not collected and chaos.counts["kills with work in flight"] > SIZE.kills // 2:
                chaos.settle_and_collect()
                collected = True
        chaos.fair()
        watching.start()
        watching.wait_for(
            lambda: not watching.lacking(watching.scans()),
            lambda: "lost: " + "\n".join(watching.lacking(watching.scans())[:20]),
            SIZE.patience,
        )
        assert watching.is_up(SIZE.patience)  # before that a signal ends it as it ends any program
        assert watching.stop() == 0
        before = watching.scans()
        watching.start()
        watching.wait_for(watching.ready, lambda: "it does not get ready", SIZE.patience)
        time.sleep(2 * SIZE.quiet + FULL_PASS_S)
        scans = watching.scans()
        record_table(chaos.table())
        assert uids(scans) == uids(before), "a restart made or changed Scans"
        assert not watching.lacking(scans)
        assert not watching.superfluous(scans)
        assert not watching.partial(scans)
        assert not watching.quarantine_is_told()
        if FULL:
            assert chaos.counts["kills with work in flight"] >= 200
            assert len(watching.outcomes()) >= 10_000


def uids(scans: Listed) -> dict[Key, tuple[str, int]]:
    return {key: (one["metadata"]["uid"], one["metadata"]["generation"]) for key, one in scans.items()}


@pytest.fixture
def record_table(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Shows a table although the test passes, and keeps it in ``build/chaos-watcher.txt``."""

    def record(text: str) -> None:
        FACTS.parent.mkdir(exist_ok=True)
        FACTS.write_text(text + "\n")
        with capsys.disabled():
            print(f"\n{text}")

    return record
