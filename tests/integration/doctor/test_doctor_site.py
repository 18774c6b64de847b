"""A whole site as doctor sees it: each part is broken in turn, and the finding names it with its remedy."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from dichroism_crds.client import Api
from dichroism_crds.kinds import Prune, PruneStatus, Scan, ScanPhase, ScanStatus, Step
from dichroism_crds.names import ANNOTATION_PAUSED, LABEL_BEAMLINE, LABEL_ENDPOINT, OPERATOR_LEASE, PRIVATE_DIR
from dichroism_crds.reasons import Reason
from dichroism_operator import pauses
from dichroism_operator.doctor.roundtrip import DOCTOR
from dichroism_operator.lease import Lease
from tests.chart import OPERATOR, PRUNER, WATCHER, cronjob_name
from tests.cluster import Cluster
from tests.emulators.scicat.process import INGESTOR
from tests.emulators.scicat.settings import Account, ingest_site
from tests.fault.supervisor import WITHOUT_ROOT
from tests.integration.crds.objects import prune, scan
from tests.integration.doctor.asking import Answer, ask
from tests.site import PYTHON, Site, open_site

PLAIN = Account("plain", "emulated-password-2", ("als",))
"""May create datasets with its own pids, but for its own group alone."""


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Chart installed, catalogue running, one file of a user; nothing of ours at work."""
    with open_site(cluster, tmp_path_factory.mktemp("site")) as opened:
        opened.scicat.settings = ingest_site([INGESTOR, PLAIN], create_dataset_with_pid=PLAIN.groups)
        opened.scicat.start()
        document = opened.document()
        for name, beamline in document["beamlines"].items():
            beamline["watch"]["quiet_period"] = "180s"
            beamline["prune"][f"data{name[2:]}"]["after"] = "180d"
        opened.install(document | {"trash": {"keep": "7d"}})
        measured = opened.mount("data402") / "2026" / "scan.txt"
        measured.parent.mkdir()
        measured.write_text("measured")
        yield opened


@pytest.fixture
def doctor(site: Site) -> Callable[..., Answer]:
    """Ask about some checks, as a service account of the chart."""

    def asked(*only: str, account: str = OPERATOR, options: tuple[str, ...] = (), **environment: str) -> Answer:
        chosen = [word for name in only for word in ("--only", name)]
        return ask(site.environment(account) | environment, *chosen, *options)

    return asked


def kubectl(site: Site, *arguments: str, **options: Any) -> str:
    return site.cluster.kubectl("-n", site.namespace, *arguments, **options)


def put(site: Site, made: Scan | Prune, status: ScanStatus | PruneStatus) -> None:
    """Create an object with a status, as the administrator."""
    body = made.to_wire()
    body["metadata"] |= {"namespace": site.namespace}
    kubectl(site, "create", "-f", "-", input=yaml.safe_dump(body))
    patch = json.dumps({"status": status.wire()})
    kubectl(site, "patch", made.plural, made.name, "--subresource=status", "--type=merge", "-p", patch)


def everything(site: Site) -> dict[str, tuple[int, int]]:
    """Size and time of each file on each endpoint."""
    files = (path for path in (site.folder / "endpoints").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


# fine


def test_a_whole_site_at_work_is_fine_and_stays_as_it_was(site: Site) -> None:
    before = everything(site)
    asyncio.run(take_lease(site))
    command = [str(PYTHON.parent / "dichroism"), "doctor"]
    done = subprocess.run(command, env=site.environment(OPERATOR), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 problems" in done.stdout
    assert "WARNING" not in done.stdout
    for line in (
        "  ok       lease         operator-at-work works, last heard of ",
        "  ok       permissions   ",
        "  ok       stop          pruning is not stopped",
        f"  ok       data402       {site.mount('data402')} is prepared, files can be read (2026/scan.txt)",
        "  ok       nersc402      written, read back, renamed and deleted a file",
        "  ok       rights        a dry run tells: may create datasets",
        "  ok       BL402         read from the mount of nersc402",
    ):
        assert " ".join(line.split()) in " ".join(done.stdout.split())
    assert everything(site) == before
    assert not list(site.folder.glob(f"endpoints/*/{DOCTOR}"))
    assert site.scicat.state()["datasets"] == 0
    assert site.scicat.state()["secretsInUrls"] == 0
    assert site.scicat.account.password not in done.stdout + done.stderr


async def take_lease(site: Site) -> None:
    """Be the operator at work, for as long as its Lease lasts."""
    configuration = Configuration()
    kubeconfig = site.cluster.kubeconfig_for(site.namespace, OPERATOR)
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with Api(ApiClient(configuration), site.namespace) as api:
        assert await Lease(api, OPERATOR_LEASE, "operator-at-work", duration_s=60).try_acquire()


@pytest.mark.parametrize("account", [PRUNER, WATCHER])
def test_the_other_programs_may_ask_too_and_learn_what_their_account_may_know(
    doctor: Callable[..., Answer], account: str
) -> None:
    answer = doctor(account=account)
    assert answer.code == 0
    answer.assert_fine("kubernetes/permissions")
    answer.assert_found(
        "kubernetes/lease", "not_checked", f"{account} may not read it", "deployment/dichroism-operator"
    )


# Kubernetes


def test_a_place_that_points_to_no_cluster_is_no_problem(doctor: Callable[..., Answer], tmp_path: Path) -> None:
    answer = doctor("kubernetes", KUBECONFIG="", HOME=str(tmp_path))
    assert answer.code == 0
    answer.assert_found("kubernetes/api", "not_checked", "no way to the Kubernetes API", "Set KUBECONFIG")
    answer.assert_found("kubernetes/lease", "not_checked", "needs the Kubernetes API", "kubernetes/api")


@contextmanager
def kubeconfig(site: Site, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[str]:
    document = yaml.safe_load(site.cluster.kubeconfig_for(site.namespace, OPERATOR).read_text())
    change(document)
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(document))
    yield str(file)


def test_a_token_that_is_not_taken_is_named_once(site: Site, doctor: Callable[..., Answer], tmp_path: Path) -> None:
    def spoil(document: dict[str, Any]) -> None:
        document["users"][0]["user"] = {"token": "expired"}

    with kubeconfig(site, tmp_path, spoil) as file:
        answer = doctor("kubernetes", KUBECONFIG=file)
    assert answer.document["counts"]["problem"] == 1
    answer.assert_found("kubernetes/api", "problem", "Unauthorized", "Renew the token")


def test_servers_that_never_answer_are_cut_off(site: Site, doctor: Callable[..., Answer], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        def redirect(document: dict[str, Any]) -> None:
            document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"

        file = tmp_path / "config.yml"
        file.write_text(site.config_file.read_text().replace(site.scicat.url, f"http://127.0.0.1:{port}/api/v3"))
        with kubeconfig(site, tmp_path, redirect) as other:
            options = ("--config", str(file), "--timeout", "1")
            answer = doctor("kubernetes", "scicat", "endpoint/nersc402", KUBECONFIG=other, options=options)
    for check in ("kubernetes/api", "scicat/server", "scicat/login"):
        answer.assert_found(check, "problem", "no answer within 1 s", "--timeout")


def test_a_right_that_is_missing_in_the_role_is_named(site: Site, doctor: Callable[..., Answer]) -> None:
    role = json.loads(kubectl(site, "get", "role", OPERATOR, "-o", "json"))
    rules = [rule for rule in role["rules"] if "cronjobs" not in rule["resources"]]
    kubectl(site, "patch", "role", OPERATOR, "--type=merge", "-p", json.dumps({"rules": rules}))
    try:
        answer = site.wait_for(
            lambda: (seen := doctor("kubernetes/permissions", "kubernetes/cronjobs")).code and seen,
            "the API server knows",
        )
    finally:
        kubectl(site, "patch", "role", OPERATOR, "--type=merge", "-p", json.dumps({"rules": role["rules"]}))
    answer.assert_found("kubernetes/permissions", "problem", "may not: list cronjobs.", "Upgrade the chart")
    answer.assert_found("kubernetes/cronjobs", "not_checked", "dichroism-operator may not read it")
    site.wait_for(lambda: doctor("kubernetes/permissions").code == 0, "the API server knows the Role again")


def hold_lease(site: Site, age: timedelta, annotations: dict[str, str]) -> None:
    """Hold the operator's Lease, renewed so long ago."""
    held = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": OPERATOR_LEASE, "annotations": annotations},
        "spec": {
            "holderIdentity": "pod_1_ab",
            "leaseDurationSeconds": 15,
            "renewTime": (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
    kubectl(site, "delete", "lease", OPERATOR_LEASE, "--ignore-not-found")
    kubectl(site, "create", "-f", "-", input=json.dumps(held))


def test_nobody_at_work_is_a_problem(site: Site, doctor: Callable[..., Answer]) -> None:
    kubectl(site, "delete", "lease", OPERATOR_LEASE, "--ignore-not-found")
    doctor("kubernetes/lease").assert_found("kubernetes/lease", "problem", "was never held", "kubectl get pods")
    hold_lease(site, timedelta(hours=3), {})
    answer = doctor("kubernetes/lease", "kubernetes/lanes")
    answer.assert_found("kubernetes/lease", "problem", "pod_1_ab was last heard of 3 h ago", "kubectl logs")
    answer.assert_found("kubernetes/lanes", "not_checked", "no operator is at work", "kubernetes/lease")


def test_lanes_that_are_paused_are_named_with_what_to_do(site: Site, doctor: Callable[..., Answer]) -> None:
    paused = {("BL402", Step.TRANSFERRED): f"Transferred waits: {Reason.ENDPOINT_UNAVAILABLE}, no disk there"}
    hold_lease(site, timedelta(), {ANNOTATION_PAUSED: pauses.word(paused)})
    answer = doctor("kubernetes/lanes")
    answer.assert_found("kubernetes/lanes", "problem", "BL402: Transferred waits: EndpointUnavail", "every few minutes")
    hold_lease(site, timedelta(), {})
    doctor("kubernetes/lanes").assert_fine("kubernetes/lanes")


def test_cronjobs_that_do_not_run_are_named(site: Site, doctor: Callable[..., Answer]) -> None:
    suspended, missing = cronjob_name("data402"), cronjob_name("nersc402")
    doctor("kubernetes/cronjobs").assert_fine("kubernetes/cronjobs")
    kept = json.loads(kubectl(site, "get", "cronjob", missing, "-o", "json"))
    kubectl(site, "patch", "cronjob", suspended, "-p", '{"spec":{"suspend":true}}')
    kubectl(site, "delete", "cronjob", missing)
    try:
        answer = doctor("kubernetes/cronjobs")
        other = doctor("kubernetes/cronjobs", options=("--beamline", "BL631"))
    finally:
        kubectl(site, "patch", "cronjob", suspended, "-p", '{"spec":{"suspend":null}}')
        del kept["metadata"]["resourceVersion"], kept["metadata"]["uid"]
        kubectl(site, "create", "-f", "-", input=json.dumps(kept))
    answer.assert_found("kubernetes/cronjobs", "problem", f"{suspended} is suspended", "kubectl patch cronjob")
    answer.assert_found("kubernetes/cronjobs", "problem", "nersc402: no CronJob has the label", "Upgrade the chart")
    other.assert_fine("kubernetes/cronjobs")


def test_a_run_that_failed_is_named(site: Site, doctor: Callable[..., Answer]) -> None:
    name = cronjob_name("data631")
    # Now, not earlier: the controller would make up for a run that it takes for missed.
    started = datetime.now(UTC)
    status = {"lastScheduleTime": f"{started:%Y-%m-%dT%H:%M:%SZ}", "lastSuccessfulTime": "2026-11-01T01:00:00Z"}
    patch = json.dumps({"status": status})
    kubectl(site, "patch", "cronjob", name, "--subresource=status", "--type=merge", "-p", patch)
    answer = doctor("kubernetes/cronjobs")
    cleared = json.dumps({"status": dict.fromkeys(status)})
    kubectl(site, "patch", "cronjob", name, "--subresource=status", "--type=merge", "-p", cleared)
    message = f"{name} ({started:%Y-%m-%d %H:%M} UTC) did not end well"
    answer.assert_found("kubernetes/cronjobs", "problem", message, "Read its log")


def test_the_stop_switch_is_told_with_its_reason(site: Site, doctor: Callable[..., Answer]) -> None:
    kubectl(site, "create", "configmap", "dichroism-stop-prune", "--from-literal=reason=checksums look odd")
    answer = doctor("kubernetes/stop")
    kubectl(site, "delete", "configmap", "dichroism-stop-prune")
    assert answer.code == 0
    answer.assert_found("kubernetes/stop", "warning", "(reason checksums look odd)", "dichroism prune resume")
    doctor("kubernetes/stop").assert_fine("kubernetes/stop")


def test_scans_and_prunes_that_need_a_person_are_counted(site: Site, doctor: Callable[..., Answer]) -> None:
    put(site, scan("failed-scan"), ScanStatus(phase=ScanPhase.FAILED))
    put(site, scan("refused-scan"), ScanStatus(phase=ScanPhase.REFUSED))
    put(site, scan("waiting-scan"), ScanStatus(phase=ScanPhase.TRANSFERRED))
    put(site, scan("finished-scan"), ScanStatus(phase=ScanPhase.PRUNE_SCHEDULED))
    kept = PruneStatus.model_validate(
        {"phase": "Incomplete", "keptCount": 1, "kept": [{"path": "a", "reason": "CopyMissing"}]}
    )
    put(site, labelled("data402-20200101-0001"), kept)
    answer = doctor("kubernetes/scans", "kubernetes/prunes")
    other = doctor("kubernetes/scans", "kubernetes/prunes", options=("--beamline", "BL631"))
    kubectl(site, "delete", "scans,prunes", "--all")
    answer.assert_found("kubernetes/scans", "problem", "BL402: 1 Scan is Failed", "dichroism why")
    answer.assert_found("kubernetes/scans", "warning", "BL402: 1 Scan is Refused", "status.phase=Refused")
    answer.assert_found("kubernetes/scans", "ok", "BL402: 1 unfinished, the oldest (waiting-scan)")
    answer.assert_found("kubernetes/prunes", "warning", "1 file kept although due (CopyMissing 1)", "runbook")
    other.assert_fine("kubernetes/scans")
    other.assert_fine("kubernetes/prunes")


def labelled(name: str) -> Prune:
    made = prune(name)
    made.metadata.labels = {LABEL_BEAMLINE: "BL402", LABEL_ENDPOINT: "data402"}
    return made


# endpoints


def test_an_endpoint_that_is_not_mounted_or_not_prepared_is_named(site: Site, doctor: Callable[..., Answer]) -> None:
    marker = site.mount("nersc402") / PRIVATE_DIR
    away = marker.with_name("away")
    marker.rename(away)
    answer = doctor("endpoint/nersc402", "endpoint/hpss402", DICHROISM_MOUNT_HPSS402="/nowhere")
    away.rename(marker)
    answer.assert_found("endpoint/nersc402", "problem", "has no folder .dichroism", "prepare-endpoints.md")
    answer.assert_found("endpoint/hpss402", "problem", "/nowhere can't be entered", "prepare-endpoints.md")


def test_read_only_folders_are_named_for_the_program_that_writes_there(site: Site) -> None:
    if not WITHOUT_ROOT and site.mount("nersc402").owner() == "root":
        pytest.skip("root may write everywhere, and there is no setpriv to take that right away")
    copies, measured = site.mount("nersc402"), site.mount("data402")
    paths = [copies, copies / PRIVATE_DIR, measured / PRIVATE_DIR, measured / "2026"]
    modes = [path.stat().st_mode & 0o777 for path in paths]
    for path in paths:
        path.chmod(0o500)
    paths[-1].chmod(0o000)
    arguments = ["doctor", "-o", "json", "--only", "endpoint/nersc402", "--only", "endpoint/data402"]
    command = [*WITHOUT_ROOT, str(PYTHON.parent / "dichroism"), *arguments]
    try:
        done = subprocess.run(command, env=site.environment(OPERATOR), capture_output=True, text=True, timeout=60)
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
    answer = Answer(done.returncode, json.loads(done.stdout))
    assert answer.code == 1
    answer.assert_found("endpoint/nersc402", "problem", "can't make a folder: Permission denied", "Mount it writable")
    answer.assert_found("endpoint/data402", "problem", "nothing in it can be read: 2026: Permission", "Let user")
    answer.assert_found("endpoint/data402", "not_checked", "its prune job must be able to rename", "how-to/doctor.md")


def test_trash_without_a_prune_and_other_leftovers_are_named_and_stay(
    site: Site, doctor: Callable[..., Answer]
) -> None:
    private = site.mount("data402") / PRIVATE_DIR
    files = {
        "trash/data402-20200101-0002/0-abcdef01-scan.txt": b"known",
        "trash/data402-20200101-0003/0-abcdef01-scan.txt": b"orphan",
        "superseded/0123456789abcdef-scan.txt": b"older",
    }
    for path, body in files.items():
        (private / path).parent.mkdir(parents=True)
        (private / path).write_bytes(body)
    put(site, labelled("data402-20200101-0002"), PruneStatus())
    answer = doctor("endpoint/data402")
    blind = doctor("endpoint/data402", KUBECONFIG="/nonexistent")
    kubectl(site, "delete", "prunes", "--all")
    assert answer.code == 0
    orphan = "trash/data402-20200101-0003 holds 1 file, 6 bytes, and there is no Prune data402-20200101-0003"
    answer.assert_found("endpoint/data402", "warning", orphan, "nothing of ours deletes them")
    answer.assert_found("endpoint/data402", "warning", "superseded holds 1 file, 5 bytes", "only copy")
    assert "0002" not in json.dumps(answer.document)
    blind.assert_found("endpoint/data402", "not_checked", "needs the Kubernetes API")
    for path, body in files.items():
        assert (private / path).read_bytes() == body
        (private / path).unlink()


# SciCat


def test_a_wrong_password_is_named_once(site: Site, doctor: Callable[..., Answer]) -> None:
    answer = doctor("scicat", SCICAT_PASSWORD="guessed")
    answer.assert_fine("scicat/server")
    answer.assert_found("scicat/login", "problem", "refuses our login (HTTP 401)", "SCICAT_PASSWORD")
    answer.assert_found("scicat/groups", "not_checked", "needs a login", "scicat/login")
    answer.assert_found("scicat/rights", "not_checked", "needs a login", "scicat/login")
    assert "guessed" not in json.dumps(answer.document)


def test_a_password_that_is_not_set_is_a_problem_for_the_operator_alone(doctor: Callable[..., Answer]) -> None:
    missing = {"SCICAT_USERNAME": "", "SCICAT_PASSWORD": ""}
    doctor("scicat/login", **missing).assert_found("scicat/login", "problem", "set SCICAT_USERNAME", "Secret")
    watcher = doctor("scicat", account=WATCHER, **missing)
    assert watcher.code == 0
    watcher.assert_found("scicat/login", "not_checked", "no login for SciCat is set here", "operator's pod")


def test_an_account_without_the_rights_is_named_by_a_dry_run(site: Site, doctor: Callable[..., Answer]) -> None:
    answer = doctor("scicat", SCICAT_USERNAME=PLAIN.username, SCICAT_PASSWORD=PLAIN.password)
    answer.assert_found("scicat/rights", "problem", "for its own groups alone", "CREATE_DATASET_PRIVILEGED_GROUPS")
    answer.assert_found("scicat/groups", "warning", "als is added to each dataset", "access_groups")
    assert site.scicat.state()["datasets"] == 0


def test_a_catalogue_that_is_not_there_is_named(site: Site, doctor: Callable[..., Answer], tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(site.config_file.read_text().replace(site.scicat.url, f"{site.scicat.url}/wrong"))
    answer = doctor("scicat/server", options=("--config", str(file)))
    answer.assert_found("scicat/server", "problem", "is no SciCat (HTTP 404)", "scicat.url")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    file.write_text(site.config_file.read_text().replace(site.scicat.url, f"http://127.0.0.1:{port}/api/v3"))
    answer = doctor("scicat", options=("--config", str(file)))
    answer.assert_found("scicat/server", "problem", "no answer from the catalogue", "scicat.url")


# the header


def test_an_operator_without_mounts_is_told_that_headers_are_not_read(
    site: Site, doctor: Callable[..., Answer], tmp_path: Path
) -> None:
    document = yaml.safe_load(site.config_file.read_text())
    for name in ("data402", "nersc402"):
        del document[name]["mount"]
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(document))
    answer = doctor("header", "config/runnable", "endpoint/nersc402", options=("--config", str(file)))
    answer.assert_found("header/BL402", "warning", "HeaderNotRead", "Mount nersc402 or data402")
    answer.assert_fine("header/BL631")
    answer.assert_found(
        "config/runnable", "problem", "needs endpoint 'nersc402' mounted here", "value `mounts` of the chart"
    )
    answer.assert_found("endpoint/nersc402", "not_checked", "is not mounted here", "DICHROISM_MOUNT_NERSC402")
