"""Structured logs on standard error: one JSON object a line, or plain text on a terminal. One line per state change.

File names come from outside: they may hold line breaks or bytes that are no text, so every field is written as JSON,
in ASCII.
"""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = ("beamline", "path", "before", "scan", "size", "modified", "how", "origin", "reason", "wait", "files")
"""What a log call may give as ``extra``."""


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}


class JsonLines(logging.Formatter):
    """One JSON object a line, with the keys that the operator uses."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(line)


class PlainLines(logging.Formatter):
    """Time, level, message and the fields, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = " ".join(f"{name}={json.dumps(value)}" for name, value in _fields(record).items())
        return f"{super().format(record)} {fields}".rstrip()


def configure(*, json_lines: bool, level: int = logging.INFO) -> None:
    """Send every log record to standard error in one of the two forms."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else PlainLines("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Below warnings these tell of every request and probe, which says nothing about scans.
    for noisy in ("aiohttp.access", "asyncio", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
