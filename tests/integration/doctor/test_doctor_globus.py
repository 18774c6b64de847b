"""Globus as doctor sees it: each part is broken in turn, and the finding names it with its remedy."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from globus_sdk import TransferData

from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.schema import crd_yaml
from dichroism_operator.doctor.globus_collection import DOCTOR
from dichroism_operator.flight.field import FLIGHT, STANDING
from tests.cluster import Cluster
from tests.emulators.globus.process import CLIENT, GlobusEmulator
from tests.emulators.globus.sdk import transfer_client
from tests.emulators.globus.settings import MAPPED, Client, Collection, Limits, Settings
from tests.integration.crds.objects import transfer
from tests.integration.doctor.asking import Answer, ask

SOURCE = "5d3a2c1e-0000-4000-8000-000000000001"
TARGET = "5d3a2c1e-0000-4000-8000-000000000002"
STRANGER = Client("6e5c0a5e-0d0d-4b0a-9b5e-3c1f6f1f0002", "emulated-client-secret-2")
FINE: dict[str, Any] = {
    "permissions": {CLIENT.client_id: "rw"},
    "requires_consent": False,
    "down": False,
    "read_only": False,
    "paused": None,
}
ENDS = ("globus/data402", "globus/nersc402")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    """Two collections whose roots are prepared, and files in them."""
    folder = tmp_path_factory.mktemp("globus")
    collections = []
    for uuid, name in ((SOURCE, "beamline"), (TARGET, "cfs")):
        root = folder / name
        (root / "data" / PRIVATE_DIR).mkdir(parents=True)
        (root / "data" / "scan.txt").write_text("measured")
        collections.append(
            Collection(uuid, str(root), display_name=name, entity_type=MAPPED, permissions={CLIENT.client_id: "rw"})
        )
    limits = Limits(start_up_s=3600.0, requests_per_second=0.0)
    with GlobusEmulator(folder / "service", Settings((CLIENT, STRANGER), tuple(collections), limits)) as emulator:
        yield emulator
    assert "Traceback" not in (folder / "service" / "output.log").read_text()


def document() -> dict[str, Any]:
    return {
        "data402": {"root_path": "/dtn/data", "globus_path": "/data", "uuid": SOURCE},
        "nersc402": {"root_path": "/cfs/data", "globus_path": "/data", "uuid": TARGET},
        "scicat": {"url": "https://scicat.example.org/api/v3"},
        "beamlines": {
            "BL402": {
                "watch": {"root": "data402", "since": "2026-01-01"},
                "transfer": {"from": "data402", "to": "nersc402", "mover": "globus"},
                "ingest": {"owner_group": "als", "contact_email": "bl402@example.org"},
                "prune": {"data402": {"after": "180d", "needs": ["nersc402"]}},
            }
        },
    }


@pytest.fixture
def doctor(service: GlobusEmulator, tmp_path: Path) -> Callable[..., Answer]:
    """Ask about Globus in the role of the operator; ``change`` changes the configuration."""

    def asked(
        *only: str,
        change: Callable[[dict[str, Any]], object] = lambda _: None,
        role: str = "operator",
        **environment: str,
    ) -> Answer:
        chosen = document()
        change(chosen)
        file = tmp_path / "config.yml"
        file.write_text(yaml.safe_dump(chosen))
        options = [word for name in only or ("globus/login", *ENDS) for word in ("--only", name)]
        return ask(service.sdk_environment() | environment, "--config", str(file), "--role", role, *options)

    return asked


@pytest.fixture
def broken(service: GlobusEmulator) -> Iterator[Callable[..., None]]:
    """Break fields of the destination's collection; mended afterwards."""

    def change(**fields: Any) -> None:
        service.set_collection(TARGET, **fields)

    yield change
    service.set_collection(TARGET, **FINE)


def root_of(service: GlobusEmulator, uuid: str) -> Path:
    return next(Path(one.root) for one in service.settings.collections if one.collection_id == uuid) / "data"


def test_a_hop_that_works_is_fine_and_no_file_is_touched(
    service: GlobusEmulator, doctor: Callable[..., Answer]
) -> None:
    target = root_of(service, TARGET)
    for _ in range(3):
        answer = doctor(role="pruner")
    assert answer.code == 0
    for check in ("globus/login", *ENDS):
        answer.assert_fine(check)
    answer.assert_found("globus/login", "ok", f"logged in as {CLIENT.username}")
    answer.assert_found("globus/nersc402", "ok", "collection 'cfs', GCSv5_mapped_collection: /data is prepared")
    assert (target / "scan.txt").read_text() == "measured"
    assert not list((target / DOCTOR).rglob("*")), "the pruner writes to pruned endpoints alone"
    (one_empty_folder,) = (root_of(service, SOURCE) / DOCTOR).rglob("*")
    assert one_empty_folder.is_dir()
    assert not [call for call in service.calls() if call["path"].endswith(("/transfer", "/delete"))]


def test_the_operator_renames_on_the_destination_alone(service: GlobusEmulator, doctor: Callable[..., Answer]) -> None:
    before = sorted((root_of(service, SOURCE)).rglob("*"))
    doctor().assert_found("globus/nersc402", "ok", "renamed it")
    assert sorted((root_of(service, SOURCE)).rglob("*")) == before


def test_a_wrong_secret_is_named_once(doctor: Callable[..., Answer]) -> None:
    answer = doctor(GLOBUS_CLIENT_SECRET="guessed")
    answer.assert_found("globus/login", "problem", "Globus Auth refuses the login", "GLOBUS_CLIENT_SECRET")
    for check in ENDS:
        answer.assert_found(check, "not_checked", "needs a login to Globus", "globus/login")
    assert "guessed" not in json.dumps(answer.document)


def test_credentials_that_are_not_set_are_a_problem_for_the_programs_that_move(doctor: Callable[..., Answer]) -> None:
    missing = {"GLOBUS_CLIENT_ID": "", "GLOBUS_CLIENT_SECRET": ""}
    doctor("globus/login", **missing).assert_found("globus/login", "problem", "set GLOBUS_CLIENT_ID")
    watcher = doctor("globus", role="watcher", **missing)
    assert watcher.code == 0
    watcher.assert_found("globus/login", "not_checked", "no credentials for Globus", "operator's pod")


def test_tokens_that_expired_are_renewed(service: GlobusEmulator, doctor: Callable[..., Answer]) -> None:
    service.expire_tokens()
    assert doctor().code == 0


@pytest.mark.parametrize(
    ("fields", "message", "remedy"),
    [
        ({"permissions": {}}, "403", f"Give {CLIENT.username} permission"),
        ({"permissions": {CLIENT.client_id: "r"}}, "no right to write", f"Give {CLIENT.username} permission"),
        ({"read_only": True}, "PermissionDenied", f"Give {CLIENT.username} permission"),
        ({"requires_consent": True}, "data_access consent", "guest collection, which needs no consent"),
        ({"down": True}, "ConnectFailed", "is its server up"),
        ({"paused": "tape robot is repaired"}, "holds our tasks on this collection (tape robot is", "administrator"),
    ],
)
def test_each_trouble_of_a_collection_is_named(
    doctor: Callable[..., Answer], broken: Callable[..., None], fields: dict[str, Any], message: str, remedy: str
) -> None:
    broken(**fields)
    answer = doctor()
    assert answer.code == 1
    answer.assert_found("globus/nersc402", "problem", message, remedy)
    answer.assert_fine("globus/data402")


@pytest.mark.parametrize(
    ("field", "value", "message", "remedy"),
    [
        ("uuid", "5d3a2c1e-0000-4000-8000-00000000dead", "no such collection", "is the uuid right"),
        ("uuid", "<nersc-endpoint-uuid>", "names no collection", "nersc402.uuid"),
        ("globus_path", "/elsewhere", "no folder /elsewhere", "nersc402.globus_path"),
        ("globus_path", "/", "has no folder .dichroism", f"globus mkdir '{TARGET}:/.dichroism'"),
    ],
)
def test_a_wrong_place_in_the_configuration_is_named(
    doctor: Callable[..., Answer], field: str, value: str, message: str, remedy: str
) -> None:
    answer = doctor(change=lambda config: config["nersc402"].update({field: value}))
    answer.assert_found("globus/nersc402", "problem", message, remedy)


def test_headers_are_read_over_https_where_nothing_is_mounted(doctor: Callable[..., Answer]) -> None:
    doctor("header").assert_found("header/BL402", "ok", "read over HTTPS of the collection of nersc402")


def test_without_credentials_nobody_knows_whether_headers_can_be_read(doctor: Callable[..., Answer]) -> None:
    answer = doctor("header", GLOBUS_CLIENT_SECRET="guessed")
    answer.assert_found("header/BL402", "not_checked", "could not be asked", "globus")


def test_the_file_of_the_flight_checks_is_missed_until_it_stands_there(
    service: GlobusEmulator, doctor: Callable[..., Answer]
) -> None:
    field = root_of(service, SOURCE) / FLIGHT
    doctor("flight").assert_found(
        "flight/BL402", "problem", f"data402 has no {FLIGHT}/", f"/dtn/data/{FLIGHT}/{STANDING}"
    )
    (field / PRIVATE_DIR).mkdir(parents=True)
    doctor("flight").assert_found("flight/BL402", "problem", f"data402 has no {FLIGHT}/{STANDING}:")
    (field / STANDING).write_bytes(b"anything")
    doctor("flight").assert_fine("flight/BL402")


def test_tasks_that_nobody_waits_for_or_that_are_held_are_named(
    service: GlobusEmulator, doctor: Callable[..., Answer], cluster: Cluster, namespace: str
) -> None:
    doctor("globus/tasks").assert_found("globus/tasks", "ok", "no task of ours is under way")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/transfers.dichroism.als.lbl.gov")
    known = transfer("bl402-data402-nersc402-000001").to_wire()
    known["metadata"]["namespace"] = namespace
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(known))
    uid = cluster.kubectl("get", "namespace", namespace, "-o", "jsonpath={.metadata.uid}")
    labels = ("a person's copy", f"dichroism {uid} bl402-data402-nersc402-000001 s-1", f"dichroism {uid} gone s-2")
    with transfer_client(service) as client:
        tasks = [client.submit_transfer(body_of(label))["task_id"] for label in labels]
        service.pause(tasks[1])
        try:
            blind = doctor("globus/tasks")
            seen = doctor("globus/tasks", **cluster.environment(), DICHROISM_NAMESPACE=namespace)
        finally:
            for task in tasks:
                client.cancel_task(task)
    blind.assert_found("globus/tasks", "not_checked", "needs the Kubernetes API")
    held = f"task {tasks[1]} of bl402-data402-nersc402-000001 is paused by an administrator"
    seen.assert_found("globus/tasks", "problem", held, "ask the administrator")
    orphan = f"task {tasks[2]} was started for Transfer gone, which is not there"
    seen.assert_found("globus/tasks", "warning", orphan, f"globus task cancel {tasks[2]}")
    assert tasks[0] not in json.dumps(seen.document)


def body_of(label: str) -> TransferData:
    """A task that does not start before the test ends."""
    body = TransferData(SOURCE, TARGET, label=label)
    body.add_item("/data/scan.txt", f"/data/{len(label)}.txt")
    return body
