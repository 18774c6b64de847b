"""``dichroism audit``: is everything where it should be? The CronJob of the chart asks it every day."""

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click

from dichroism_crds import heartbeat
from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config
from dichroism_crds.config.quantities import parse_duration
from dichroism_crds.timestamps import now
from dichroism_operator import logs
from dichroism_operator.audit import report
from dichroism_operator.audit.findings import Place
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.result import lease_name
from dichroism_operator.audit.survey import Audited, Survey
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.catalogue.choice import build_catalogue
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    namespace_option,
    output_option,
    refuse,
)
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.choice import build_movers, mover_for

EXIT_NOT_LOOKED = 4
"""Added to the code for findings: 5 is both."""
MAY_BE_LEFT_OUT = (Place.KUBERNETES, Place.CATALOGUE, Place.TAPE)


def _age(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    """A duration as in the configuration, such as 3d."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@config_option
@namespace_option
@click.option("--beamline", "names", multiple=True, metavar="NAME", help="Only this beamline; repeatable.")
@click.option(
    "--at-least-age",
    metavar="DURATION",
    callback=_age,
    help="Look at files of at least this age, such as 0s or 3d. Default: an hour for copy and dataset, two days more "
    "than the age of a bundle for tape.",
)
@click.option("--checksums", is_flag=True, help="Also read every copy on mounted disks and compare its checksum.")
@click.option(
    "--without",
    "left_out",
    type=click.Choice([place.value for place in MAY_BE_LEFT_OUT]),
    multiple=True,
    help="Do not look there, and do not mind; repeatable.",
)
@click.option(
    "--record", "recorded", is_flag=True, help="Leave the numbers in the cluster, for metrics: what the CronJob does."
)
@output_option
def command(
    config_file: Path,
    namespace: str | None,
    names: tuple[str, ...],
    at_least_age: timedelta | None,
    checksums: bool,
    left_out: tuple[str, ...],
    recorded: bool,
    output: str,
) -> None:
    """Compare source, disk, catalogue and tape with each other, and list what is not where it should be.

    This needs no Kubernetes, so it works when the cluster is lost; where it is there, the prune calendar is compared
    too. Nothing is changed anywhere.

    Ends with 0 when nothing is wrong, 1 when something is, 4 when not everything could be looked at, 5 for both, 2 on
    wrong usage, 3 when the configuration is wrong.
    """
    logs.configure(json_lines=False)
    logging.getLogger().setLevel(logging.ERROR)  # what can't be looked at is told in the report
    config = loaded(config_file)
    if unknown := sorted(set(names) - set(config.beamlines)):
        known = ", ".join(config.beamlines)
        raise click.UsageError(f"{config_file} has no beamline {', '.join(unknown)}. Known: {known}")
    beamlines = [one for name, one in config.beamlines.items() if not names or name in names]
    progress = Told()
    with Index() as index:
        survey = Survey(
            config=config,
            beamlines=beamlines,
            mover_of=_movers(config),
            catalogue=_catalogue(config),
            index=index,
            left_out=[Place(one) for one in left_out],
            at_least_age=at_least_age,
            checksums=checksums,
            progress=progress.tell,
        )
        audited = asyncio.run(_audit(survey, namespace, recorded=recorded))
        progress.clear()
        if output == "json":
            report.write_json(audited, index, sys.stdout)
        else:
            click.echo(report.table(audited, index, now()))
        code = EXIT_UNEXPECTED if index.counts() else 0
    lacking = any(one.sight.lacking for one in audited)
    sys.exit(code + (EXIT_NOT_LOOKED if lacking else 0))


def _movers(config: Config) -> Callable[[str], Mover]:
    """The mover of an endpoint, made when the first one is needed: with mounts alone none is."""
    movers: dict[str, Mover] = {}

    def mover_of(endpoint: str) -> Mover:
        if not movers:
            movers.update(build_movers(config, for_pruning=True))
        return mover_for(config, movers, endpoint)

    return mover_of


def _catalogue(config: Config) -> Catalogue | None:
    try:
        return build_catalogue(config)
    except ValueError as error:
        refuse(str(error))


async def _audit(survey: Survey, namespace: str | None, *, recorded: bool) -> list[Audited]:
    audited = await survey.run(namespace)
    if recorded:
        try:
            async with await Api.connect(namespace) as api:
                for one in audited:
                    word = report.result_of(one, survey.index).to_lease(heartbeat.holder())
                    await heartbeat.leave(api, lease_name(one.beamline), word)
        except ApiError as error:
            click.echo(f"the numbers could not be left in the cluster, an alarm follows there: {error}", err=True)
    return audited


class Told:
    """One line of progress, on a terminal alone."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()

    def tell(self, what: str, number: int) -> None:
        """Show how far it is."""
        if self._is_terminal:
            click.echo(f"\r{what}: {number}\x1b[K", err=True, nl=False)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
