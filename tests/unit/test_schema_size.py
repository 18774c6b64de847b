"""Bytes are counted as the API server counts them."""

import json

import pytest

from dichroism_crds.schema_size import stored_bytes


def test_plain_text_counts_as_compact_json() -> None:
    wire = {"items": [{"path": "2026/261122/TrajScan31914-1_0001.txt", "size": 300000}]}
    assert stored_bytes(wire) == len(json.dumps(wire, separators=(",", ":")))


@pytest.mark.parametrize("character", ["&", "<", ">", "\u2028"])
def test_a_character_that_the_api_server_escapes_counts_six(character: str) -> None:
    assert stored_bytes(character * 100) == 600 + 2


@pytest.mark.parametrize(("character", "escaped"), [("\u00e9", 6), ("\u6837", 6), ("\U0001f600", 12)])
def test_a_character_that_the_client_escapes_counts_half_of_that(character: str, escaped: int) -> None:
    assert stored_bytes(character * 1000) >= escaped * 1000 // 2
    assert stored_bytes(character * 1000) >= len((character * 1000).encode())


def test_a_broken_character_is_counted_and_not_raised() -> None:
    assert stored_bytes("\udcff" * 10) > 10
