"""``dichroism prune``: what a CronJob runs each night, and the stop switch for people."""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config
from dichroism_crds.config.quantities import parse_size
from dichroism_crds.names import STOP_PRUNE_CONFIGMAP
from dichroism_operator import logs, served, wording
from dichroism_operator.catalogue.choice import build_catalogue
from dichroism_operator.commands import completing, prune_plan
from dichroism_operator.commands.options import (
    EXIT_CONFIG,
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    log_format_option,
    namespace_option,
    refuse,
    user_name,
)
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.choice import build_movers, mover_for
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.budget import Budget
from dichroism_operator.prune.gate import Gate
from dichroism_operator.prune.job import run_prunes
from dichroism_operator.prune.run import Row, Run
from dichroism_operator.recorder import Recorder

COMPONENT = "dichroism-prune"

log = logging.getLogger(__name__)


class _Size(click.ParamType[int]):
    """Bytes, written as in the configuration."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(invoke_without_command=True)
@click.option("--endpoint", shell_complete=completing.endpoints, help="Endpoint from which due files are pruned.")
@config_option
@namespace_option
@click.option("--dry-run", is_flag=True, help="Print what would happen to each file, with reasons; change nothing.")
@click.option("--max-files", type=click.IntRange(min=1), help="Files per run, if fewer than prune.max_files.")
@click.option("--max-bytes", type=_Size(), help="Bytes per run such as 10GB, if fewer than prune.max_bytes.")
@log_format_option
@click.pass_context
def command(
    ctx: click.Context,
    endpoint: str | None,
    config_file: Path,
    namespace: str | None,
    dry_run: bool,
    max_files: int | None,
    max_bytes: int | None,
    log_format: str | None,
) -> None:
    """Delete files that are due from one endpoint, after verifying their copies again.

    A file is first renamed into the trash of its endpoint. The trash is emptied after some days (trash.keep), when the
    copies verify once more. Files that may not go are kept and told with a reason. `dichroism prune stop` stops all.

    Ends with 0 when everything that may be done is done (also when pruning is stopped), 1 after something unexpected,
    2 on wrong usage, 3 when the configuration or the CRDs can't be used.
    """
    if ctx.invoked_subcommand is not None:
        return
    if endpoint is None:
        raise click.UsageError("--endpoint is missing: name the endpoint from which due files are to go")
    logs.configure(json_lines=(log_format or ("text" if sys.stderr.isatty() else "json")) == "json")
    config = loaded(config_file, log)
    try:
        movers = build_movers(config, for_pruning=True)
        if endpoint not in config.endpoints:
            known = ", ".join(sorted(config.endpoints))
            raise click.UsageError(f"{config_file} has no endpoint {endpoint!r}. Known: {known}")
        mover_for(config, movers, endpoint)
    except ValueError as error:
        refuse(str(error), log)
    limits = (
        min(max_files or config.prune.max_files, config.prune.max_files),
        min(max_bytes or config.prune.max_bytes, config.prune.max_bytes),
    )
    sys.exit(asyncio.run(_prune(config, movers, endpoint, namespace, limits, dry_run=dry_run)))


async def _prune(
    config: Config,
    movers: Mapping[str, Mover],
    endpoint: str,
    namespace: str | None,
    limits: tuple[int, int],
    *,
    dry_run: bool,
) -> int:
    try:
        async with await Api.connect(namespace) as api:
            if problem := await served.too_old(api):
                log.error("nothing is pruned: %s", problem)
                return EXIT_CONFIG
            run = Run(
                api=api,
                config=config,
                endpoint=config.endpoints[endpoint],
                movers=movers,
                recorder=Recorder(api, COMPONENT),
                gate=Gate(api),
                into_trash=Budget(*limits),
                out_of_trash=Budget(*limits),
                dry_run=dry_run,
                catalogue=build_catalogue(config),
            )
            return await _carry_out(run)
    except ApiError as error:
        log.error("the Kubernetes API cannot be used, nothing more is pruned: %s", error)
        return EXIT_UNEXPECTED


async def _carry_out(run: Run) -> int:
    stopped = await stopswitch.why_stopped(run.api)
    if stopped and not run.dry_run:
        log.warning("nothing is pruned: %s", stopped)
        click.echo(f"{run.endpoint.name}: nothing is pruned: {stopped}")
        run.undo_only = True

    def end() -> None:
        run.gate.signalled = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await run_prunes(run)
    if run.dry_run:
        _print_table(run.summary.rows)
        if stopped:
            click.echo(f"pruning is stopped, so nothing of this would happen now: {stopped}")
    line = run.summary.line(run.endpoint.name, dry_run=run.dry_run)
    if not run.dry_run:
        log.info("%s", line, extra={"endpoint": run.endpoint.name})
    click.echo(line)
    return EXIT_UNEXPECTED if run.summary.troubles else 0


def _print_table(rows: list[Row]) -> None:
    """Every file with what would happen to it, in columns."""
    lines = [("PRUNE", "ACTION", "REASON", "SIZE", "PATH")]
    lines += [(row.prune, row.action, row.reason or "-", wording.size(row.size), row.path) for row in rows]
    click.echo(wording.columns(lines))


@command.command()
@click.option("--reason", required=True, help="Why pruning stops; shown by every run that finds the switch on.")
@namespace_option
def stop(reason: str, namespace: str | None) -> None:
    """Stop all pruning of the namespace, at the latest after the batch under way, until `dichroism prune resume`."""
    made = asyncio.run(_switch(namespace, reason))
    said = "is stopped" if made else "was stopped already, with the earlier reason"
    click.echo(f"pruning {said}: ConfigMap {STOP_PRUNE_CONFIGMAP}. Go on with: dichroism prune resume")


@command.command()
@namespace_option
def resume(namespace: str | None) -> None:
    """Let pruning go on after `dichroism prune stop`."""
    gone = asyncio.run(_switch(namespace, None))
    click.echo("pruning goes on with the next run" if gone else "pruning was not stopped")


async def _switch(namespace: str | None, reason: str | None) -> bool:
    """Stop with a reason, resume without one; whether it changed anything."""
    try:
        async with await Api.connect(namespace) as api:
            return await (stopswitch.resume(api) if reason is None else stopswitch.stop(api, reason, user_name()))
    except ApiError as error:
        raise click.ClickException(f"the stop switch could not be changed: {error.message}") from error


for _changing in (prune_plan.undo, prune_plan.shorten, prune_plan.rebind):
    command.add_command(_changing)
