"""The emulator answers the unmodified SDK as the Transfer API does, as far as that is known."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
import requests
from globus_sdk.testing import RegisteredResponse, get_response_set

from tests.emulators.globus.access import data_access_scope, https_scope
from tests.emulators.globus.faults import Action
from tests.emulators.globus.process import CLIENT, GlobusEmulator
from tests.emulators.globus.sdk import client_app, transfer_client, until
from tests.emulators.globus.settings import MAPPED, Client, Collection, Limits, Settings, hpss

SOURCE = "5d3a2c1e-0000-4000-8000-000000000001"
TARGET = "5d3a2c1e-0000-4000-8000-000000000002"
MAPPED_TARGET = "5d3a2c1e-0000-4000-8000-000000000003"
TAPE = "5d3a2c1e-0000-4000-8000-000000000004"
READ_ONLY_FOR_ALL = "5d3a2c1e-0000-4000-8000-000000000005"
OTHER = Client("6e5c0a5e-0d0d-4b0a-9b5e-3c1f6f1f0002", "emulated-client-secret-2")
QUICK = Limits(start_up_s=0.0, retry_s=0.1, requests_per_second=0.0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    folder = tmp_path_factory.mktemp("globus")
    mine = {CLIENT.client_id: "rw"}
    collections = (
        Collection(SOURCE, str(folder / "source"), display_name="beamline", permissions=mine),
        Collection(TARGET, str(folder / "target"), display_name="cfs", permissions=mine),
        Collection(MAPPED_TARGET, str(folder / "mapped"), entity_type=MAPPED, requires_consent=True),
        hpss(TAPE, str(folder / "tape"), display_name="hpss"),
        Collection(READ_ONLY_FOR_ALL, str(folder / "public"), permissions={CLIENT.client_id: "r"}),
    )
    for collection in collections:
        Path(collection.root).mkdir()
    with GlobusEmulator(folder / "service", Settings((CLIENT, OTHER), collections, QUICK)) as emulator:
        yield emulator
    assert "Traceback" not in (folder / "service" / "output.log").read_text()


@pytest.fixture(scope="module")
def transfer(service: GlobusEmulator) -> Iterator[globus_sdk.TransferClient]:
    with transfer_client(service) as client:
        yield client


@pytest.fixture
def folder(service: GlobusEmulator, request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test, by its name, in the source collection."""
    name = request.node.name.partition("[")[0]
    _root(service, SOURCE).joinpath(name).mkdir(exist_ok=True)
    return f"/{name}"


def _root(service: GlobusEmulator, collection_id: str) -> Path:
    return next(Path(each.root) for each in service.settings.collections if each.collection_id == collection_id)


def _write(service: GlobusEmulator, folder: str, names: list[str], size: int = 1000) -> None:
    for name in names:
        (_root(service, SOURCE) / folder.lstrip("/") / name).write_bytes(
            hashlib.sha512(name.encode()).digest() * (size // 64 + 1)
        )


def _data(folder: str, names: list[str], target: str = TARGET, **options: Any) -> globus_sdk.TransferData:
    data = globus_sdk.TransferData(SOURCE, target, **({"verify_checksum": True} | options))
    for name in names:
        data.add_item(f"{folder}/{name}", f"{folder}/{name}", checksum_algorithm="SHA256" if target != TAPE else "MD5")
    return data


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_sdk_needs_nothing_but_its_environment(service: GlobusEmulator, tmp_path: Path) -> None:
    program = (
        "import os, globus_sdk as g\n"
        "config = g.GlobusAppConfig(token_storage='memory')\n"
        "who = {'client_id': os.environ['GLOBUS_CLIENT_ID'], 'client_secret': os.environ['GLOBUS_CLIENT_SECRET']}\n"
        "print(g.TransferClient(app=g.ClientApp('t', config=config, **who)).get_submission_id()['value'])\n"
    )
    environment = dict(os.environ) | service.sdk_environment() | {"HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert len(ran.stdout.strip()) == 36


def test_a_submission_id_is_accepted_once_even_with_another_body(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a", "b"])
    data = _data(folder, ["a"])
    first = transfer.submit_transfer(data)
    assert (first.http_status, first["code"]) == (202, "Accepted")
    again = transfer.submit_transfer(data)
    assert (again.http_status, again["code"], again["task_id"]) == (200, "Duplicate", first["task_id"])
    until(transfer, first["task_id"])
    other = transfer.submit_transfer(_data(folder, ["b"], submission_id=data["submission_id"]))
    assert (other["code"], other["task_id"]) == ("Duplicate", first["task_id"])
    assert not (_root(service, TARGET) / folder[1:] / "b").exists()
    deleted = transfer.submit_delete({"DATA": [], "submission_id": data["submission_id"]})
    assert (deleted["code"], deleted["task_id"]) == ("Duplicate", first["task_id"])


def test_many_files_arrive_byte_for_byte_and_are_listed_with_their_checksums(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    names = [f"scan-{n:03d}.txt" for n in range(200)]
    _write(service, folder, names, size=20_000)
    os.utime(_root(service, SOURCE) / folder[1:] / names[0], (1_000_000_000, 1_000_000_000))
    data = _data(folder, names, preserve_timestamp=True, label="als-4.0.2")
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert (task["status"], task["files"], task["files_transferred"], task["faults"]) == ("SUCCEEDED", 200, 200, 0)
    assert task["nice_status"] is None
    assert task["is_ok"] is None
    assert task["subtasks_total"] == task["subtasks_succeeded"] == 200
    rows = list(transfer.paginated.task_successful_transfers(task["task_id"]).items())
    assert [row["source_path"] for row in rows] == [f"{folder}/{name}" for name in names]
    for name, row in zip(names, rows, strict=True):
        arrived = _root(service, TARGET) / folder[1:] / name
        assert _sha256(arrived) == _sha256(_root(service, SOURCE) / folder[1:] / name) == row["checksum"]
        assert (row["checksum_algorithm"], row["size"]) == ("SHA256", arrived.stat().st_size)
    assert (_root(service, TARGET) / folder[1:] / names[0]).stat().st_mtime == 1_000_000_000
    page = transfer.task_successful_transfers(task["task_id"])
    assert len(page["DATA"]) == 100
    assert page["next_marker"] == 100


def test_files_that_are_right_already_are_skipped_and_not_listed(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["same", "other"])
    target = _root(service, TARGET) / folder[1:]
    target.mkdir()
    (target / "same").write_bytes((_root(service, SOURCE) / folder[1:] / "same").read_bytes())
    (target / "other").write_bytes(b"x" * (_root(service, SOURCE) / folder[1:] / "other").stat().st_size)
    data = _data(folder, ["same", "other"], sync_level="checksum")
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert (task["files_skipped"], task["files_transferred"], task["subtasks_succeeded"]) == (1, 1, 2)
    rows = transfer.task_successful_transfers(task["task_id"])["DATA"]
    assert [row["source_path"] for row in rows] == [f"{folder}/other"]
    assert _sha256(target / "other") == rows[0]["checksum"]


@pytest.mark.parametrize(("level", "sent"), [("exists", 0), ("size", 0), ("mtime", 1), ("checksum", 1)])
def test_each_sync_level_compares_what_it_says(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str, level: str, sent: int
) -> None:
    names = [f"of-{level}"]
    _write(service, folder, names)
    source, target = (_root(service, each) / folder[1:] / names[0] for each in (SOURCE, TARGET))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(b"x" * source.stat().st_size)
    os.utime(target, (1, 1))
    task = until(transfer, transfer.submit_transfer(_data(folder, names, sync_level=level))["task_id"])
    assert (task["files_transferred"], task["files_skipped"]) == (sent, 1 - sent)


def test_identical_paths_conflict_while_the_first_runs(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    first = transfer.submit_transfer(_data(folder, ["missing"]))
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.submit_transfer(_data(folder, ["missing"]))
    assert (refused.value.http_status, refused.value.code) == (409, "Conflict")
    assert first["task_id"] not in refused.value.text
    transfer.cancel_task(first["task_id"])
    again = transfer.submit_transfer(_data(folder, ["missing"]))
    assert again["code"] == "Accepted"
    transfer.cancel_task(again["task_id"])


def test_a_missing_source_is_tried_for_ever_beside_the_good_files_until_it_is_canceled(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["good"])
    task_id = transfer.submit_transfer(_data(folder, ["missing", "good"]))["task_id"]
    task = until(transfer, task_id, nice_status="FILE_NOT_FOUND", files_transferred=1)
    assert (task["status"], task["is_ok"], task["subtasks_retrying"]) == ("ACTIVE", False, 1)
    assert task["faults"] >= 1
    assert task["completion_time"] is None
    events = transfer.task_event_list(task_id, query_params={"filter": "is_error:1"})["DATA"]
    assert {event["code"] for event in events} == {"FILE_NOT_FOUND"}
    canceled = transfer.cancel_task(task_id)
    assert canceled["code"] == "Canceled"
    task = until(transfer, task_id)
    assert (task["status"], task["fatal_error"]["code"], task["subtasks_canceled"]) == ("FAILED", "CANCELED", 1)
    assert transfer.cancel_task(task_id)["code"] == "TaskComplete"
    newest = transfer.task_event_list(task_id)["DATA"]
    assert (newest[0]["code"], newest[-1]["code"]) == ("CANCELED", "STARTED")


def test_source_errors_are_skipped_on_request_and_listed(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["good"])
    data = _data(folder, ["missing", "good", "../../outside"], skip_source_errors=True)
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert (task["status"], task["subtasks_skipped_errors"], task["files_transferred"]) == ("SUCCEEDED", 2, 1)
    rows = list(transfer.paginated.task_skipped_errors(task["task_id"]).items())
    assert [(row["source_path"], row["error_code"]) for row in rows] == [
        (f"{folder}/missing", "FILE_NOT_FOUND"),
        (f"{folder}/../../outside", "PERMISSION_DENIED"),
    ]


def test_a_wrong_external_checksum_fails_the_whole_task(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["good", "bad"])
    data = globus_sdk.TransferData(SOURCE, TARGET)
    for name, wrong in (("good", ""), ("bad", "0" * 64)):
        right = _sha256(_root(service, SOURCE) / folder[1:] / name)
        data.add_item(
            f"{folder}/{name}", f"{folder}/{name}", external_checksum=wrong or right, checksum_algorithm="SHA256"
        )
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXTERNAL_CHECKSUM_MISMATCH")
    assert task["subtasks_failed"] == 1


def test_a_folder_is_sent_with_its_files_unless_it_must_be_a_file(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    (_root(service, SOURCE) / folder[1:] / "deep" / "deeper").mkdir(parents=True)
    _write(service, folder, ["deep/a", "deep/deeper/b", "deep/skipped.tmp"])
    data = globus_sdk.TransferData(SOURCE, TARGET)
    data.add_item(f"{folder}/deep", f"{folder}/deep")
    data.add_filter_rule("*.tmp")
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert (task["status"], task["files_transferred"], task["directories"]) == ("SUCCEEDED", 2, 2)
    assert (_root(service, TARGET) / folder[1:] / "deep" / "deeper" / "b").is_file()
    assert not (_root(service, TARGET) / folder[1:] / "deep" / "skipped.tmp").exists()
    data = globus_sdk.TransferData(SOURCE, TARGET)
    data.add_item(f"{folder}/deep", f"{folder}/deep2", recursive=False)
    task = until(transfer, transfer.submit_transfer(data)["task_id"])
    assert task["fatal_error"]["code"] == "IS_A_DIRECTORY"


def test_deleting_is_exact_and_a_missing_file_fails_at_once_unless_ignored(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a", "b*", "c"])
    root = _root(service, SOURCE) / folder[1:]

    def deleted(*paths: str, **options: Any) -> dict[str, Any]:
        data = globus_sdk.DeleteData(SOURCE, **options)
        for path in paths:
            data.add_item(f"{folder}/{path}")
        return until(transfer, transfer.submit_delete(data)["task_id"])

    task = deleted("a", "missing", "b*", ignore_missing=True)
    assert (task["status"], task["type"], task["destination_endpoint_id"]) == ("SUCCEEDED", "DELETE", None)
    assert [path.name for path in root.iterdir()] == ["c"]
    assert deleted("missing")["fatal_error"]["code"] == "FILE_NOT_FOUND"
    assert deleted("", ignore_missing=True)["fatal_error"]["code"] == "IS_A_DIRECTORY"
    assert (root / "c").exists()
    assert deleted("", recursive=True)["status"] == "SUCCEEDED"
    assert not root.exists()


def test_ls_stat_mkdir_and_rename(service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str) -> None:
    _write(service, folder, ["a", "b", ".hidden"])
    listing = transfer.operation_ls(SOURCE, folder)
    assert [row["name"] for row in listing["DATA"]] == [".hidden", "a", "b"]
    page = transfer.operation_ls(SOURCE, folder, limit=1, offset=1, show_hidden=False)
    assert ([row["name"] for row in page["DATA"]], page["total"]) == (["b"], 2)
    assert transfer.operation_stat(SOURCE, f"{folder}/a")["size"] == len(b"x" * 64) * 16
    assert transfer.operation_stat(SOURCE, folder)["type"] == "dir"
    assert transfer.operation_mkdir(SOURCE, f"{folder}/new")["code"] == "DirectoryCreated"
    assert _refused(transfer.operation_mkdir, SOURCE, f"{folder}/new") == (502, "ExternalError.MkdirFailed.Exists")
    assert transfer.operation_rename(SOURCE, f"{folder}/a", f"{folder}/new/a")["code"] == "FileRenamed"
    assert _refused(transfer.operation_stat, SOURCE, f"{folder}/a") == (404, "NotFound")
    assert _refused(transfer.operation_ls, SOURCE, f"{folder}/none") == (404, "ClientError.NotFound")
    assert _refused(transfer.operation_rename, SOURCE, f"{folder}/a", f"{folder}/c") == (404, "NotFound")
    assert _refused(transfer.operation_stat, SOURCE, "/../x") == (403, "EndpointPermissionDenied")


def test_a_rename_replaces_what_is_there_unless_the_collection_says_otherwise(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a", "b", "c"])
    root = _root(service, SOURCE) / folder[1:]
    content = (root / "a").read_bytes()
    transfer.operation_rename(SOURCE, f"{folder}/a", f"{folder}/b")
    assert (root / "b").read_bytes() == content
    service.set_collection(SOURCE, rename_overwrites=False)
    try:
        refused = _refused(transfer.operation_rename, SOURCE, f"{folder}/b", f"{folder}/c")
    finally:
        service.set_collection(SOURCE, rename_overwrites=True)
    assert refused == (502, "ExternalError.RenameFailed.Exists")


def _refused(call: Any, *arguments: Any) -> tuple[int, str | None]:
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        call(*arguments)
    return refused.value.http_status, refused.value.code


def test_tasks_are_found_by_id_status_type_and_label(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a", "b"])
    ids = [transfer.submit_transfer(_data(folder, [name], label=f"als find {name}"))["task_id"] for name in ("a", "b")]
    for task_id in ids:
        until(transfer, task_id)

    def found(**clauses: Any) -> set[str]:
        return {task["task_id"] for task in transfer.task_list(filter=clauses, limit=1000)}

    assert found(task_id=ids) == set(ids)
    assert found(task_id=ids, status="ACTIVE,INACTIVE") == set()
    assert found(label="als find a") == {ids[0]}
    assert found(label="~als find*", status=["SUCCEEDED", "FAILED"], type="TRANSFER") == set(ids)
    newest = transfer.task_list(filter={"task_id": ids}, orderby="request_time DESC", limit=1)
    assert (newest["total"], newest["length"], newest["DATA"][0]["task_id"]) == (2, 1, ids[1])
    with pytest.raises(globus_sdk.TransferAPIError, match="colour"):
        transfer.task_list(filter={"colour": "red"})


def test_tasks_of_others_cannot_be_seen(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a"])
    task_id = transfer.submit_transfer(_data(folder, ["a"]))["task_id"]
    unknown = "aaaaaaaa-0000-4000-8000-000000000000"
    assert _refused(transfer.get_task, unknown) == (404, "ClientError.NotFound")
    with transfer_client(service, OTHER) as other:
        assert _refused(other.get_task, task_id) == (404, "ClientError.NotFound")
        assert other.task_list()["total"] == 0
        assert _refused(other.submit_transfer, _data(folder, ["a"])) == (403, "PermissionDenied")
        taken = _data(folder, ["a"], submission_id=transfer.get_submission_id()["value"])
        assert _refused(other.submit_transfer, taken) == (400, "ClientError.BadRequest")
    until(transfer, task_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DATA": []}, "ClientError.BadRequest.NoTransferItems"),
        ({"submission_id": "aaaaaaaa-0000-4000-8000-000000000000"}, "ClientError.BadRequest"),
        ({"label": " blank"}, "ClientError.BadRequest"),
        ({"label": "x" * 129}, "ClientError.BadRequest"),
        ({"label": "two\nlines"}, "ClientError.BadRequest"),
        ({"deadline": "2020-01-01T00:00:00"}, "ClientError.BadRequest"),
        ({"sync_level": 7}, "ClientError.BadRequest"),
        ({"destination_endpoint": "aaaaaaaa-0000-4000-8000-000000000000"}, "EndpointNotFound"),
        ({"destination_endpoint": MAPPED_TARGET}, "ConsentRequired"),
    ],
)
def test_a_wrong_submission_is_refused_and_leaves_no_task(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str, change: dict[str, Any], code: str
) -> None:
    before = transfer.task_list()["total"]
    data = _data(folder, ["a"])
    data.update(change)
    assert _refused(transfer.submit_transfer, data)[1] == code
    assert transfer.task_list()["total"] == before


def test_a_mapped_collection_wants_consent_and_a_guest_collection_knows_none(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.operation_ls(MAPPED_TARGET)
    assert refused.value.info.consent_required
    assert data_access_scope(MAPPED_TARGET) in str(refused.value.info.consent_required.required_scopes)
    with transfer_client(service) as consenting:
        consenting.add_app_data_access_scope(MAPPED_TARGET)
        assert consenting.operation_ls(MAPPED_TARGET)["total"] == 0
    with transfer_client(service) as mistaken:
        mistaken.add_app_data_access_scope(TARGET)
        with pytest.raises(globus_sdk.AuthAPIError, match="Unknown scope"):
            mistaken.operation_ls(TARGET)


def test_a_wrong_secret_gets_no_token(service: GlobusEmulator) -> None:
    mistaken = transfer_client(service, replace(CLIENT, client_secret="wrong"))
    with mistaken, pytest.raises(globus_sdk.AuthAPIError) as refused:
        mistaken.get_submission_id()
    assert refused.value.http_status == 401
    assert "invalid_client" in refused.value.text
    assert requests.get(f"{service.url}v0.10/task_list", timeout=10).status_code == 401


def test_who_may_only_read_learns_it_from_the_task(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a"])
    task_id = transfer.submit_transfer(_data(folder, ["a"], target=READ_ONLY_FOR_ALL))["task_id"]
    until(transfer, task_id, nice_status="PERMISSION_DENIED")
    transfer.cancel_task(task_id)
    assert _refused(transfer.operation_mkdir, READ_ONLY_FOR_ALL, "/x") == (403, "EndpointPermissionDenied")


def test_a_tape_archive_knows_md5_only_and_keeps_a_list_of_small_files(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a"])
    data = _data(folder, ["a"], target=TAPE)
    assert until(transfer, transfer.submit_transfer(data)["task_id"])["status"] == "SUCCEEDED"
    assert f"{folder}/a" in [file["path"] for file in service.state()["small_tape_files"]]
    data["DATA"][0]["checksum_algorithm"] = "SHA256"
    del data["submission_id"]
    task_id = transfer.submit_transfer(data)["task_id"]
    assert "SHA256" in until(transfer, task_id, nice_status="ENDPOINT_ERROR")["nice_status_details"]
    transfer.cancel_task(task_id)


def test_a_file_is_downloaded_from_the_https_server_with_a_token_for_the_collection(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a file+.txt"], size=200_000)
    server = transfer.get_endpoint(SOURCE)["https_server"]
    url = f"{server}{folder}/a%20file%2B.txt"
    app = client_app(service)
    app.add_scope_requirements({SOURCE: [globus_sdk.Scope(https_scope(SOURCE))]})
    header = {"Authorization": app.get_authorizer(SOURCE).get_authorization_header() or ""}
    content = (_root(service, SOURCE) / folder[1:] / "a file+.txt").read_bytes()
    assert requests.get(url, headers=header, timeout=10).content == content
    part = requests.get(url, headers=header | {"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, content[10:20])
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(f"{server}{folder}/none", headers=header, timeout=10).status_code == 404
    wrong = transfer.get_endpoint(TARGET)["https_server"]
    assert requests.get(f"{wrong}{folder}/a", headers=header, timeout=10).status_code == 401
    service.fault(Action.TRUNCATED, path="a%20file")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = requests.get(url, headers=header, timeout=10).content
    app.close()


def _differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Where ours lacks a key of theirs or has another type; null fits anything."""
    if isinstance(theirs, dict):
        missing = [f"{where}.{key} is missing" for key in theirs if key not in ours]
        return missing + [
            each for key in theirs if key in ours for each in _differences(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list):
        return _differences(ours[0], theirs[0], f"{where}[0]") if ours and theirs else []
    if ours is None or theirs is None or type(ours) is type(theirs):
        return []
    return [f"{where} is {type(ours).__name__}, {type(theirs).__name__} in the fixture"]


def _fixture(name: str, case: str = "default") -> dict[str, Any]:
    response = get_response_set(f"transfer.{name}").lookup(case)
    assert isinstance(response, RegisteredResponse)
    return dict(response.json or {})


def test_answers_have_the_shapes_of_the_fixtures_of_the_sdk(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient, folder: str
) -> None:
    _write(service, folder, ["a", "b"])
    submitted = transfer.submit_transfer(_data(folder, ["a"])).data
    until(transfer, submitted["task_id"])
    blocked = transfer.submit_transfer(_data(folder, ["none"]))["task_id"]
    delete = globus_sdk.DeleteData(SOURCE)
    delete.add_item(f"{folder}/b")
    answers = {
        "get_submission_id": transfer.get_submission_id().data,
        "submit_transfer": submitted,
        "submit_delete": transfer.submit_delete(delete).data,
        "cancel_task": transfer.cancel_task(blocked).data,
        "task_list": transfer.task_list().data,
        "operation_stat": transfer.operation_stat(SOURCE, f"{folder}/a").data,
        "operation_mkdir": transfer.operation_mkdir(SOURCE, f"{folder}/made").data,
        "operation_rename": transfer.operation_rename(SOURCE, f"{folder}/made", f"{folder}/renamed").data,
        "get_endpoint": transfer.get_endpoint(SOURCE).data,
        "endpoint_manager_task_successful_transfers": transfer.task_successful_transfers(submitted["task_id"]).data,
    }
    assert [each for name, answer in answers.items() for each in _differences(answer, _fixture(name), name)] == []


@pytest.mark.parametrize(
    ("name", "case", "path"),
    [("operation_stat", "not_found", "/none"), ("operation_stat", "permission_denied", "/../x")],
)
def test_refusals_have_the_codes_of_the_fixtures_of_the_sdk(
    transfer: globus_sdk.TransferClient, name: str, case: str, path: str
) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.operation_stat(SOURCE, path)
    theirs = _fixture(name, case)
    assert refused.value.code == theirs["code"]
    assert _differences(refused.value.raw_json, theirs) == []


def test_every_request_is_logged_with_who_asked_and_no_secret(
    service: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    transfer.operation_ls(SOURCE, "/", limit=3)
    last = service.calls()[-1]
    assert (last["method"], last["path"], last["status"]) == ("GET", f"/v0.10/operation/endpoint/{SOURCE}/ls", 200)
    assert (last["identity"], last["query"]) == (CLIENT.client_id, "path=/&limit=3")
    assert service.state()["secrets_in_urls"] == 0
