"""Takes a cluster down when the process that started it is gone.

Standard input is a pipe whose other end that process holds and never writes to. It ends when the process does.
"""

import sys
from pathlib import Path

from tests.cluster.providers import down

if __name__ == "__main__":
    sys.stdin.buffer.read()
    down(Path(sys.argv[1]))
