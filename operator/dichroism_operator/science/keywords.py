"""Words by which people search: element, edge and what was measured, from metadata that were made before."""

from collections.abc import Mapping
from typing import Any

_MEASURED = {"xmcd": "XMCD", "xmld": "XMLD", "xld": "XLD", "hysteresis": "hysteresis"}


def keywords(metadata: Mapping[str, Any]) -> list[str]:
    """Such as ``Co``, ``Co L3``, ``XMCD``, ``TEY``; only what the file itself shows."""
    found: list[str] = []
    if element := metadata.get("element"):
        found += [element, f"{element} {metadata.get('edge', '')}".strip()]
    measured = _MEASURED.get(metadata.get("quicklook", {}).get("kind", ""))
    return [*found, *([measured] if measured else []), *metadata.get("detection_modes", [])]
