"""Runs inside the server's environment: Prefect's API and UI in one process, which ends when standard input closes."""

import os
import sys
import threading

import uvicorn  # type: ignore[import-not-found]

from prefect.server.api.server import create_app  # type: ignore[import-not-found]


def end_with_stdin() -> None:
    """Whoever started us is gone, however it ended."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[2:] != ["--keep"]:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", timeout_keep_alive=5)
