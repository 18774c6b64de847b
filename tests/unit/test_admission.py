"""Which Scans are refused, and what their author is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import Scan
from dichroism_crds.names import PRIVATE_DIR, scan_name
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_operator.admission import refusal
from tests.unit.scan_cases import config, scan

CONFIG = config()


def test_a_scan_as_the_watcher_makes_it_is_fine() -> None:
    assert refusal(scan(), CONFIG) is None


@pytest.mark.parametrize(
    ("one", "reason", "words"),
    [
        (scan(beamline="BL999"), Reason.BEAMLINE_UNKNOWN, "known: BL402"),
        (scan(beamline="BL999", export_controlled=True), Reason.BEAMLINE_UNKNOWN, "BL999"),
        (scan(export_controlled=True), Reason.EXPORT_CONTROLLED, "by hand"),
        (scan("../etc/passwd"), Reason.INVALID_PATH, "'../etc/passwd'"),
        (scan("/etc/passwd"), Reason.INVALID_PATH, "'/etc/passwd'"),
        (scan("a/./b"), Reason.INVALID_PATH, "'a/./b'"),
        (scan("a\nb"), Reason.INVALID_PATH, "a\\nb"),
        (scan(f"{PRIVATE_DIR}/trash/x"), Reason.INVALID_PATH, PRIVATE_DIR),
        (scan(PRIVATE_DIR), Reason.INVALID_PATH, PRIVATE_DIR),
    ],
)
def test_what_must_not_be_moved_is_refused_with_a_reason(one: Scan, reason: Reason, words: str) -> None:
    refused = refusal(one, CONFIG)
    assert refused is not None
    assert refused[0] == reason
    assert words in refused[1]


def test_folders_that_only_look_like_ours_are_fine() -> None:
    for path in (f"{PRIVATE_DIR}x/a.txt", f"2026/{PRIVATE_DIR}/a.txt", f"x{PRIVATE_DIR}"):
        assert refusal(scan(path), CONFIG) is None


def test_a_name_that_beamline_and_path_do_not_give_is_refused_with_the_right_one() -> None:
    one = scan()
    one.metadata.name = scan_name("BL402", "data402", "another.txt")
    refused = refusal(one, CONFIG)
    assert refused is not None
    assert refused[0] == Reason.NAME_MISMATCH
    assert scan().name in refused[1]


@given(st.text(min_size=1, max_size=60))
def test_no_path_that_is_accepted_leaves_the_root_or_enters_our_folder(path: str) -> None:
    if refusal(scan(path), CONFIG) is None:
        check_relative_path(path)
        assert ".." not in path.split("/")
        assert path.split("/")[0] != PRIVATE_DIR
    elif path.split("/")[0] != PRIVATE_DIR:
        with pytest.raises(PathError):
            check_relative_path(path)
