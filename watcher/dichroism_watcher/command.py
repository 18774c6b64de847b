"""``dichroism watcher``: options, signals and the exit code; one process watches the roots of all its beamlines."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

import click

from dichroism_crds.client import Api, Denied
from dichroism_crds.config import Config
from dichroism_watcher import backfill_command, health, kubeconfig, logs, status_command
from dichroism_watcher.journal import Journal
from dichroism_watcher.journal_file import JournalBrokenError, JournalError
from dichroism_watcher.options import (
    beamline_option,
    chosen_beamlines,
    config_option,
    journal_option,
    journal_path,
    loaded,
    namespace_option,
)
from dichroism_watcher.process import WatcherProcess
from dichroism_watcher.scan_feed import RELIST_S
from dichroism_watcher.throttle import IN_FLIGHT, RATE, Throttle

log = logging.getLogger(__name__)


async def _watch(
    config: Config,
    names: Sequence[str],
    namespace: str | None,
    journal: Journal,
    health_port: int | None,
    throttle: Throttle,
    relist_s: float,
) -> None:
    async with await Api.connect(namespace) as api:
        process = WatcherProcess.make(config, names, api, journal, throttle, relist_s)
        for name, watch in process.watches.items():
            log.info("watching", extra={"beamline": name, "files": watch.counts().settled})
        server = None if health_port is None else await health.serve(process, health_port)
        journal.note("health_port", "" if server is None else str(server.addresses[0][1]))
        try:
            await process.run()
        finally:
            if server is not None:
                await server.cleanup()


async def _until_signal(work: "asyncio.Task[None]") -> None:
    """Cancel ``work`` at SIGTERM or SIGINT and return; what it was doing is found again at the next start."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        work.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        log.info("stopped by a signal; unfinished work is found again at the next start")


def _run(journal: Journal, work: Coroutine[None, None, None]) -> None:
    """Run ``work`` with the journal. One that breaks is set aside, and the process ends, to be started anew."""

    async def main() -> None:
        await _until_signal(asyncio.ensure_future(work))

    try:
        asyncio.run(main())
    except Denied as error:
        raise click.ClickException(error.message) from error
    except BaseExceptionGroup as group:
        broken = group.subgroup(JournalBrokenError)
        if broken is None:
            raise
        journal.set_aside(str(_first(broken)))
        raise click.ClickException("the journal broke; start the watcher again, it makes a new one") from group
    finally:
        journal.close()


def _first(group: BaseExceptionGroup[JournalBrokenError]) -> JournalBrokenError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


@click.group(name="watcher", invoke_without_command=True)
@config_option
@beamline_option
@namespace_option
@journal_option
@click.option("--health-port", type=click.IntRange(0, 65535), help="Serve /livez, /readyz, /metrics and /status here.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "plain"]),
    default="auto",
    show_default=True,
    help="auto: plain on a terminal, else JSON.",
)
@click.option("--rate", type=click.FloatRange(0.01), default=RATE, show_default=True, help="Most Scans per second.")
@click.option(
    "--relist",
    type=click.FloatRange(0.1),
    default=RELIST_S,
    show_default=True,
    help="Seconds between two lists of all Scans, should the watch over them have missed something.",
)
@click.pass_context
def command(
    context: click.Context,
    config_file: Path | None,
    beamlines: tuple[str, ...],
    namespace: str | None,
    journal: Path | None,
    health_port: int | None,
    log_format: str,
    rate: float,
    relist: float,
) -> None:
    """Find finished files on the acquisition storage and create a Scan for each."""
    if context.invoked_subcommand is not None:
        return
    config = loaded(config_file)
    names = chosen_beamlines(config, beamlines)
    logs.configure(json_lines=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()))
    try:
        opened = Journal.open(journal_path(journal))
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    _run(opened, _watch(config, names, namespace, opened, health_port, Throttle(IN_FLIGHT, rate), relist))


for subcommand in (status_command.command, backfill_command.command, kubeconfig.command):
    command.add_command(subcommand)
