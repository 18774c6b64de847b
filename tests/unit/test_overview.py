"""``dichroism status``: one screen, what needs a person first, and an exit code that scripts can rely on."""

from datetime import timedelta
from uuid import uuid4

import pytest

from dichroism_crds.heartbeat import Heartbeat
from dichroism_crds.kinds import Step
from dichroism_crds.reasons import Reason
from dichroism_operator.doctor.check import Severity, ok, problem, warning
from dichroism_operator.filling import Filling
from dichroism_operator.flight.result import FlightResult, Leg, Outcome
from dichroism_operator.overview import text
from dichroism_operator.overview.state import BeamlineState, LastTransfer, NextPrune, Overview, judged
from dichroism_operator.pauses import Pause
from tests.unit.scan_cases import NOW

HOUR = timedelta(hours=1)
SCREEN = """\
namespace dichroism, 2026-11-22 18:00:00 UTC
operator: pod-1 works, last heard of 3 s ago

2 things to look at:
  PROBLEM BL402: Catalogued waits: CatalogueUnavailable, HTTP 502
          -> Look at SciCat and the proxy before it; copies go on meanwhile. \
Nothing has to be retried: it is tried every few minutes.
  WARNING pruning is stopped
          -> dichroism prune resume

BEAMLINE  PENDING  TRANSFERRED  ARCHIVED  INGESTED  PRUNESCHEDULED  FAILED  REFUSED  OLDEST UNFINISHED
BL402     0        12           0         0         400             0       0        3 h (bl402-x)

BEAMLINE  RUNNING  LAST TRANSFER
BL402     1        bl402-data402-nersc402-000007, 12 files, Succeeded 60 min ago

BEAMLINE  WAITS FOR TAPE                                NEXT PRUNE
BL402     12 files, 3.6 MB, closes by 2026-11-22 19:00  2027-05-21 18:00, 300 files, 90.0 MB

BEAMLINE  WATCHER'S LAST PASS  HINDERED FILES  FLIGHT CHECK
BL402     10 s ago             2 quarantined   passed 60 min ago"""


def flight(*legs: Leg, ended: timedelta = HOUR) -> FlightResult:
    return FlightResult(id=str(uuid4()), beamline="BL402", started=NOW - ended, ended=NOW - ended, legs=legs)


def well() -> BeamlineState:
    """A beamline at which nothing is wrong."""
    return BeamlineState(
        "BL402",
        phases={"Transferred": 12, "PruneScheduled": 400},
        oldest="bl402-x",
        oldest_since=NOW - 3 * HOUR,
        running=1,
        last=LastTransfer("bl402-data402-nersc402-000007", "Succeeded", 12, NOW - HOUR),
        tape=Filling(12, 3_600_000, None, NOW + HOUR, None),
        prune=NextPrune("data402-20270521-0001", NOW + timedelta(days=180), 300, 90_000_000),
        watcher=Heartbeat("dtn_17", NOW - timedelta(seconds=10), 600, files={"quarantined": 2}),
        flight=flight(Leg(name="data402-nersc402", outcome=Outcome.PASSED, seconds=1.0)),
    )


def screen(*states: BeamlineState) -> Overview:
    return Overview("dichroism", NOW, "pod-1 works, last heard of 3 s ago", list(states), [ok("an operator works")])


def test_the_screen_begins_with_what_needs_a_person() -> None:
    state = well()
    state.paused = [Pause("BL402", Step.CATALOGUED, f"Catalogued waits: {Reason.CATALOGUE_UNAVAILABLE}, HTTP 502")]
    view = screen(state)
    view.findings.append(warning("pruning is stopped", "dichroism prune resume"))
    assert [line.rstrip() for line in text.shown(view).splitlines()] == SCREEN.splitlines()


def test_when_all_is_well_it_says_so_and_the_document_agrees() -> None:
    view = screen(well())
    assert "all well: nothing needs a person" in text.shown(view)
    document = text.document(view)
    assert document["ok"] is True
    assert document["needs"] == []
    assert document["beamlines"][0]["tape"] == {
        "files": 12,
        "bytes": 3_600_000,
        "closesBy": "2026-11-22T19:00:00.000000Z",
    }


def test_what_may_not_be_read_is_no_alarm() -> None:
    state = BeamlineState("BL631", heard=False)
    assert judged(state, NOW) == []
    assert "never" not in text.shown(screen(state))


def test_problems_come_before_warnings() -> None:
    view = screen(well())
    view.findings += [warning("second", "look"), problem("first", "mend")]
    assert [one.message for one in view.needs] == ["first", "second"]


def test_a_beamline_of_which_nothing_is_known_lacks_its_watcher_and_no_more() -> None:
    state = BeamlineState("BL631")
    (finding,) = judged(state, NOW)
    assert "no watcher has completed a pass" in finding.message
    assert "never" in text.shown(screen(state))


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"watcher": Heartbeat("dtn_17", NOW - HOUR, 600)}, Severity.PROBLEM, "60 min ago: new files wait"),
        ({"watcher": Heartbeat("dtn_17", NOW, 600, "journal is full")}, Severity.PROBLEM, "says: journal is full"),
        ({"rewritten": 2}, Severity.PROBLEM, "2 files shrank"),
        (
            {"flight": flight(Leg(name="x", outcome=Outcome.PASSED, seconds=1.0), ended=27 * HOUR)},
            Severity.WARNING,
            "27 h ago",
        ),
        (
            {"flight": flight(Leg(name="x", outcome=Outcome.FAILED, seconds=1.0, reason=Reason.DESTINATION_FULL))},
            Severity.PROBLEM,
            "did not get through",
        ),
    ],
)
def test_each_thing_that_goes_wrong_is_told_with_a_remedy(
    change: dict[str, object], severity: Severity, words: str
) -> None:
    state = well()
    for name, value in change.items():
        setattr(state, name, value)
    (finding,) = judged(state, NOW)
    assert finding.severity == severity
    assert words in finding.message
    assert finding.remedy
