"""A worker process: ``python -m dichroism_operator.previews.worker FD NICE MEGABYTES``.

Jobs come in and answers go out through the socket FD. It ends when the other side is gone, or after two minutes without
a job, so an idle operator costs no memory for it.
"""

import importlib
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

IDLE_S = 120.0


def main(descriptor: int, nice: int, megabytes: int) -> None:
    """Work until there is nothing more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the operator, whose end ends this process
    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    reading = importlib.import_module("dichroism_operator.previews.reading")
    connection = Connection(descriptor)
    try:
        while connection.poll(IDLE_S):
            connection.send(reading.carry_out(connection.recv()))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
