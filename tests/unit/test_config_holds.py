"""A hold keeps every file that it can be understood to name, for as long as it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.config import Hold

FILE = {"beamline": "BL402", "path": "2026/261122/Scan-1.txt", "scan": "bl402-abc", "proposal": "ALS-12345"}
DAY = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


def held(at: datetime = DAY, file: dict[str, Any] = FILE, **hold: Any) -> bool:
    return Hold(by="me", reason="review", **hold).covers(**file, at=at)


@pytest.mark.parametrize(
    "hold",
    [
        {"beamline": "BL402"},
        {"proposal": "ALS-12345"},
        {"proposal": "als-12345 "},
        {"scan": "bl402-abc"},
        {"path": "2026/261122/Scan-1.txt"},
        {"path": "2026/261122"},
        {"path": "2026"},
        {"path": "2026/*"},
        {"path": "*.txt"},
        {"path": "2026/2611*"},
        {"path": "*/261122"},
        {"beamline": "BL402", "path": "2026/261122", "proposal": "ALS-12345", "scan": "bl402-abc"},
    ],
)
def test_a_hold_covers_the_file_it_names(hold: dict[str, Any]) -> None:
    assert held(**hold)


@pytest.mark.parametrize(
    "hold",
    [
        {"beamline": "BL631"},
        {"proposal": "ALS-1234"},
        {"scan": "bl402-abd"},
        {"path": "2026/261122/Scan-1"},
        {"path": "2026/26112"},
        {"path": "261122"},
        {"beamline": "BL631", "path": "2026"},
        {"beamline": "BL402", "path": "2025"},
    ],
)
def test_a_hold_does_not_cover_another_file(hold: dict[str, Any]) -> None:
    assert not held(**hold)


def test_a_hold_until_a_day_covers_the_whole_day() -> None:
    assert held(until="2026-12-31", beamline="BL402")
    assert not held(until="2026-12-31", beamline="BL402", at=DAY + timedelta(minutes=1))


def test_a_name_with_pattern_characters_is_held_as_it_is_written() -> None:
    assert held(path="a/Scan[1].txt", file={**FILE, "path": "a/Scan[1].txt"})
    assert held(path="a[1]", file={**FILE, "path": "a[1]/x.txt"})


@given(st.text(st.characters(exclude_characters="/", exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
))  # fmt: skip
def test_every_file_is_covered_by_a_hold_on_its_own_path(name: str) -> None:
    assert held(path=name, file={**FILE, "path": name})
    assert held(path=name, file={**FILE, "path": f"{name}/below"})


def test_a_file_without_a_known_proposal_is_not_covered_by_a_proposal() -> None:
    assert not held(proposal="ALS-12345", file={**FILE, "proposal": None})
