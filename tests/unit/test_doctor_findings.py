"""What is seen is judged rightly: each trouble has its own sentence and remedy, and what is fine is called fine."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.config import Endpoint, Ingest
from dichroism_crds.kinds import Metadata, Step
from dichroism_crds.reasons import Reason
from dichroism_operator.doctor import endpoints, globus, globus_collection, header, kubernetes, leftovers, scicat
from dichroism_operator.doctor.check import Finding, Severity
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.configuration import judge_runnable
from dichroism_operator.doctor.endpoints import Seen, Use
from dichroism_operator.doctor.globus_collection import CollectionSeen, Trouble
from dichroism_operator.doctor.kubernetes import CronJob, ScanCounts
from dichroism_operator.doctor.leftovers import Heap, Leftovers
from dichroism_operator.doctor.roundtrip import MTIME_NS, RoundTrip, RoundTripError
from dichroism_operator.doctor.scicat import DryRuns
from dichroism_operator.pauses import Pause
from tests.unit.scan_cases import beamline, config

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
OK, WARNING, PROBLEM, NOT_CHECKED = Severity.OK, Severity.WARNING, Severity.PROBLEM, Severity.NOT_CHECKED


def told(findings: list[Finding], severity: Severity, message: str, remedy: str = "") -> None:
    """Exactly one finding has this severity and these words; every problem and warning says what to do."""
    found = [one for one in findings if one.severity == severity and message in one.message and remedy in one.remedy]
    assert len(found) == 1, findings


def fine(findings: list[Finding]) -> bool:
    return {one.severity for one in findings} == {OK}


# the Lease of the operator


def lease(age_s: float, holder: str = "pod_1") -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}


@pytest.mark.parametrize(
    ("spec", "severity", "words"),
    [
        (lease(3), OK, "pod_1 works, last heard of 3 s ago"),
        (lease(40), OK, "40 s ago"),
        (lease(3600 * 5), PROBLEM, "last heard of 5 h ago"),
        (lease(3, ""), PROBLEM, "is free, so nothing is moved"),
        (None, PROBLEM, "was never held"),
        ({"holderIdentity": "pod_1"}, PROBLEM, "no renewTime"),
        (lease(-300), WARNING, "5 min in the future"),
        (lease(-3), OK, "0 s ago"),
    ],
)
def test_the_lease_tells_whether_an_operator_works(spec: dict[str, Any] | None, severity: Severity, words: str) -> None:
    told([kubernetes.judge_lease(spec, NOW)], severity, words)


def test_a_paused_lane_is_named_with_what_to_do() -> None:
    full = Pause("BL402", Step.ARCHIVED, f"Archived waits: {Reason.DESTINATION_FULL}, no quota")
    strange = Pause("BL631", Step.TRANSFERRED, "waits for something")
    findings = kubernetes.judge_pauses([full, strange])
    told(findings, PROBLEM, "BL402: Archived waits: DestinationFull, no quota", Reason.DESTINATION_FULL.remedy)
    told(findings, PROBLEM, "BL631: waits for something", "kubectl logs")


# CronJobs


def cronjob(**fields: Any) -> CronJob:
    known: dict[str, Any] = {"suspended": False, "last_started": NOW, "last_succeeded": NOW, "running": False}
    return CronJob(name="dichroism-prune-data402", **(known | fields))


@pytest.mark.parametrize(
    ("job", "severity", "message", "remedy"),
    [
        (cronjob(), OK, "ended well", ""),
        (cronjob(last_started=None, last_succeeded=None), OK, "did not have to run yet", ""),
        (cronjob(last_succeeded=None, running=True), OK, "runs now", ""),
        (None, PROBLEM, "no CronJob has the label dichroism.als.lbl.gov/endpoint=data402", "Upgrade the chart"),
        (cronjob(suspended=True), PROBLEM, "CronJobSuspended", 'patch cronjob dichroism-prune-data402 -p \'{"spec"'),
        (cronjob(last_succeeded=None), PROBLEM, "did not end well", "kubectl get jobs -l"),
        (cronjob(last_succeeded=NOW - timedelta(days=1)), PROBLEM, "did not end well", "kubectl logs"),
    ],
)
def test_a_pruned_endpoint_needs_a_cronjob_that_runs(
    job: CronJob | None, severity: Severity, message: str, remedy: str
) -> None:
    found = {} if job is None else {"data402": job}
    told(kubernetes.judge_cronjobs(("data402",), found), severity, message, remedy)


def test_nothing_is_pruned_so_no_cronjob_is_missed() -> None:
    assert fine(kubernetes.judge_cronjobs((), {}))


def test_a_cronjob_is_read_as_the_api_serves_it() -> None:
    status = {"lastScheduleTime": "2026-11-22T18:00:00Z", "active": [{"name": "x"}]}
    item = {"metadata": {"name": "j"}, "spec": {"suspend": True}, "status": status}
    assert CronJob.parse(item) == CronJob("j", True, NOW, None, True)


# Scans and Prunes


def scans(failed: int = 0, refused: int = 0, unfinished: int = 0, age: timedelta | None = None) -> ScanCounts:
    oldest = None if age is None else Metadata(name="bl402-old", creation_timestamp=NOW - age)
    return ScanCounts("BL402", failed, refused, unfinished, oldest)


def judged(counts: ScanCounts) -> list[Finding]:
    return kubernetes.judge_scans(counts, kubernetes.expected_duration(config(), beamline()), NOW)


def test_scans_that_need_a_person_are_counted() -> None:
    findings = judged(scans(failed=2, refused=1))
    told(findings, PROBLEM, "2 Scans are Failed", "status.phase=Failed")
    told(findings, WARNING, "1 Scan is Refused", "status.phase=Refused")


def test_an_unfinished_scan_is_late_only_beyond_the_waits_of_the_configuration() -> None:
    told(judged(scans(unfinished=3, age=timedelta(hours=48))), OK, "3 unfinished, the oldest (bl402-old) for 2 days")
    told(judged(scans(unfinished=3, age=timedelta(hours=50))), WARNING, "2 days", "dichroism why bl402-old")
    assert fine(judged(scans()))


def test_a_beamline_without_tape_waits_for_no_bundle() -> None:
    waits = kubernetes.expected_duration(config("archive", "prune"), beamline("archive", "prune"))
    assert waits == kubernetes.LATE_AFTER


def test_kept_files_are_told_with_their_reasons() -> None:
    kept = [{"path": "a", "reason": "CopyMissing"}, {"path": "b", "reason": "Held"}, {"path": "c", "reason": "Held"}]
    findings = kubernetes.judge_prunes("BL402", [("data402-20270521-0001", {"keptCount": 3, "kept": kept})])
    told(findings, WARNING, "3 files kept although due (CopyMissing 1, Held 2)", "describe prune data402-20270521-0001")
    many = [(f"p{number}", {"keptCount": 1}) for number in range(9)]
    told(kubernetes.judge_prunes("BL402", many), WARNING, "4 more Prunes are Incomplete")
    assert fine(kubernetes.judge_prunes("BL402", []))


# endpoints

DESTINATION = Use(is_destination=True, is_pruned=False)
SOURCE = Use(is_destination=False, is_pruned=True)
TRIP = RoundTrip(one_step=True, replaced=False, intact=True, kept_mtime_ns=MTIME_NS, ahead_ns=0)
REFUSED = RoundTripError("make a folder", OSError(errno.EROFS, os.strerror(errno.EROFS)))


def seen(**fields: Any) -> Seen:
    known: dict[str, Any] = {
        "sample": "2026/scan.txt",
        "unreadable": None,
        "same_file_system": True,
        "root_writable": True,
        "free_bytes": 10**12,
        "all_bytes": 2 * 10**12,
        "free_files": 10**6,
        "trip": TRIP,
        "left": Leftovers({}, Heap(), Heap()),
    }
    return Seen(**(known | fields))


def endpoint_judged(use: Use = DESTINATION, role: Role = Role.PERSON, **fields: Any) -> list[Finding]:
    endpoint = Endpoint(name="nersc402", root_path="/cfs", mount=Path("/mnt/nersc402"))
    return endpoints.judge(endpoint, use, role, seen(**fields))


def trip(**fields: Any) -> RoundTrip:
    known = {name: getattr(TRIP, name) for name in RoundTrip.__slots__}
    return RoundTrip(**(known | fields))


def test_an_endpoint_that_does_everything_is_fine() -> None:
    assert fine(endpoint_judged())
    assert fine(endpoint_judged(SOURCE))
    assert fine(endpoint_judged(sample=None))


@pytest.mark.parametrize(
    ("fields", "severity", "message", "remedy"),
    [
        (
            {"unreadable": "2026: denied", "sample": None},
            PROBLEM,
            "nothing in it can be read: 2026: denied",
            "Let user",
        ),
        ({"unreadable": "2026: denied"}, WARNING, "not everything can be read: 2026: denied", "Let user"),
        ({"trip": REFUSED}, PROBLEM, "can't make a folder: Read-only file system", "Mount it writable"),
        ({"root_writable": False}, PROBLEM, "can't make folders in /mnt/nersc402", "write permission"),
        ({"same_file_system": False}, PROBLEM, "on another file system", "plain folder"),
        ({"trip": trip(intact=False)}, PROBLEM, "other bytes", "Stop pruning"),
        ({"trip": trip(replaced=True)}, PROBLEM, "replaced the file there", "Stop the operator"),
        ({"trip": trip(one_step=False)}, WARNING, "no renameat2", "limits.md"),
        ({"trip": trip(kept_mtime_ns=MTIME_NS // 10**9 * 10**9)}, WARNING, "kept 0.123 s off", "nanoseconds"),
        ({"trip": trip(ahead_ns=90 * 10**9)}, WARNING, "its clock is 90 s ahead of", "NTP"),
        ({"trip": trip(ahead_ns=-90 * 10**9)}, WARNING, "its clock is 90 s behind", "NTP"),
        ({"free_bytes": 0}, PROBLEM, "full: 0 bytes of 2.0 TB free", "DestinationFull"),
        ({"free_files": 0}, PROBLEM, "room for 0 files", "DestinationFull"),
        ({"free_bytes": 10**9}, WARNING, "almost full: 1.0 GB of 2.0 TB", "DestinationFull"),
        ({"left": OSError(errno.EACCES, "Permission denied")}, NOT_CHECKED, "can't be read", "Let user"),
        ({"left": Leftovers({}, Heap(2, 3000), Heap())}, WARNING, "superseded holds 2 files, 3.0 kB", "only copy"),
        ({"left": Leftovers({}, Heap(), Heap(1, 5))}, WARNING, "incoming holds 1 file, 5 bytes", "next copy"),
    ],
)
def test_each_trouble_of_an_endpoint_is_named(
    fields: dict[str, Any], severity: Severity, message: str, remedy: str
) -> None:
    told(endpoint_judged(**fields), severity, message, remedy)


def test_times_kept_to_the_microsecond_are_enough() -> None:
    assert fine(endpoint_judged(trip=trip(kept_mtime_ns=MTIME_NS // 1000 * 1000)))


def test_a_full_bundle_must_fit_on_the_endpoint_that_stands_for_tape() -> None:
    use = Use(is_destination=True, is_pruned=False, largest_bundle=10**13)
    told(endpoint_judged(use), WARNING, "less than one tape bundle of 10.0 TB")


@pytest.mark.parametrize(
    ("use", "role", "severity"),
    [
        (DESTINATION, Role.OPERATOR, PROBLEM),
        (SOURCE, Role.PERSON, PROBLEM),
        (SOURCE, Role.OPERATOR, NOT_CHECKED),  # the chart mounts it read-only for the operator, writable for its job
        (SOURCE, Role.PRUNER, NOT_CHECKED),  # the job of another endpoint has it read-only
        (SOURCE, Role.WATCHER, OK),
        (DESTINATION, Role.WATCHER, OK),
    ],
)
def test_a_read_only_mount_is_a_problem_for_the_program_that_writes(use: Use, role: Role, severity: Severity) -> None:
    findings = endpoint_judged(use, role, trip=REFUSED, root_writable=False)
    worst = next(kind for kind in (PROBLEM, WARNING, NOT_CHECKED, OK) if kind in {one.severity for one in findings})
    assert worst == severity


# trash


def test_trash_without_a_prune_is_named_and_trash_of_a_prune_is_not() -> None:
    trash = {"data402-1": Heap(2, 500), "data402-2": Heap(1, 5), "data402-3": Heap(1, 7), "data402-4": Heap()}
    findings = leftovers.judge_trash("data402", trash, {"data402-2", "data402-3"}, {"data402-3"})
    told(findings, WARNING, "data402-1 holds 2 files, 500 bytes, and there is no Prune data402-1", "nothing of ours")
    told(findings, WARNING, "data402-3 holds 1 file, 7 bytes although Prune data402-3 is Pruned", "move them away")
    assert len(findings) == 2
    assert fine(leftovers.judge_trash("data402", {"data402-2": Heap(1, 5)}, {"data402-2"}, ()))
    assert fine(leftovers.judge_trash("data402", {"data402-4": Heap()}, (), ()))


def test_many_orphans_are_summed_up() -> None:
    trash = {f"data402-{number:03d}": Heap(1, 1) for number in range(25)}
    findings = leftovers.judge_trash("data402", trash, (), ())
    assert len(findings) == leftovers.SHOWN + 1
    told(findings, WARNING, "15 more folders")


# configuration


def test_a_missing_mount_keeps_only_the_operator_from_starting() -> None:
    here = ["beamlines.BL402.transfer: needs endpoint 'data402' mounted here", "mover 'x' is not implemented"]
    told(
        judge_runnable(here, here[1:], Role.OPERATOR), PROBLEM, "the operator does not start: beamlines.BL402", "Mount"
    )
    told(judge_runnable(here, here[1:], Role.PERSON), NOT_CHECKED, "is mounted here (beamlines.BL402")
    for role in Role:
        told(judge_runnable(here, here[1:], role), PROBLEM, "mover 'x' is not implemented")
    assert fine(judge_runnable([], [], Role.OPERATOR))


# SciCat


def ingest(*groups: str) -> Ingest:
    return Ingest(owner_group="als", contact_email="a@example.org", access_groups=groups)


def test_the_account_must_see_what_it_creates() -> None:
    told([scicat.judge_groups("BL402", ingest("4.0.2", "robots"), ("lifecyclers", "robots"))], OK, "group robots")
    finding = scicat.judge_groups("BL402", ingest("4.0.2"), ("robots",))
    told([finding], WARNING, "none of our groups is in access_groups (4.0.2), so robots is added", "access_groups")
    told([scicat.judge_groups("BL402", ingest(), ("4.0.2",))], OK, "4.0.2")


@pytest.mark.parametrize(
    ("runs", "severity", "message"),
    [
        (DryRuns(200, 200, True), OK, "for any group (the API speaks as generation 5.x)"),
        (DryRuns(200, 200, False), OK, "generation 4.x"),
        (DryRuns(403, 200, True), PROBLEM, "for its own groups alone, not for those of proposals"),
        (DryRuns(403, 403, True), PROBLEM, "may not create datasets with a pid of its own"),
        (DryRuns(None, None, None), NOT_CHECKED, "no dry run that tells"),
    ],
)
def test_dry_runs_tell_what_may_be_created_and_the_rest_is_said_not_to_be_known(
    runs: DryRuns, severity: Severity, message: str
) -> None:
    findings = scicat.judge_rights(runs)
    told(findings, severity, message)
    told(findings, NOT_CHECKED, "only writing would tell")


@pytest.mark.parametrize(("status", "severity"), [(401, OK), (200, OK), (404, PROBLEM), (503, PROBLEM)])
def test_a_server_that_answers_who_am_i_is_a_scicat(status: int, severity: Severity) -> None:
    assert scicat.judge_server("https://scicat.example.org", status).severity == severity


# the header of a file


@pytest.mark.parametrize(
    ("role", "mounted", "served", "unknown", "severity", "message"),
    [
        (Role.PERSON, ["nersc402"], {}, False, OK, "from the mount of nersc402"),
        (
            Role.OPERATOR,
            [],
            {"nersc402": "https://g.example.org"},
            False,
            OK,
            "over HTTPS of the collection of nersc402",
        ),
        (Role.OPERATOR, [], {}, False, WARNING, "HeaderNotRead"),
        (Role.OPERATOR, [], {}, True, NOT_CHECKED, "could not be asked"),
        (Role.PERSON, [], {}, False, NOT_CHECKED, "neither nersc402 nor data402 is mounted here"),
    ],
)
def test_without_a_place_to_read_from_datasets_have_no_metadata(
    role: Role, mounted: list[str], served: dict[str, str], unknown: bool, severity: Severity, message: str
) -> None:
    told([header.judge(beamline(), role, mounted, served, unknown=unknown)], severity, message)


# Globus

COLLECTION = Endpoint(name="nersc402", root_path="/cfs", uuid="5d3a2c1e-0000-4000-8000-000000000002")
UID = "5b0d1c1e-0000-4000-8000-00000000000a"
IDENTITY = "6e5c@clients.auth.globus.org"


def collection_judged(**fields: Any) -> list[Finding]:
    known: dict[str, Any] = {
        "name": "cfs",
        "kind": "GCSv5_guest_collection",
        "root_listed": True,
        "prepared": True,
        "renamed": True,
    }
    return globus_collection.judge(COLLECTION, IDENTITY, CollectionSeen(**(known | fields)))


def test_a_collection_that_lets_us_is_described() -> None:
    findings = collection_judged()
    told(findings, OK, "collection 'cfs', GCSv5_guest_collection: /cfs is prepared")
    told(findings, OK, "renamed it")
    assert len(collection_judged(renamed=None)) == 1


@pytest.mark.parametrize(
    ("fields", "severity", "message", "remedy"),
    [
        ({"pauses": ("maintenance",)}, PROBLEM, "maintenance", "administrator"),
        ({"root_listed": False}, PROBLEM, "no folder /cfs", "nersc402.globus_path"),
        ({"prepared": False}, PROBLEM, "no folder .dichroism", f"globus mkdir '{COLLECTION.uuid}:/cfs/.dichroism'"),
        ({"renamed": False}, WARNING, "does not show the new name", "Run this again"),
        ({"trouble": Trouble(Reason.PERMISSION_DENIED, "403")}, PROBLEM, "403", f"Give {IDENTITY} permission"),
        (
            {"trouble": Trouble(Reason.CONSENT_REQUIRED, "403")},
            PROBLEM,
            "403",
            "guest collection, which needs no consent",
        ),
        ({"trouble": Trouble(Reason.CREDENTIALS_REFUSED, "401")}, PROBLEM, "401", "GLOBUS_CLIENT_SECRET"),
        ({"trouble": Trouble(Reason.ENDPOINT_UNAVAILABLE, "502")}, PROBLEM, "502", "is the uuid right"),
        ({"trouble": Trouble(Reason.RATE_LIMITED, "429")}, PROBLEM, "429", "in a minute"),
        ({"trouble": Trouble(Reason.DESTINATION_FULL, "q")}, PROBLEM, "q", "quota"),
        ({"trouble": Trouble(Reason.SERVICE_UNAVAILABLE, "x")}, PROBLEM, "x", "status.globus.org"),
    ],
)
def test_each_trouble_of_a_collection_is_named(
    fields: dict[str, Any], severity: Severity, message: str, remedy: str
) -> None:
    told(collection_judged(**fields), severity, message, remedy)


def task(label: str = f"dichroism {UID} bl402-a-b-000001 s-1", **fields: Any) -> globus.OurTask | None:
    wire = {"task_id": "t-1", "label": label, "status": "ACTIVE", "is_paused": False, "nice_status": "OK"}
    return globus.OurTask.parse(wire | fields)


def test_a_transfer_s_name_that_was_cut_in_its_task_s_label_is_known() -> None:
    ours = task(f"dichroism {UID} bl402-a~-000001 s-1")
    assert ours
    assert ours.stands_in({"bl402-averylongname-000001"})
    assert not ours.stands_in({"bl402-averylongname-000002"})


def test_a_task_with_another_label_is_not_ours() -> None:
    assert task("a person's copy") is None
    assert task("dichroism empties its trash") is None
    assert task() is not None


@pytest.mark.parametrize(
    ("fields", "known", "own_uid", "severity", "message"),
    [
        ({}, {"bl402-a-b-000001"}, UID, OK, "1 task is under way"),
        ({}, set(), UID, WARNING, "started for Transfer bl402-a-b-000001, which is not there"),
        ({}, set(), None, WARNING, "unless it is of another installation"),
        ({}, set(), UID[::-1], OK, "0 tasks are under way"),
        ({"is_paused": True}, {"bl402-a-b-000001"}, UID, PROBLEM, "is paused by an administrator"),
        ({"status": "INACTIVE"}, {"bl402-a-b-000001"}, UID, PROBLEM, "is INACTIVE"),
        ({"nice_status": "FILE_NOT_FOUND"}, {"bl402-a-b-000001"}, UID, WARNING, "meets FILE_NOT_FOUND"),
    ],
)
def test_a_task_that_nobody_waits_for_or_that_is_held_is_named(
    fields: dict[str, Any], known: set[str], own_uid: str | None, severity: Severity, message: str
) -> None:
    ours = task(**fields)
    assert ours
    told(globus.judge_tasks([ours], known, own_uid), severity, message)
