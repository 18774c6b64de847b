"""``dichroism prefect``: what a person does at the Prefect server; the operator does the same when it starts."""

import asyncio
from pathlib import Path

import click

from dichroism_crds.config import Config
from dichroism_operator.commands.options import EXIT_UNEXPECTED, config_option, loaded
from dichroism_operator.mirror.errors import MirrorOff
from dichroism_operator.mirror.names import Layout, layout
from dichroism_operator.mirror.pools import Prepared, prepare
from dichroism_operator.mirror.server import PrefectServer


@click.group()
@config_option
@click.pass_context
def command(context: click.Context, config_file: Path) -> None:
    """Prepare the mirror of run states in Prefect."""
    context.obj = loaded(config_file)


@command.command()
@click.pass_obj
def init(config: Config) -> None:
    """Make work pools, queues and deployments in Prefect, or see that they are there.

    The pools are paused, so that no worker ever runs anything in them. Repeated, it changes nothing. PREFECT_API_URL
    says where Prefect is; PREFECT_API_AUTH_STRING or PREFECT_API_KEY who you are. Ends with 1 when Prefect does not
    answer, or when pools of these names are used by somebody else and prefect.takeOver is not set: then nothing is
    changed.
    """
    wanted = layout(config)
    try:
        prepared = asyncio.run(_prepare(wanted, config))
    except MirrorOff as error:
        click.echo(f"{error.trouble}: {error}", err=True)
        raise SystemExit(EXIT_UNEXPECTED) from error
    for pool in wanted.pools:
        click.echo(f"work pool   {pool.name}: {', '.join(pool.queues)}")
    for deployment in wanted.deployments:
        click.echo(f"deployment  {deployment.flow}/{deployment.name} in {deployment.pool}, {deployment.queue}")
    click.echo("made: " + "; ".join(prepared.changes) if prepared.changes else "everything was there")


async def _prepare(wanted: Layout, config: Config) -> Prepared:
    async with await PrefectServer.connect(config.prefect.requests_per_minute) as server:
        return await prepare(server, wanted, take_over=config.prefect.take_over)
