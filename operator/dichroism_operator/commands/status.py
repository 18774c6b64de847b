"""``dichroism status``: the whole installation on one screen, what needs a person first."""

import asyncio
import json
import sys
import time
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_operator.commands import completing, waiting
from dichroism_operator.commands.at_hand import any_config_option, config_at_hand
from dichroism_operator.commands.options import EXIT_ATTENTION, examples, namespace_option, output_option
from dichroism_operator.overview import reading, text
from dichroism_operator.overview.state import Overview


@click.command(epilog=examples("dichroism status", "dichroism status --watch 10", "dichroism status -o json"))
@click.option("--beamline", shell_complete=completing.beamlines, help="Only this beamline.")
@click.option("--watch", type=click.IntRange(min=1), metavar="SECONDS", help="Show it again and again, until Ctrl-C.")
@output_option
@any_config_option
@namespace_option
def command(
    beamline: str | None, watch: int | None, output: str, config_file: Path | None, namespace: str | None
) -> None:
    """Show the whole installation on one screen: what needs a person first, then counts, work and heartbeats.

    Ends with 0 when all is well, 4 when something needs a person, 1 when the API does not answer, 2 on wrong usage,
    3 when the configuration can't be used.
    """
    while True:
        try:
            view = asyncio.run(_read(beamline, config_file, namespace))
        except ApiError as error:
            raise click.ClickException(f"the state can't be read: {error.message}") from error
        told = json.dumps(text.document(view), indent=2) if output == "json" else text.shown(view)
        if not watch:
            click.echo(told)
            sys.exit(EXIT_ATTENTION if view.needs else 0)
        if output == "table":
            click.clear()
        click.echo(told)
        time.sleep(watch)


async def _read(beamline: str | None, config_file: Path | None, namespace: str | None) -> Overview:
    async with await Api.connect(namespace) as api:
        config = (await config_at_hand(api, config_file)).config
        if beamline and beamline not in config.beamlines:
            raise click.UsageError(f"no beamline {beamline}; known: {', '.join(config.beamlines)}")
        view = await reading.read(api, config, beamline)
        for state in view.beamlines:
            if config.beamlines[state.name].archive:
                state.tape = (await waiting.read(api, config, state.name)).state
        return view
