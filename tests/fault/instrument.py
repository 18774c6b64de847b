"""An acquisition program that writes scan files in every way seen in the wild; run several as processes of their own.

``python -m tests.fault.instrument --root R --outside O --seed N --files N --quiet S --log FILE``. Each way of writing
is a generator that yields seconds to wait, so one process has many files open at a time. What became of each file is a
line of JSON in the log: paths (with undecodable bytes as surrogates), whether a Scan must come of it, every content
that stood there for a while, and how long the writer itself paused, because a machine under load may hold it up for
longer than it meant to. SIGTERM lets it finish its open files and begin no other.
"""

import argparse
import hashlib
import heapq
import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from tests.samples import mixed_files

SINCE_S = 1_000_000_000
"""Files older than this are left alone by the campaign's configuration."""
FUTURE_S = 3_000_000_000
"""The year 2065."""
POINTS = 12
"""Per energy sweep; makes files of some 20 kB."""
SCANS = 0.6
"""Share of the contents that are those of scan files, where these are asked for."""
ODD_NAMES = (
    *("leading", "trailing ", "two  blanks", "café", "cafe\u0301", "散乱", "😀", "quo'te\"s", "a%2Fb", "$(id)", "COM1"),
    *("back\\slash", "#hash?query&x=1", "-rf", "dot.", "{brace}", "no\u00a0break", "*glob?", "x" * 180),
)
UNCARRIABLE_NAMES = (b"new\nline", b"caf\xe9", b"bell\x07", b"\xff\xfe", b"esc\x1b[31m")


@dataclass(slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        style: how it was written.
        path: where it is or was, below the root.
        scan: whether it is finished and must have a Scan; otherwise it must have none.
        pause: longest time in which the writer did nothing although it meant to go on (s).
        contents: how often a reader could take it for finished, because the writer meant it to be.
        former: where it was before it was moved; a Scan of it may be there too.
        left: sha256 and size of every content that the writer left there as if it were finished, oldest first.
        at: when the last of them was written, in seconds since the epoch.
    """

    style: str
    path: str
    scan: bool = True
    pause: float = 0.0
    contents: int = 1
    former: str | None = None
    left: list[tuple[str, int]] = field(default_factory=list)
    at: float = 0.0


def outcomes_in(log: Path) -> Iterator[Outcome]:
    """What an instrument said of its files so far; the last line may be half there."""
    for line in log.read_text().splitlines() if log.exists() else []:
        with suppress(ValueError):
            yield Outcome(**json.loads(line))


class Instrument:
    """Writes below one root. ``outside`` is on the same file system and not watched.

    Contents are random bytes, or with the name of a ``beamline`` scan files of every kind that is found there.
    """

    def __init__(self, root: Path, outside: Path, seed: int, quiet: float, beamline: str | None = None) -> None:
        self.root, self.outside, self.quiet = root, outside, quiet
        self._scans = mixed_files(beamline, seed, points=POINTS) if beamline else None
        self._left: dict[Path, list[tuple[str, int]]] = {}
        self._at: dict[Path, float] = {}
        self._ending = False
        self.rng = random.Random(seed)
        self.numbers = itertools.count(1)
        self.prefix = f"i{seed}"
        self.styles: dict[str, tuple[int, Callable[[], Iterator[float | Outcome]]]] = {
            "direct": (12, self.direct),
            "renamed in": (10, self.renamed_in),
            "moved in from outside": (6, self.moved_in),
            "held open with pauses": (8, self.held_open),
            "appended line by line": (10, self.appended),
            "written again later": (8, self.written_again),
            "replaced by a rename": (5, self.replaced),
            "deleted at once": (6, self.deleted),
            "tree moved in": (3, self.tree),
            "new folders and file at once": (8, self.nested),
            "odd name": (8, self.odd_name),
            "name that cannot be carried": (3, self.uncarriable),
            "time in the past or future": (6, self.odd_time),
            "empty": (2, self.empty),
            "empty at first": (3, self.empty_at_first),
            "link": (2, self.link),
            "day folder renamed": (3, self.day_renamed),
            "unreadable folder for a while": (3, self.locked),
        }

    # --- running

    def end(self) -> None:
        """Begin no other file."""
        self._ending = True

    def run(self, files: int, at_once: int, log: IO[str], every: float = 0.0) -> None:
        """Write so many files, so many at a time, in styles drawn by the seed, and log what became of them.

        ``every`` is the least time between the beginnings of two files (s).
        """
        names, weights = list(self.styles), [weight for weight, _ in self.styles.values()]
        started, order = 0, itertools.count()
        waiting: list[tuple[float, int, str, Iterator[float | Outcome]]] = []
        begins = time.monotonic()
        while (more := started < files and not self._ending) or waiting:
            while more and started < files and len(waiting) < at_once:
                style = self.rng.choices(names, weights)[0]
                begins = max(begins + every, time.monotonic())
                heapq.heappush(waiting, (begins, next(order), style, self.styles[style][1]()))
                started += 1
            at, _, style, steps = heapq.heappop(waiting)
            time.sleep(max(at - time.monotonic(), 0.0))
            for step in steps:
                if isinstance(step, Outcome):
                    log.write(json.dumps(asdict(step) | {"style": style}) + "\n")
                    log.flush()
                    continue
                heapq.heappush(waiting, (time.monotonic() + step, next(order), style, steps))
                break

    def idle(self) -> float:
        """A pause of a writer that will go on, well below the quiet period."""
        return self.rng.uniform(0.0, 0.4) * self.quiet

    def long(self) -> float:
        """A pause after which a reader may have taken the file for finished, or not."""
        return self.rng.uniform(0.0, 2.5) * self.quiet

    def folder(self) -> Path:
        """One of a few day folders."""
        return self.root / "2026" / f"2611{self.rng.randint(1, 9):02d}"

    def new(self, suffix: str = ".txt") -> Path:
        """A path that nobody has, in a folder that is there."""
        path = self.folder() / f"{self.prefix}-{next(self.numbers):05d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def content(self) -> bytes:
        """What a scan file holds, or some bytes, as many as a small one may have."""
        if self._scans and self.rng.random() < SCANS:
            return next(self._scans).content
        return self.rng.randbytes(self.rng.choice((1, 37, 900, 5000, 20_000)))

    def leave(self, path: Path) -> None:
        """Note the content that stands there now, which a reader may take for finished."""
        with suppress(OSError):
            if path.is_symlink():
                return
            content, left = path.read_bytes(), self._left.setdefault(path, [])
            if (known := (hashlib.sha256(content).hexdigest(), len(content))) not in left[-1:]:
                left.append(known)
                self._at[path] = time.time()

    def done(self, path: Path, **known: object) -> Outcome:
        """The outcome of a file that is as it will be, for the log."""
        self.leave(path)
        told = {"left": self._left.pop(path, []), "at": self._at.pop(path, time.time())}
        return Outcome("", str(path.relative_to(self.root)), **told, **known)  # type: ignore[arg-type]

    # --- ways of writing

    def direct(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.write_bytes(self.content())
        yield self.done(path)

    def renamed_in(self) -> Iterator[float | Outcome]:
        path = self.new()
        part = path.with_name(self.rng.choice((f"{path.name}.part", f".{path.name}")))
        part.write_bytes(self.content())
        yield self.long()
        part.rename(path)
        yield self.done(path)

    def moved_in(self) -> Iterator[float | Outcome]:
        path = self.new()
        outside = self.outside / path.name
        outside.write_bytes(self.content())
        yield self.idle()
        outside.rename(path)
        yield self.done(path)

    def held_open(self) -> Iterator[float | Outcome]:
        path, pauses = self.new(), Pauses()
        with open(path, "wb", buffering=0) as file:
            for _ in range(self.rng.randint(2, 6)):
                file.write(self.content())
                pauses.wrote()
                yield self.idle()
                pauses.went_on()
        yield self.done(path, pause=pauses.longest)

    def appended(self) -> Iterator[float | Outcome]:
        path, pauses = self.new(), Pauses()
        for _ in range(self.rng.randint(3, 9)):
            pauses.went_on()
            with open(path, "ab") as file:
                file.write(self.content())
            pauses.wrote()
            yield self.idle()
        yield self.done(path, pause=pauses.longest)

    def written_again(self) -> Iterator[float | Outcome]:
        path, times = self.new(), self.rng.randint(2, 3)
        for number in range(times):
            path.write_bytes(self.content() + bytes(number))
            self.leave(path)
            yield self.long()
        yield self.done(path, contents=times)

    def replaced(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.write_bytes(self.content())
        self.leave(path)
        yield self.long()
        part = path.with_name(f"{path.name}.tmp")
        part.write_bytes(self.content())
        part.replace(path)
        yield self.done(path, contents=2)

    def deleted(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.write_bytes(self.content())
        begun = time.monotonic()
        self.leave(path)
        yield self.rng.choice((0.0, self.idle()))
        path.unlink(missing_ok=True)
        yield self.done(path, scan=False, pause=time.monotonic() - begun)

    def tree(self) -> Iterator[float | Outcome]:
        name = f"{self.prefix}-{next(self.numbers):05d}-tree"
        paths = [f"{name}/{one}" for one in ("a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.txt")]
        for path in paths:
            outside = self.outside / path
            outside.parent.mkdir(parents=True, exist_ok=True)
            outside.write_bytes(self.content())
        yield self.idle()
        (self.outside / name).rename(self.root / name)
        for path in paths:
            yield self.done(self.root / path)

    def nested(self) -> Iterator[float | Outcome]:
        path = self.root / "2026" / f"{self.prefix}-{next(self.numbers):05d}" / "sweep 1" / "a" / "b.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(self.content())
        yield self.done(path)

    def odd_name(self) -> Iterator[float | Outcome]:
        path = self.new(f" {self.rng.choice(ODD_NAMES)}")
        path.write_bytes(self.content())
        yield self.done(path)

    def uncarriable(self) -> Iterator[float | Outcome]:
        path = self.new(os.fsdecode(b" " + self.rng.choice(UNCARRIABLE_NAMES)))
        path.write_bytes(self.content())
        yield self.done(path, scan=False)

    def odd_time(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.write_bytes(self.content())
        old = self.rng.random() < 0.3
        moment = self.rng.choice((1.0, SINCE_S - 1.0)) if old else self.rng.choice((SINCE_S + 1.5, FUTURE_S + 0.25))
        os.utime(path, (moment, moment))
        begun = time.monotonic()
        # For a moment it had the time of its writing, which alone may be no reason to take an old file.
        yield self.done(path, scan=not old, pause=time.monotonic() - begun)

    def empty(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.touch()
        yield self.done(path, scan=False)

    def empty_at_first(self) -> Iterator[float | Outcome]:
        path = self.new()
        path.touch()
        yield self.long()
        path.write_bytes(self.content())
        yield self.done(path)

    def link(self) -> Iterator[float | Outcome]:
        path = self.new()
        target = path.with_name(f"{path.name}.target")
        target.write_bytes(self.content())
        path.symlink_to(target)
        yield self.done(target)
        yield self.done(path, scan=False)

    def day_renamed(self) -> Iterator[float | Outcome]:
        before = self.root / "2026" / f"{self.prefix}-{next(self.numbers):05d}-day"
        after = before.with_name(f"{before.name}-renamed")
        before.mkdir(parents=True)
        names = ("1.txt", "2.txt", "3.txt")
        for name in names:
            (before / name).write_bytes(self.content())
            self.leave(before / name)
            yield self.idle()
        yield self.long()
        before.rename(after)
        for name in names:
            self._left[after / name], self._at[after / name] = (
                self._left.pop(before / name),
                self._at.pop(before / name),
            )
            yield self.done(after / name, former=str((before / name).relative_to(self.root)))

    def locked(self) -> Iterator[float | Outcome]:
        folder = self.root / "2026" / f"{self.prefix}-{next(self.numbers):05d}-locked"
        folder.mkdir(parents=True)
        path = folder / "a.txt"
        path.write_bytes(self.content())
        folder.chmod(0)
        yield self.long()
        folder.chmod(0o755)
        yield self.done(path)


class Pauses:
    """Measures how long a writer that means to go on did nothing."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last: float | None = None

    def wrote(self) -> None:
        self._last = time.monotonic()

    def went_on(self) -> None:
        if self._last is not None:
            self.longest = max(self.longest, time.monotonic() - self._last)


def main() -> None:
    """Write the files and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--outside", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--at-once", type=int, default=12)
    parser.add_argument("--quiet", type=float, required=True, help="quiet period of the watcher (s)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--beamline", help="write scan files as they are found at this beamline")
    parser.add_argument("--every", type=float, default=0.0, help="least time between the beginnings of two files (s)")
    given = parser.parse_args()
    instrument = Instrument(given.root, given.outside, given.seed, given.quiet, given.beamline)
    signal.signal(signal.SIGTERM, lambda *_: instrument.end())
    with given.log.open("a") as log, suppress(KeyboardInterrupt):
        instrument.run(given.files, given.at_once, log, given.every)


if __name__ == "__main__":
    main()
