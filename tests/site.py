"""A whole site on one machine: folders of both beamlines, SciCat emulator, chart, operator and watcher as processes.

Demo and fault tests drive the same site. Operator, watcher and prune jobs use the kubeconfig of their own service
account, so the Roles of the chart really bind them.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Prune, Resource, Scan, ScanPhase, Transfer
from dichroism_crds.names import API_VERSION, LABEL_BEAMLINE, LABEL_ORIGIN, PRIVATE_DIR, scan_name
from dichroism_crds.timestamps import format_time, from_ns
from dichroism_operator.movers.choice import SFAPI_POLL
from tests import chart
from tests.cluster import Cluster
from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.globus.settings import Limits, collections_of
from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.sfapi.process import SfapiEmulator

CREDENTIALS = "dichroism-credentials"
"""Name of the Secret of the chart's jobs."""
R = TypeVar("R", bound=Resource)

BEAMLINES = {"BL402": "402", "BL631": "631"}
PYTHON = Path(sys.executable)


class Program:
    """One of our programs as a process, with its log in a file."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = dict(environment)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> "Program":
        """Start it; keyword arguments are added to the environment."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment | environment, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds: float = 60) -> int:
        """Exit code, negative for a signal."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, as a node failure would do it."""
        if self.running and self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, as Kubernetes does it; returns the exit code."""
        assert self.process is not None
        if self.running:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def words(self) -> str:
        """What it logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Site:
    """The folders, the catalogue, the cluster's namespace and the programs."""

    def __init__(self, cluster: Cluster, folder: Path, namespace: str | None = None, *, keep: bool = False) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = namespace or cluster.namespace()
        self.scicat = SciCatEmulator(folder / "scicat", keep=keep, environment=cluster.environment())
        self.programs: list[Program] = []
        for number in BEAMLINES.values():
            for place in ("data", "nersc", "hpss"):
                (self.mount(f"{place}{number}") / PRIVATE_DIR).mkdir(parents=True, exist_ok=True)

    def mount(self, endpoint: str) -> Path:
        """Folder of an endpoint."""
        return self.folder / "endpoints" / endpoint

    def document(self) -> dict[str, Any]:
        """config.yml as data: everything quick, both hops by file system."""
        endpoints = {
            f"{place}{number}": {
                "root_path": f"/{site}/{number}/data",
                "uri": uri,
                "name": f"{place}{number}",
                "mount": str(self.mount(f"{place}{number}")),
            }
            for number in BEAMLINES.values()
            for place, site, uri in (
                ("data", "dtn", "compute-dtn.als.lbl.gov"),
                ("nersc", "cfs", "nersc.gov"),
                ("hpss", "tape", "archive.nersc.gov"),
            )
        }
        return {
            **endpoints,
            "beamlines": {name: self._beamline(name, number) for name, number in BEAMLINES.items()},
            "scicat": {"url": self.scicat.url},
            "schedule": {"flush": "2s"},
            "trash": {"keep": "3s"},
            "attempts": 4,
        }

    def _beamline(self, name: str, number: str) -> dict[str, Any]:
        data, nersc, hpss = f"data{number}", f"nersc{number}", f"hpss{number}"
        return {
            "title": f"ALS Beamline {'.'.join(number)}",
            "watch": {"root": data, "since": "2000-01-01", "quiet_period": "2s", "interval": "500ms"},
            "transfer": {"from": data, "to": nersc, "mover": "filesystem"},
            "ingest": {
                "owner_group": "als",
                "contact_email": "beamline@example.org",
                "access_groups": ["datasetIngestor"],
            },
            "archive": {
                "from": nersc,
                "to": hpss,
                "mover": "filesystem",
                "bundle": {"target": "100MB", "max_age": "3s"},
            },
            "prune": {
                data: {"after": "5s", "needs": [nersc, hpss]},
                nersc: {"after": "365d", "needs": [hpss]},
            },
        }

    @property
    def config_file(self) -> Path:
        """The document as a file, for the programs of this machine."""
        return self.folder / "config.yml"

    def install(self, document: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Start the catalogue, write the config, install the chart, whose jobs get the credentials as a Secret."""
        if not self.scicat.url:
            self.scicat.start()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS},
            "stringData": self._secrets(),
        }
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", input=json.dumps(secret))
        chosen = dict(document or self.document())
        self.config_file.write_text(yaml.safe_dump(chosen, sort_keys=False))
        chart.install(self.cluster, self.namespace, chosen, **{"existingSecret": CREDENTIALS, **values})

    def _secrets(self) -> dict[str, str]:
        return {"SCICAT_USERNAME": self.scicat.account.username, "SCICAT_PASSWORD": self.scicat.account.password}

    def services(self) -> dict[str, str]:
        """Environment that leads to the services outside of the cluster, with the credentials for them."""
        return self._secrets()

    def environment(self, account: str) -> dict[str, str]:
        """Environment of a program that runs as a service account of the chart."""
        return (
            self.cluster.environment()
            | self.services()
            | {
                "KUBECONFIG": str(self.cluster.kubeconfig_for(self.namespace, account)),
                "DICHROISM_NAMESPACE": self.namespace,
                "DICHROISM_CONFIG": str(self.config_file),
                "DICHROISM_SWEEP_SECONDS": "10",
                "PYTHONUNBUFFERED": "1",
            }
        )

    def program(self, name: str, account: str, *arguments: str, prefix: Sequence[str] = ()) -> Program:
        """A subcommand of ``dichroism``, not started yet; ``prefix`` is a command that runs it."""
        command = [*prefix, str(PYTHON.parent / "dichroism"), *arguments]
        program = Program(name, command, self.environment(account), self.folder / f"{name}.log")
        self.programs.append(program)
        return program

    def operator(self, name: str = "operator", port: int = 0, prefix: Sequence[str] = ()) -> Program:
        """The operator, not started yet; ``port`` serves health and metrics."""
        arguments = ("operator", "--port", str(port), "--log-format", "json")
        return self.program(name, "dichroism-operator", *arguments, prefix=prefix)

    def journal(self, name: str = "watcher") -> Path:
        """The journal of a watcher."""
        return self.folder / f"{name}.db"

    def watcher(self, name: str = "watcher") -> Program:
        """The watcher, not started yet; it serves its health page at a free port."""
        arguments = ("watcher", "--journal", str(self.journal(name)), "--health-port", "0")
        return self.program(name, "dichroism-watcher", *arguments)

    def prune(self, endpoint: str, *options: str, name: str = "prune") -> Program:
        """A prune run, not started yet."""
        return self.program(name, "dichroism-pruner", "prune", "--endpoint", endpoint, *options)

    def words(self) -> dict[str, str]:
        """What each program logged so far, by its name."""
        return {program.name: program.words() for program in self.programs}

    def close(self) -> None:
        """Stop everything that this site started."""
        for program in self.programs:
            program.kill()
        self.scicat.stop()

    # what is in the cluster

    def objects(self, kind: type[R], selector: str = "") -> list[R]:
        """All objects of a kind, or those whose labels ``selector`` selects."""
        chosen = ("-l", selector) if selector else ()
        answer = self.cluster.kubectl("get", kind.plural, "-n", self.namespace, "-o", "json", "--chunk-size=0", *chosen)
        return [kind.parse(item) for item in yaml.load(answer, yaml.CSafeLoader)["items"]]

    def scans(self) -> dict[str, Scan]:
        """All Scans by path."""
        return {scan.spec.path: scan for scan in self.objects(Scan)}

    def transfers(self) -> list[Transfer]:
        """All Transfers."""
        return self.objects(Transfer)

    def prunes(self) -> list[Prune]:
        """All Prunes."""
        return self.objects(Prune)

    def scan_body(self, beamline: str, path: str, name: str | None = None, **spec: Any) -> dict[str, Any]:
        """The Scan of a file as the watcher would create it; ``spec`` overrides, and need be whole without a file."""
        file = self.mount(f"data{BEAMLINES[beamline]}") / path if beamline in BEAMLINES else None
        content = content_of(file) if file and file.is_file() else {}
        return {
            "apiVersion": API_VERSION,
            "kind": Scan.kind,
            "metadata": {
                "name": name or scan_name(beamline, f"data{BEAMLINES.get(beamline, beamline.lower())}", path),
                "namespace": self.namespace,
                "labels": {LABEL_BEAMLINE: beamline, LABEL_ORIGIN: "live"},
            },
            "spec": {"beamline": beamline, "path": path, **content, **spec},
        }

    def create_scan(self, beamline: str, path: str, **spec: Any) -> str:
        """Create the Scan of a file as the watcher would; ``spec`` overrides; returns its name."""
        return self.create_scans([self.scan_body(beamline, path, **spec)])[0]

    def create_scans(self, bodies: list[dict[str, Any]]) -> list[str]:
        """Create Scans in one go; returns their names."""
        self.cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all(bodies))
        return [body["metadata"]["name"] for body in bodies]

    def delete_all(self, *kinds: type[Resource]) -> None:
        """Delete all objects of these kinds, each with one request, as if the cluster were lost."""
        for kind in kinds:
            path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/{kind.plural}"
            self.cluster.kubectl("delete", "--raw", path, timeout=600)
            assert not self.objects(kind)

    def annotate(self, what: str, annotation: str, value: str) -> None:
        """`kubectl annotate --overwrite` of a Scan by name, or of those that ``-l ...`` selects."""
        chosen = ["-l", what.removeprefix("-l").strip()] if what.startswith("-l") else [what]
        self.cluster.kubectl("annotate", "scan", *chosen, f"{annotation}={value}", "--overwrite", "-n", self.namespace)

    def patch_scan(self, name: str, **spec: Any) -> None:
        """Change fields of a Scan's spec."""
        patch = json.dumps({"spec": spec})
        self.cluster.kubectl("patch", "scan", name, "-n", self.namespace, "--type=merge", "-p", patch)

    def tell_content(self, name: str, file: Path) -> None:
        """Tell the content that a file has now, as the watcher does when a file changed."""
        self.patch_scan(name, **content_of(file))

    def events(self, name: str) -> dict[str, str]:
        """Messages of the Events about an object, by reason; of equal reasons the newest."""
        selector = f"involvedObject.name={name}"
        answer = self.cluster.kubectl("get", "events", "-n", self.namespace, "-o", "json", "--field-selector", selector)
        found = sorted(json.loads(answer)["items"], key=lambda one: str(one.get("eventTime")))
        return {one["reason"]: one["message"] for one in found}

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
        """Ask until the answer is true; a wait that ends without it shows the logs' last lines."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.25)
        logs = "\n".join(f"--- {name}\n" + "\n".join(said.splitlines()[-15:]) for name, said in self.words().items())
        shown = self.cluster.kubectl("get", "scans,transfers,prunes", "-n", self.namespace)
        raise AssertionError(f"after {seconds:.0f} s still not: {what}\n{shown[-3000:]}\n{logs}")

    def wait_until_succeeded(self, count: int, seconds: float = 180, selector: str = "") -> dict[str, Scan]:
        """Wait until so many Scans, of those that ``selector`` selects, have Succeeded=True."""

        def done() -> dict[str, Scan] | None:
            found = self.objects(Scan, selector)
            good = [one for one in found if one.condition(SUCCEEDED).status == ConditionStatus.TRUE]
            return {one.spec.path: one for one in found} if len(good) >= count else None

        scans: dict[str, Scan] = self.wait_for(done, f"{count} Scans succeeded", seconds)
        return scans

    def wait_for_phase(self, path: str, phase: ScanPhase, seconds: float = 60) -> Scan:
        """Wait until one Scan has a phase."""

        def there() -> Scan | None:
            scan = self.scans().get(path)
            return scan if scan and scan.status.phase == phase else None

        scan: Scan = self.wait_for(there, f"{path} is {phase}", seconds)
        return scan

    def wait_for_plot(self, path: str, seconds: float = 60) -> Scan:
        """Wait until it is settled whether a Scan has a plot: the last write of a finished one."""

        def there() -> Scan | None:
            scan = self.scans()[path]
            return scan if scan.status.dataset and scan.status.dataset.quick_look else None

        scan: Scan = self.wait_for(there, f"the plot of {path} is settled", seconds)
        return scan


class GlobusSite(Site):
    """A site whose first hop goes through an emulated Globus: every endpoint of it is a collection of its own.

    The credentials come from the environment, as in production; only the address of the service is another.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        namespace: str | None = None,
        *,
        keep: bool = False,
        unmounted: Collection[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """``unmounted`` endpoints can be reached through Globus alone; ``limits`` are realistic unless given."""
        super().__init__(cluster, folder, namespace, keep=keep)
        self.unmounted = frozenset(unmounted)
        names = [f"{place}{number}" for number in BEAMLINES.values() for place in ("data", "nersc")]
        self.collections = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.example.org")) for name in names}
        roots = {self.collections[name]: self.mount(name) for name in names}
        environment = cluster.environment()
        self.globus = GlobusEmulator(
            folder / "globus", collections_of(roots), limits=limits, keep=keep, environment=environment
        )
        self.globus.start()

    def document(self) -> dict[str, Any]:
        """config.yml as data: the first hop by Globus."""
        document = super().document()
        for name, collection in self.collections.items():
            document[name] |= {"uuid": collection, "globus_path": "/"}
            if name in self.unmounted:
                del document[name]["mount"]
        for beamline in document["beamlines"].values():
            beamline["transfer"]["mover"] = "globus"
        return document

    def first_hop_alone(self, attempts: int = 2) -> dict[str, Any]:
        """The same without catalogue, tape and pruning: whatever goes wrong is of this hop."""
        document = self.document() | {"attempts": attempts}
        for name in ("scicat", *(f"hpss{number}" for number in BEAMLINES.values())):
            del document[name]
        for beamline in document["beamlines"].values():
            for section in ("ingest", "archive", "prune"):
                del beamline[section]
        return document

    def services(self) -> dict[str, str]:
        """With the way to the emulator and the credentials for it."""
        return super().services() | self.globus.sdk_environment()

    def install(self, document: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Install the chart; the jobs in the cluster get the same way to the emulator as the programs here."""
        pods = [{"name": name, "value": value} for name, value in self.globus.sdk_environment().items()]
        super().install(document, **{"extraEnv": pods, **values})

    def close(self) -> None:
        """Stop everything that this site started."""
        super().close()
        self.globus.stop()


class TapeSite(Site):
    """A site whose second hop goes to tape through an emulated Superfacility API; the disk copies lie at its site."""

    def __init__(self, cluster: Cluster, folder: Path, namespace: str | None = None, *, keep: bool = False) -> None:
        self.sfapi = SfapiEmulator(folder / "sfapi")
        super().__init__(cluster, folder, namespace, keep=keep)
        self.sfapi.start()

    def mount(self, endpoint: str) -> Path:
        """Folder of an endpoint; what is on tape lies in the emulator."""
        place = self.sfapi.tape if endpoint.startswith("hpss") else self.folder / "endpoints"
        return place / endpoint

    def document(self) -> dict[str, Any]:
        """config.yml as data: the second hop by jobs at the emulated site."""
        document = super().document()
        for beamline, number in BEAMLINES.items():
            document[f"nersc{number}"]["root_path"] = str(self.mount(f"nersc{number}"))
            document[f"hpss{number}"] = {"root_path": f"/hpss{number}", "uri": "archive.nersc.gov"}
            document["beamlines"][beamline]["archive"]["mover"] = "sfapi"
        return document | {"sfapi": self.sfapi.section()}

    def without_catalogue(self) -> dict[str, Any]:
        """The same without catalogue: whatever goes wrong is of the hops."""
        document = self.document()
        del document["scicat"]
        for beamline in document["beamlines"].values():
            del beamline["ingest"]
        return document

    def services(self) -> dict[str, str]:
        """With the credentials for the emulator, and quick polls."""
        return super().services() | self.sfapi.environment() | {SFAPI_POLL: "0.5"}

    def close(self) -> None:
        """Stop everything that this site started."""
        super().close()
        self.sfapi.stop()
        self.sfapi.slurm.lose_all()


def content_of(file: Path) -> dict[str, Any]:
    """Size and modification time of a file as a Scan's spec has them."""
    found = file.stat()
    return {"size": found.st_size, "modifiedAt": format_time(from_ns(found.st_mtime_ns))}


@contextmanager
def open_site(cluster: Cluster, folder: Path) -> Iterator[Site]:
    """A site that is closed at the end."""
    site = Site(cluster, folder)
    try:
        yield site
    finally:
        site.close()
