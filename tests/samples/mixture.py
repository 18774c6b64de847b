"""Files of every kind that was ever seen or feared in a scan folder, mixed by a seed, and what a reader makes of each.

The campaign of :mod:`campaign` writes what a beamline writes in a good week; this is the bad year.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tests.samples import bl402, bl631, variants
from tests.samples.bcs_text import encode, truncated
from tests.samples.campaign import FIRST_DAY, sidecar

_LATE = 86400 - 60.0
_TURNS_PER_DAY = 2


@dataclass(frozen=True)
class Kind:
    """One kind of file: how its name and content are made, and what it holds for a reader."""

    stem: str
    make: Callable[[int, int, date], str | bytes]
    """Content from seed, points of a sweep and day of the scan."""
    suffix: str = ".txt"
    readable: bool = True
    """Whether more can be known of it than its name and beamline."""
    techniques: bool = False
    """Whether what it holds is an X-ray technique with a name, so not a scan of a motor."""
    picture: bool = True
    """Whether there is a picture of it, be it one that says that there is nothing to show."""
    crlf: bool = False

    def content(self, seed: int, points: int, day: date) -> bytes:
        """The bytes on disk."""
        made = self.make(seed, points, day)
        return made if isinstance(made, bytes) else encode(made, crlf=self.crlf)


@dataclass(frozen=True)
class MixedFile:
    """A file and its kind, named as in :data:`KINDS`."""

    path: str
    content: bytes
    kind: str


def _pair(seed: int, points: int, day: date) -> str:
    return bl631.xmcd_pair_631(seed, points=points, day=day)


def _xmcd_402(seed: int, points: int, day: date) -> str:
    return bl402.xmcd_set_402(seed, points=points, day=day)[seed % 4]


def _in_latin_1(seed: int, points: int, day: date) -> bytes:
    text = bl631.xmcd_pair_631(seed, points=points, day=day, description="75 um slit, 20 C")
    return text.encode().replace(b"75 um", b"75 \xb5m").replace(b"20 C", b"20 \xb0C")


def _noise(seed: int, points: int, day: date) -> bytes:
    return random.Random(seed).randbytes(40 * points + 1)


KINDS: Mapping[str, Mapping[str, Kind]] = {
    "BL631": {
        "pair": Kind("TrajScan{}-1_0001", _pair, techniques=True),
        "pair with CRLF": Kind("TrajScan{}-2_0001", _pair, techniques=True, crlf=True),
        "pair of 2022": Kind(
            "TrajScan{}_0033",
            lambda seed, points, day: bl631.xmcd_pair_631(seed, points=points, day=day, year_2022=True),
            techniques=True,
        ),
        "over midnight": Kind(
            "TrajScan{}",
            lambda seed, points, day: bl631.xmcd_pair_631(seed, points=points, day=day, start=_LATE),
            techniques=True,
        ),
        "one field": Kind(
            "TrajScan{}-3_0001",
            lambda seed, points, day: bl631.xmcd_pair_631(seed, points=points, day=day, fields=(-1.8,)),
            techniques=True,
        ),
        "twelve header lines": Kind(
            "TrajScan{}-4_0001", lambda *given: variants.longer_header(_pair(*given)), techniques=True
        ),
        "numbered counters": Kind(
            "TrajScan{}-5_0001",
            lambda *given: variants.renamed_columns(
                _pair(*given), {"I0 ES": "Counter 0", "EY": "Counter 1", "Clock": "Counter 4"}
            ),
            techniques=True,
        ),
        "dead channel": Kind(
            "TrajScan{}-6_0001",
            lambda *given: variants.with_reading(_pair(*given), ["LY", "Z"], "NaN"),
            techniques=True,
        ),
        "point by point": Kind(
            "TrajScan{}-7_0001", lambda *given: variants.interleaved(_pair(*given)), techniques=True
        ),
        "two samples": Kind(
            "TrajScan{}-8_0001", lambda seed, points, day: variants.two_positions_631(points), techniques=True
        ),
        "hysteresis": Kind(
            "TrajScan{}-001_0001",
            lambda seed, points, day: bl631.hysteresis_631(seed, points=points, day=day),
            techniques=True,
        ),
        "motor scan": Kind("SigScan{}", lambda seed, points, day: bl631.sigscan_631(seed, points=points, day=day)),
        "time scan": Kind("TimeScan{}", lambda seed, points, day: variants.timescan(points=points, day=day)),
        "cut last line": Kind("TrajScan{}-9_0001", lambda *given: truncated(_pair(*given)), techniques=True),
        "without extension": Kind("RT{}norm_0041", _pair, suffix="", techniques=True),
        "Latin-1": Kind("TrajScan{}-10_0001", _in_latin_1, techniques=True),
        "header alone": Kind(
            "TrajScan{}-11_0001", lambda *given: "".join(_pair(*given).splitlines(keepends=True)[:11])
        ),
        "noise": Kind("TrajScan{}-12_0001", _noise, readable=False, picture=False),
        "a letter": Kind(
            "notes {}", lambda *_: "Dear colleagues,\nthe magnet is cold.\n", readable=False, picture=False
        ),
        "a byte": Kind("TrajScan{}-13_0001", lambda *_: b"\0", readable=False, picture=False),
    },
    "BL402": {
        "circular": Kind("Trajectory Scan {:06d} 01", _xmcd_402, techniques=True),
        "circular with CRLF": Kind("Trajectory Scan {:06d} 02", _xmcd_402, techniques=True, crlf=True),
        "linear": Kind(
            "TrajScan{}-1_0001", lambda seed, points, day: bl402.xmld_402(seed, points=points, day=day), techniques=True
        ),
        "main server": Kind(
            "TrajScan {:06d}", lambda seed, points, day: variants.main_server_402(seed, points=points), techniques=True
        ),
        "hysteresis": Kind(
            "TrajScan 4{:05d}",
            lambda seed, points, day: bl402.hysteresis_402(seed, points=points, day=day),
            techniques=True,
        ),
        "sidecar": Kind("TrajScan 4{:05d}", lambda *_: sidecar("Co"), ".sdc.json", picture=False),
        "sidecar without a scan": Kind("SigScan 5{:05d}", lambda *_: sidecar("Fe"), ".sdc.json", picture=False),
        "broken sidecar": Kind("SigScan 6{:05d}", lambda *_: b'{"Experiment": {', ".sdc.json", picture=False),
        "sidecar that is a list": Kind("SigScan 7{:05d}", lambda *_: b"[1, 2]", ".sdc.json", picture=False),
        "motor scan": Kind("SigScan {:06d}", lambda seed, points, day: bl402.sigscan_402(seed, points=points, day=day)),
        "flying energy": Kind(
            "SigScan 8{:05d}",
            lambda seed, points, day: variants.flying_sigscan_402(points=points, day=day),
            techniques=True,
        ),
        "newer header": Kind("Single Motor Scan {:06d}", lambda seed, points, day: variants.header_data(points=points)),
        "image": Kind("InstrumentScan{}", lambda *_: variants.fits_image(), ".fits", picture=False),
        "broken image": Kind(
            "InstrumentScan{}-2", lambda *_: variants.fits_image()[:100], ".fits", readable=False, picture=False
        ),
        "cut last line": Kind(
            "Trajectory Scan {:06d} 03", lambda *given: truncated(_xmcd_402(*given)), techniques=True
        ),
        "JSON": Kind("settings {}", lambda *_: json.dumps({"gap": 30}), ".json", readable=False, picture=False),
        "noise": Kind("Trajectory Scan {:06d} 04", _noise, readable=False, picture=False),
    },
}
"""Kinds of files by beamline and name."""


def mixed_files(beamline: str, seed: int = 0, *, points: int = 12, first_day: date = FIRST_DAY) -> Iterator[MixedFile]:
    """Files without end: every kind once, in an order of the seed's, then every kind again."""
    rng = random.Random(f"mixture {beamline} {seed}")
    names = list(KINDS[beamline])
    for turn in itertools.count():
        rng.shuffle(names)
        for position, name in enumerate(names):
            number = turn * len(names) + position
            day = first_day + timedelta(days=turn // _TURNS_PER_DAY)
            kind = KINDS[beamline][name]
            # Of a turn all have one number, so the sidecar lies beside its scan.
            path = f"{day:%Y}/{day:%y%m%d}/{kind.stem.format(206 + turn)}{kind.suffix}"
            yield MixedFile(path, kind.content(seed * 100003 + number, points, day), name)
