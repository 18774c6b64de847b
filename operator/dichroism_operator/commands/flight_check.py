"""``dichroism flight-check``: does a file get through, now? The CronJob of the chart asks it twice a day."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline, Config, check_runnable
from dichroism_operator import logs
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    namespace_option,
    output_option,
    refuse,
)
from dichroism_operator.flight import record
from dichroism_operator.flight.check import FlightCheck
from dichroism_operator.flight.result import FlightResult
from dichroism_operator.movers.choice import build_movers
from dichroism_operator.wording import columns

_LIMIT_S = 900.0
EXIT_INTERRUPTED = 130


@click.command()
@config_option
@namespace_option
@click.option("--beamline", "name", required=True, metavar="NAME", help="Whose hops to try, such as BL402.")
@click.option(
    "--tape",
    is_flag=True,
    help="Store a small bundle on tape and delete it, instead of a login and a listing. Costs a mount of a tape.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=_LIMIT_S,
    show_default=True,
    help="Seconds that one hop may take.",
)
@click.option(
    "--record",
    "recorded",
    is_flag=True,
    help="Leave the result in the cluster, for metrics, alerts and Prefect: what the CronJob does.",
)
@output_option
def command(
    config_file: Path,
    namespace: str | None,
    name: str,
    tape: bool,
    timeout: float,
    recorded: bool,
    output: str,
) -> None:
    """Send a small file over every hop of a beamline, see that it arrives, and take it away again.

    The catalogue is logged in to and read, nothing is written there. The hop to tape is tried by login and listing
    unless --tape is given. Files of this check lie in .dichroism/flight of each endpoint and nowhere else.

    Ends with 0 when every leg works, 1 when one does not, 2 on wrong usage, 3 when the configuration is wrong.
    """
    logs.configure(json_lines=False)
    logging.getLogger().setLevel(logging.ERROR)  # what goes wrong is told in the table
    config = loaded(config_file)
    beamline = config.beamlines.get(name)
    if beamline is None:
        raise click.UsageError(f"{config_file} has no beamline {name}. Known: {', '.join(config.beamlines)}")
    own = config.model_copy(update={"beamlines": {name: beamline}})
    if problems := check_runnable(own):
        refuse("\n".join(problems))
    try:
        result = asyncio.run(_fly(own, beamline, namespace, tape=tape, limit_s=timeout, recorded=recorded))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; what was made is taken away again", err=True)
        _end(EXIT_INTERRUPTED)
        return
    click.echo(result.model_dump_json(indent=2, exclude_none=True) if output == "json" else _table(result))
    _end(0 if result.passed else EXIT_UNEXPECTED)


async def _fly(
    config: Config, beamline: Beamline, namespace: str | None, *, tape: bool, limit_s: float, recorded: bool
) -> FlightResult:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    check = FlightCheck(config, beamline, build_movers(config), tape=tape, limit_s=limit_s)
    result = await check.fly()
    if recorded:
        try:
            async with await Api.connect(namespace) as api:
                await record.leave(api, result)
        except ApiError as error:
            click.echo(f"the result could not be left in the cluster, an alarm follows there: {error}", err=True)
    return result


def _table(result: FlightResult) -> str:
    rows = [("LEG", "RESULT", "SECONDS", "WHAT")]
    for leg in result.legs:
        said = f"{leg.reason}: {leg.message}" if leg.reason else leg.message
        rows.append((leg.name, leg.outcome, f"{leg.seconds:.1f}", said))
    verdict = "works" if result.passed else f"{len(result.failed)} failed"
    return f"{columns(rows)}\n\n{result.beamline}: {verdict}"


def _end(code: int) -> None:
    """End although a thread may hang in a mount or wait for a server: nobody waits for those."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    logging.shutdown()
    os._exit(code)
