"""Structured logs: one JSON object a line in the cluster, plain text on a terminal."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

PLAIN = "%(asctime)s %(levelname)-7s %(message)s"


def configure(json_lines: bool, level: int = logging.INFO) -> None:
    """Send every log record to standard error; ``extra`` fields become JSON fields."""
    handler = logging.StreamHandler(sys.stderr)
    if json_lines:
        fields = "{levelname}{name}{message}"
        handler.setFormatter(
            JsonFormatter(fields, style="{", timestamp=True, rename_fields={"levelname": "level", "name": "logger"})
        )
    else:
        handler.setFormatter(logging.Formatter(PLAIN))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Below warnings these tell of every request and every watch event, which says nothing about scans.
    for noisy in ("kopf", "urllib3", "aiohttp.access", "asyncio", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
