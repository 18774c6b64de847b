"""What the watcher makes of a file, of the API's errors and of listed Scans."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dichroism_crds.client import Conflict, Denied, Invalid, NotFound, Unavailable
from dichroism_crds.names import ANNOTATION_ABANDON, LABEL_BEAMLINE, LABEL_ORIGIN, scan_name
from dichroism_watcher.known_scans import read_scan
from dichroism_watcher.records import FileContent
from dichroism_watcher.submit import NotNowError, RefusedError, Remedy, build_scan, remedy

PATH = "2026/261122/Trajectory Scan 000206 01.txt"
CONTENT = FileContent(1203456, 1795366991123456)


def listed(**changes: Any) -> dict[str, Any]:
    """A Scan as a list shows it, done."""
    moment = "2026-11-22T17:03:11.123456Z"
    content = {"size": 1203456, "modifiedAt": moment}
    item: dict[str, Any] = {
        "metadata": {"name": scan_name("BL402", "data402", PATH)},
        "spec": {"beamline": "BL402", "path": PATH, **content},
        "status": {"content": dict(content), "conditions": [{"type": "Succeeded", "status": "True"}]},
    }
    for name, value in changes.items():
        item[name] = {**item[name], **value}
    return item


def test_a_scan_carries_name_labels_path_and_content_of_its_file() -> None:
    scan = build_scan("BL402", "data402", PATH, CONTENT)
    assert scan.name == scan_name("BL402", "data402", PATH)
    assert scan.metadata.labels == {LABEL_BEAMLINE: "BL402", LABEL_ORIGIN: "live"}
    assert (scan.spec.beamline, scan.spec.path, scan.spec.size) == ("BL402", PATH, 1203456)
    assert scan.spec.modified_at == datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)


@pytest.mark.parametrize("content", [FileContent(2**60, 0), FileContent(1, 10**18)])
def test_a_content_that_no_scan_can_hold_is_refused_and_not_a_crash(content: FileContent) -> None:
    with pytest.raises(RefusedError, match="correct its modification time"):
        build_scan("BL402", "data402", PATH, content)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Invalid(422, "Invalid", "spec.path"), Remedy.REST),
        (RefusedError("another file's"), Remedy.REST),
        (Unavailable(503, "", "down"), Remedy.PAUSE_ALL),
        (Unavailable(0, "NoAnswer", "timeout"), Remedy.PAUSE_ALL),
        (Denied(403, "Forbidden", "no"), Remedy.PAUSE_ALL),
        (NotFound(404, "NotFound", "no such kind"), Remedy.PAUSE_ALL),
        (Conflict(409, "Conflict", "changed"), Remedy.RETRY_FILE),
        (NotNowError("being deleted"), Remedy.RETRY_FILE),
        (ZeroDivisionError(), Remedy.RETRY_FILE),
    ],
)
def test_only_what_the_file_itself_breaks_lays_it_to_rest(error: Exception, expected: Remedy) -> None:
    assert remedy(error) is expected


def test_a_listed_scan_is_read_as_path_content_and_success() -> None:
    found = read_scan(listed(), "data402")
    assert found is not None
    path, known = found
    assert known is not None
    assert (path, known.content, known.succeeded) == (PATH, CONTENT, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": {"conditions": [{"type": "Succeeded", "status": "False"}]}},
        {"status": {"conditions": [{"type": "Archived", "status": "True"}]}},
        {"status": {"content": {"size": 5, "modifiedAt": "2026-11-22T17:03:11.123456Z"}}},
        {"spec": {"size": 5}},
    ],
)
def test_success_counts_only_for_the_content_in_spec(changes: dict[str, Any]) -> None:
    found = read_scan(listed(**changes), "data402")
    assert found is not None
    assert found[1] is not None
    assert not found[1].succeeded


def test_a_scan_that_goes_counts_as_gone_and_one_with_another_name_not_at_all() -> None:
    going = listed(metadata={"deletionTimestamp": "2026-11-22T17:03:11Z"})
    assert read_scan(going, "data402") == (PATH, None)
    assert read_scan(listed(metadata={"name": "bl402-by-hand"}), "data402") is None


@pytest.mark.parametrize(
    ("conditions", "size", "transferred"),
    [
        ([{"type": "Transferred", "status": "True"}], 1203456, True),
        ([{"type": "Transferred", "status": "False"}], 1203456, False),
        ([{"type": "Transferred", "status": "True"}], 5, False),
    ],
)
def test_a_copy_counts_only_for_the_content_in_spec(
    conditions: list[dict[str, str]], size: int, transferred: bool
) -> None:
    content = {"size": size, "modifiedAt": "2026-11-22T17:03:11.123456Z"}
    found = read_scan(listed(status={"conditions": conditions, "content": content}), "data402")
    assert found is not None
    assert found[1] is not None
    assert found[1].transferred is transferred


@pytest.mark.parametrize(("phase", "given_up"), [("Failed", True), ("Refused", True), ("Pending", False)])
def test_what_a_person_abandoned_is_not_asked_for_again(phase: str, given_up: bool) -> None:
    changes = {
        "metadata": {"annotations": {ANNOTATION_ABANDON: "measured again"}},
        "status": {"phase": phase, "conditions": [{"type": "Succeeded", "status": "False"}]},
    }
    found = read_scan(listed(**changes), "data402")
    assert found is not None
    assert found[1] is not None
    assert found[1].succeeded is given_up
