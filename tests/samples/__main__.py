"""``python -m tests.samples ROOT --beamline BL402 --count N [--seed S] [--slow]``: write a campaign of scan files."""

import argparse
import itertools
from pathlib import Path

from tests.samples.bcs_text import SWEEP_SECONDS
from tests.samples.campaign import generate, sample_files, write_slowly


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
    given = parser.parse_args()
    if not given.slow:
        for path in generate(given.root, given.beamline, given.count, given.seed, points=given.points):
            print(path)
        return
    for sample in itertools.islice(sample_files(given.beamline, given.seed, points=given.points), given.count):
        print(write_slowly(given.root, sample, given.pause), flush=True)


if __name__ == "__main__":
    main()
