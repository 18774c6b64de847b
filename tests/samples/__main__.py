"""``python -m tests.samples ROOT --beamline BL402 --count N [--seed S] [--slow | --mixed]``: write scan files.

Those of a campaign, or with ``--mixed`` of every kind, unreadable ones too.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.samples.bcs_text import SWEEP_SECONDS
from tests.samples.campaign import generate, sample_files, write_slowly
from tests.samples.mixture import MixedFile, mixed_files


def main() -> None:
    """Write the files and print the path of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.samples", description=__doc__)
    parser.add_argument("root", type=Path, help="folder that stands for the acquisition storage")
    parser.add_argument("--beamline", choices=("BL402", "BL631"), required=True)
    parser.add_argument("--count", type=int, required=True, help="files to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=200, help="points per energy sweep (real files: 1000)")
    parser.add_argument("--slow", action="store_true", help="append sweep by sweep, like the instrument")
    parser.add_argument("--pause", type=float, default=SWEEP_SECONDS, help="with --slow: seconds between sweeps")
    parser.add_argument(
        "--mixed", action="store_true", help="files of every kind, with a table of the kinds at the end"
    )
    given = parser.parse_args()
    if given.mixed:
        _write_mixture(
            given.root, itertools.islice(mixed_files(given.beamline, given.seed, points=given.points), given.count)
        )
        return
    if not given.slow:
        for path in generate(given.root, given.beamline, given.count, given.seed, points=given.points):
            print(path)
        return
    for sample in itertools.islice(sample_files(given.beamline, given.seed, points=given.points), given.count):
        print(write_slowly(given.root, sample, given.pause), flush=True)


def _write_mixture(root: Path, files: Iterable[MixedFile]) -> None:
    kinds: Counter[str] = Counter()
    for one in files:
        target = root / one.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(one.content)
        kinds[one.kind] += 1
        print(target)
    print("\n".join(f"{count:6d}  {kind}" for kind, count in sorted(kinds.items())))


if __name__ == "__main__":
    main()
