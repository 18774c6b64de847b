"""Run the measurements that are named, or all: ``python -m tests.bench [NAME ...]``."""

import argparse
import tempfile
import time
from pathlib import Path

from tests.bench import frame, page


def main() -> None:
    """Print a table for each measurement as it ends, and keep its figures at once: a later failure loses nothing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="measurements to run; all when none is given")
    parser.add_argument("--page", action="store_true", help="write the kept figures into the documentation, run none")
    chosen = parser.parse_args()
    if chosen.page:
        try:
            page.write()
        except ValueError as error:
            parser.error(str(error))
        return
    wanted = chosen.names
    print(", ".join(f"{key} {value}" for key, value in frame.machine().items()), flush=True)
    for name, one in frame.measurements(wanted).items():
        began = time.monotonic()

        def say(text: str, began: float = began, name: str = name) -> None:
            print(f"  {time.monotonic() - began:6.1f} s  {name}: {text}", flush=True)

        with tempfile.TemporaryDirectory(prefix="dichroism-bench-") as folder:
            figures = one.run(Path(folder), say)
        if missing := set(one.keys) ^ set(figures):
            raise SystemExit(f"{name}: keys and figures differ: {', '.join(sorted(missing))}")
        frame.keep(figures)
        print(frame.table(one, figures), flush=True)
    print(f"kept in {frame.RESULT}")


if __name__ == "__main__":
    main()
