"""A campaign: an endless, seeded series of files of one beamline, named and foldered as in the field.

Files lie in day folders ``YYMMDD`` under year folders, by the day on which the scan began.
"""

import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from tests.samples import bl402, bl631
from tests.samples.bcs_text import FILE_SECONDS, encode, split_sweeps, truncated

FIRST_DAY = date(2026, 11, 16)
RUNS_PER_DAY = 12
_ELEMENTS = ("Co", "Fe", "Ni", "Mn")
_BEFORE_MIDNIGHT = 86400 - 60.0


@dataclass(frozen=True)
class SampleFile:
    """One file: where it lies and the pieces in which the instrument writes it."""

    path: str
    pieces: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        """The finished file."""
        return b"".join(self.pieces)


@dataclass(frozen=True)
class _Run:
    """What all files of one run have in common."""

    number: int
    day: date
    start: float
    element: str
    points: int
    crlf: bool

    @property
    def folder(self) -> str:
        return f"{self.day:%Y}/{self.day:%y%m%d}"

    def file(self, name: str, text: str, *, whole: bool = True) -> SampleFile:
        pieces = split_sweeps(text if whole else truncated(text))
        return SampleFile(f"{self.folder}/{name}", tuple(encode(piece, crlf=self.crlf) for piece in pieces))


def _runs(seed: int, points: int, first_day: date) -> Iterator[_Run]:
    for number in itertools.count():
        rng = random.Random(f"run {seed} {number}")
        day = first_day + timedelta(days=number // RUNS_PER_DAY)
        start = 8 * 3600 + number % RUNS_PER_DAY * 3000.0 + rng.randrange(600)
        if number % RUNS_PER_DAY == RUNS_PER_DAY - 1:
            start = _BEFORE_MIDNIGHT
        yield _Run(number, day, start, _ELEMENTS[number % len(_ELEMENTS)], points, crlf=rng.random() < 0.5)


def _files_631(run: _Run, seed: int) -> Iterator[SampleFile]:
    scan, key = 31914 + run.number, seed * 100003 + run.number
    loop_points = max(run.points // 2, 2)
    match run.number % 6:
        case 0 | 4:
            repeat = run.number % 3 + 1
            for index in range(3):
                text = bl631.xmcd_pair_631(
                    3 * key + index,
                    element=run.element,
                    points=run.points,
                    day=run.day,
                    start=run.start + index * FILE_SECONDS,
                    repeat=repeat,
                    scale=0.994**index,
                )
                yield run.file(f"TrajScan{scan}-{repeat}_{index + 1:04d}.txt", text)
        case 1:
            text = bl631.hysteresis_631(key, element=run.element, points=loop_points, day=run.day, start=run.start)
            yield run.file(f"TrajScan{scan}-001_0001.txt", text)
        case 2:
            yield run.file(f"SigScan{52877 + run.number}.txt", bl631.sigscan_631(key, day=run.day, start=run.start))
            text = bl631.xmcd_pair_631(key, fields=(-1.8,), points=run.points, day=run.day, start=run.start)
            yield run.file(f"RT{run.number}norm_0041", text, whole=False)
        case 3:
            pair = bl631.xmcd_pair_631(key, points=run.points, day=run.day, start=run.start, year_2022=True)
            yield run.file(f"TrajScan{scan}_0033.txt", pair)
        case _:
            pair = bl631.xmcd_pair_631(key, element=run.element, points=run.points, day=run.day, start=run.start)
            yield run.file(f"TrajScan{scan}.txt", pair)


def _files_402(run: _Run, seed: int) -> Iterator[SampleFile]:
    scan, key = 206 + run.number, seed * 100003 + run.number
    match run.number % 5:
        case 0 | 3:
            texts = bl402.xmcd_set_402(key, element=run.element, points=run.points, day=run.day, start=run.start)
            for index, text in enumerate(texts):
                yield run.file(f"Trajectory Scan {scan:06d} {index + 1:02d}.txt", text)
        case 1:
            loop = bl402.hysteresis_402(key, element=run.element, day=run.day, start=run.start)
            stem = f"TrajScan {400000 + scan}"
            yield run.file(f"{stem}.txt", loop)
            yield SampleFile(f"{run.folder}/{stem}.sdc.json", (sidecar(run.element),))
        case 2:
            text = bl402.sigscan_402(key, day=run.day, start=run.start, description="align")
            yield run.file(f"SigScan {400000 + scan}.txt", text)
        case _:
            text = bl402.xmld_402(key, element=run.element, points=run.points, day=run.day, start=run.start)
            yield run.file(f"TrajScan{scan}-1_0001.txt", text)


_FILES = {"BL402": _files_402, "BL631": _files_631}


def sidecar(element: str) -> bytes:
    """The optional ``.sdc.json`` beside a scan."""
    setup = {"Experiment": {"Sample": f"{element} film", "Proposal": ""}, "Scan Setup": {"Detector": "EY"}}
    return json.dumps(setup, indent=1).encode()


def sample_files(
    beamline: str, seed: int = 0, *, points: int = 200, first_day: date = FIRST_DAY
) -> Iterator[SampleFile]:
    """All files of a campaign, without end, in the order in which the beamline would write them.

    ``points`` per energy sweep sets the size: 200 make files of about 300 kB, the real ones have 1000.
    """
    for run in _runs(seed, points, first_day):
        yield from _FILES[beamline](run, seed)


def generate(
    root: Path, beamline: str, count: int, seed: int = 0, *, points: int = 200, first_day: date = FIRST_DAY
) -> list[Path]:
    """Write the first ``count`` files of a campaign below ``root``; the same arguments make the same bytes."""
    written = []
    for sample in itertools.islice(sample_files(beamline, seed, points=points, first_day=first_day), count):
        target = root / sample.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sample.content)
        written.append(target)
    return written


def write_slowly(root: Path, sample: SampleFile, pause: float) -> Path:
    """Write one file as the instrument does: open, append a sweep, close, then wait ``pause`` seconds for the next."""
    target = root / sample.path
    target.parent.mkdir(parents=True, exist_ok=True)
    for index, piece in enumerate(sample.pieces):
        if index:
            time.sleep(pause)
        with open(target, "ab" if index else "wb") as file:
            file.write(piece)
    return target
