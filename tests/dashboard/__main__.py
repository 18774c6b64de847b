"""``make dashboard``: the dashboard of the chart with real data, as a picture in the documentation.

A site as in the demo is run for some minutes: files of both beamlines, a catalogue that is away for a while, a full
life up to pruning. A real Prometheus reads the operator and evaluates the alert rules. Grafana cannot be had from the
package registries, so its panels are drawn here from the dashboard's own queries.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests import cluster as clusters
from tests.chart import CHART, objects, of_kind, render
from tests.cluster.processes import free_port
from tests.dashboard.drawing import draw
from tests.dashboard.prometheus import Prometheus
from tests.fault.supervisor import Supervisor
from tests.samples import generate
from tests.site import BEAMLINES, Program, Site

PICTURE = CHART.parents[1] / "docs" / "images" / "dashboard.png"
ROUNDS = 8
ROUND_S = 15.0
"""Seconds between two series of scans."""


def rules(site: Site, folder: Path) -> Path:
    """The alert rules of the chart as a file for Prometheus."""
    values = {"prometheusRule": {"enabled": True, "runbookUrl": "https://example.org/runbook.md"}}
    rendered = objects(render(site.namespace, site.document(), metrics=values))
    (rule,) = of_kind(rendered, "PrometheusRule").values()
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    return file


def live(site: Site, operator: Program) -> None:
    """Some minutes of two beamlines: scans in series, the catalogue away for a while, prune runs, a crash."""
    for number in range(ROUNDS):
        for beamline, folder in BEAMLINES.items():
            generate(site.mount(f"data{folder}") / f"day{number}", beamline, 6 + 3 * (number % 3), seed=number)
        if number == ROUNDS // 3:
            site.scicat.stop()
            _say("the catalogue is away")
        if number == 2 * ROUNDS // 3:
            site.scicat.start()
            _say("the catalogue is back")
        time.sleep(ROUND_S)
    # A file that cannot be copied: a folder stands in its place at the destination.
    blocked = next(iter(generate(site.mount("data402") / "blocked", "BL402", 1, seed=99)))
    (site.mount("nersc402") / blocked.relative_to(site.mount("data402"))).mkdir(parents=True)
    time.sleep(2 * ROUND_S)
    for beamline, folder in BEAMLINES.items():
        site.prune(f"data{folder}", name=f"prune-{beamline}").start().wait()
        check = ("flight-check", "--beamline", beamline, "--record")
        site.program(f"flight-{beamline}", "dichroism-flight", *check).start().wait(300)
    # The next one counts everything anew at once, the calendar too, which changes slowly otherwise.
    operator.kill()
    time.sleep(2 * ROUND_S)


def main() -> int:
    """Run the site, draw the picture; 0 when it is there."""
    folder = Path(tempfile.mkdtemp(prefix="dichroism-dashboard-"))
    try:
        with clusters.running(folder / "cluster") as cluster:
            site = Site(cluster, folder)
            try:
                site.scicat.start()
                site.install()
                port = free_port()
                site.watcher().start()
                operator = site.operator(port=port)
                target, watched = f"127.0.0.1:{port}", (rules(site, folder),)
                with (
                    Supervisor(operator, DICHROISM_SWEEP_SECONDS="2", DICHROISM_LEASE_SECONDS="15"),
                    Prometheus(folder / "prometheus", target, site.namespace, watched) as read,
                ):
                    start = time.time()
                    live(site, operator)
                    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
                    draw(dashboard, read, site.namespace, start, time.time(), PICTURE)
                    for labels, _ in read.now("ALERTS"):
                        _say(f"alert {labels['alertname']} is {labels['alertstate']}")
            finally:
                site.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say(f"drawn: {PICTURE.relative_to(CHART.parents[1])}")
    return 0


def _say(what: str) -> None:
    print(f"dashboard: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
