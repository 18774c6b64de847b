"""What probes, Prometheus and ``dichroism watcher status`` can ask, written here without a client library.

Metrics carry the beamline as their only label, so they do not grow with the data.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from dichroism_watcher.process import WatcherProcess
from dichroism_watcher.records import State
from dichroism_watcher.watch import BeamlineWatch

SHOWN = 100
"""Files that the status names of each state; the counts are complete."""


class _Metric(NamedTuple):
    name: str
    kind: str
    text: str
    read: Callable[[BeamlineWatch], float]


_METRICS = (
    _Metric(
        "accepted_total", "counter", "File contents that the API took", lambda one: one.submitter.requests.accepted
    ),
    _Metric(
        "moved_total",
        "counter",
        "Files recognised under another path, with no second Scan",
        lambda one: one.submitter.requests.moved,
    ),
    _Metric("api_errors_total", "counter", "Requests refused or unanswered", lambda one: one.submitter.requests.errors),
    _Metric("vanished_total", "counter", "Files removed before they had a Scan", lambda one: one.vanished),
    _Metric(
        "found_without_event_total",
        "counter",
        "New files that a pass found and no notice told of",
        lambda one: one.passes.tally.found_without_event,
    ),
    _Metric(
        "overflow_total",
        "counter",
        "Times that the kernel's queue of notices overflowed",
        lambda one: 0 if one.passes.notices is None else one.passes.notices.overflows,
    ),
    _Metric("observed", "gauge", "Files not finished yet", lambda one: one.counts().observed),
    _Metric("pending", "gauge", "Finished files that wait for the API", lambda one: one.counts().pending),
    _Metric(
        "oldest_pending_age_seconds", "gauge", "How long the oldest of them waits", lambda one: one.oldest_pending_s()
    ),
    _Metric("accepted", "gauge", "Files whose Scan is not done yet", lambda one: one.counts().accepted),
    _Metric("quarantined", "gauge", "Files and folders that cannot have a Scan", lambda one: len(one.quarantined)),
    _Metric("settled", "gauge", "Files whose Scan succeeded", lambda one: one.counts().settled),
    _Metric(
        "unreadable", "gauge", "Folders and files that cannot be read", lambda one: len(one.passes.tally.unreadable)
    ),
    _Metric("skipped", "gauge", "Links and special files, never followed", lambda one: one.passes.tally.skipped),
    _Metric(
        "root_ok", "gauge", "0 while the watched root is missing", lambda one: one.passes.tally.root_problem is None
    ),
    _Metric("watched_folders", "gauge", "Folders of which the kernel gives notice", lambda one: one.watched_folders),
    _Metric("folders", "gauge", "Folders below the root", lambda one: len(one.passes.folders)),
    _Metric("last_pass_seconds", "gauge", "Duration of the last whole pass", lambda one: one.passes.tally.pass_s),
    _Metric(
        "last_look_age_seconds",
        "gauge",
        "Time since the disk was last looked at",
        lambda one: time.monotonic() - one.passes.tally.last_look,
    ),
)
_PROCESS_METRICS: tuple[tuple[str, str, Callable[[WatcherProcess], float]], ...] = (
    ("feed_ok", "0 while nothing is heard of the Scans", lambda one: one.feed.problem is None),
    ("journal_ok", "0 while the journal cannot be written", lambda one: one.journal.problem is None),
    ("journal_free_bytes", "Space left on the journal's disk", lambda one: one.journal.free_bytes()),
)


def metrics_text(process: WatcherProcess) -> str:
    """All metrics in the text form of Prometheus."""
    lines: list[str] = []
    for metric in _METRICS:
        samples = [(watch.name, float(metric.read(watch))) for watch in process.watches.values()]
        lines += _metric(metric.name, metric.kind, metric.text, samples)
    rows = {name: float(sum(process.journal.rows_counted(name))) for name in process.watches}
    lines += _metric("journal_rows", "gauge", "Rows of the journal, as last counted", rows.items())
    for name, text, read in _PROCESS_METRICS:
        lines += _metric(name, "gauge", text, [("", float(read(process)))])
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    full = f"dichroism_watcher_{name}"
    labels = ((f'{{beamline="{beamline}"}}' if beamline else "", value) for beamline, value in samples)
    return [
        f"# HELP {full} {text}.",
        f"# TYPE {full} {kind}",
        *(f"{full}{label} {value:.15g}" for label, value in labels),
    ]


def status(process: WatcherProcess) -> dict[str, Any]:
    """What ``dichroism watcher status`` shows: per beamline the counts, and the files that need a look."""
    problems = process.not_ready()
    return {
        "journal": {"path": str(process.journal.path), "problem": process.journal.problem},
        "api": {"problem": process.feed.problem},
        "beamlines": {name: _beamline(watch, problems.get(name)) for name, watch in process.watches.items()},
    }


def _beamline(watch: BeamlineWatch, problem: str | None) -> dict[str, Any]:
    counts, tally, now = watch.counts(), watch.passes.tally, time.monotonic()
    pending = ((path, record.finished_at) for path, record in watch.ledger.open_files(State.FINISHED))
    return {
        "root": str(watch.passes.root.path),
        "problem": problem,
        "counts": {
            "not finished": counts.observed,
            "pending": counts.pending,
            "accepted": counts.accepted,
            "safe": counts.settled,
            "quarantined": len(watch.quarantined),
            "unreadable": len(tally.unreadable),
        },
        "pending": [{"path": path, "seconds": round(now - at)} for path, at in itertools.islice(pending, SHOWN)],
        "quarantined": _reasons(watch.quarantined),
        "unreadable": _reasons(tally.unreadable),
    }


def _reasons(files: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"path": path, "reason": reason} for path, reason in itertools.islice(files.items(), SHOWN)]


async def serve(process: WatcherProcess, port: int) -> web.AppRunner:
    """Serve the pages on all interfaces; the caller cleans the runner up."""

    async def livez(_: web.Request) -> web.Response:
        hung = process.hung()
        return web.json_response({"hung": hung}, status=503 if hung else 200)

    async def readyz(_: web.Request) -> web.Response:
        problems = process.not_ready()
        return web.json_response({"problems": problems}, status=503 if problems else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics_text(process), content_type="text/plain")

    async def shown(_: web.Request) -> web.Response:
        return web.json_response(status(process))

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics), web.get("/status", shown)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, port=port)
    await site.start()
    return runner
