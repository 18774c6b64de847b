"""What a flight check leaves of itself: read again whole, refused when it makes no sense, shown in order."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.flight.field import field_of
from dichroism_operator.flight.result import ANNOTATION_RESULT, FlightResult, Leg, Outcome, leg_names
from dichroism_operator.flight.shown import flight_run
from dichroism_operator.mirror.feed import FLIGHTS_LOOK_BACK, MARGIN, Feed
from tests.unit.scan_cases import NOW, config


def result(*legs: Leg, **fields: Any) -> FlightResult:
    """A check that ended a minute after it began."""
    defaults = {"id": str(uuid.uuid4()), "beamline": "BL402", "started": NOW, "ended": NOW + timedelta(minutes=1)}
    return FlightResult(**(defaults | fields), legs=legs or (PASSED,))


PASSED = Leg(name="data402-nersc402", outcome=Outcome.PASSED, seconds=12.5, message="65536 bytes sent and compared")
FAILED = Leg(
    name="scicat", outcome=Outcome.FAILED, seconds=3, message="no | answer", reason=Reason.CATALOGUE_UNAVAILABLE
)
SKIPPED = Leg(name="nersc402-hpss402", outcome=Outcome.SKIPPED, seconds=0)


def test_the_lease_gives_back_what_was_left_in_it() -> None:
    one = result(PASSED, FAILED, SKIPPED)
    lease = one.to_lease("host_1")
    assert FlightResult.from_lease(lease) == one
    assert FlightResult.from_lease({"metadata": {}}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"legs": [json.loads(PASSED.model_dump_json())] * 9},
        {"legs": [{"name": "x" * 65, "outcome": "passed", "seconds": 1}]},
        {"legs": [{"name": "x", "outcome": "passed", "seconds": -1}]},
        {"legs": [{"name": "x", "outcome": "failed", "seconds": 1, "reason": "AnythingElse"}]},
        {"ended": "yesterday"},
        {"ended": "2026-11-23T00:00:00"},
        {"id": "../../x"},
    ],
)
def test_what_makes_no_sense_in_the_lease_is_refused(change: dict[str, Any]) -> None:
    text = json.loads(result().model_dump_json(exclude_none=True)) | change
    with pytest.raises(ValueError):  # noqa: PT011 - the kind of error is what callers rely on
        FlightResult.from_lease({"metadata": {"annotations": {ANNOTATION_RESULT: json.dumps(text)}}})


def test_a_check_that_tried_nothing_has_not_passed() -> None:
    assert result(PASSED).passed
    assert not result(PASSED, FAILED).passed
    assert not result(SKIPPED).passed


def test_the_run_has_a_state_for_each_leg_in_order_and_ends_as_the_check_did() -> None:
    run = flight_run(result(PASSED, FAILED))
    assert [one.name for one in run.states] == ["Pending", "data402-nersc402", "scicat", "Failed"]
    assert [one.order for one in run.states] == sorted(one.order for one in run.states)
    assert "CatalogueUnavailable: no | answer" in run.states[-1].text
    assert run.artifact
    assert "no \\| answer" in run.artifact.text
    assert flight_run(result(PASSED)).states[-1].name == "Completed"


def test_the_last_check_is_shown_once_by_a_process_and_again_by_the_next_unless_it_is_old() -> None:
    run = flight_run(result())
    feed = Feed("als", batches=True)
    feed.observe_flight(run)
    assert not len(feed.flights), "this process does not lead yet"
    feed.begin({})
    for _ in range(2):
        feed.observe_flight(run)
    due = feed.flights.take()
    assert due
    assert feed.lag_s(NOW + timedelta(minutes=3)) == 120
    feed.flights.done(due, due.changed)
    feed.observe_flight(run)
    assert not len(feed.flights)
    late = Feed("als", batches=True)
    late.begin({})
    late.advance({}, NOW + FLIGHTS_LOOK_BACK + MARGIN + timedelta(minutes=2))
    late.observe_flight(run)
    assert not len(late.flights)


def test_the_legs_follow_the_configuration() -> None:
    assert leg_names(config().beamlines["BL402"])[0] == "data402-nersc402"
    assert leg_names(config().beamlines["BL402"])[-1] == "cleanup"


def test_the_field_lies_below_the_root_however_the_endpoint_is_reached() -> None:
    endpoint = config().endpoints["data402"]
    own = field_of(endpoint.model_copy(update={"globus_path": "/"}))
    assert own.root_path == f"{endpoint.root_path}/.dichroism/flight"
    assert own.collection_path == "/.dichroism/flight"
    assert own.name == endpoint.name
