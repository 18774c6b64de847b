"""How many bytes an object takes in the API, and how many it may take: a schema bounds items, not the whole.

An object over the limit is not refused as invalid. The API server answers 500 ("etcdserver: request is too large"), or
413 for the request, on every try: a status that does not fit could never be written. So whoever fills a list counts.
"""

import json
from typing import Any

MAX_SPEC_BYTES = 1 << 20
"""For the spec of a Transfer or Prune. etcd takes 1.5 MiB for a whole object; the rest is for status and metadata."""
MAX_STATUS_BYTES = 384 << 10
"""For a status. 128 KiB are left for metadata: labels, annotations and the record of who manages which field."""

_ESCAPED_EXTRA = {"<": 5, ">": 5, "&": 5, "\u2028": 3, "\u2029": 3}
"""Bytes that these characters take more in the API server's JSON, which writes them as six."""


def stored_bytes(wire: Any) -> int:
    """Bytes that count for a piece of an object in wire form, against the limits of this module.

    There are two limits: etcd's 1.5 MiB for what the API server stores, and the API server's 3 MiB for the request,
    in which the client escapes everything but ASCII. So the larger of the stored form and half the request counts.
    """
    request = len(json.dumps(wire))
    text = json.dumps(wire, ensure_ascii=False, separators=(",", ":"))
    stored = len(text.encode(errors="replace")) + sum(text.count(one) * more for one, more in _ESCAPED_EXTRA.items())
    return max(stored, (request + 1) // 2)
