"""Members of bundles brought back by jobs at the tape site, where no archive is mounted.

All jobs are asked for first, then waited for; each is told about when its state changes. They go on without this
process: whoever runs the same command again meets them, or what they brought.
"""

import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

from dichroism_crds.config import Config
from dichroism_crds.paths import PathError
from dichroism_crds.reasons import Reason
from dichroism_operator import wording
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.errors import MoverUnavailable, TaskRefused
from dichroism_operator.movers.hashing import Checkpoint
from dichroism_operator.movers.mount import Mount
from dichroism_operator.movers.retrieval import Retrieval, Retrieved, Retrieves, Wanted, Wish
from dichroism_operator.movers.unpacking import Place, put_in_place
from dichroism_operator.restore.bundles import Portion, sentence, tape_of

AT_A_TIME = 50
"""Jobs in the queue at once: it takes 100 of one account, and bundles of new files want to go to tape meanwhile."""
WAITED_OUT = frozenset({Reason.SERVICE_UNAVAILABLE, Reason.RATE_LIMITED})
"""Outages that end by themselves; anything else needs a person."""
EVERYBODYS = frozenset({Reason.CREDENTIALS_REFUSED})
"""With these no job can be asked about any more."""
EXPECT = (
    "Members come back from tape by jobs at the site. Hours in the queue (PENDING) are normal. Ctrl-C does no harm: "
    "the jobs go on, and the same command again meets them"
)
READS = 5
"""So often a file is asked of the service."""
SPOILT = (
    "what lies at the site is not any more what the job brought back: run the same command again, it is brought anew"
)


class BundlesByJob:
    """The :class:`~dichroism_operator.restore.bundles.Bundles` of archives that only jobs can reach."""

    def __init__(self, config: Config, retrievals: Retrieves, tell: Callable[[str], None]) -> None:
        """``tell`` is given a line for people at each change."""
        self._config = config
        self._retrievals = retrievals
        self._tell = tell
        self._waiting: deque[Portion] = deque()
        self._under_way: dict[str, tuple[Wish, Portion]] = {}
        self._found: dict[str, Retrieved] = {}
        self._told: dict[str, str] = {}
        self._since = time.monotonic()

    def ready(self, portions: Sequence[Portion]) -> Iterator[Portion]:
        """Ask for everything; then each portion when its job has ended, well or not."""
        self._waiting.extend(portions)
        self._since = time.monotonic()
        self._try(self._ask)
        return self._as_they_come()

    def _as_they_come(self) -> Iterator[Portion]:
        while True:
            ended = [self._under_way.pop(key) for key in [*self._under_way] if self._has_ended(key)]
            yield from (portion for _, portion in ended)
            self._try(self._ask)
            if any(self._has_ended(key) for key in self._under_way):
                continue
            if not (self._under_way or self._waiting):
                return
            time.sleep(self._retrievals.pause_s(time.monotonic() - self._since))
            self._try(self._look)

    def _has_ended(self, key: str) -> bool:
        return self._found[key].state != Retrieval.ACTIVE

    def _ask(self) -> None:
        """As many jobs as the queue should get."""
        while self._waiting and len(self._under_way) < AT_A_TIME:
            portion = self._waiting[0]
            wish = self._wish(portion)
            try:
                found = self._retrievals.begin(wish)
            except (PathError, TaskRefused) as error:
                found = Retrieved(Retrieval.FAILED, str(error))
            except MoverUnavailable as error:
                if error.reason in WAITED_OUT | EVERYBODYS:
                    raise
                found = Retrieved(Retrieval.FAILED, str(error))
            self._waiting.popleft()
            self._under_way[wish.key] = wish, portion
            self._note(wish, found)

    def _look(self) -> None:
        found = self._retrievals.look([wish for wish, _ in self._under_way.values()])
        for wish, _ in self._under_way.values():
            self._note(wish, found[wish.key])

    def _note(self, wish: Wish, found: Retrieved) -> None:
        self._found[wish.key] = found
        if found.state == Retrieval.ACTIVE and self._told.get(wish.key) != found.message:
            if not self._told:
                self._tell(EXPECT)
            self._told[wish.key] = found.message
            self._tell(f"{wish.bundle}: {found.message}")

    def _try(self, step: Callable[[], None]) -> None:
        """One step; an outage that ends by itself is told once and waited for, another ends all that is left."""
        try:
            step()
        except MoverUnavailable as error:
            if error.reason in WAITED_OUT:
                if self._told.get("") != str(error):
                    self._tell(str(error))
                self._told[""] = str(error)
                return
            text = f"{error}. Jobs that were submitted go on: run the same command again then"
            for wish, portion in [*self._under_way.values(), *((self._wish(one), one) for one in self._waiting)]:
                self._under_way[wish.key] = wish, portion
                if wish.key not in self._found or not self._has_ended(wish.key):
                    self._found[wish.key] = Retrieved(Retrieval.FAILED, text)
            self._waiting.clear()
        else:
            self._told.pop("", None)

    def _wish(self, portion: Portion) -> Wish:
        members = tuple(sorted(Wanted(path, *content) for path, content in portion.contents.items()))
        return Wish(tape_of(self._config, portion.beamline), portion.bundle, members)

    def take(self, portion: Portion, place: Place, progress: Checkpoint) -> Mapping[str, str]:
        """Copy what a job brought back, from the mount where there is one, else through the service."""
        wish = self._wish(portion)
        found = self._found.pop(wish.key)
        if found.state == Retrieval.FAILED:
            return dict.fromkeys(portion.missing, f"bundle {portion.bundle} does not come back: {found.message}")
        assert found.near is not None
        told = {}
        try:
            with Mount(found.near) if found.near.mount else nullcontext() as mount:
                for path in portion.missing:
                    told[path] = self._copied(portion, path, found, mount, place, progress)
        except (MoverUnavailable, OSError) as error:
            text = f"bundle {portion.bundle} came back to {found.near.name}, but can't be read there: {error}"
            return {path: text for path in portion.missing if told.get(path) != ""}
        if SPOILT in told.values():
            self._retrievals.spoilt(wish)
        return {path: text for path, text in told.items() if text}

    def _copied(
        self, portion: Portion, path: str, found: Retrieved, mount: Mount | None, place: Place, progress: Checkpoint
    ) -> str:
        """Put one file in its place; empty, or why not."""
        brought, content = found.members[path], portion.contents[path]
        if brought.state != CopyState.VERIFIED:
            return found.message or sentence(brought.state, portion, path)
        if mount is None and content[0] > self._retrievals.largest_read:
            return (
                f"{wording.size(content[0])} are too much for the service. It came back and was compared: copy it from "
                f"{found.folder}/{path} there, or run this where {found.near.name if found.near else 'it'} is mounted"
            )
        try:
            with self._opened(found, mount, brought.path, content[0]) as source:
                state = put_in_place(source, path, brought.modified_us, content, place, progress)
        except FileNotFoundError:
            return SPOILT
        return "" if state == CopyState.VERIFIED else SPOILT

    @contextmanager
    def _opened(self, found: Retrieved, mount: Mount | None, path: str, size: int) -> Iterator[BinaryIO]:
        if mount is None:
            yield io.BytesIO(self._read(found, path, size))
            return
        with mount.file(path) as file:
            yield file

    def _read(self, found: Retrieved, path: str, size: int) -> bytes:
        """Through the service, which may stumble at one of so many requests."""
        assert found.near is not None
        for number in range(READS):
            try:
                return self._retrievals.read(found.near, path, size)
            except MoverUnavailable as error:
                if error.reason not in WAITED_OUT or number == READS - 1:
                    raise
                self._tell(str(error))
                time.sleep(self._retrievals.pause_s(0))
        raise AssertionError("the last one returns or raises")
