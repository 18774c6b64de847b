"""What probes and Prometheus can ask: ``/healthz`` and ``/metrics``, written here without a client library.

Metrics carry the beamline as their only label, so they do not grow with the data.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiohttp import web

from dichroism_watcher.watch import BeamlineWatch


class _Metric(NamedTuple):
    name: str
    kind: str
    text: str
    read: Callable[[BeamlineWatch], float]


_METRICS = (
    _Metric("accepted_total", "counter", "File contents that the API took", lambda watch: watch.tally.accepted),
    _Metric("api_errors_total", "counter", "Requests refused or unanswered", lambda watch: watch.tally.api_errors),
    _Metric("vanished_total", "counter", "Files removed before they had a Scan", lambda watch: watch.tally.vanished),
    _Metric("observed", "gauge", "Files not finished yet", lambda watch: watch.counts().observed),
    _Metric("pending", "gauge", "Finished files that wait for the API", lambda watch: watch.counts().pending),
    _Metric("accepted", "gauge", "Files whose Scan is not done yet", lambda watch: watch.counts().accepted),
    _Metric("quarantined", "gauge", "Files that cannot have a Scan", lambda watch: watch.counts().quarantined),
    _Metric("settled", "gauge", "Files whose Scan succeeded", lambda watch: watch.counts().settled),
    _Metric("unreadable", "gauge", "Folders and files that cannot be read", lambda watch: len(watch.unreadable)),
    _Metric("skipped", "gauge", "Links and special files, never followed", lambda watch: watch.tally.skipped),
    _Metric("root_ok", "gauge", "0 while the watched root is missing", lambda watch: watch.root_problem is None),
    _Metric("last_pass_seconds", "gauge", "Duration of the last whole pass", lambda watch: watch.tally.last_pass_s),
    _Metric(
        "last_look_age_seconds",
        "gauge",
        "Time since the disk was last looked at",
        lambda watch: time.monotonic() - watch.tally.last_look,
    ),
)


def metrics_text(watches: Sequence[BeamlineWatch]) -> str:
    """All metrics in the text form of Prometheus."""
    lines: list[str] = []
    for metric in _METRICS:
        name = f"dichroism_watcher_{metric.name}"
        lines += [f"# HELP {name} {metric.text}.", f"# TYPE {name} {metric.kind}"]
        lines += [f'{name}{{beamline="{watch.name}"}} {float(metric.read(watch)):g}' for watch in watches]
    return "\n".join(lines) + "\n"


def unhealthy(watches: Sequence[BeamlineWatch]) -> dict[str, str]:
    """Why a beamline is not watched at present, by beamline; empty when all are."""
    now = time.monotonic()
    return {
        watch.name: watch.root_problem or f"no look at the disk for {now - watch.tally.last_look:.0f} s"
        for watch in watches
        if watch.late_by(now) > 0
    }


async def serve(watches: Sequence[BeamlineWatch], port: int) -> web.AppRunner:
    """Serve both pages on all interfaces; the caller cleans the runner up."""

    async def healthz(_: web.Request) -> web.Response:
        problems = unhealthy(watches)
        return web.json_response({"problems": problems}, status=503 if problems else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics_text(watches), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
