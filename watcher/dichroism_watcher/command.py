"""``dichroism watcher``: options, signals and the exit code; one process watches the roots of all its beamlines."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from dichroism_crds.client import Api, Denied
from dichroism_crds.config import Config, Endpoint
from dichroism_crds.config.loader import ConfigError, load
from dichroism_watcher import health, logs
from dichroism_watcher.throttle import IN_FLIGHT, RATE, Throttle
from dichroism_watcher.watch import RELIST_S, BeamlineWatch

log = logging.getLogger(__name__)


def root_of(endpoint: Endpoint) -> Path:
    """The endpoint's folder as this process sees it: its mount, or its root at the site when we run there."""
    return endpoint.mount or Path(endpoint.root_path)


def watches_of(
    config: Config, names: Iterable[str], api: Api, throttle: Throttle, relist_s: float
) -> list[BeamlineWatch]:
    """A watch for each named beamline."""
    beamlines = [config.beamlines[name] for name in names]
    roots = {one.name: root_of(config.endpoints[one.watch.root]) for one in beamlines}
    return [BeamlineWatch(one, roots[one.name], api, throttle, relist_s) for one in beamlines]


async def _watch(
    config: Config, names: Sequence[str], namespace: str | None, health_port: int | None, rate: float, relist_s: float
) -> None:
    async with await Api.connect(namespace) as api:
        watches = watches_of(config, names, api, Throttle(IN_FLIGHT, rate), relist_s)
        for watch in watches:
            log.info("watching", extra={"beamline": watch.name})
        server = None if health_port is None else await health.serve(watches, health_port)
        try:
            async with asyncio.TaskGroup() as tasks:
                for watch in watches:
                    tasks.create_task(watch.run())
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


@click.command(name="watcher")
@click.option(
    "--config",
    "config_file",
    envvar="DICHROISM_CONFIG",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration.",
)
@click.option("--beamline", "beamlines", multiple=True, help="Watch this beamline only; repeatable. Default: all.")
@click.option(
    "--namespace",
    envvar="DICHROISM_NAMESPACE",
    help="Namespace of the Scans. Default: that of the pod or of the kubeconfig.",
)
@click.option("--health-port", type=click.IntRange(0, 65535), help="Serve /healthz and /metrics on this port.")
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
    help="Seconds between two lists of all Scans: how soon a deleted Scan comes back.",
)
def command(
    config_file: Path,
    beamlines: tuple[str, ...],
    namespace: str | None,
    health_port: int | None,
    log_format: str,
    rate: float,
    relist: float,
) -> None:
    """Find finished files on the acquisition storage and create a Scan for each."""
    try:
        config = load(config_file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    unknown = sorted(set(beamlines) - set(config.beamlines))
    if unknown:
        raise click.ClickException(
            f"{config_file} has no beamline {', '.join(unknown)}; it has {', '.join(config.beamlines)}"
        )
    logs.configure(json_lines=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()))
    names = list(dict.fromkeys(beamlines or config.beamlines))

    async def main() -> None:
        await _until_signal(asyncio.ensure_future(_watch(config, names, namespace, health_port, rate, relist)))

    try:
        asyncio.run(main())
    except Denied as error:
        raise click.ClickException(error.message) from error
