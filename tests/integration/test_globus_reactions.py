"""What the Globus mover does about each kind of trouble, with the unmodified SDK against the emulated service.

One test for each row of the table in docs/how-to/globus.md.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.movers.base import Item, TaskState
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable, TaskRefused
from dichroism_operator.movers.globus.connection import GlobusConnection
from dichroism_operator.movers.globus.mover import GlobusMover
from tests.emulators.globus.faults import Action
from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.globus.settings import MAPPED
from tests.integration.globus_hop import GlobusHop, globus_service, new_hop, restored
from tests.unit.mover_contract import MOMENT, put, reasons, settled, sha256


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with globus_service(tmp_path_factory.mktemp("globus")) as started:
        yield started


@pytest.fixture
def hop(service: GlobusEmulator) -> Iterator[GlobusHop]:
    hop = new_hop(service)
    with restored(service), hop.globus:
        yield hop


def some(hop: GlobusHop, count: int = 5) -> list[Item]:
    return [hop.put(f"day/scan{number}.txt", b"%d" % number * 1000) for number in range(count)]


def outage_of(mover: GlobusMover, hop: GlobusHop, *items: Item) -> MoverUnavailable:
    with pytest.raises(MoverUnavailable) as caught:
        mover.start(hop.task(*items, submission_id="never-given-out"))
    return caught.value


# asking and not being answered


@pytest.mark.parametrize("action", [Action.DROP_AFTER, Action.TRUNCATED, Action.HTML, Action.DROP_BEFORE])
def test_a_lost_answer_to_a_submission_makes_no_second_task(hop: GlobusHop, action: Action) -> None:
    items = some(hop)
    task = hop.task(*items)
    # More often than the SDK repeats the request by itself.
    hop.service.fault(action, method="POST", path="/transfer$", times=3)
    with pytest.raises(MoverUnavailable) as caught:
        hop.mover.start(task)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    hop.service.clear_faults()
    hop.mover.start(replace(task, resumed=True))
    hop.verified(settled(hop.mover, task.submission_id), *items)
    assert len(hop.tasks()) == 1


def test_another_process_finds_the_task_whose_answer_was_lost(hop: GlobusHop) -> None:
    items = some(hop)
    task = hop.task(*items)
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=500)
    hop.service.fault(Action.DROP_AFTER, method="POST", path="/transfer$", times=3)
    with pytest.raises(MoverUnavailable):
        hop.mover.start(task)
    while not hop.at_destination(items[0].path).exists():
        time.sleep(0.01)
    other = hop.fresh()
    with other.globus:
        other.mover.start(replace(task, resumed=True))
        hop.verified(settled(other.mover, task.submission_id), *items)
    assert len(hop.tasks()) == 1
    assert hop.superseded() == []


def test_a_restart_of_the_service_changes_nothing(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=2000)
    task = hop.started(*items)
    hop.service.restart()
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=None)
    hop.verified(hop.until(task, lambda progress: progress.state is TaskState.DONE), *items)
    assert len(hop.tasks()) == 1


def test_an_outage_of_the_service_is_nobodys_fault_and_passes(hop: GlobusHop) -> None:
    items = some(hop)
    task = hop.started(*items)
    hop.service.fault(Action.STATUS, status=503, path="/task_list", times=None)
    with pytest.raises(MoverUnavailable) as caught:
        hop.until(task, lambda progress: progress.state is not TaskState.ACTIVE)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    hop.service.clear_faults()
    hop.verified(hop.until(task, lambda progress: progress.state is TaskState.DONE), *items)


def test_the_service_asks_for_patience(hop: GlobusHop) -> None:
    hop.service.fault(
        Action.STATUS,
        status=429,
        code="RateLimitExceeded",
        headers={"Retry-After": "1"},
        path="/submission_id",
        times=1,
    )
    assert hop.mover.new_submission_id()
    hop.service.fault(Action.STATUS, status=429, code="RateLimitExceeded", path="/submission_id", times=3)
    with pytest.raises(MoverUnavailable) as caught:
        hop.mover.new_submission_id()
    assert caught.value.reason is Reason.RATE_LIMITED


def test_too_many_pending_tasks_are_waited_for_with_the_same_submission_id(hop: GlobusHop) -> None:
    items = some(hop)
    task = hop.task(*items)
    code = "ClientError.Conflict.TooManyPendingJobs"
    hop.service.fault(Action.STATUS, status=409, code=code, method="POST", path="/transfer$", times=1)
    with pytest.raises(MoverUnavailable) as caught:
        hop.mover.start(task)
    assert caught.value.reason is Reason.RATE_LIMITED
    hop.mover.start(replace(task, resumed=True))
    hop.verified(settled(hop.mover, task.submission_id), *items)


# who we are and what we may


def test_a_refused_login_is_tried_again_with_what_the_file_says_then(
    hop: GlobusHop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = hop.service.client
    secret = tmp_path / "secret"
    secret.write_text("an old one\n")
    environment = {"GLOBUS_CLIENT_ID": client.client_id, "GLOBUS_CLIENT_SECRET_FILE": str(secret)}
    with GlobusMover(GlobusConnection(environment, per_second=1000)) as mover:
        with pytest.raises(MoverUnavailable) as caught:
            mover.new_submission_id()
        assert caught.value.reason is Reason.CREDENTIALS_REFUSED
        assert "an old one" not in str(caught.value)
        secret.write_text(f"{client.client_secret}\n")
        assert mover.new_submission_id()


def test_missing_credentials_are_named() -> None:
    with GlobusMover(GlobusConnection({})) as mover, pytest.raises(MoverUnavailable, match="set GLOBUS_CLIENT_ID or"):
        mover.new_submission_id()


def test_a_token_that_expired_is_replaced_unseen(hop: GlobusHop) -> None:
    items = some(hop)
    task = hop.started(*items)
    hop.service.expire_tokens()
    hop.verified(settled(hop.mover, task.submission_id), *items)
    hop.service.expire_tokens()
    hop.mover.rename(hop.source, "day/scan0.txt", ".dichroism/trash/p/x")
    assert (hop.source_root / ".dichroism/trash/p/x").exists()


def test_a_missing_consent_and_a_missing_permission_are_told_apart(hop: GlobusHop) -> None:
    (item,) = some(hop, 1)
    hop.service.set_collection(str(hop.destination.uuid), requires_consent=True, entity_type=MAPPED)
    assert outage_of(hop.globus, hop, item).reason is Reason.CONSENT_REQUIRED
    hop.service.set_collection(str(hop.destination.uuid), requires_consent=False, permissions={})
    assert outage_of(hop.globus, hop, item).reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("change", [{"read_only": True}, {"permissions": "r"}], ids=["read_only", "no_right"])
def test_a_destination_that_may_not_be_written_blames_no_file(hop: GlobusHop, change: dict[str, object]) -> None:
    if "permissions" in change:
        change = {"permissions": {hop.service.client.client_id: "r"}}
    hop.service.set_collection(str(hop.destination.uuid), **change)
    progress = settled(hop.mover, hop.started(*some(hop)).submission_id)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.PERMISSION_DENIED, True)
    assert progress.results == ()


# endpoints


def test_a_collection_that_is_down_blames_no_file(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.source.uuid), down=True)
    assert outage_of(hop.globus, hop, *items).reason is Reason.ENDPOINT_UNAVAILABLE


def test_a_collection_that_goes_down_meanwhile_is_left_to_globus(hop: GlobusHop) -> None:
    items = some(hop)
    task = hop.task(*items)
    hop.service.fault(Action.ERROR, code="CONNECT_FAILED", side="destination", times=20)
    hop.mover.start(task)
    held = hop.until(task, lambda progress: progress.reason)
    assert (held.state, held.reason) == (TaskState.ACTIVE, Reason.ENDPOINT_UNAVAILABLE)
    hop.verified(hop.until(task, lambda progress: progress.state is TaskState.DONE), *items)


def test_a_wrong_uuid_is_named(hop: GlobusHop) -> None:
    strange = replace(
        hop, destination=hop.destination.model_copy(update={"uuid": "5d3a2c1e-0000-4000-8000-000000000008"})
    )
    outage = outage_of(hop.globus, strange, *some(hop))
    assert (outage.reason, "uuid" in str(outage)) == (Reason.ENDPOINT_UNAVAILABLE, True)


def test_storage_that_was_never_prepared_is_not_written(hop: GlobusHop) -> None:
    (hop.destination_root / ".dichroism").rename(hop.destination_root / "elsewhere")
    outage = outage_of(hop.globus, hop, *some(hop))
    assert (outage.reason, "globus mkdir" in str(outage)) == (Reason.ENDPOINT_UNAVAILABLE, True)


def test_storage_that_went_away_reads_as_no_deleted_file(hop: GlobusHop) -> None:
    item = hop.put("a.txt", b"a")
    assert hop.mover.stat(hop.source, ["a.txt", "none.txt"])["a.txt"] is not None
    hop.source_root.rename(hop.source_root.with_name("unmounted"))
    hop.source_root.mkdir()
    with pytest.raises(MoverUnavailable):
        hop.mover.stat(hop.source, [item.path])
    with pytest.raises(MoverUnavailable):
        hop.mover.list_private(hop.source, ".dichroism/trash")


def test_a_paused_collection_holds_the_task_and_lets_it_go(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.destination.uuid), paused="new disks until Friday")
    task = hop.started(*items)
    held = hop.until(task, lambda progress: progress.reason)
    assert (held.state, held.reason) == (TaskState.ACTIVE, Reason.ENDPOINT_PAUSED)
    assert "new disks until Friday" in held.message
    hop.service.set_collection(str(hop.destination.uuid), paused=None)
    hop.verified(hop.until(task, lambda progress: progress.state is TaskState.DONE), *items)


def test_a_full_destination_blames_no_file(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.destination.uuid), quota_bytes=1)
    progress = settled(hop.mover, hop.started(*items).submission_id)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.DESTINATION_FULL, True)
    hop.service.set_collection(str(hop.destination.uuid), quota_bytes=None)
    hop.verified(hop.run(*items), *items)


def test_an_inactive_task_is_replaced_when_the_collections_let_us_in(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=10)
    task = hop.started(*items)
    hop.service.deactivate(hop.task_of(task)["task_id"])
    hop.service.set_collection(str(hop.destination.uuid), permissions={})
    held = hop.until(task, lambda progress: progress.reason is Reason.PERMISSION_DENIED)
    assert held.state is TaskState.ACTIVE
    hop.service.set_collection(str(hop.destination.uuid), permissions=None, bytes_per_second=None)
    progress = hop.until(task, lambda progress: progress.state is not TaskState.ACTIVE)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.CREDENTIALS_REFUSED, True)
    items = [replace(item, own_partial=True) for item in items]
    hop.verified(hop.run(*items), *items)


# the end of a task that is nobody's fault


@pytest.mark.parametrize(
    ("end", "reason"),
    [("expire", Reason.TASK_EXPIRED), ("cancel_by_admin", Reason.TASK_CANCELED), ("cancel", Reason.TASK_CANCELED)],
)
def test_what_was_finished_before_the_end_counts_and_the_rest_goes_again(
    hop: GlobusHop, end: str, reason: Reason
) -> None:
    items = some(hop, 6)
    hop.service.fault(Action.ERROR, code="TIMEOUT", path="scan[45]", times=None)
    task = hop.started(*items)
    hop.until(task, lambda progress: progress.files == 4)
    if end == "cancel":
        hop.mover.cancel(task.submission_id)
    else:
        getattr(hop.service, end)(hop.task_of(task)["task_id"])
    progress = hop.until(task, lambda progress: progress.state is not TaskState.ACTIVE)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, reason, True)
    hop.verified(progress, *items[:4])
    assert len(progress.results) == 4
    hop.service.clear_faults()
    hop.verified(hop.run(*items[4:]), *items[4:])


@pytest.mark.parametrize("whole", [False, True], ids=["history", "task"])
def test_a_task_that_was_purged_before_it_was_read_is_done_again_without_sending(hop: GlobusHop, whole: bool) -> None:
    items = some(hop)
    task = hop.started(*items)
    hop.until(task, lambda _: hop.task_of(task)["status"] == "SUCCEEDED")
    other = hop.fresh()
    hop.service.purge(hop.task_of(task)["task_id"], whole=whole)
    with other.globus:
        other.mover.start(replace(task, resumed=True))
        progress = other.until(task, lambda progress: progress.state is not TaskState.ACTIVE)
        assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.RESULTS_LOST, True)
        assert progress.results == ()
        again = other.run(*items)
        assert set(reasons(again).values()) == {Reason.ALREADY_THERE}
        hop.verified(again, *items)


def test_of_what_a_purged_history_does_not_tell_the_source_may_still_tell(hop: GlobusHop) -> None:
    """The history goes between the task's end, which another operator read, and its files, for which it asks."""
    items = some(hop, 3)
    hop.service.fault(Action.ERROR, code="FILE_NOT_FOUND", path="scan2", times=None)
    task = hop.started(*items)
    (hop.source_root / "day/scan2.txt").unlink()
    hop.until(task, lambda _: hop.task_of(task)["status"] == "SUCCEEDED")
    hop.service.fault(Action.DELAY, path="successful_transfers", seconds=3)
    faults = len(hop.service.faults())

    def purge() -> None:
        while len(hop.service.faults()) == faults:  # the delayed request has not come yet
            time.sleep(0.05)
        hop.service.purge(hop.task_of(task)["task_id"])

    other, purging = hop.fresh(), threading.Thread(target=purge)
    purging.start()
    with other.globus:
        other.mover.start(replace(task, resumed=True))
        found = reasons(other.until(task, lambda progress: progress.state is TaskState.DONE))
    purging.join()
    assert found.pop("day/scan2.txt") is Reason.SOURCE_MISSING
    assert set(found.values()) == {Reason.RESULTS_LOST}


# files


def test_a_source_that_vanishes_is_skipped_and_told(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.fault(Action.ERROR, code="FILE_NOT_FOUND", path="scan2", times=None)
    progress = hop.run(*items)
    found = reasons(progress)
    assert found.pop("day/scan2.txt") is Reason.SOURCE_MISSING
    assert set(found.values()) == {Reason.COPIED}


def test_a_source_that_vanishes_while_its_task_runs_is_not_verified(hop: GlobusHop) -> None:
    items = some(hop, 3)
    hop.service.fault(Action.ERROR, code="TIMEOUT", path="scan2", times=None)
    task = hop.started(*items)
    hop.until(task, lambda progress: progress.files == 2)
    (hop.source_root / "day/scan1.txt").unlink()
    hop.service.clear_faults()
    found = reasons(hop.until(task, lambda progress: progress.state is TaskState.DONE))
    assert found.pop("day/scan1.txt") is Reason.SOURCE_MISSING
    assert set(found.values()) == {Reason.COPIED}


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Action.REPLACE_SOURCE, Reason.SOURCE_CHANGED),
        (Action.LOSE_COPY, Reason.COPY_MISSING),
    ],
)
def test_what_happens_after_the_copy_is_seen(hop: GlobusHop, action: Action, reason: Reason) -> None:
    items = some(hop)
    hop.service.fault(action, path="scan3")
    found = reasons(hop.run(*items))
    assert found.pop("day/scan3.txt") is reason
    assert set(found.values()) == {Reason.COPIED}


def test_a_source_that_grows_meanwhile_is_changed(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.fault(Action.GROW, path="scan3")
    found = reasons(hop.run(*items))
    assert found.pop("day/scan3.txt") is Reason.SOURCE_CHANGED
    assert set(found.values()) == {Reason.COPIED}


@pytest.mark.parametrize("action", [Action.CORRUPT_WRITE, Action.SHORT_WRITE])
def test_a_copy_that_went_wrong_is_sent_again_by_globus(hop: GlobusHop, action: Action) -> None:
    items = some(hop)
    hop.service.fault(action, path="scan3", code="CONNECTION_RESET")
    progress = hop.run(*items)
    hop.verified(progress, *items)


def test_a_file_that_holds_up_its_task_is_found_by_halving(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.fault(Action.ERROR, code="PERMISSION_DENIED", side="destination", path="scan3", times=None)
    progress = hop.run(*items)
    assert (progress.state, progress.reason) == (TaskState.FAILED, None)
    hop.verified(progress, *(item for item in items if "scan3" not in item.path))
    assert len(progress.results) == 4
    alone = hop.run(items[3])
    assert reasons(alone) == {"day/scan3.txt": Reason.PERMISSION_DENIED}


def test_a_file_with_another_checksum_of_record_is_found_by_halving(hop: GlobusHop) -> None:
    items = some(hop, 3)
    items[1] = replace(items[1], sha256=sha256(b"something else"))
    progress = hop.run(*items)
    assert (progress.state, progress.reason) == (TaskState.FAILED, None)
    assert "day/scan1.txt" not in {result.path for result in progress.results}
    assert reasons(hop.run(items[1])) == {"day/scan1.txt": Reason.CHECKSUM_MISMATCH}


def test_a_body_that_the_service_refuses_is_our_fault_and_no_outage(hop: GlobusHop) -> None:
    code = "ClientError.BadRequest"
    hop.service.fault(Action.STATUS, status=400, code=code, message="what is this", method="POST", path="/transfer$")
    task = hop.task(*some(hop))
    with pytest.raises(TaskRefused, match="what is this"):
        hop.mover.start(task)
    assert hop.mover.poll([task.submission_id])[task.submission_id].state is TaskState.LOST


# submission ids


def test_a_submission_id_that_the_service_does_not_know_ends_the_transfer(hop: GlobusHop) -> None:
    task = hop.task(*some(hop), submission_id="5d3a2c1e-0000-4000-8000-000000000009")
    hop.mover.start(task)
    progress = settled(hop.mover, task.submission_id)
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, Reason.SUBMISSION_EXPIRED, True)
    assert hop.tasks() == []


def test_an_old_submission_id_is_looked_for_and_never_posted(hop: GlobusHop) -> None:
    items = some(hop)
    old = now() - timedelta(hours=13)
    forgotten = replace(hop.task(*items), created_at=old)
    hop.mover.start(forgotten)
    assert settled(hop.mover, forgotten.submission_id).reason is Reason.SUBMISSION_EXPIRED
    running = replace(hop.started(*items), created_at=old, resumed=True)
    other = hop.fresh()
    with other.globus:
        other.mover.start(running)
        hop.verified(settled(other.mover, running.submission_id), *items)
    assert len(hop.tasks()) == 1


def test_somebody_elses_task_with_the_same_files_is_waited_for(hop: GlobusHop) -> None:
    items = some(hop)
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=500)
    theirs = hop.started(*items)
    ours = hop.task(*(replace(item, own_partial=True) for item in items))
    with pytest.raises(MoverUnavailable) as caught:
        hop.mover.start(ours)
    assert caught.value.reason is Reason.CONFLICTING_TASK
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=None)
    settled(hop.mover, theirs.submission_id)
    hop.mover.start(replace(ours, resumed=True))
    hop.verified(settled(hop.mover, ours.submission_id), *items)


def test_running_tasks_are_known_by_their_labels(hop: GlobusHop) -> None:
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=500)
    task = hop.started(*some(hop))
    with hop.fresh().globus as another_process:
        assert another_process.running_labels(hop.label) == {task.label}
        assert another_process.running_labels("dichroism another-installation ") == frozenset()
    hop.service.set_collection(str(hop.destination.uuid), bytes_per_second=None)
    settled(hop.mover, task.submission_id)
    assert hop.globus.running_labels(hop.label) == frozenset()


# what stands at the destination


def test_our_own_partial_copy_is_replaced_and_not_kept(hop: GlobusHop) -> None:
    item = hop.put("day/a.txt", b"whole content")
    put(hop.destination_root, "day/a.txt", b"whole", MOMENT + timedelta(hours=1))
    hop.verified(hop.run(replace(item, own_partial=True)), item)
    assert hop.superseded() == []


def test_a_copy_of_the_right_size_with_wrong_bytes_is_not_trusted(hop: GlobusHop) -> None:
    item = hop.put("day/a.txt", b"right")
    put(hop.destination_root, "day/a.txt", b"wrong")
    hop.verified(hop.run(item), item)


def test_a_rename_whose_answer_is_lost_is_not_asked_for_again(hop: GlobusHop) -> None:
    hop.put("day/a.txt", b"precious")
    hop.service.fault(Action.DROP_AFTER, method="POST", path="/rename$")
    before = len(hop.service.calls())
    hop.mover.rename(hop.source, "day/a.txt", ".dichroism/trash/p/1")
    renames = [call for call in hop.service.calls()[before:] if call["path"].endswith("/rename")]
    assert len(renames) == 1
    assert (hop.source_root / ".dichroism/trash/p/1").read_bytes() == b"precious"


def test_a_rename_that_did_not_happen_is_told(hop: GlobusHop) -> None:
    hop.put("day/a.txt", b"precious")
    hop.service.fault(Action.DROP_BEFORE, method="POST", path="/rename$")
    with pytest.raises(MoverUnavailable):
        hop.mover.rename(hop.source, "day/a.txt", ".dichroism/trash/p/1")
    assert (hop.source_root / "day/a.txt").read_bytes() == b"precious"


def test_a_lost_answer_to_a_deletion_deletes_once(hop: GlobusHop) -> None:
    hop.put(".dichroism/trash/p/1", b"x")
    hop.service.fault(Action.DROP_AFTER, method="POST", path="/delete$")
    hop.mover.delete_private(hop.source, [".dichroism/trash/p/1"])
    assert not (hop.source_root / ".dichroism/trash/p/1").exists()


def test_a_trash_that_cannot_be_emptied_is_told(hop: GlobusHop) -> None:
    hop.put(".dichroism/trash/p/1", b"x")
    hop.service.fault(Action.ERROR, code="PERMISSION_DENIED", method="DELETE", times=None)
    hop.service.set_clock(rate=100_000)
    with pytest.raises(MoverUnavailable, match="still in the trash"):
        hop.mover.delete_private(hop.source, [".dichroism/trash/p/1"])
    assert (hop.source_root / ".dichroism/trash/p/1").exists()


# checksums


def test_without_a_sha256_from_globus_the_copy_is_read(hop: GlobusHop) -> None:
    item = hop.put("day/a.txt", b"same")
    put(hop.destination_root, "day/a.txt", b"same")
    by_https = hop.run(item)
    assert by_https.results[0].sha256 == sha256(b"same")
    mounted = replace(hop, destination=hop.destination.model_copy(update={"mount": hop.destination_root}))
    assert mounted.run(item).results[0].sha256 == sha256(b"same")
    source = replace(hop, source=hop.source.model_copy(update={"mount": hop.source_root}))
    assert source.run(item).results[0].sha256 == sha256(b"same")


def test_a_copy_that_nobody_can_read_is_verified_without_a_checksum(hop: GlobusHop) -> None:
    item = hop.put("day/a.txt", b"same")
    put(hop.destination_root, "day/a.txt", b"same")
    hop.service.fault(Action.STATUS, status=503, path="/day/a.txt$", times=None)
    progress = hop.run(item)
    assert reasons(progress) == {"day/a.txt": Reason.ALREADY_THERE}
    assert progress.results[0].sha256 is None


def test_a_file_is_read_by_https_up_to_a_limit(hop: GlobusHop) -> None:
    hop.put("day/a b#?.txt", b"0123456789")
    assert hop.globus.read_https(hop.source, "day/a b#?.txt") == b"0123456789"
    with pytest.raises(FileTrouble, match="more than 9 bytes"):
        hop.globus.read_https(hop.source, "day/a b#?.txt", 9)
    with pytest.raises(FileTrouble, match="not there") as missing:
        hop.globus.read_https(hop.source, "day/none.txt")
    assert missing.value.reason == Reason.SOURCE_MISSING
    assert hop.service.state()["secrets_in_urls"] == 0


def test_two_hundred_files_cost_few_requests(hop: GlobusHop) -> None:
    items = some(hop, 200)
    task = hop.task(*items)
    hop.mover.new_submission_id()
    before = len(hop.service.calls())
    hop.mover.start(task)
    hop.until(task, lambda _: hop.task_of(task)["status"] == "SUCCEEDED")
    progress = settled(hop.mover, task.submission_id)
    hop.verified(progress, *items)
    calls = [call["path"] for call in hop.service.calls()[before:] if "/v0.10/" in call["path"]]
    polls = [path for path in calls if path.endswith("/task_list")]
    # prepare: .dichroism, both listings; one submission; after the end: two pages of results, both listings
    assert len(calls) - len(polls) == 8, calls
