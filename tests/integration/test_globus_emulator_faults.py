"""The emulator goes wrong as it is told, and stays true to what it has answered when it is killed at any point."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import globus_sdk
import pytest

from tests.emulators.globus.clock import parsed
from tests.emulators.globus.faults import Action, Point
from tests.emulators.globus.paths import used_bytes
from tests.emulators.globus.process import CLIENT, GlobusEmulator
from tests.emulators.globus.sdk import transfer_client, until
from tests.emulators.globus.settings import Collection, Kind, Limits, Settings

SOURCE = "5d3a2c1e-0000-4000-8000-00000000000a"
TARGET = "5d3a2c1e-0000-4000-8000-00000000000b"
QUICK = Limits(start_up_s=0.0, retry_s=0.1, requests_per_second=0.0)
DAY = 86_400.0


class Bench:
    """A service of its own with two folders."""

    def __init__(self, folder: Path, limits: Limits = QUICK, **target: Any) -> None:
        self.source, self.target = folder / "source", folder / "target"
        self.source.mkdir()
        self.target.mkdir()
        collections = (Collection(SOURCE, str(self.source)), Collection(TARGET, str(self.target), **target))
        self.service = GlobusEmulator(folder / "service", Settings((CLIENT,), collections, limits))
        self.service.start()
        self.transfer = transfer_client(self.service)

    def close(self) -> None:
        self.transfer.close()
        self.service.stop()

    def write(self, *names: str, size: int = 100_000) -> None:
        for name in names:
            (self.source / name).write_bytes(hashlib.sha512(name.encode()).digest() * (size // 64))

    def data(self, *names: str, **options: Any) -> globus_sdk.TransferData:
        data = globus_sdk.TransferData(SOURCE, TARGET, **({"verify_checksum": True} | options))
        for name in names:
            data.add_item(f"/{name}", f"/in/{name}", checksum_algorithm="SHA256")
        return data

    def submit(self, *names: str, **options: Any) -> str:
        return str(self.transfer.submit_transfer(self.data(*names, **options))["task_id"])

    def arrived(self, *names: str) -> list[bool]:
        pairs = ((self.source / name, self.target / "in" / name) for name in names)
        return [copy.exists() and copy.read_bytes() == original.read_bytes() for original, copy in pairs]

    def events(self, task_id: str) -> list[str]:
        return [event["code"] for event in self.transfer.task_event_list(task_id, limit=1000)["DATA"]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("globus"))
    yield bench
    bench.close()


@pytest.fixture
def bench(shared: Bench, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The shared service, with no fault left behind and nothing running."""
    yield shared
    shared.service.clear_faults()
    shared.service.set_clock(rate=1.0)
    for collection in (SOURCE, TARGET):
        plain = {"down": False, "read_only": False, "quota_bytes": None, "bytes_per_second": None, "paused": None}
        shared.service.set_collection(collection, **plain)
    for task in shared.service.tasks():
        if task["status"] in ("ACTIVE", "INACTIVE"):
            shared.service.cancel_by_admin(task["task_id"])


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A service of this test alone; its parameter changes limits."""
    bench = Bench(tmp_path, replace(QUICK, **getattr(request, "param", {})))
    yield bench
    bench.close()


# requests


def _requests_of(bench: Bench, act: Any) -> int:
    before = len(bench.service.calls())
    act()
    return len(bench.service.calls()) - before


def test_a_lost_answer_is_asked_for_again_and_there_is_one_task(bench: Bench) -> None:
    bench.write("lost")
    data = bench.data("lost")
    data["submission_id"] = bench.transfer.get_submission_id()["value"]
    bench.service.fault(Action.DROP_AFTER, path="/v0.10/transfer$")
    before = len(bench.service.tasks())
    assert bench.transfer.submit_transfer(data)["code"] == "Duplicate"
    assert len(bench.service.tasks()) == before + 1
    assert [call["status"] for call in bench.service.calls()[-2:]] == [None, 200]


def test_a_request_cut_before_it_was_served_has_done_nothing(bench: Bench) -> None:
    bench.write("cut")
    data = bench.data("cut")
    data["submission_id"] = bench.transfer.get_submission_id()["value"]
    bench.service.fault(Action.DROP_BEFORE, path="/v0.10/transfer$")
    assert bench.transfer.submit_transfer(data)["code"] == "Accepted"


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        ({"status": 503, "headers": {"Retry-After": "1"}, "times": 1}, 2),
        ({"status": 429, "headers": {"Retry-After": "1"}, "times": 1}, 2),
        ({"status": 500, "times": 1}, 2),
    ],
)
def test_the_sdk_tries_again_after_passing_trouble(bench: Bench, fault: dict[str, Any], requests: int) -> None:
    bench.service.fault(Action.STATUS, path="submission_id", **fault)
    assert _requests_of(bench, bench.transfer.get_submission_id) == requests


def test_the_sdk_does_not_try_again_after_trouble_of_an_endpoint(bench: Bench) -> None:
    code = "ExternalError.DirListingFailed.GCDisconnected"
    bench.service.fault(Action.STATUS, path="/ls$", times=None, status=502, code=code)
    before = len(bench.service.calls())
    with pytest.raises(globus_sdk.TransferAPIError, match=code):
        bench.transfer.operation_ls(SOURCE)
    assert len(bench.service.calls()) == before + 1


def test_an_outage_lasts_as_long_as_it_was_told_in_virtual_time(bench: Bench) -> None:
    bench.transfer.get_submission_id()
    bench.service.set_clock(rate=0.0)
    bench.service.fault(Action.STATUS, times=None, lasting=3600.0, status=503)
    with bench.transfer.retry_config.tune(max_retries=0):
        with pytest.raises(globus_sdk.GlobusAPIError):
            bench.transfer.get_submission_id()
        bench.service.set_clock(advance=3601)
        assert bench.transfer.get_submission_id()["value"]
    assert bench.service.faults() == []


@pytest.mark.parametrize("action", [Action.HTML, Action.TRUNCATED])
def test_an_answer_that_is_no_json_is_an_error(bench: Bench, action: Action) -> None:
    bench.service.fault(action, path="submission_id", status=502)
    with (
        bench.transfer.retry_config.tune(max_retries=0),
        pytest.raises((globus_sdk.GlobusError, ValueError, TypeError)),
    ):
        _ = bench.transfer.get_submission_id()["value"]


def test_expired_tokens_are_renewed_by_the_sdk(bench: Bench) -> None:
    bench.transfer.get_submission_id()
    bench.service.expire_tokens()
    bench.transfer.get_submission_id()
    assert [(call["path"], call["status"]) for call in bench.service.calls()[-3:]] == [
        ("/v0.10/submission_id", 401),
        ("/v2/oauth2/token", 200),
        ("/v0.10/submission_id", 200),
    ]


@pytest.mark.parametrize("own", [{"requests_per_second": 1.0}], indirect=True)
def test_too_many_requests_are_told_when_to_come_again(own: Bench) -> None:
    with own.transfer.retry_config.tune(max_retries=0):
        for _ in range(10):
            own.transfer.get_submission_id()
        with pytest.raises(globus_sdk.TransferAPIError) as refused:
            own.transfer.get_submission_id()
    assert refused.value.http_status == 429
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 10


# files


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (Action.CORRUPT_WRITE, "VERIFY_CHECKSUM"),
        (Action.SHORT_WRITE, "CONNECTION_BROKEN"),
        (Action.GROW, "FILE_SIZE_CHANGED"),
    ],
)
def test_a_damaged_copy_is_noticed_and_sent_again(bench: Bench, action: Action, event: str) -> None:
    names = [f"{action}-{n}" for n in range(3)]
    bench.write(*names)
    bench.service.fault(action, path=names[1], code="CONNECTION_BROKEN")
    task = until(bench.transfer, bench.submit(*names))
    assert (task["status"], task["faults"], task["files_transferred"]) == ("SUCCEEDED", 1, 3)
    assert event in bench.events(task["task_id"])
    assert bench.arrived(*names) == [True] * 3


def test_without_verification_a_damaged_copy_stays(bench: Bench) -> None:
    bench.write("unverified")
    bench.service.fault(Action.CORRUPT_WRITE, path="unverified")
    task = until(bench.transfer, bench.submit("unverified", verify_checksum=False))
    assert (task["status"], task["bytes_checksummed"], bench.arrived("unverified")) == ("SUCCEEDED", 0, [False])
    assert bench.transfer.task_successful_transfers(task["task_id"])["DATA"][0]["checksum"] is None


@pytest.mark.parametrize("action", [Action.CORRUPT_LATER, Action.CORRUPT_READ, Action.REPLACE_SOURCE, Action.LOSE_COPY])
def test_some_damage_is_not_noticed_by_the_service(bench: Bench, action: Action) -> None:
    bench.write(action)
    bench.service.fault(action, path=action)
    task = until(bench.transfer, bench.submit(action))
    assert (task["status"], task["faults"], bench.arrived(action)) == ("SUCCEEDED", 0, [False])


def test_an_external_checksum_notices_what_was_read_wrong(bench: Bench) -> None:
    bench.write("external")
    data = globus_sdk.TransferData(SOURCE, TARGET, verify_checksum=True)
    checksum = hashlib.sha256((bench.source / "external").read_bytes()).hexdigest()
    data.add_item("/external", "/in/external", external_checksum=checksum, checksum_algorithm="SHA256")
    bench.service.fault(Action.CORRUPT_READ, path="external")
    task = until(bench.transfer, bench.transfer.submit_transfer(data)["task_id"])
    assert task["fatal_error"]["code"] == "EXTERNAL_CHECKSUM_MISMATCH"


def test_an_injected_error_happens_as_often_as_told_and_the_others_go_on(bench: Bench) -> None:
    bench.write("e1", "e2")
    bench.service.fault(Action.ERROR, path="e1", code="ENDPOINT_TOO_BUSY", times=2)
    task = until(bench.transfer, bench.submit("e1", "e2"))
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 2)
    assert bench.events(task["task_id"]).count("ENDPOINT_TOO_BUSY") == 2


def test_a_probability_with_a_seed_hits_the_same_files_every_time(bench: Bench) -> None:
    names = [f"p{n}" for n in range(30)]
    bench.write(*names, size=640)
    faults = []
    for _ in range(2):
        bench.service.fault(Action.ERROR, path="/p", code="TIMEOUT", times=None, probability=0.3, seed=7)
        faults.append(until(bench.transfer, bench.submit(*names))["faults"])
        bench.service.clear_faults()
    assert faults[0] == faults[1] > 0


def test_a_full_quota_waits_or_ends_the_task_as_was_asked(bench: Bench) -> None:
    bench.write("q1", "q2", size=640_000)
    used = used_bytes(bench.target)
    bench.service.set_collection(TARGET, quota_bytes=used + 1_000_000)
    task = until(bench.transfer, bench.submit("q1", "q2", fail_on_quota_errors=True))
    assert (task["fatal_error"]["code"], bench.arrived("q1", "q2")) == ("QUOTA_EXCEEDED", [True, False])
    task_id = bench.submit("q1", "q2", sync_level="checksum")
    until(bench.transfer, task_id, nice_status="QUOTA_EXCEEDED")
    bench.service.set_collection(TARGET, quota_bytes=None)
    task = until(bench.transfer, task_id)
    assert (task["status"], task["files_skipped"], bench.arrived("q2")) == ("SUCCEEDED", 1, [True])


@pytest.mark.parametrize(
    ("change", "trouble"), [({"down": True}, "CONNECT_FAILED"), ({"read_only": True}, "PERMISSION_DENIED")]
)
def test_a_destination_in_trouble_delays_a_task_and_does_not_end_it(
    bench: Bench, change: dict[str, bool], trouble: str
) -> None:
    names = [f"{trouble}{n}" for n in range(4)]
    bench.write(*names)
    bench.service.set_collection(TARGET, **change)
    task_id = bench.submit(*names, skip_source_errors=True)
    task = until(bench.transfer, task_id, nice_status=trouble)
    assert (task["status"], task["is_ok"]) == ("ACTIVE", False)
    with pytest.raises(globus_sdk.TransferAPIError, match=r"ExternalError\.MkdirFailed"):
        bench.transfer.operation_mkdir(TARGET, "/new")
    bench.service.set_collection(TARGET, **dict.fromkeys(change, False))
    assert until(bench.transfer, task_id)["status"] == "SUCCEEDED"
    assert bench.arrived(*names) == [True] * 4


# time


def test_a_task_in_the_middle_stops_at_its_deadline_and_leaves_half_a_file(bench: Bench) -> None:
    bench.write("slow", size=1_280_000)
    bench.service.set_collection(SOURCE, bytes_per_second=256_000.0)
    task_id = bench.submit("slow")
    copy = bench.target / "in" / "slow"
    _until(lambda: copy.exists() and copy.stat().st_size > 0)
    bench.service.expire(task_id)
    task = until(bench.transfer, task_id)
    assert (task["status"], task["fatal_error"]["code"], task["subtasks_expired"]) == ("FAILED", "EXPIRED", 1)
    assert 0 < copy.stat().st_size < 1_280_000


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deadlines_follow_the_virtual_clock(bench: Bench) -> None:
    bench.write("good")
    stuck = bench.submit("never-there")
    moving = bench.submit("never-there-too", "good")
    given = bench.submit("third", deadline="2999-01-01T00:00:00")
    until(bench.transfer, stuck, nice_status="FILE_NOT_FOUND")
    until(bench.transfer, moving, nice_status="FILE_NOT_FOUND", files_transferred=1)
    bench.service.set_clock(advance=1.5 * DAY)
    assert until(bench.transfer, stuck)["fatal_error"]["code"] == "EXPIRED"
    assert bench.transfer.get_task(moving)["status"] == "ACTIVE"
    bench.service.set_clock(advance=2 * DAY)
    assert until(bench.transfer, moving)["fatal_error"]["code"] == "EXPIRED"
    assert bench.transfer.get_task(given)["status"] == "ACTIVE"


def test_a_client_in_real_time_can_still_give_deadlines_after_a_jump(bench: Bench) -> None:
    now = bench.service.set_clock(advance=10 * DAY)
    bench.write("jumped")
    deadline = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 3600))
    task = until(bench.transfer, bench.submit("jumped", deadline=deadline))
    assert task["status"] == "SUCCEEDED"
    assert task["deadline"][:10] == time.strftime("%Y-%m-%d", time.gmtime(now + 3600))


def test_history_goes_after_a_month_and_the_task_after_a_year(own: Bench) -> None:
    own.write("old")
    task_id = until(own.transfer, own.submit("old"))["task_id"]
    own.service.set_clock(advance=31 * DAY)
    task = own.transfer.get_task(task_id)
    assert (task["history_deleted"], task["files_transferred"], task["subtasks_succeeded"]) == (True, 1, 1)
    assert own.transfer.task_successful_transfers(task_id)["DATA"] == []
    own.service.set_clock(advance=335 * DAY)
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        own.transfer.get_task(task_id)
    assert refused.value.http_status == 404


@pytest.mark.parametrize("own", [{"start_up_s": 5.0}], indirect=True)
def test_three_tasks_run_and_the_others_are_queued(own: Bench) -> None:
    own.service.set_clock(rate=0.0)
    own.write(*(f"t{n}" for n in range(5)))
    ids = [own.submit(f"t{n}") for n in range(5)]
    delete = globus_sdk.DeleteData(SOURCE, ignore_missing=True)
    delete.add_item("/none")
    deleting = own.transfer.submit_delete(delete)["task_id"]
    assert [own.transfer.get_task(each)["nice_status"] for each in ids] == ["OK"] * 3 + ["Queued"] * 2
    assert own.transfer.get_task(deleting)["nice_status"] == "OK"
    own.service.set_clock(advance=5.0)
    assert [until(own.transfer, each)["status"] for each in ids[:3]] == ["SUCCEEDED"] * 3
    assert own.transfer.get_task(ids[4])["files_transferred"] == 0
    own.service.set_clock(rate=1000.0)
    assert [until(own.transfer, each)["status"] for each in ids[3:]] == ["SUCCEEDED"] * 2


@pytest.mark.parametrize("own", [{"pending_tasks": 4}], indirect=True)
def test_so_many_tasks_may_be_pending_and_a_known_id_is_answered_all_the_same(own: Bench) -> None:
    own.service.set_clock(rate=0.0)
    data = own.data("n0")
    own.transfer.submit_transfer(data)
    for n in range(1, 4):
        own.submit(f"n{n}")
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        own.submit("n4")
    assert (refused.value.http_status, refused.value.code) == (409, "ClientError.Conflict.TooManyPendingJobs")
    assert own.transfer.submit_transfer(data)["code"] == "Duplicate"


@pytest.mark.parametrize("own", [{"cancel_s": 60.0}], indirect=True)
def test_a_cancel_may_take_its_time(own: Bench) -> None:
    own.service.set_clock(rate=0.0)
    task_id = own.submit("nothing")
    assert own.transfer.cancel_task(task_id)["code"] == "CancelAccepted"
    assert own.transfer.get_task(task_id)["status"] == "ACTIVE"
    own.service.set_clock(advance=61)
    assert until(own.transfer, task_id)["fatal_error"]["code"] == "CANCELED"


# people


def test_a_paused_task_waits_for_days_and_goes_on(bench: Bench) -> None:
    bench.write("paused")
    bench.service.set_collection(TARGET, paused="tape robot is moved")
    task_id = bench.submit("paused")
    task = until(bench.transfer, task_id, is_paused=True)
    assert (task["status"], task["nice_status"]) == ("ACTIVE", "PAUSED_BY_ADMIN")
    assert bench.transfer.task_pause_info(task_id)["pause_rules"][0]["message"] == "tape robot is moved"
    bench.service.set_collection(TARGET, paused=None)
    assert until(bench.transfer, task_id)["status"] == "SUCCEEDED"


def test_one_paused_task_lives_ninety_days_and_lets_others_pass(own: Bench) -> None:
    own.service.set_clock(rate=0.0)
    own.write("held", "free")
    held = own.submit("held", "missing")
    own.service.pause(held, "ask the beamline")
    assert own.transfer.task_pause_info(held)["source_pause_message"] == "ask the beamline"
    assert until(own.transfer, own.submit("free"))["status"] == "SUCCEEDED"
    own.service.set_clock(advance=89 * DAY)
    assert own.transfer.get_task(held)["is_paused"]
    own.service.unpause(held)
    task = until(own.transfer, held, is_paused=False)
    assert task["status"] == "ACTIVE"
    own.service.pause(held)
    own.service.set_clock(advance=91 * DAY)
    assert until(own.transfer, held)["fatal_error"]["code"] == "EXPIRED"


def test_an_inactive_task_waits_for_credentials(bench: Bench) -> None:
    bench.write("inactive", size=1_280_000)
    bench.service.set_collection(SOURCE, bytes_per_second=256_000.0)
    task_id = bench.submit("inactive")
    bench.service.deactivate(task_id)
    task = bench.transfer.get_task(task_id)
    assert (task["status"], task["nice_status"], task["completion_time"]) == ("INACTIVE", "NO_CREDENTIALS", None)
    bench.service.set_collection(SOURCE, bytes_per_second=None)
    bench.service.activate(task_id)
    assert until(bench.transfer, task_id)["status"] == "SUCCEEDED"
    assert bench.arrived("inactive") == [True]


def test_an_administrator_cancels_with_a_message(bench: Bench) -> None:
    task_id = bench.submit("not-there")
    bench.service.cancel_by_admin(task_id, "disk is moved")
    task = bench.transfer.get_task(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert task["canceled_by_admin_message"] == "disk is moved"


def test_a_purged_task_has_no_history_or_is_gone(bench: Bench) -> None:
    bench.write("purged")
    data = bench.data("purged")
    task_id = until(bench.transfer, bench.transfer.submit_transfer(data)["task_id"])["task_id"]
    bench.service.purge(task_id)
    assert bench.transfer.get_task(task_id)["history_deleted"]
    bench.service.purge(task_id, whole=True)
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        bench.transfer.get_task(task_id)
    assert refused.value.http_status == 404
    assert bench.transfer.submit_transfer(data)["code"] == "Duplicate"


# the process


@pytest.mark.parametrize(
    ("point", "path", "answer"),
    [
        (Point.BEFORE_INSERT, "/transfer$", "Accepted"),
        (Point.AFTER_INSERT, "/transfer$", "Duplicate"),
        (Point.MID_COPY, "/k7$", None),
        (Point.AFTER_COPY, "/k7$", None),
    ],
)
def test_killed_at_any_point_every_file_arrives_in_one_task(
    own: Bench, point: Point, path: str, answer: str | None
) -> None:
    names = [f"k{n}" for n in range(20)]
    own.write(*names)
    data = own.data(*names, preserve_timestamp=True)
    data["submission_id"] = own.transfer.get_submission_id()["value"]
    own.service.kill_at(point, path)
    with own.transfer.retry_config.tune(max_retries=0):
        if answer:
            with pytest.raises(globus_sdk.NetworkError):
                own.transfer.submit_transfer(data)
        else:
            own.transfer.submit_transfer(data)
        own.service.wait_until_dead()
    if point == Point.MID_COPY:
        assert 0 < (own.target / "in" / "k7").stat().st_size < (own.source / "k7").stat().st_size
    if point == Point.AFTER_COPY:
        assert own.arrived("k7") == [True]
    done = [name for name in names if own.arrived(name) == [True]]
    own.service.start()
    if answer:
        assert own.transfer.submit_transfer(data)["code"] == answer
    [task] = own.service.tasks()
    task = until(own.transfer, task["task_id"])
    assert (task["status"], task["files_transferred"], task["subtasks_total"]) == ("SUCCEEDED", 20, 20)
    assert own.arrived(*names) == [True] * 20
    assert len(done) < 20
    assert own.service.faults() == []


def test_after_a_kill_only_what_was_not_done_is_copied(own: Bench) -> None:
    names = [f"r{n:02}" for n in range(40)]
    own.write(*names, size=128_000)
    own.service.set_collection(SOURCE, bytes_per_second=1_280_000.0)
    task_id = own.submit(*names)
    until(own.transfer, task_id, files_transferred=8)
    own.service.kill()
    times = {path.name: path.stat().st_mtime_ns for path in (own.target / "in").iterdir()}
    own.service.start()
    own.service.set_collection(SOURCE, bytes_per_second=None)
    task = until(own.transfer, task_id)
    assert (task["status"], task["files_transferred"]) == ("SUCCEEDED", 40)
    untouched = [name for name, moment in times.items() if (own.target / "in" / name).stat().st_mtime_ns == moment]
    assert len(untouched) >= 8
    assert own.events(task_id).count("STARTED") == 1


def test_ids_tokens_faults_changes_and_the_clock_survive_a_kill(own: Bench) -> None:
    submission_id = own.transfer.get_submission_id()["value"]
    own.service.fault(Action.STATUS, path="nothing", times=3)
    own.service.set_collection(TARGET, read_only=True)
    virtual = own.service.set_clock(rate=0.0, advance=DAY)
    server = own.transfer.get_endpoint(SOURCE)["https_server"]
    url, calls = own.service.url, len(own.service.calls())
    own.service.restart()
    assert own.service.url == url
    assert own.service.state()["now"] == virtual
    assert [fault["times"] for fault in own.service.faults()] == [3]
    assert len(own.service.calls()) == calls
    assert own.transfer.get_endpoint(SOURCE)["https_server"] == server
    with pytest.raises(globus_sdk.TransferAPIError, match="PermissionDenied"):
        own.transfer.operation_mkdir(TARGET, "/x")
    assert own.transfer.submit_transfer(own.data("a", submission_id=submission_id))["code"] == "Accepted"
    assert "/v2/oauth2/token" not in [call["path"] for call in own.service.calls()[calls:]]


def test_random_kills_lose_nothing_and_make_no_second_task(own: Bench) -> None:
    names = [f"c{n:03}" for n in range(300)]
    own.write(*names, size=64_000)
    own.service.set_collection(SOURCE, bytes_per_second=2_560_000.0)
    submitted = own.transfer.submit_transfer(own.data(*names))
    for pause in (0.0, 0.3, 0.1, 0.2):
        time.sleep(pause)
        own.service.restart()
    task = until(own.transfer, submitted["task_id"])
    assert (task["status"], task["files_transferred"], len(own.service.tasks())) == ("SUCCEEDED", 300, 1)
    assert own.arrived(*names) == [True] * 300
    rows = list(own.transfer.paginated.task_successful_transfers(task["task_id"]).items())
    assert len({row["source_path"] for row in rows}) == len(rows) == 300


def test_reading_from_tape_waits_for_the_tape(own: Bench) -> None:
    own.write("taped", size=6400)
    own.service.set_collection(SOURCE, kind=Kind.HPSS, staging_s=600.0)
    own.service.set_clock(rate=0.0)
    data = globus_sdk.TransferData(SOURCE, TARGET, verify_checksum=True)
    data.add_item("/taped", "/in/taped")
    task_id = own.transfer.submit_transfer(data)["task_id"]
    assert until(own.transfer, task_id, nice_status="OK")["files_transferred"] == 0
    own.service.set_clock(rate=10_000.0)
    task = until(own.transfer, task_id)
    assert task["status"] == "SUCCEEDED"
    assert parsed(task["completion_time"]) - parsed(task["request_time"]) >= 600
