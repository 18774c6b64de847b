"""``dichroism archive``: close a tape bundle early, and get a manifest back out of a bundle."""

import asyncio
import sys
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import ConfigError, load
from dichroism_crds.timestamps import format_time
from dichroism_operator import archive_request, wording
from dichroism_operator.commands import waiting
from dichroism_operator.commands.options import EXIT_CONFIG, config_option, namespace_option, user_name
from dichroism_operator.filling import Request


@click.group()
def command() -> None:
    """Close a tape bundle early, and look into bundles."""


@command.command("now")
@click.option("--beamline", required=True, help="Whose bundle is to be closed.")
@click.option("--by", default=user_name, show_default="who runs this", help="Who asks; shown on the Transfer.")
@config_option
@namespace_option
def archive_now(beamline: str, by: str, config_file: Path, namespace: str | None) -> None:
    """Ask the operator to pack what waits for tape now, however little it is.

    What comes after this moment waits for the next bundle as usual. Asking twice does no harm. Tape is made for large
    bundles: use it before a shutdown or a move, not every day.
    """
    try:
        config = load(config_file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_CONFIG)
    waiting.archived(config, beamline)

    async def ask() -> tuple[waiting.Waiting, Request | None]:
        async with await Api.connect(namespace) as api:
            row = await waiting.read(api, config, beamline)
            return row, await archive_request.ask(api, beamline, by) if row.state.files else None

    try:
        row, request = asyncio.run(ask())
    except ApiError as error:
        raise click.ClickException(f"the bundle of {beamline} could not be closed: {error.message}") from error
    if request is None:
        making = f"; {len(row.making)} being made" if row.making else ""
        click.echo(f"{beamline}: nothing waits for a bundle, nothing was asked{making}")
        return
    click.echo(
        f"{beamline}: {wording.files(row.state.files)}, {wording.size(row.state.bytes)} go to {row.destination} now, "
        f"as {request.by} asks at {format_time(request.at)}. Follow it with: dichroism due --archive"
    )
