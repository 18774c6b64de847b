"""The hop to tape when something goes wrong at NERSC: whatever dies, each file is in exactly one verified bundle."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.movers.base import CopyState, CopyToVerify, Item, Task, TaskState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.sfapi.connection import Connection
from dichroism_operator.movers.sfapi.mover import SfapiMover
from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.sfapi_hop import SfapiHop, new_hop
from tests.unit.mover_contract import BUNDLE, MANIFEST, MOMENT, reasons, settled, sha256

pytestmark = pytest.mark.fault

KILL_POINTS = ["claimed", "packing", "packed", "put", "stored", "manifest-kept", "done", "told"]


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture
def service(shared_service: SfapiEmulator) -> Iterator[SfapiEmulator]:
    yield shared_service
    shared_service.clear_faults()


@pytest.fixture
def hop(service: SfapiEmulator, tmp_path: Path) -> Iterator[SfapiHop]:
    hop = new_hop(service, tmp_path)
    with hop.sfapi:
        yield hop


@pytest.fixture
def another(hop: SfapiHop) -> Iterator[Callable[[], SfapiHop]]:
    """The same hop as another process of ours sees it, which remembers nothing."""
    with ExitStack() as stack:

        def make() -> SfapiHop:
            settings = hop.service.settings()
            connection = Connection(settings, hop.service.environment())
            mover = SfapiMover(settings, {hop.destination.name: hop.source}, connection, first_poll_s=0.05)
            return replace(hop, mover=stack.enter_context(mover))

        yield make


def task_of(hop: SfapiHop, count: int = 3) -> Task:
    items = [hop.put(f"2026/{number} scan.txt", b"%d" % number * 1000) for number in range(count)]
    return hop.task(*items, bundle=BUNDLE)


def require_one_bundle(hop: SfapiHop, task: Task) -> None:
    """The one outcome that is right."""
    assert sorted(hop.members_on_tape()) == sorted(item.path for item in task.items)
    assert (hop.source_root / MANIFEST).exists()


def verified(hop: SfapiHop, task: Task, *, resumed: bool = True) -> None:
    progress = hop.again(task) if resumed else settled(hop.mover, task.submission_id)
    assert set(reasons(progress).values()) <= {Reason.COPIED, Reason.ALREADY_THERE}
    require_one_bundle(hop, task)


# the job dies


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_job_killed_at_any_point_is_started_again_and_leaves_one_bundle(
    hop: SfapiHop, service: SfapiEmulator, point: str
) -> None:
    task = task_of(hop)
    service.fault("end-job", point=point, state="NODE_FAIL")
    hop.mover.start(task)
    ended = settled(hop.mover, task.submission_id)
    assert service.waiting_faults() == []
    if point != "told":
        assert (ended.state, ended.reason, ended.over) == (TaskState.FAILED, Reason.SERVICE_UNAVAILABLE, False)
        hop.mover.forget(task.submission_id)
    verified(hop, task)


def test_a_job_that_dies_during_the_put_leaves_half_a_file_that_has_no_bundle_name(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    task = task_of(hop)
    service.fault("hsi-dies", command="^put")
    hop.mover.start(task)
    assert settled(hop.mover, task.submission_id).reason == Reason.SERVICE_UNAVAILABLE
    assert all(name.endswith(".part") for name in hop.on_tape())
    hop.mover.forget(task.submission_id)
    verified(hop, task)
    assert len(hop.on_tape()) == 2, "what is left is never deleted by itself"


def test_jobs_that_die_without_a_word_three_times_put_their_files_under_suspicion(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    task = task_of(hop)
    for _ in range(2):
        service.fault("end-job", point="packing", state="FAILED")
        assert hop.again(task).reason == Reason.SERVICE_UNAVAILABLE
        hop.mover.forget(task.submission_id)
    service.fault("end-job", point="packing", state="FAILED")
    ended = hop.again(task)
    assert (ended.state, ended.reason) == (TaskState.FAILED, None)


def test_a_bundle_that_was_stored_by_the_job_that_died_is_not_stored_twice(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    task = task_of(hop)
    service.fault("end-job", point="stored")
    hop.mover.start(task)
    settled(hop.mover, task.submission_id)
    hop.mover.forget(task.submission_id)
    before = len([line for line in service.hsi_calls() if line.startswith("put")])
    assert set(reasons(hop.again(task)).values()) == {Reason.ALREADY_THERE}
    assert len([line for line in service.hsi_calls() if line.startswith("put")]) == before


# the API


def test_a_submission_that_is_taken_twice_makes_one_bundle(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.fault("twice")
    before = len(service.jobs())
    hop.mover.start(task)
    verified(hop, task, resumed=False)
    service.wait_for_jobs()
    assert len(service.jobs()) == before + 2
    require_one_bundle(hop, task)
    assert hop.on_tape() == [BUNDLE.rpartition("/")[2]]


def test_a_job_whose_submission_was_not_answered_is_found_by_its_name(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.fault("drop-after", path="POST .*/compute/jobs")
    before = len(service.jobs())
    with pytest.raises(MoverUnavailable) as outage:
        hop.mover.start(task)
    assert outage.value.reason == Reason.SERVICE_UNAVAILABLE
    verified(hop, task)
    assert len(service.jobs()) == before + 1


@pytest.mark.parametrize(
    ("request_path", "action"),
    [
        ("PUT .*/upload", "drop-after"),
        ("PUT .*/upload", "status"),
        ("POST .*/command", "drop-before"),
        ("GET .*/ls", "status"),
        ("GET .*/tasks", "drop-after"),
    ],
)
def test_a_request_that_fails_anywhere_only_delays(
    hop: SfapiHop, service: SfapiEmulator, request_path: str, action: str
) -> None:
    task = task_of(hop, 1)
    service.fault(action, path=request_path, status=503, times=2)  # type: ignore[arg-type]
    with pytest.raises(MoverUnavailable):
        hop.mover.start(task)
    service.clear_faults()
    verified(hop, task)


def test_while_the_api_is_down_the_jobs_go_on(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    hop.mover.start(task)
    service.kill()
    service.wait_for_jobs()
    with pytest.raises(MoverUnavailable) as outage:
        settled(hop.mover, task.submission_id)
    assert outage.value.reason == Reason.SERVICE_UNAVAILABLE
    service.start()
    verified(hop, task, resumed=False)


def test_an_operator_that_starts_anew_finds_its_job_and_its_result(
    hop: SfapiHop, service: SfapiEmulator, another: Callable[[], SfapiHop]
) -> None:
    task = task_of(hop)
    before = len(service.jobs())
    hop.mover.start(task)
    for _ in range(2):  # once while the job may run, once when it has ended
        verified(another(), task)
    assert len(service.jobs()) == before + 1


def test_two_operators_make_one_bundle(hop: SfapiHop, service: SfapiEmulator, another: Callable[[], SfapiHop]) -> None:
    task = task_of(hop)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.mover.start(task), [hop, another()]))
    verified(hop, task)
    service.wait_for_jobs()
    require_one_bundle(hop, task)


# logins


def test_an_expired_client_pauses_and_a_new_one_goes_on_without_a_restart(
    service: SfapiEmulator, tmp_path: Path
) -> None:
    environment = dict(service.environment())
    hop = new_hop(service, tmp_path, environment)
    with hop.sfapi:
        task = task_of(hop)
        hop.mover.start(task)
        service.expire_client()
        with pytest.raises(MoverUnavailable, match="new client") as outage:
            settled(hop.mover, task.submission_id)
        assert outage.value.reason == Reason.CREDENTIALS_REFUSED
        assert service.secret[:40] not in str(outage.value)
        service.new_client()
        environment.update(service.environment())
        verified(hop, task, resumed=False)


def test_an_expired_token_is_renewed_without_a_word(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    hop.mover.start(task)
    service.expire_tokens()
    verified(hop, task, resumed=False)


def test_missing_and_malformed_credentials_say_what_to_set(service: SfapiEmulator, tmp_path: Path) -> None:
    for number, environment in enumerate([{}, service.environment() | {"SFAPI_CLIENT_SECRET": "no key"}]):
        hop = new_hop(service, tmp_path / str(number), environment)
        with pytest.raises(MoverUnavailable, match="SFAPI_CLIENT") as outage:
            hop.mover.start(task_of(hop))
        assert outage.value.reason == Reason.CREDENTIALS_REFUSED


# the queue and the archive


def test_a_job_that_waits_in_the_queue_is_active_and_says_so(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.hold(True)
    hop.mover.start(task)
    progress = hop.mover.poll([task.submission_id])[task.submission_id]
    while not progress.message:
        progress = hop.mover.poll([task.submission_id])[task.submission_id]
    assert (progress.state, progress.reason) == (TaskState.ACTIVE, None)
    assert "PENDING (Priority)" in progress.message
    assert hop.mover.running_labels("dichroism test ") == {task.label}
    service.hold(False)
    verified(hop, task, resumed=False)


@pytest.mark.parametrize(
    ("state", "reason", "over"),
    [
        ("TIMEOUT", Reason.TASK_EXPIRED, True),
        ("CANCELLED by 1001", Reason.TASK_CANCELED, True),
        ("NODE_FAIL", Reason.SERVICE_UNAVAILABLE, False),
        ("PREEMPTED", Reason.SERVICE_UNAVAILABLE, False),
        ("OUT_OF_MEMORY", None, False),
    ],
)
def test_the_end_of_a_job_without_a_result_is_told_for_what_it_is(
    hop: SfapiHop, service: SfapiEmulator, state: str, reason: Reason | None, over: bool
) -> None:
    service.fault("end-job", state=state)
    progress = hop.run(hop.put("a.txt", b"a"), bundle=BUNDLE)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, reason, over)
    assert state.split()[0] in progress.message
    assert hop.on_tape() == []


def test_a_cancelled_task_ends(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.hold(True)
    hop.mover.start(task)
    hop.mover.cancel(task.submission_id)
    assert settled(hop.mover, task.submission_id).reason == Reason.TASK_CANCELED


def test_maintenance_of_the_archive_is_nobody_s_fault_and_passes(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.tape_down(True)
    hop.mover.start(task)
    ended = settled(hop.mover, task.submission_id)
    assert (ended.reason, ended.over) == (Reason.ENDPOINT_UNAVAILABLE, False)
    assert "maintenance" in ended.message
    service.tape_down(False)
    hop.mover.forget(task.submission_id)
    verified(hop, task)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*** put: HPSS_EDQUOT: quota exceeded", Reason.DESTINATION_FULL),
        ("*** put: HPSS_EACCES: permission denied", Reason.PERMISSION_DENIED),
        ("*** put: connection reset", Reason.ENDPOINT_UNAVAILABLE),
    ],
)
def test_what_hsi_says_is_told(hop: SfapiHop, service: SfapiEmulator, text: str, reason: Reason) -> None:
    service.fault("hsi-fails", command="^put", text=text)
    progress = hop.run(hop.put("a.txt", b"a"), bundle=BUNDLE)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, reason, False)
    assert text.split(": ")[1] in progress.message


def test_a_bundle_for_which_there_is_no_room_is_not_begun(hop: SfapiHop) -> None:
    """Members that nobody could pack on this machine: nothing of them is read."""
    progress = hop.run(*[Item(f"{number}.txt", 60 * 10**9, MOMENT) for number in range(3000)], bundle=BUNDLE)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.DESTINATION_FULL, False)
    assert "180000000000000 bytes" in progress.message


def test_a_copy_that_was_stored_wrongly_is_stored_again(hop: SfapiHop, service: SfapiEmulator) -> None:
    task = task_of(hop)
    service.fault("hsi-wrong-hash")
    hop.mover.start(task)
    verified(hop, task, resumed=False)


def test_a_copy_that_is_always_stored_wrongly_never_gets_its_name(hop: SfapiHop, service: SfapiEmulator) -> None:
    service.fault("hsi-wrong-hash", times=2)
    progress = hop.run(hop.put("a.txt", b"a"), bundle=BUNDLE)
    assert (progress.state, progress.reason) == (TaskState.FAILED, Reason.ENDPOINT_UNAVAILABLE)
    assert all(name.endswith(".part") for name in hop.on_tape())


# what is believed


def test_a_result_of_another_submission_is_not_believed(hop: SfapiHop) -> None:
    task = task_of(hop)
    work = hop.work(task.submission_id)
    work.mkdir(parents=True)
    members = [[item.path, item.size, 0, "0" * 64] for item in task.items]
    strange = {"submission": "another", "kind": "pack", "bundle": BUNDLE, "sha256": "0" * 64, "size": 1}
    (work / "result.json").write_text(json.dumps({**strange, "members": members, "left_out": []}))
    assert hop.mover.start(task) is not None
    assert settled(hop.mover, task.submission_id).state == TaskState.FAILED
    assert hop.members_on_tape() == []


def test_a_result_that_does_not_fit_the_items_is_not_believed(hop: SfapiHop) -> None:
    task = task_of(hop, 2)
    work = hop.work(task.submission_id)
    work.mkdir(parents=True)
    strange = {"submission": task.submission_id, "kind": "pack", "bundle": BUNDLE, "sha256": "0" * 64, "size": 1}
    members = [[task.items[0].path, 7, 0, "0" * 64]]
    (work / "result.json").write_text(json.dumps({**strange, "members": members, "left_out": []}))
    hop.mover.start(task)
    assert set(reasons(settled(hop.mover, task.submission_id)).values()) == {Reason.RESULTS_LOST}


# proofs


def copies_of(task: Task, *, read_back: bool = False) -> list[CopyToVerify]:
    return [
        CopyToVerify(item.path, item.size, sha256(b"%d" % number * 1000), bundle=BUNDLE, read_back=read_back)
        for number, item in enumerate(task.items)
    ]


def test_a_rotten_tape_is_seen_when_it_is_read_back_and_not_by_its_stored_checksum(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    task = task_of(hop)
    service.fault("hsi-corrupts")
    hop.mover.start(task)
    verified_by_checksum = settled(hop.mover, task.submission_id)
    assert verified_by_checksum.state == TaskState.DONE
    assert set(hop.proven(copies_of(task)).values()) == {CopyState.VERIFIED}
    assert set(hop.proven(copies_of(task, read_back=True)).values()) == {CopyState.DIFFERS}


def test_a_proof_is_asked_for_once_shared_and_made_anew_after_a_day(
    hop: SfapiHop, service: SfapiEmulator, another: Callable[[], SfapiHop]
) -> None:
    task = task_of(hop)
    hop.mover.start(task)
    verified(hop, task, resumed=False)
    service.hold(True)
    before = len(service.jobs())
    for _ in range(3):
        assert set(hop.mover.verify(hop.destination, copies_of(task)).values()) == {CopyState.UNKNOWN}
    other = another()
    assert set(other.mover.verify(hop.destination, copies_of(task)).values()) == {CopyState.UNKNOWN}
    assert len(service.jobs()) == before + 1
    service.hold(False)
    assert set(other.proven(copies_of(task)).values()) == {CopyState.VERIFIED}
    for document in (hop.source_root / ".dichroism/verify").iterdir():
        old = json.loads(document.read_text())
        document.write_text(json.dumps(old | {"at": (now() - timedelta(hours=25)).isoformat()}))
    third = another()
    assert set(third.mover.verify(hop.destination, copies_of(task)).values()) == {CopyState.UNKNOWN}
    assert set(third.proven(copies_of(task)).values()) == {CopyState.VERIFIED}


def test_a_bundle_is_proven_from_the_tape_alone_when_its_manifest_is_lost(hop: SfapiHop) -> None:
    task = task_of(hop)
    hop.mover.start(task)
    verified(hop, task, resumed=False)
    for file in (hop.source_root / ".dichroism/manifests").iterdir():
        file.unlink()
    assert set(hop.proven(copies_of(task)).values()) == {CopyState.VERIFIED}
    wrong = [replace(copy, sha256="0" * 64) for copy in copies_of(task)]
    assert set(hop.proven(wrong).values()) == {CopyState.DIFFERS}


def test_files_at_the_site_are_read_by_a_job_whatever_their_size(hop: SfapiHop) -> None:
    for name, content in {"good": b"good", "rotten": b"bad!", "short": b"g"}.items():
        hop.put(name, content)
    names = ["good", "rotten", "short", "gone"]
    copies = {name: CopyToVerify(name, 4, sha256(b"good")) for name in names}
    states = hop.proven(list(copies.values()), hop.source)
    assert {name: states[copy] for name, copy in copies.items()} == {
        "good": CopyState.VERIFIED,
        "rotten": CopyState.DIFFERS,
        "short": CopyState.DIFFERS,
        "gone": CopyState.MISSING,
    }


def test_a_job_that_makes_a_proof_may_die(
    hop: SfapiHop, service: SfapiEmulator, another: Callable[[], SfapiHop]
) -> None:
    task = task_of(hop)
    hop.mover.start(task)
    verified(hop, task, resumed=False)
    service.tape_down(True)
    assert set(hop.mover.verify(hop.destination, copies_of(task)).values()) == {CopyState.UNKNOWN}
    service.wait_for_jobs()
    service.tape_down(False)
    assert set(another().proven(copies_of(task)).values()) == {CopyState.VERIFIED}


def test_nothing_on_tape_is_renamed_or_deleted(hop: SfapiHop) -> None:
    with pytest.raises(ValueError, match="ever renamed"):
        hop.mover.rename(hop.destination, "a", ".dichroism/trash/a")
    with pytest.raises(ValueError, match="ever deleted"):
        hop.mover.delete_private(hop.destination, [".dichroism/trash/a"])


def test_files_at_the_site_can_be_looked_at(hop: SfapiHop) -> None:
    item: Item = hop.put("a 'b'; rm.txt", b"1234")
    found = hop.mover.stat(hop.source, [item.path, "gone.txt"])
    standing = found[item.path]
    assert standing is not None
    assert standing.size == 4
    assert found["gone.txt"] is None


def test_a_rehearsal_says_whether_a_bundle_would_get_through_and_starts_no_job(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    before = len(service.jobs())
    assert hop.sfapi.rehearse(hop.source, hop.destination).startswith("logged in as alsdev, 0 bundles on hpss402")
    service.store(f"{hop.destination.root_path}/{BUNDLE}", b"bundle")
    assert "1 bundles" in hop.sfapi.rehearse(hop.source, hop.destination)
    service.tape_down(True)
    with pytest.raises(MoverUnavailable, match="maintenance"):
        hop.sfapi.rehearse(hop.source, hop.destination)
    service.tape_down(False)
    shutil.rmtree(hop.source_root / ".dichroism")
    with pytest.raises(MoverUnavailable, match="no folder"):
        hop.sfapi.rehearse(hop.source, hop.destination)
    assert len(service.jobs()) == before
