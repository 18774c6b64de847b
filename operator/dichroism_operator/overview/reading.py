"""Reads what one screen tells from the API; a handful of lists, whatever the number of Scans."""

from collections import Counter
from datetime import datetime
from typing import Any

from dichroism_crds.client import Api, Denied, NotFound
from dichroism_crds.config import Beamline, Config
from dichroism_crds.heartbeat import Heartbeat
from dichroism_crds.heartbeat import lease_name as watchers_lease
from dichroism_crds.kinds import Prune, PrunePhase, Scan, Transfer, TransferPhase
from dichroism_crds.names import LABEL_BEAMLINE
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import pauses
from dichroism_operator.doctor import kubernetes
from dichroism_operator.doctor.check import Finding, not_checked
from dichroism_operator.flight.result import FlightResult
from dichroism_operator.flight.result import lease_name as flights_lease
from dichroism_operator.lanes.leased import last_result
from dichroism_operator.overview.state import BeamlineState, LastTransfer, NextPrune, Overview

_MAY = "The Role viewer of the chart allows it"
_ENDED = (TransferPhase.SUCCEEDED, TransferPhase.FAILED)


async def read(api: Api, config: Config, beamline: str | None) -> Overview:
    """Everything but what waits for tape.

    Raises:
        ApiError: the API refuses or does not answer.
    """
    readable = True
    try:
        lease = await kubernetes.operator_lease(api)
        finding = kubernetes.judge_lease(lease.get("spec", {}) if lease else None, now())
    except Denied as error:
        lease, readable = None, False
        finding = not_checked(f"not known, this account may not read Leases: {error.message}", _MAY)
    view = Overview(api.namespace, now(), finding.message, findings=[finding, *await kubernetes.stop_switch(api)])
    scans = [row async for row in api.list_columns(Scan)]
    transfers = [row async for row in api.list_columns(Transfer)]
    prunes = [row async for row in api.list_columns(Prune)]
    paused = pauses.of_lease(lease) if lease else []
    chosen = [one for one in config.beamlines.values() if beamline in (None, one.name)]
    for one in chosen:
        state = BeamlineState(one.name, paused=[pause for pause in paused if pause.beamline == one.name])
        view.beamlines.append(state)
        _scans(state, [row for row in scans if row["Beamline"] == one.name])
        view.findings += await _unfinished(api, state, one, config)
        state.running = sum(row["Beamline"] == one.name and row["Phase"] not in _ENDED for row in transfers)
        state.last = await _last(api, one.name)
        state.prune = await _next(api, [row for row in prunes if row["Beamline"] == one.name])
        view.findings += kubernetes.judge_prunes(one.name, await kubernetes.incomplete_prunes(api, one.name))
        state.heard = readable
        if readable:
            state.watcher, state.flight = await _words(api, one.name)
    pruned = tuple(dict.fromkeys(endpoint for one in chosen for endpoint in one.prune))
    view.findings += kubernetes.judge_cronjobs(pruned, await kubernetes.prune_cronjobs(api))
    return view


def _scans(state: BeamlineState, rows: list[dict[str, Any]]) -> None:
    state.phases = Counter(str(row["Phase"]) for row in rows)
    state.rewritten = sum(row["Succeeded"] == Reason.SUSPICIOUS_REWRITE for row in rows)


async def _unfinished(api: Api, state: BeamlineState, beamline: Beamline, config: Config) -> list[Finding]:
    counts = await kubernetes.count_scans(api, beamline)
    if counts.oldest:
        state.oldest, state.oldest_since = counts.oldest.name, counts.oldest.creation_timestamp
    return kubernetes.judge_scans(counts, kubernetes.expected_duration(config, beamline), now())


async def _last(api: Api, beamline: str) -> LastTransfer | None:
    """The newest Transfer; their names count up in each lane only, so it is the one made last."""
    known = [one async for one in api.list_metadata(Transfer, label_selector=f"{LABEL_BEAMLINE}={beamline}")]
    made = [(one.creation_timestamp, one.name) for one in known if one.creation_timestamp]
    if not made:
        return None
    try:
        found = await api.get(Transfer, max(made)[1])
    except NotFound:
        return None
    at = found.status.completed_at or found.metadata.creation_timestamp
    return LastTransfer(found.name, found.status.phase, found.spec.files, at)


async def _next(api: Api, rows: list[dict[str, Any]]) -> NextPrune | None:
    """The Prune with the earliest day among those of which something may still go."""
    waiting = [row for row in rows if row["Phase"] not in (PrunePhase.PRUNED, PrunePhase.TRASHED)]
    if not waiting:
        return None
    first = min(waiting, key=lambda row: datetime.fromisoformat(str(row["NotBefore"])))
    try:
        found = await api.get(Prune, str(first["Name"]))
    except NotFound:
        return None
    return NextPrune(found.name, found.spec.not_before, found.spec.files, found.spec.bytes)


async def _words(api: Api, beamline: str) -> tuple[Heartbeat | None, FlightResult | None]:
    """What the watcher and the last flight check left; what makes no sense counts as nothing."""
    _, heard = await last_result(api, watchers_lease(beamline), Heartbeat.from_lease)
    _, result = await last_result(api, flights_lease(beamline), FlightResult.from_lease)
    return heard, result
