"""``dichroism retry``: the annotation that asks for another try, on one Scan or on many, with what will come of it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config
from dichroism_crds.kinds import Scan, ScanPhase, Step
from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import format_time, now
from dichroism_operator import lifecycle, retry, wording
from dichroism_operator.commands import completing
from dichroism_operator.commands.at_hand import any_config_option, config_at_hand
from dichroism_operator.commands.named import scan_named
from dichroism_operator.commands.options import EXIT_UNEXPECTED, examples, namespace_option, output_option

AT_ONCE = 8
BAR_FROM = 20
"""From so many Scans on, a bar shows how far it is."""


@dataclass(slots=True)
class _Asked:
    """One Scan: whether it will be tried again, and what, or why not."""

    scan: Scan
    will: bool
    text: str
    failed: bool = False


@click.command(
    epilog=examples(
        "dichroism retry bl402-gdt6wd4jpbm6ovtvtqlfrlc3fy",
        "dichroism retry --failed --reason SourceUnreadable --dry-run",
    )
)
@click.argument("scans", nargs=-1, metavar="[SCAN|PATH]...", shell_complete=completing.scans)
@click.option("--failed", is_flag=True, help="Every Scan that is Failed.")
@click.option(
    "--reason",
    type=click.Choice([one.value for one in Reason if one.remedy]),
    metavar="REASON",
    help="Every Scan of which a step failed for this reason, such as SourceMissing, even if it is tried again anyway.",
)
@click.option(
    "--beamline",
    shell_complete=completing.beamlines,
    help="Only of this beamline; alone: every Scan of it of which a step failed.",
)
@click.option(
    "--step",
    type=click.Choice([step.value for step in Step]),
    help="Do again from this step on, though it did not fail.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be tried again, what not, and why.")
@output_option
@any_config_option
@namespace_option
def command(
    scans: tuple[str, ...],
    failed: bool,
    reason: str | None,
    beamline: str | None,
    step: str | None,
    dry_run: bool,
    output: str,
    config_file: Path | None,
    namespace: str | None,
) -> None:
    """Try again what failed, of the named Scans or of all that the options select.

    Mend the cause first: dichroism why SCAN says what it is. Nothing is copied or packed twice where the copy that is
    there verifies. The operator takes it up within seconds; while a Transfer names the file, after its end.

    Ends with 0 when everything that can be tried again was asked for, 1 when a named Scan can't be tried again or a
    request was refused, 2 on wrong usage, 3 when the configuration can't be used.
    """
    if scans and (failed or reason or beamline):
        raise click.UsageError("name Scans, or select them with --failed, --reason and --beamline; not both")
    if not (scans or failed or reason or beamline):
        raise click.UsageError("name a Scan, or select with --failed, --reason or --beamline")
    if step and not scans:
        raise click.UsageError("--step goes with the names of Scans only")
    token = format_time(now())
    request = retry.parse(f"{step}@{token}" if step else token)

    async def ask() -> list[_Asked]:
        async with await Api.connect(namespace) as api:
            config = (await config_at_hand(api, config_file)).config
            if beamline and beamline not in config.beamlines:
                raise click.UsageError(f"no beamline {beamline}; known: {', '.join(config.beamlines)}")
            if scans:
                chosen = [await scan_named(api, one, config) for one in scans]
            else:
                chosen = await _selected(api, failed, reason, beamline)
            asked = [_foreseen(one, request, config) for one in chosen]
            if not dry_run:
                await _annotate(api, [one for one in asked if one.will], request.token)
            return asked

    try:
        asked = asyncio.run(ask())
    except ApiError as error:
        raise click.ClickException(f"nothing more is asked for: {error.message}") from error
    click.echo(_document(asked) if output == "json" else _table(asked, dry_run=dry_run))
    left = any(one.failed or (scans and not one.will) for one in asked)
    sys.exit(EXIT_UNEXPECTED if left else 0)


async def _selected(api: Api, failed: bool, reason: str | None, beamline: str | None) -> list[Scan]:
    terms = [f"status.phase={ScanPhase.FAILED}"] if failed else []
    terms += [f"spec.beamline={beamline}"] if beamline else []
    return [
        scan
        async for scan in api.list(Scan, field_selector=",".join(terms))
        if failed_for(scan, reason) or (failed and not reason)
    ]


def failed_for(scan: Scan, reason: str | None) -> bool:
    """Whether a step of the Scan failed, for that reason where one is given."""
    waits = [scan.condition(step).reason for step in lifecycle.failed_steps(scan)]
    if lifecycle.suspicious_rewrite(scan):
        waits.append(Reason.SUSPICIOUS_REWRITE)
    return reason in waits if reason else bool(waits)


def _foreseen(scan: Scan, request: retry.Retry, config: Config) -> _Asked:
    beamline = config.beamlines.get(scan.spec.beamline)
    if beamline is None:
        return _Asked(scan, False, f"the configuration has no beamline {scan.spec.beamline}")
    return _Asked(scan, *retry.foresee(scan, request, lifecycle.configured_steps(beamline)))


async def _annotate(api: Api, asked: Sequence[_Asked], token: str) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    hidden = len(asked) < BAR_FROM or not sys.stderr.isatty()
    with click.progressbar(length=len(asked), label="asking", file=sys.stderr, hidden=hidden) as bar:

        async def one(wish: _Asked) -> None:
            async with slots:
                try:
                    await api.patch(Scan, wish.scan.name, {"metadata": {"annotations": {ANNOTATION_RETRY: token}}})
                except ApiError as error:
                    wish.will, wish.failed, wish.text = False, True, f"not asked for: {error.message}"
            bar.update(1)

        await asyncio.gather(*map(one, asked))


def _table(asked: Sequence[_Asked], *, dry_run: bool) -> str:
    if not asked:
        return "no Scan is selected, nothing failed so"
    rows = [("SCAN", "AGAIN", "WHAT, OR WHY NOT", "PATH")]
    rows += [(one.scan.name, "yes" if one.will else "no", one.text, one.scan.spec.path) for one in asked]
    count = sum(one.will for one in asked)
    said = (
        "would be tried again; nothing was changed" if dry_run else "tried again; follow it with: kubectl get scans -w"
    )
    table = wording.columns(rows)
    return f"{table}\n{wording.count(count, 'Scan')} of {len(asked)} {said}"


def _document(asked: Sequence[_Asked]) -> str:
    rows = [{"scan": one.scan.name, "path": one.scan.spec.path, "again": one.will, "text": one.text} for one in asked]
    return json.dumps(rows, indent=2)
