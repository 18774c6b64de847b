"""The demo: real files, a real Kubernetes API, the real watcher, operator and prune job; only SciCat is emulated.

It ends with 0 only when every file arrived, was catalogued and archived, and the due ones were pruned after their
copies had been verified again. ``KEEP=1`` leaves everything running. With ``MOVER=globus`` the first hop goes through
an emulator of Globus, and so does the pruning of the acquisition folders. ``PREFECT=1`` shows the runs in a real
Prefect server as well.
"""

import hashlib
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, PrunePhase, Scan
from tests import cluster as clusters
from tests.chart import cronjob_name
from tests.cluster import Cluster, ClusterError, CommandError, kubectl_path
from tests.prefect.environment import PrefectError
from tests.prefect.server import PrefectServerProcess
from tests.samples import generate
from tests.site import BEAMLINES, PYTHON, GlobusSite, Site

FOLDER = Path(__file__).resolve().parents[2] / "build" / "demo"
NAMESPACE = "dichroism"
FILES = {"BL402": 5, "BL631": 7}
SITES = {"filesystem": Site, "globus": GlobusSite}
"""By the name of the mover of the first hop, as ``MOVER`` gives it."""
PATIENCE_S = 180
ATTEMPTS = 3
"""So that whoever tries it waits a quarter of a minute for a Scan to be Failed, not minutes."""
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


class DemoError(RuntimeError):
    """Something the demo shows did not happen."""


def main() -> int:
    """Run the demo; 0 when all of it was seen to work."""
    started = time.monotonic()
    keep = os.environ.get("KEEP", "") not in ("", "0")
    mover = os.environ.get("MOVER") or "filesystem"
    if mover not in SITES:
        print(f"MOVER={mover} is unknown, there are: {', '.join(SITES)}", file=sys.stderr)
        return 2
    try:
        clusters.down(FOLDER / "cluster")
        shutil.rmtree(FOLDER, ignore_errors=True)
        with _cluster(keep) as cluster:
            site = SITES[mover](cluster, FOLDER, NAMESPACE, keep=keep)
            prefect = _prefect(keep)
            try:
                errors = _run(site, prefect)
                if keep:
                    _explain(site, prefect)
            finally:
                if not keep:
                    site.close()
                    if prefect:
                        prefect.close()
    except (ClusterError, CommandError, DemoError, PrefectError, AssertionError) as error:
        print(f"\nThe demo failed: {error}\nLogs are in {_shown(FOLDER)}.", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - started:.0f} s, {errors} errors.")
    return 0 if errors == 0 else 1


@contextmanager
def _cluster(keep: bool) -> Iterator[Cluster]:
    _say("Starting a Kubernetes API (the first time it is built, which takes some minutes)")
    if keep:
        yield clusters.up(FOLDER / "cluster")
    else:
        with clusters.running(FOLDER / "cluster") as cluster:
            yield cluster


def _prefect(keep: bool) -> PrefectServerProcess | None:
    """A Prefect server when one is asked for."""
    if os.environ.get("PREFECT", "") in ("", "0"):
        return None
    _say("Starting a Prefect server (the first time it is installed, which takes a minute)")
    server = PrefectServerProcess(FOLDER / "prefect", keep=keep)
    server.start()
    print(f"  {server.ui_url}")
    return server


def _run(site: Site, prefect: PrefectServerProcess | None) -> int:
    cluster = site.cluster
    if NAMESPACE not in cluster.kubectl("get", "namespaces", "-o", "name"):
        cluster.kubectl("create", "namespace", NAMESPACE)
    _say("Installing CRDs, Roles, config and CronJobs: what `helm template charts/dichroism` renders")
    site.scicat.start()
    document = site.document() | {"prefect": {"enabled": bool(prefect)}, "attempts": ATTEMPTS}
    site.install(document, prune={"schedule": f"{(datetime.now(UTC).minute + 30) % 60} * * * *"})
    _say("Starting operator and watcher, each as its own service account")
    mirrored = {"PREFECT_API_URL": prefect.url} if prefect else {}
    operator, watcher = site.operator().start(**mirrored), site.watcher().start()
    _say("The beamlines measure: writing scan files of 4.0.2 and 6.3.1")
    files: dict[Path, str] = {}
    for number, (beamline, count) in enumerate(FILES.items()):
        folder = site.mount(f"data{BEAMLINES[beamline]}")
        for path in generate(folder, beamline, count, seed=number):
            files[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"  {len(files)} files, such as {next(iter(files)).relative_to(FOLDER)}")
    _watch_scans(site, len(files))
    _check_copies(site, files)
    if isinstance(site, GlobusSite):
        _show_tasks(site)
    _prune(site, "data402", files)
    if prefect:
        _show_runs(prefect, len(files))
    _say("kubectl get scans,transfers,prunes")
    for kind in ("scans", "transfers", "prunes"):
        print(cluster.kubectl("get", kind, "-n", NAMESPACE))
    for program in (operator, watcher):
        if not program.running:
            raise DemoError(f"the {program.name} ended by itself: {program.words()[-500:]}")
    return sum(line.count('"ERROR"') for one in (operator, watcher) for line in one.words().splitlines())


def _watch_scans(site: Site, count: int) -> None:
    """Show the table each time a phase changes, until every Scan succeeded."""
    _say(f"Waiting until all {count} Scans are done: kubectl get scans -w")
    shown: dict[str, str] = {}
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        scans = site.objects(Scan)
        for scan in sorted(scans, key=lambda one: one.spec.path):
            if shown.get(scan.name) != scan.status.phase:
                shown[scan.name] = scan.status.phase
                print(
                    f"  {scan.spec.beamline}  {scan.spec.path:<44} {scan.status.phase:<15} {scan.status.message}"[:150]
                )
        if len(scans) == count and all(scan.condition(SUCCEEDED).status == ConditionStatus.TRUE for scan in scans):
            return
        time.sleep(0.5)
    raise DemoError(f"not all Scans succeeded within {PATIENCE_S} s")


def _check_copies(site: Site, files: dict[Path, str]) -> None:
    _say("Looking for ourselves, past Kubernetes")
    for path, digest in files.items():
        source = next(one for one in (site.mount("data402"), site.mount("data631")) if path.is_relative_to(one))
        copy = site.mount(source.name.replace("data", "nersc")) / path.relative_to(source)
        if hashlib.sha256(copy.read_bytes()).hexdigest() != digest:
            raise DemoError(f"{copy} is not the file that was measured")
    catalogued = site.scicat.state()
    expected = {"datasets": len(files), "origdatablocks": len(files), "datablocks": len(files)}
    if any(catalogued[key] != count for key, count in expected.items()):
        raise DemoError(f"the catalogue holds {catalogued}, expected {expected}")
    bundles = sorted((FOLDER / "endpoints").glob("hpss*/2*/*.tar"))
    print(f"  {len(files)} copies on CFS byte for byte as measured, {len(files)} datasets, {len(bundles)} tape bundles")


def _show_tasks(site: GlobusSite) -> None:
    """The tasks as the service knows them, each beside the Transfer that names it."""
    _say("Asking the Globus emulator which tasks it ran")
    transfers = {one.status.task_id: one for one in site.transfers()}
    for task in site.globus.tasks():
        transfer = transfers.get(task["task_id"])
        if transfer is None:
            raise DemoError(f"no Transfer names the Globus task {task['task_id']} ({task['label']})")
        print(f"  task {task['task_id']}  {task['status']}  {task['files']} files  {transfer.name}")


def _prune(site: Site, endpoint: str, files: dict[Path, str]) -> None:
    """Run the CronJob's Job by hand until the Prune is Pruned: first into the trash, then out of it."""
    _say(f"Pruning what is due on {endpoint}: kubectl create job --from=cronjob/{cronjob_name(endpoint)} by-hand")
    due = [path for path in files if path.is_relative_to(site.mount(endpoint))]
    end = time.monotonic() + PATIENCE_S
    run = 0
    while time.monotonic() < end:
        run += 1
        job = f"by-hand-{run}"
        site.cluster.kubectl("create", "job", "-n", NAMESPACE, f"--from=cronjob/{cronjob_name(endpoint)}", job)
        site.cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Complete", f"job/{job}", "--timeout=60s")
        prunes = [one for one in site.prunes() if one.spec.endpoint.name == endpoint]
        for prune in prunes:
            print(f"  run {run}: {prune.name}  {prune.status.phase}  {prune.status.message}")
        if prunes and all(one.status.phase == PrunePhase.PRUNED for one in prunes):
            break
        time.sleep(2)
    left = [path for path in due if path.exists()]
    if left:
        raise DemoError(f"due files are still there: {left[0]}")
    print(f"  {len(due)} files gone from {endpoint}; every one was verified again on CFS and tape before")


def _show_runs(prefect: PrefectServerProcess, count: int) -> None:
    """Wait until Prefect shows every Scan at its end, then say what it shows."""
    _say("What Prefect shows of it")
    end = time.monotonic() + PATIENCE_S
    while True:
        runs = {name: prefect.runs(name) for name in ("new_file_402", "new_file_631", "run_dichroism_dispatcher")}
        scans = [*runs["new_file_402"].values(), *runs["new_file_631"].values()]
        if len(scans) == count and all(run["state_name"] == "Completed" for run in scans):
            break
        if time.monotonic() > end:
            raise DemoError(f"Prefect shows {len(scans)} Scans, not all at their end, after {PATIENCE_S} s")
        time.sleep(0.5)
    for name, shown in runs.items():
        states = Counter(run["state_name"] for run in shown.values())
        told = ", ".join(f"{number} {state}" for state, number in states.items())
        print(f"  {name:<26} {len(shown):>3} runs: {told}")
    first = min(scans, key=lambda run: str(run["name"]))
    print(f"  {first['name']}: " + " -> ".join(name for _, name in prefect.states(first["id"])))
    print(f"  {prefect.ui_url}/runs")


def _explain(site: Site, prefect: PrefectServerProcess | None) -> None:
    """Leave a file that points a shell to the cluster and the programs, and say what may be done with it."""
    shown = f"Prefect: {prefect.ui_url}/runs\n" if prefect else ""
    stop = f" && kill {prefect.pid}" if prefect else ""
    site.cluster.kubectl("config", "set-context", "--current", f"--namespace={NAMESPACE}")
    settings = {
        "KUBECONFIG": site.cluster.kubeconfig,
        "DICHROISM_CONFIG": site.config_file,
        "DICHROISM_WATCHER_JOURNAL": site.journal(),
        **site.services(),
    }
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in settings.items()]
    programs = shlex.quote(f"{kubectl_path().parent}:{PYTHON.parent}")
    (FOLDER / "env").write_text(
        "\n".join(["# Sourced by a shell that shall talk to the demo", *lines, f'export PATH={programs}:"$PATH"', ""])
    )
    print(
        f"""
{BOLD}It goes on running.{PLAIN} In another shell:

  source {_shown(FOLDER)}/env

  cp README.md {site.mount("data631")}/my-scan.txt      # a file that is finished becomes a Scan
  kubectl get scans -w
  dichroism why my-scan.txt        # its whole story, and what to do next
  dichroism status
  dichroism audit                  # looks at disks, tape and catalogue themselves, not at Kubernetes
  kubectl get scans,transfers,prunes -o wide
  # Catalogue all of them once more:
  kubectl annotate scan --all --overwrite dichroism.als.lbl.gov/retry=Catalogued@$(date +%s)

Acquisition folders: {site.mount("data402")}
                     {site.mount("data631")}
Logs: {_shown(FOLDER)}/operator.log and watcher.log
{shown}Stop everything: make cluster-down STATE={_shown(FOLDER)}/cluster{stop}"""
    )


def _say(text: str) -> None:
    print(f"\n{BOLD}== {text}{PLAIN}", flush=True)


def _shown(path: Path) -> Path:
    """Relative to where the command was given, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
