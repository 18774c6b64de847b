"""The file ``<scan>.sdc.json`` that the control system may write beside a scan: experiment, proposal, sample.

Its top keys are ``Experiment`` and ``Scan Setup``; what is in them is entered by people and not fixed. So names are
looked for, in any spelling and at any depth, and a file that says nothing is as good as none.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 1_000_000
"""Bytes."""
_DEEPEST = 6
_LONGEST = 200
_PROPOSAL = ("proposal", "proposalid", "proposalnumber", "proposalno", "esaf", "esafid")
_SAMPLE = ("sample", "samplename", "sampleid", "sampletitle")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a sidecar says; None where it says nothing."""

    proposal: str | None = None
    sample: str | None = None
    problem: str | None = None
    """Why it could not be read."""


def read_sidecar(content: bytes) -> Sidecar:
    """Proposal and sample from the content of a sidecar; never raises."""
    if len(content) > LARGEST:
        return Sidecar(problem=f"the sidecar is larger than {LARGEST} bytes")
    try:
        document = json.loads(content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        return Sidecar(problem=f"the sidecar is no JSON: {error}")
    if not isinstance(document, dict):
        return Sidecar(problem="the sidecar is no JSON object")
    texts: dict[str, str] = {}
    for name, text in _texts(document, 0):
        texts.setdefault(name, text)
    return Sidecar(_first(texts, _PROPOSAL), _first(texts, _SAMPLE))


def _texts(value: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    """Names, in small letters without spaces, and texts that are not empty; outer ones first."""
    inner = []
    for name, item in value.items():
        if isinstance(item, str | int) and not isinstance(item, bool):
            text = _line(str(item)) if not isinstance(item, int) or abs(item) < 10**12 else ""
            if text:
                yield "".join(filter(str.isalnum, name.lower())), text
        elif isinstance(item, dict):
            inner.append((name, item))
    if depth < _DEEPEST:
        for name, item in inner:
            named = item.get("name") or item.get("Name") or item.get("id") or item.get("ID")
            if isinstance(named, str) and _line(named):
                yield "".join(filter(str.isalnum, name.lower())), _line(named)
            yield from _texts(item, depth + 1)


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_LONGEST]


def _first(texts: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((texts[name] for name in names if name in texts), None)
