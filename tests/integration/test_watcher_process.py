"""The watcher as a process of its own, on real files, against a real API server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds import timestamps
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ORIGIN, PRIVATE_DIR, scan_name
from dichroism_crds.schema import crd_documents, crd_yaml
from dichroism_watcher.journal_file import JournalError, JournalFile, Row
from tests.cluster import Cluster
from tests.probe import ask
from tests.samples import generate, write_filler

QUIET_S = 1
DEADLINE_S = 60
PROGRAM = (sys.executable, "-c", "from dichroism_cli.main import main; main()")


class Site:
    """Acquisition storage of both beamlines, a config for it, and a watcher that can be started and ended at will."""

    def __init__(self, folder: Path, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.roots = {name: folder / name for name in ("data402", "data631")}
        for root in self.roots.values():
            (root / PRIVATE_DIR).mkdir(parents=True)
        self.journal = folder / "journal.db"
        self.config = folder / "config.yml"
        self.write_config(QUIET_S)
        self.log_file = folder / "watcher.log"
        self.process: subprocess.Popen[bytes] | None = None

    def write_config(self, quiet_s: int, watch: str = "interval: 100ms") -> None:
        endpoints = [
            f"{name}: {{name: {name}, root_path: /site/{name}, mount: {root}}}" for name, root in self.roots.items()
        ]
        beamlines = [
            f"  BL{number}:\n    watch: {{root: data{number}, since: 2026-11-01, quiet_period: {quiet_s}s, "
            f"{watch}}}\n    transfer: {{from: data{number}, to: nersc{number}}}"
            for number in (402, 631)
        ]
        endpoints += [f"nersc{number}: {{name: nersc{number}, root_path: /cfs/{number}}}" for number in (402, 631)]
        text = [*endpoints, "beamlines:", *beamlines]
        self.config.write_text("\n".join(text) + "\n")

    def start(self, *options: str, kubeconfig: Path | None = None, **environment: str) -> None:
        program = [*PROGRAM, "watcher"]
        arguments = ["--config", str(self.config), "--namespace", self.namespace, *options]
        arguments += ["--journal", str(self.journal)]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*program, *arguments], stderr=log, env=self.cluster.environment(kubeconfig) | environment
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A subcommand of the watcher, to its end."""
        common = [
            "watcher",
            "--config",
            str(self.config),
            "--namespace",
            self.namespace,
            "--journal",
            str(self.journal),
        ]
        command = [*PROGRAM, *common, *arguments]
        return subprocess.run(
            command, env=self.cluster.environment(), capture_output=True, text=True, timeout=DEADLINE_S
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=DEADLINE_S)
        self.process = None
        return code

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def logged(self, **fields: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if all(line.get(name) == value for name, value in fields.items())]

    def scans(self) -> dict[str, dict[str, Any]]:
        """The Scans by the path on this machine of their file."""
        listed = json.loads(self.cluster.kubectl("get", "scans", "-n", self.namespace, "-o", "json"))["items"]
        roots = {"BL402": self.roots["data402"], "BL631": self.roots["data631"]}
        by_path = {str(roots[one["spec"]["beamline"]] / one["spec"]["path"]): one for one in listed}
        assert len(by_path) == len(listed), "two Scans of one file"
        return by_path

    def until(self, what: Callable[[], bool], reason: str) -> None:
        """Wait for something that must come; the deadline only ends a test that has failed."""
        deadline = time.monotonic() + DEADLINE_S
        while not what():
            assert self.process is None or self.process.poll() is None, f"the watcher died: {self.log_file.read_text()}"
            assert time.monotonic() < deadline, f"{reason}: {self.log_file.read_text()}"
            time.sleep(0.1)

    def until_scanned(self, *files: Path) -> None:
        self.until(lambda: self.scans().keys() >= set(map(str, files)), f"no Scan of one of {files}")

    def report(self, file: Path, *conditions: str) -> None:
        """What the operator would write on the Scan of a file: these conditions, of its present content."""
        scan = self.scans()[str(file)]
        moment = "2026-11-22T17:03:11.000000Z"
        content = {"size": scan["spec"]["size"], "modifiedAt": scan["spec"]["modifiedAt"]}
        told = [
            {"type": one, "status": "True", "reason": "Completed", "lastTransitionTime": moment} for one in conditions
        ]
        status = json.dumps({"status": {"content": content, "conditions": told}})
        name = scan["metadata"]["name"]
        self.cluster.kubectl(
            "patch", "scan", name, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", status
        )

    def delete_scan(self, file: Path) -> None:
        name = self.scans()[str(file)]["metadata"]["name"]
        self.cluster.kubectl("delete", "scan", name, "-n", self.namespace)

    def origin(self, file: Path) -> str:
        return str(self.scans()[str(file)]["metadata"]["labels"][LABEL_ORIGIN])

    def row(self, file: Path) -> Row | None:
        """What the journal on the disk has of a file of BL402."""
        opened = JournalFile.open_beside_watcher(self.journal)
        try:
            return opened.row("BL402", str(file.relative_to(self.roots["data402"])))
        finally:
            opened.close()

    def until_journalled(self, file: Path, *, safe: bool = False) -> None:
        def there() -> bool:
            try:
                row = self.row(file)
            except JournalError:  # a new journal is there before its tables are
                return False
            return row is not None and row.safe == safe and row.gone_at is None

        self.until(there, f"{file} is not in the journal")


def describes(scan: dict[str, Any], file: Path) -> bool:
    """Whether the Scan has the file's present content."""
    found = file.stat()
    modified = timestamps.format_time(timestamps.from_ns(found.st_mtime_ns))
    return (scan["spec"]["size"], scan["spec"]["modifiedAt"]) == (found.st_size, modified)


@pytest.fixture(scope="module")
def crds(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
    names = [f"crd/{document['metadata']['name']}" for document in crd_documents()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


@pytest.fixture
def site(crds: None, cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, cluster, namespace)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


def test_files_of_both_beamlines_get_scans_with_their_content(site: Site) -> None:
    first = generate(site.roots["data402"], "BL402", 9, points=20)
    site.start()
    site.until_scanned(*first)
    second = generate(site.roots["data631"], "BL631", 9, points=20)
    site.until_scanned(*second)
    scans = site.scans()
    assert len(scans) == 18
    for file in (*first, *second):
        scan = scans[str(file)]
        beamline = "BL402" if file in first else "BL631"
        endpoint = "data402" if file in first else "data631"
        assert describes(scan, file)
        assert scan["metadata"]["name"] == scan_name(beamline, endpoint, scan["spec"]["path"])
        # Nothing proves that files that the first pass met were never carried.
        origin = "recovered" if file in first else "live"
        assert scan["metadata"]["labels"] == {LABEL_BEAMLINE: beamline, LABEL_ORIGIN: origin}
        assert scan["metadata"]["generation"] == 1
        assert scan["status"]["phase"] == "Pending"


def test_a_rewritten_file_changes_its_scan_and_makes_no_second_one(site: Site) -> None:
    file = site.roots["data402"] / "a.txt"
    write_filler(file, 5000, seed=1)
    site.start()
    site.until_scanned(file)
    uid = site.scans()[str(file)]["metadata"]["uid"]
    write_filler(file, 9000, seed=2)
    site.until(lambda: describes(site.scans()[str(file)], file), "the Scan keeps the old content")
    assert site.scans()[str(file)]["metadata"]["uid"] == uid
    file.write_bytes(b"")
    site.until(lambda: describes(site.scans()[str(file)], file), "the Scan of an emptied file keeps the old content")


def test_a_file_rewritten_while_no_watcher_ran_changes_its_scan(site: Site) -> None:
    file = site.roots["data402"] / "a.txt"
    write_filler(file, 5000, seed=1)
    site.start()
    site.until_scanned(file)
    site.stop(signal.SIGKILL)
    write_filler(file, 9000, seed=2)
    site.start()
    site.until(lambda: describes(site.scans()[str(file)], file), "the Scan keeps the old content")


def test_a_kill_right_after_a_broken_journal_was_set_aside_loses_nothing(site: Site) -> None:
    file = site.roots["data402"] / "a.txt"
    write_filler(file, 1000, seed=1)
    site.journal.parent.mkdir(exist_ok=True)
    site.journal.write_bytes(b"this was a journal once" * 200)
    site.start(DICHROISM_KILL_AT="journal-set-aside")
    assert site.process is not None
    assert site.process.wait(DEADLINE_S) == -signal.SIGKILL
    site.start()
    site.until_scanned(file)
    assert site.origin(file) == "recovered"
    assert len(list(site.journal.parent.glob("*.broken-*"))) == 1


def test_a_deleted_scan_comes_back_unless_it_was_seen_to_succeed(site: Site) -> None:
    files = [site.roots["data402"] / name for name in ("unfinished.txt", "done.txt")]
    for file in files:
        write_filler(file, 1000, seed=1)
    site.start("--health-port", str(port := free_port()))
    site.until_scanned(*files)
    unfinished, done = (site.scans()[str(file)] for file in files)
    names = [one["metadata"]["name"] for one in (unfinished, done)]
    site.report(files[1], "Succeeded")
    settled = 'dichroism_watcher_settled{beamline="BL402"} 1'
    site.until(lambda: settled in ask(port, "/metrics")[1], "the success is not seen")
    site.cluster.kubectl("delete", "scan", *names, "-n", site.namespace)
    site.until_scanned(files[0])
    assert site.scans()[str(files[0])]["metadata"]["uid"] != unfinished["metadata"]["uid"]
    later = site.roots["data402"] / "later.txt"
    write_filler(later, 1000, seed=2)
    site.until_scanned(later)
    assert str(files[1]) not in site.scans()


def test_a_name_that_cannot_be_carried_is_told_once_and_stops_nobody(site: Site) -> None:
    root = site.roots["data402"]
    for name in (b"caf\xe9.txt", b"new\nline.txt"):
        with open(os.fsencode(root) + b"/" + name, "wb") as file:
            file.write(b"1234")
    good = generate(root, "BL402", 3, points=5)
    site.start()
    site.until_scanned(*good)
    assert len(site.scans()) == 3
    told = [line["path"] for line in site.log() if line["message"].startswith("quarantined")]
    assert sorted(told) == ["caf\udce9.txt", "new\nline.txt"]


def test_a_file_whose_name_another_scan_took_is_told_and_stops_nobody(site: Site) -> None:
    root = site.roots["data402"]
    foreign = {
        "apiVersion": "dichroism.als.lbl.gov/v1alpha1",
        "kind": "Scan",
        "metadata": {"name": scan_name("BL402", "data402", "taken.txt")},
        "spec": {"beamline": "BL402", "path": "else.txt", "size": 1, "modifiedAt": "2026-11-22T17:03:11.000000Z"},
    }
    site.cluster.kubectl("create", "-n", site.namespace, "-f", "-", input=json.dumps(foreign))
    for name in ("taken.txt", "free.txt"):
        write_filler(root / name, 1000, seed=1)
    site.start()
    site.until_scanned(root / "free.txt")
    site.until(lambda: bool(site.logged(path="taken.txt", level="ERROR")), "the clash is not told")
    assert set(site.scans()) == {str(root / "free.txt"), str(root / "else.txt")}


def test_files_of_before_and_partial_files_are_left_alone(site: Site) -> None:
    root = site.roots["data402"]
    for name in ("old.txt", "new.txt", "copy.part", ".hidden", "empty.txt"):
        write_filler(root / name, 0 if name == "empty.txt" else 1000, seed=1)
    os.utime(root / "old.txt", (1.6e9, 1.6e9))
    (root / "link.txt").symlink_to(root / "new.txt")
    site.start()
    site.until_scanned(root / "new.txt")
    time.sleep(2 * QUIET_S)
    assert list(site.scans()) == [str(root / "new.txt")]


def test_sigterm_ends_the_watcher_in_order_and_with_success(site: Site) -> None:
    site.start()
    site.until(lambda: bool(site.logged(message="watching")), "it does not start")
    assert site.stop() == 0
    assert "Traceback" not in site.log_file.read_text()


def test_a_missing_root_is_unhealthy_and_told_once_and_work_goes_on_when_it_is_back(site: Site) -> None:
    root = site.roots["data402"]
    files = generate(root, "BL402", 2, points=5)
    site.start("--health-port", str(port := free_port()))
    site.until_scanned(*files)
    site.until(lambda: ask(port, "/readyz")[0] == 200, "not healthy")
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    site.until(lambda: ask(port, "/readyz")[0] == 503, "an empty root counts as healthy")
    assert "BL402" in ask(port, "/readyz")[1]
    assert 'dichroism_watcher_root_ok{beamline="BL402"} 0' in ask(port, "/metrics")[1]
    other = generate(site.roots["data631"], "BL631", 1, points=5)
    site.until_scanned(*other)
    root.rmdir()
    root.with_name("unmounted").rename(root)
    write_filler(root / "later.txt", 1000, seed=1)
    site.until_scanned(root / "later.txt")
    assert (
        len(
            [
                line
                for line in site.log()
                if "is probably not mounted" in line["message"] or "so it is probably" in line["message"]
            ]
        )
        == 1
    )
    assert 'dichroism_watcher_accepted_total{beamline="BL402"} 3' in ask(port, "/metrics")[1]


def test_without_a_valid_token_or_rights_it_says_so_and_goes_on_once_it_has_them(site: Site) -> None:
    kubectl, namespace = site.cluster.kubectl, site.namespace
    kubectl("create", "serviceaccount", "watcher", "-n", namespace)
    (file,) = generate(site.roots["data402"], "BL402", 1, points=5)
    good = site.cluster.kubeconfig_for(namespace, "watcher").read_text()
    token = yaml.safe_load(good)["users"][0]["user"]["token"]
    kubeconfig = site.config.with_name("kubeconfig")
    kubeconfig.write_text(good.replace(token, "expired"))
    site.start(kubeconfig=kubeconfig)
    site.until(lambda: any("Unauthorized" in line.get("reason", "") for line in site.log()), "the refusal is not told")
    kubeconfig.write_text(good)
    site.until(lambda: any("forbidden" in line.get("reason", "") for line in site.log()), "the token is not read again")
    kubectl(
        "create", "role", "watcher", "-n", namespace,
        "--verb=get,list,watch,create,patch", "--resource=scans.dichroism.als.lbl.gov",
    )  # fmt: skip
    kubectl(
        "create", "rolebinding", "watcher", "-n", namespace, "--role=watcher", f"--serviceaccount={namespace}:watcher"
    )
    site.until_scanned(file)
    assert describes(site.scans()[str(file)], file)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
