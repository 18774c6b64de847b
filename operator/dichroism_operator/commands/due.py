"""``dichroism due``: the prune calendar for people, with sizes, holds and reasons. Tape bundles: ``waiting``."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config, Hold
from dichroism_crds.kinds import Prune, Scan
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT
from dichroism_crds.timestamps import format_time, now
from dichroism_operator import wording
from dichroism_operator.commands import completing, waiting
from dichroism_operator.commands.options import Day, config_option, loaded, namespace_option, output_option
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.forecast import FileForecast, Forecast, forecast, until


@click.command()
@click.option("--until", "last", type=Day(), help="Only what may happen up to this day (UTC), such as 2027-05-31.")
@click.option("--endpoint", shell_complete=completing.endpoints, help="Only this endpoint.")
@click.option("--beamline", shell_complete=completing.beamlines, help="Only this beamline.")
@click.option("--files", is_flag=True, help="List every file.")
@click.option("--archive", is_flag=True, help="Show instead what waits for a tape bundle, and when it closes.")
@output_option
@config_option
@namespace_option
def command(
    last: datetime | None,
    endpoint: str | None,
    beamline: str | None,
    files: bool,
    archive: bool,
    output: str,
    config_file: Path,
    namespace: str | None,
) -> None:
    """Show what will be deleted when, and what holds files back.

    Holds and retention are those of the configuration given here, so a changed file can be tried out before it is
    rolled out. Nothing is verified: copies are proven at the moment of deletion only.

    With --archive: of each beamline with tape, the files that wait for the next bundle, how full and how old it is,
    which limit closes it when, and the bundles that are being made.
    """
    if archive and (last or endpoint or files):
        raise click.UsageError("--archive goes with --beamline and -o only")
    config = loaded(config_file)
    if archive:
        click.echo(waiting.shown(config, namespace, beamline, as_json=output == "json"))
        return
    labels = {LABEL_ENDPOINT: endpoint, LABEL_BEAMLINE: beamline}
    selector = ",".join(f"{label}={value}" for label, value in labels.items() if value)
    try:
        rows, stopped = asyncio.run(_read(config, namespace, selector))
    except ApiError as error:
        raise click.ClickException(f"the calendar can't be read: {error.message}") from error
    rows = until(rows, last)
    if output == "json":
        click.echo(json.dumps([_document(row) for row in rows], indent=2))
        return
    click.echo(_table(rows))
    for line in _totals(rows):
        click.echo(line)
    if files:
        click.echo("\n" + _files_table(rows))
    if stopped:
        click.echo(f"pruning is stopped: {stopped}")


async def _read(config: Config, namespace: str | None, selector: str) -> tuple[list[Forecast], str | None]:
    async with await Api.connect(namespace) as api:
        prunes = [prune async for prune in api.list(Prune, label_selector=selector, limit=20)]
        # Suspended Scans and proposals that became known later; a Scan that was collected says nothing any more.
        scans = {scan.name: scan async for scan in api.list(Scan)}
        return forecast(prunes, scans, config, now()), await stopswitch.why_stopped(api)


def _table(rows: Sequence[Forecast]) -> str:
    lines = [("DUE", "PRUNE", "PHASE", "FILES", "SIZE", "KEPT BACK")]
    for row in rows:
        size = sum(one.item.size for one in row.files)
        phase = row.prune.status.phase or "-"
        lines.append((_when(row.due), row.prune.name, phase, str(len(row.files)), wording.size(size), _kept_back(row)))
    return wording.columns(lines) if rows else "nothing is scheduled"


def _files_table(rows: Sequence[Forecast]) -> str:
    listed = [one for row in rows for one in row.files]
    lines = [(_when(one.due), wording.size(one.item.size), _why(one), one.item.path) for one in listed]
    return wording.columns([("DUE", "SIZE", "REASON", "PATH"), *lines])


def _totals(rows: Sequence[Forecast]) -> list[str]:
    """One line for each endpoint."""
    going: dict[str, list[FileForecast]] = defaultdict(list)
    for row in rows:
        going[row.prune.spec.endpoint.name] += row.going
    return [
        f"{endpoint}: {wording.files(len(files))}, {wording.size(sum(one.item.size for one in files))} would go"
        for endpoint, files in sorted(going.items())
    ]


def _kept_back(row: Forecast) -> str:
    """``412 Held (ALS-123 by J. Doe until 2027-01-01: re-analysis)``: how many, why, and whose word it is."""
    parts = []
    for reason, count in Counter(one.reason for one in row.files if one.reason).most_common():
        holds = dict.fromkeys(hold for one in row.files if one.reason == reason for hold in one.holds)
        words = "; ".join(_hold_words(hold) for hold in holds)
        parts.append(f"{count} {reason}" + (f" ({words})" if words else ""))
    return ", ".join(parts) or "-"


def _why(one: FileForecast) -> str:
    return f"{one.reason} ({'; '.join(map(_hold_words, one.holds))})" if one.holds else (one.reason or "-")


def _hold_words(hold: Hold) -> str:
    ends = f" until {hold.until.astimezone(UTC):%Y-%m-%d %H:%M}" if hold.until else ""
    return f"{hold.by}{ends}: {hold.reason}"


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "never"


def _document(row: Forecast) -> dict[str, object]:
    return {
        "prune": row.prune.name,
        "beamline": row.prune.spec.beamline,
        "endpoint": row.prune.spec.endpoint.name,
        "phase": row.prune.status.phase,
        "due": format_time(row.due) if row.due else None,
        "trashUntil": format_time(row.trash_until) if row.trash_until else None,
        "files": [
            {
                "path": one.item.path,
                "scan": one.item.scan,
                "size": one.item.size,
                "due": format_time(one.due) if one.due else None,
                "reason": one.reason,
                "holds": [hold.model_dump(mode="json", exclude_none=True) for hold in one.holds],
            }
            for one in row.files
        ],
    }
