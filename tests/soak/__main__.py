"""Run the soak: ``python -m tests.soak [--minutes N | --short] [--seed S] [--no-prefect]``; 0 when every byte adds up.

The short form goes on until each trouble was there once, or less on a slow machine, and ends within eight minutes.
"""

import argparse
import json
import platform
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tests import cluster as clusters
from tests.cluster import ClusterError
from tests.fault.test_two_operators import leads
from tests.site import BEAMLINES
from tests.soak import evidence
from tests.soak.account import Account, Fate, Tally, account, table
from tests.soak.chaos import KILLS, OUTAGES, Chaos
from tests.soak.records import Told, Written
from tests.soak.routine import Routine, let_time_pass, prune, restore_some
from tests.soak.world import DISKS, PLENTY, SOURCES, Soak

BUILD = Path(__file__).resolve().parents[2] / "build"
FOLDER, RESULT = BUILD / "soak", BUILD / "soak.json"
SHORT_S, LEAST_S, SHORT_LIMIT_S, SHORT_FILES = 150.0, 30.0, 480.0, 30
"""The short form: when its troubles end after its start, and last at least; when all ends; files of each beamline."""
SETTLE_S, ACCOUNT_S, RESERVE_S = 1800.0, 60.0, 150.0
"""Of a limit: for settling after the minutes that were asked for, for the account, for all that follows prune runs."""
LIVE_S = 15.0
LAST_RUNS, BETWEEN_RUNS_S = 8, 3.0
"""Prune runs of each endpoint when all is quiet, at most: jobs prove copies, files go, the trash is emptied."""
RESTORED = 25
"""Files of each beamline that are restored at the end, every one of which must come."""
SEED = 402


class SoakError(RuntimeError):
    """It did not come to an account, or what must end well did not."""


def main() -> int:
    """Soak, settle, account."""
    given = _arguments()
    started = time.monotonic()
    limit = given.limit * 60 or (SHORT_LIMIT_S if given.short else given.minutes * 60 + SETTLE_S)
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, limit - ACCOUNT_S)
    clusters.down(FOLDER / "cluster")
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        with clusters.running(FOLDER / "cluster") as cluster:
            prefect = not (given.short or given.no_prefect)
            files = SHORT_FILES if given.short else PLENTY
            with Soak(cluster, FOLDER / "site", given.seed, prefect=prefect, files=files) as soak:
                now = time.monotonic()
                until = max(started + SHORT_S, now + LEAST_S) if given.short else now + given.minutes * 60
                return _run(soak, given, until, started + limit - RESERVE_S)
    except (ClusterError, SoakError) as error:
        print(f"\nThe soak failed: {error}\nLogs are in {FOLDER}.", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long files are written and troubles made")
    parser.add_argument("--short", action="store_true", help="until each trouble was there once")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--limit", type=float, default=0.0, help="minutes after which it fails; 0: the form's own")
    parser.add_argument("--no-prefect", action="store_true", help="without the mirror, as the short form always is")
    return parser.parse_args()


def _too_late(number: int, frame: FrameType | None) -> NoReturn:
    raise SoakError("it took longer than it may, see the last lines for what it waited for")


def _run(soak: Soak, given: argparse.Namespace, until: float, pruned_until: float) -> int:
    """Troubles ``until`` a moment, prune runs in fair weather until another one; the exit code."""
    with Routine(soak) as routine, Chaos(soak) as chaos:
        memory = _storm(soak, chaos, routine, until, once=given.short)
    _say(soak, "the troubles are over: instruments end, everything settles")
    ends = soak.end_writing()
    missing, late = [], ""
    try:
        _settle(soak)
        missing = _last_runs(soak, pruned_until)
    except SoakError as error:
        signal.setitimer(signal.ITIMER_REAL, ACCOUNT_S)
        late = str(error)
    memory["operator at the end"] = soak.operator_mb()
    if soak.prefect:
        shown = (soak.prefect.runs(f"new_file_{number}") for number in BEAMLINES.values())
        soak.counts["Scans shown in Prefect"] = sum(map(len, shown))
    ends |= {name: one.program.stop() for name, one in _end(soak)}
    result = account(soak.evidence())
    logs = soak.tracebacks()
    if logs:
        result.faults["a Traceback in a log"] = logs
    if late:
        result.faults["did not settle"] = [late]
    if missing:
        result.faults["not restored"] = missing
    idle = [what for what, files in _tried(result, soak).items() if not files]
    if idle:
        result.faults["never happened"] = idle
    if any(ends.values()):
        result.faults["did not end in order"] = [f"{name}: {code}" for name, code in ends.items() if code]
    return _tell(soak, result, memory, given)


def _storm(soak: Soak, chaos: Chaos, routine: Routine, until: float, *, once: bool) -> dict[str, float]:
    """Troubles until a moment, or until each was there ``once``; memory of the operator in the beginning (MB)."""
    memory: dict[str, float] = {}
    shown = time.monotonic()
    while (now := time.monotonic()) < until and not (once and chaos.each_was_there and soak.counts["restores"]):
        chaos.step()
        if routine.error:
            raise SoakError(f"prune runs and restores ended: {routine.error!r}")
        if now > shown + LIVE_S:
            shown = now
            soak.look_for_gone(soak.written())
            soak.retry_suspicious(soak.objects("scans") or [])
            if leads(soak.operator.program) and (megabytes := soak.operator_mb()):
                memory.setdefault("operator in the beginning", megabytes)
            _say(soak, f"now wrong: {', '.join(chaos.in_force) or 'nothing'}")
        time.sleep(0.2)
    return memory


def _settle(soak: Soak) -> None:
    """Fair weather until every file has its end and nothing is on its way."""
    _fair(soak)
    written = [one for one in soak.written() if one.scan and one.last]
    shown = 0.0
    while True:
        soak.take_back()
        soak.site.globus.set_clock(advance=60)
        scans, transfers = soak.objects("scans"), soak.objects("transfers")
        waiting = ["the API server"] if scans is None or transfers is None else _unfinished(written, scans, transfers)
        if not waiting:
            return
        soak.retry_suspicious(scans or [])
        if time.monotonic() > shown + LIVE_S:
            shown = time.monotonic()
            _say(soak, f"waiting for {len(waiting)}, such as {'; '.join(soak.rng.sample(waiting, 1))}")
        time.sleep(2.0)


def _fair(soak: Soak) -> None:
    """No fault waits to happen, no word of people is in force, and no lane is in a long pause from before."""
    soak.site.scicat.clear_faults()
    soak.site.globus.clear_faults()
    soak.site.sfapi.clear_faults()
    soak.prune_kills.clear()
    soak.take_back()
    soak.kill_operator()  # a pause of a lane is in its memory, and grows up to five minutes


def _unfinished(written: list[Written], scans: list[dict[str, Any]], transfers: list[dict[str, Any]]) -> list[str]:
    """What is not at its end."""
    told = {one.key: one for one in map(evidence.told_of, scans)}
    moved = {(one.beamline, one.moved_to): one for one in told.values() if one.moved_to}
    waiting = []
    for file in written:
        scan = told.get(file.key) or moved.get(file.key)
        if scan is None:
            waiting.append(f"{file.path}: no Scan")
        elif not scan.done:
            waiting.append(f"{file.path}: {scan.message or ', '.join(scan.reasons)}")
        elif file.last and not _speaks_of(scan, file.last[0]):
            waiting.append(f"{file.path}: the Scan speaks of an older content")
    active = [one for one in transfers if one.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    return waiting + [f"Transfer {one['metadata']['name']}" for one in active]


def _speaks_of(scan: Told, sha256: str) -> bool:
    return all(copy.sha256 == sha256 for copy in scan.copies.values())


def _last_runs(soak: Soak, until: float) -> list[str]:
    """Prune what is due, and bring files back from tape; what did not come."""
    # What is on disk is due later than the soak may last; whatever is due at the source goes.
    for endpoints, enough in ((SOURCES, {"Pruned"}), (DISKS, {"Pruned", "Scheduled"})):
        for number in range(LAST_RUNS):
            prune(soak, *endpoints)
            soak.site.sfapi.wait_for_jobs()
            let_time_pass(soak)
            soak.look_for_gone(soak.written())
            found = [one for one in soak.objects("prunes") or [] if one["spec"]["endpoint"]["name"] in endpoints]
            phases = Counter(one.get("status", {}).get("phase") for one in found)
            _say(soak, f"prune runs in fair weather: {dict(phases)} after {number + 1} of {LAST_RUNS} at most")
            if set(phases) <= enough or time.monotonic() > until:
                break
            time.sleep(BETWEEN_RUNS_S)
    return restore_some(soak, soak.rng, RESTORED, seconds=600)


def _tried(result: Account, soak: Soak) -> dict[str, int]:
    """What has to be seen at least once, or this was no trial."""
    gone = [result.fates.get(one, Tally()).files for one in (Fate.SAFE_PRUNED, Fate.SAFE_IN_TRASH)]
    return {"pruned": sum(gone), "restored": soak.counts["files restored"]}


def _end(soak: Soak) -> list[tuple[str, Any]]:
    """Operator and watcher, which nobody starts again."""
    kept = [("operator", soak.operator), ("watcher", soak.watcher)]
    for _, one in kept:
        one.leave()
    return kept


def _say(soak: Soak, text: str) -> None:
    """A line for people: minutes, files, phases, what was done, what is wrong."""
    scans = soak.objects("scans")
    phases = Counter(one.get("status", {}).get("phase", "Pending") for one in scans or [])
    shown = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())) or "API server away"
    kills, outages = (sum(soak.troubles[name] for name in names) for names in (KILLS, OUTAGES))
    done = f"{len(soak.written())} files, Scans: {shown}; {len(soak.gone_since)} gone from source"
    minutes = (time.monotonic() - soak.began) / 60
    print(
        f"{minutes:5.1f} min  {done}; {soak.troubles.total()} troubles, {kills} kills, {outages} outages; {text}"[:400],
        flush=True,
    )


def _tell(soak: Soak, result: Account, memory: dict[str, float], given: argparse.Namespace) -> int:
    """Print and keep the result; the exit code."""
    sections: dict[str, dict[str, Any]] = {
        "troubles": dict(sorted(soak.troubles.items())),
        "done": dict(sorted(soak.counts.items())),
        "memory (MB)": memory,
    }
    for title, rows in sections.items():
        print("\n" + "\n".join([title, *(f"  {value:>7}  {name}" for name, value in rows.items())]))
    for name, why in soak.not_tried.items():
        print(f"not tried: {name}: {why}")
    print(table(result))
    minutes = round((time.monotonic() - soak.began) / 60, 1)
    machine = {"machine": platform.platform(), "seed": given.seed, "minutes": minutes, "prefect": bool(soak.prefect)}
    document = machine | sections | {"notTried": soak.not_tried} | result.to_json()
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    verdict = "every byte adds up" if result.adds_up else f"does not add up: {', '.join(result.faults)}"
    print(f"\n{minutes} minutes, seed {given.seed}: {verdict}. Kept in {RESULT.relative_to(BUILD.parent)}.")
    return 0 if result.adds_up else 1


if __name__ == "__main__":
    sys.exit(main())
