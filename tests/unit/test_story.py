"""``dichroism why``: the story of a file from its objects, and one step to do next, with its command."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.config import Config, Hold
from dichroism_crds.heartbeat import Heartbeat
from dichroism_crds.kinds import (
    Metadata,
    Prune,
    PrunePhase,
    Scan,
    ScanPhase,
    Step,
    Transfer,
    TransferPhase,
    TransferSpec,
)
from dichroism_crds.names import ANNOTATION_HOLD
from dichroism_crds.reasons import EventReason, KeptReason, Reason
from dichroism_operator import calendar, holding, lifecycle, pauses, planning
from dichroism_operator.story import finding, missing, text
from dichroism_operator.story.finding import Candidate, NotUnderstoodError
from dichroism_operator.story.known import Happened, Known
from dichroism_operator.story.model import Missing, Story
from dichroism_operator.story.telling import tell
from tests.unit import scan_cases as cases
from tests.unit.scan_cases import ATTEMPTS, NOW, PATH

LATER = NOW + timedelta(hours=5)
SCAN = cases.scan().name
FAILED_STORY = """\
Scan bl402-f4yjlssqv3y2z7jsquebqx2f73 (times are UTC)
  file         2026/261122/TrajScan31914-1_0001.txt
  measured at  BL402, /site/data402/2026/261122/TrajScan31914-1_0001.txt
  content      300.0 kB, modified 2026-11-22 17:03:11
  proposal     none known
  stands at    Failed since 2026-11-22 18:00:00 (5 h)
               Transferred failed 3 times (SourceMissing): data402 has no such file; no copy was made;
               annotate with retry when mended

Steps
  Transferred     FAILED  2026-11-22 18:00:00  SourceMissing: The file is not at the source.
                  data402 has no such file
                  -> Look for the file. When it was moved, its new path has its own Scan: abandon this. Else
                     put it back with its old time (cp -p) and retry; with a new time it goes by itself.
  Catalogued      waits   -                    Waiting: Nothing was tried yet, or an earlier step has to come
                  first.
  Archived        not configured
  Ingested        waits   -                    Waiting: Nothing was tried yet, or an earlier step has to come
                  first.
  PruneScheduled  waits   -                    Waiting: Nothing was tried yet, or an earlier step has to come
                  first.
  Succeeded       FAILED  2026-11-22 18:00:00  AttemptsExhausted: A step failed as often as the configuration
                  allows.
                  -> Mend the cause that the failed step names, then retry.

Copies
  none is verified yet

Events
  2026-11-22 18:00:00 ! Failed: it \\x1b[31mfailed [Scan bl402-f4yjlssqv3y2z7jsquebqx2f73]

What to do
  Transferred failed for good (SourceMissing). Look for the file. When it was moved, its new path has its own
  Scan: abandon this. Else put it back with its old time (cp -p) and retry; with a new time it goes by itself.
    $ dichroism retry bl402-f4yjlssqv3y2z7jsquebqx2f73"""


def derived(one: Scan, *without: str) -> Scan:
    lifecycle.derive(one, cases.beamline(*without), ATTEMPTS, NOW, {})
    return one


def failed(*without: str) -> Scan:
    one = cases.scan()
    for _ in range(ATTEMPTS):
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "data402 has no such file", NOW)
    return derived(one, *without)


def archived() -> Scan:
    return derived(cases.done(cases.scan(), Step.TRANSFERRED, Step.CATALOGUED, Step.ARCHIVED, Step.INGESTED))


def scheduled() -> tuple[Scan, Prune]:
    """A Scan at its end, and the Prune in which it stands."""
    one = archived()
    prune = calendar.build_prune([one], cases.beamline(), "data402", cases.config(), 1)
    prune.status.phase = PrunePhase.SCHEDULED
    one.status.prune = [calendar.entry_of(prune)]
    return derived(cases.done(one, Step.PRUNE_SCHEDULED)), prune


def story(known: Known, config: Config | None = None) -> Story:
    return tell(known, config or cases.config(), LATER)


def test_the_whole_story_of_a_failed_file() -> None:
    event = Happened(NOW, EventReason.FAILED, f"Scan {SCAN}", "it \x1b[31mfailed", True)
    one = failed("archive")
    told = tell(Known(one, events=(event,)), cases.config("archive"), LATER)
    assert text.shown(told, LATER) == FAILED_STORY


def test_copies_are_told_with_their_place_and_tape_with_bundle_and_member() -> None:
    shown = text.shown(story(Known(archived())), LATER)
    assert f"nersc402  2026-11-22 18:00:00  300.0 kB  0123456789ab  /site/nersc402/{PATH}" in shown
    assert f"/site/hpss402/2026/bundle.tar, member {PATH}" in shown


def test_the_json_has_everything_that_the_text_has() -> None:
    one, prune = scheduled()
    wire = story(Known(one, prunes=(prune,))).wire()
    assert wire["phase"] == "PruneScheduled"
    assert wire["prunes"][0]["due"].startswith("2027-05-22T00:00:00")
    assert [copy["endpoint"] for copy in wire["copies"]] == ["nersc402", "hpss402"]
    assert wire["next"] == {
        "person": False,
        "text": "Nothing: every configured step is done and verified.",
        "commands": [],
    }


# what to do


def advice(known: Known, config: Config | None = None) -> tuple[bool, str, list[str]]:
    step = story(known, config).next
    return step.person, step.text, step.commands


def test_a_failed_file_asks_for_a_retry_after_mending() -> None:
    person, said, commands = advice(Known(failed()))
    assert person
    assert Reason.SOURCE_MISSING.remedy in said
    assert commands == [f"dichroism retry {SCAN}"]


def test_a_step_without_attempts_left_asks_for_a_person_while_others_go_on() -> None:
    one, config = cases.done(cases.scan(), Step.TRANSFERRED), cases.config()
    for _ in range(config.attempts):
        lifecycle.fail(one, Step.CATALOGUED, Reason.REFUSED_BY_CATALOGUE, "refused", NOW)
    lifecycle.derive(one, cases.beamline(), config.attempts, NOW, {})
    assert one.status.phase == ScanPhase.TRANSFERRED  # its tape copy is still to come
    person, said, commands = advice(Known(one), config)
    assert person
    assert "Catalogued failed for good" in said
    assert commands == [f"dichroism retry {SCAN}"]


def test_without_an_operator_no_retry_is_advised() -> None:
    person, said, commands = advice(Known(failed(), idle="no operator is at work: Lease is free"))
    assert person
    assert "Start the operator" in said
    assert not any("retry" in one for one in commands)


def test_a_paused_lane_is_told_with_what_to_mend_and_nothing_has_to_be_retried() -> None:
    one = derived(cases.done(cases.scan(), Step.TRANSFERRED))
    waits = pauses.Pause("BL402", Step.CATALOGUED, f"Catalogued waits: {Reason.CATALOGUE_UNAVAILABLE}, HTTP 502")
    person, said, _ = advice(Known(one, pauses=(waits,)))
    assert person
    assert Reason.CATALOGUE_UNAVAILABLE.remedy in said
    other = pauses.Pause("BL631", Step.CATALOGUED, waits.text)
    assert not advice(Known(one, pauses=(other,)))[0]


def test_a_file_in_a_transfer_is_under_way_and_the_task_is_named() -> None:
    one = derived(cases.scan())
    spec = TransferSpec(
        beamline="BL402", source="data402", destination="nersc402", submission_id="s", items=planning.items_of([one])
    )
    transfer = Transfer(metadata=Metadata(name="bl402-data402-nersc402-000001"), spec=spec)
    transfer.status.phase, transfer.status.task_id = TransferPhase.ACTIVE, "task-7"
    person, said, commands = advice(Known(one, (transfer,)))
    assert not person
    assert "task task-7" in said
    assert commands == [f"kubectl get transfer {transfer.name} -w"]


def test_a_file_that_waits_for_its_bundle_may_be_hurried() -> None:
    one = derived(cases.done(cases.scan(), Step.TRANSFERRED, Step.CATALOGUED))
    person, said, commands = advice(Known(one))
    assert not person
    assert "closed by 2026-11-23 18:00 UTC at the latest" in said
    assert "dichroism archive now --beamline BL402" in commands


def test_a_suspended_file_tells_whose_word_it_is_and_how_to_release_it() -> None:
    one = cases.scan(suspend=True)
    note = holding.Note("J. Doe", "re-analysis", NOW)
    one.metadata.annotations = holding.hold(note)["metadata"]["annotations"]
    told = story(Known(derived(one)))
    assert told.next.commands == [f"dichroism release {SCAN}"]
    assert "J. Doe until 2026-11-22 18:00:00: re-analysis" in text.shown(told, LATER)


@pytest.mark.parametrize("written", ["", "nonsense", "[]", '{"until": "2026-01-01T00:00:00"}', '{"until": 7}'])
def test_a_note_that_makes_no_sense_never_hides_a_suspend(written: str) -> None:
    one = cases.scan(suspend=True)
    one.metadata.annotations = {ANNOTATION_HOLD: written}
    note = holding.note_of(one)
    assert note is not None
    assert note.by == "somebody"


def test_a_rewrite_that_lost_half_of_the_file_asks_to_look_first() -> None:
    one = cases.done(cases.scan(), Step.TRANSFERRED)
    one.spec.size //= 3
    person, said, _ = advice(Known(derived(one)))
    assert person
    assert Reason.SUSPICIOUS_REWRITE.remedy in said


# prunes


def test_a_hold_of_the_configuration_is_told_with_where_it_stands() -> None:
    one, prune = scheduled()
    hold = Hold(path=PATH, by="J. Doe", reason="paper")
    config = cases.config().model_copy(update={"holds": (hold,)})
    told = story(Known(one, prunes=(prune,)), config).prunes[0]
    assert told.reason == KeptReason.HELD
    assert told.holds[0].where == "stands in holds of config.yml"
    assert "but now Held would keep it" in told.state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"phase": PrunePhase.PRUNED, "deleted": 1}, "deleted from data402"),
        ({"phase": PrunePhase.TRASHED, "trashed": 1, "trashed_at": NOW}, "in the trash of data402"),
        ({"phase": None}, "is being put on the calendar"),
    ],
)
def test_what_became_of_the_file_is_told_by_the_state_of_its_prune(status: dict[str, Any], state: str) -> None:
    one, prune = scheduled()
    prune.status = prune.status.model_copy(update=status)
    assert story(Known(one, prunes=(prune,))).prunes[0].state.startswith(state)


def test_a_prune_that_keeps_a_file_for_trouble_asks_for_a_person() -> None:
    one, prune = scheduled()
    prune.spec.needs[0].root_path = "/site/elsewhere"
    person, said, commands = advice(Known(one, prunes=(prune,)))
    assert person
    assert KeptReason.ENDPOINT_CHANGED.remedy in said
    assert commands == [f"kubectl describe prune {prune.name}"]


# files without a Scan


def without_scan(folder: Path, path: str, known: Known | None = None, watcher: Heartbeat | None = None) -> Missing:
    wire = cases.config().model_dump()
    wire["endpoints"]["data402"]["mount"] = str(folder)
    wire["beamlines"]["BL402"]["watch"]["exclude"] = ("*.tmp", "darks")
    config = Config.model_validate(wire, by_name=True, by_alias=True)
    file = Candidate("BL402", path)
    watching = missing.Watching(watcher, "" if watcher else "no word of the watcher")
    return missing.tell_missing(path, file, known or Known(None), watching, config, LATER)


def test_a_path_that_no_scan_may_have_is_in_quarantine(tmp_path: Path) -> None:
    told = without_scan(tmp_path, "2026/bad\nname.txt")
    assert "quarantine" in text.shown_missing(told)
    assert told.next.text == "Rename the file."


@pytest.mark.parametrize(("path", "part"), [("2026/one.tmp", "one.tmp"), ("2026/darks/one.txt", "darks")])
def test_an_excluded_file_names_the_part_that_excludes_it(tmp_path: Path, path: str, part: str) -> None:
    assert f"It is excluded: '{part}' fits a pattern of watch.exclude." in without_scan(tmp_path, path).findings


def test_a_file_older_than_since_is_offered_a_backfill(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    os.utime(tmp_path / "old.txt", (0, 1_700_000_000))
    told = without_scan(tmp_path, "old.txt")
    assert told.next.commands == ["dichroism watcher backfill --beamline BL402 --since 2023-11-14 --dry-run"]


def test_a_file_that_should_have_a_scan_leads_to_its_watcher(tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("x")
    stamp = (LATER - timedelta(hours=1)).timestamp()
    os.utime(tmp_path / "new.txt", (stamp, stamp))
    silent = Heartbeat("dtn_17", NOW, 600, files={"quarantined": 3})
    told = without_scan(tmp_path, "new.txt", watcher=silent)
    shown = text.shown_missing(told)
    assert "The watcher dtn_17 completed its last pass 5 h ago, too long." in shown
    assert "It counts 3 quarantined files" in shown
    assert "systemctl status dichroism-watcher" in told.next.commands


def test_a_scan_that_was_collected_is_found_in_its_prune(tmp_path: Path) -> None:
    _, prune = scheduled()
    told = without_scan(tmp_path, PATH, Known(None, prunes=(prune,)))
    assert told.prunes[0].name == prune.name
    assert told.next.commands[0] == f"dichroism restore --list {PATH}"


# what is asked


@pytest.mark.parametrize(
    "asked", [PATH, f"./{PATH}", f"/site/data402/{PATH}", f"/site/nersc402/{PATH}", f"/site/hpss402/{PATH}"]
)
def test_a_file_is_found_by_its_path_on_any_endpoint(asked: str) -> None:
    (found,) = finding.candidates(asked, cases.config(), None)
    assert found.scan(cases.config()) == SCAN


@pytest.mark.parametrize(
    ("asked", "beamline"),
    [
        ("/elsewhere/one.txt", None),
        ("/site/data4021/one.txt", None),
        ("x.txt", "BL999"),
        (".dichroism/trash/p/x", None),
        ("", None),
        ("/site/data402", None),
    ],
)
def test_what_can_be_no_file_of_ours_is_refused(asked: str, beamline: str | None) -> None:
    with pytest.raises(NotUnderstoodError):
        finding.candidates(asked, cases.config(), beamline)


# the word of the operator


def test_pauses_survive_the_way_through_the_lease() -> None:
    told = {("BL402", Step.ARCHIVED): f"Archived waits: {Reason.DESTINATION_FULL}, no quota"}
    lease = {"metadata": {"annotations": {"dichroism.als.lbl.gov/paused": pauses.word(told)}}}
    (read,) = pauses.of_lease(lease)
    assert (read.beamline, read.step, read.reason) == ("BL402", Step.ARCHIVED, Reason.DESTINATION_FULL)


@pytest.mark.parametrize("written", ["", "[]", "7", '{"BL402/Nothing": "x"}', '{"x": 1}', "{"])
def test_a_word_of_pauses_that_makes_no_sense_is_left_out(written: str) -> None:
    assert pauses.of_lease({"metadata": {"annotations": {"dichroism.als.lbl.gov/paused": written}}}) == []


def test_every_reason_that_stops_a_file_has_something_to_do() -> None:
    by_itself = {"AwaitingBundle", "AwaitingFlush", "ContentChanged", "InProgress", "NotConfigured", "Waiting"}
    passing = {"TaskCanceled", "TaskExpired", "ResultsLost", "SubmissionExpired", "SomeItemsFailed", "AllItemsFailed"}
    good = {"Copied", "AlreadyThere", "Adopted", "Catalogued", "Recorded", "Scheduled", "Completed", "Told"}
    assert {one.value for one in Reason if not one.remedy} <= by_itself | passing | good
    assert all(one.remedy for one in KeptReason if not one.settled)
