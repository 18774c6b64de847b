"""``dichroism doctor``: does this installation work, seen from here, and what is to be done where it does not?"""

import asyncio
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from dichroism_crds.config import check_file
from dichroism_operator.commands.options import EXIT_UNEXPECTED, config_option, namespace_option
from dichroism_operator.doctor.check import Check, Findings, Severity
from dichroism_operator.doctor.cluster import Cluster, Role
from dichroism_operator.doctor.examination import examine
from dichroism_operator.doctor.globus_access import GlobusAccess
from dichroism_operator.doctor.installation import checks
from dichroism_operator.doctor.place import Place
from dichroism_operator.doctor.report import TextReport, json_report

_LIMIT_S = 60.0


@click.command()
@config_option
@namespace_option
@click.option(
    "--only", multiple=True, metavar="NAME", help="A check such as kubernetes/lease, or a system; repeatable."
)
@click.option("--beamline", "beamlines", multiple=True, metavar="NAME", help="Only this beamline; repeatable.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role if role != Role.PERSON]),
    help="Which program would run here. Default: told by the Kubernetes account.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=_LIMIT_S,
    show_default=True,
    help="Seconds after which a check is cut off.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to tell it."
)
@click.option("--list", "list_only", is_flag=True, help="List the checks with what each proves; look at nothing.")
def command(
    config_file: Path,
    namespace: str | None,
    only: tuple[str, ...],
    beamlines: tuple[str, ...],
    role: str | None,
    timeout: float,
    output: str,
    list_only: bool,
) -> None:
    """Check a whole installation from here, and say what to do about each problem.

    Run it where the trouble is: in the operator's pod, on the host of the watcher, on your own machine. What can't be
    known from here is told as not checked. Nothing of yours is changed: what must be tried is tried in
    .dichroism/doctor of an endpoint.

    Ends with 0 when no problem was found, 1 when one was, 2 on wrong usage.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])  # what libraries say about trouble is told as findings
    checked = check_file(config_file)
    if checked.config and (unknown := sorted(set(beamlines) - set(checked.config.beamlines))):
        known = ", ".join(checked.config.beamlines)
        raise click.UsageError(f"{config_file} has no beamline {', '.join(unknown)}. Known: {known}")
    cluster, globus = Cluster(namespace), GlobusAccess()
    place = Place(config_file, checked, cluster, globus, beamlines, Role(role) if role else None)
    chosen = _chosen(checks(place), only)
    if list_only:
        for check in chosen:
            click.echo(f"{check.name:<26} {check.proves}")
        return
    examined = asyncio.run(_examine(place, chosen, timeout, as_text=output == "text"))
    if output == "json":
        click.echo(json_report(_seen_from(place), examined))
    found_problem = any(one.severity == Severity.PROBLEM for _, findings in examined for one in findings)
    sys.exit(EXIT_UNEXPECTED if found_problem else 0)


def _chosen(known: list[Check], only: tuple[str, ...]) -> list[Check]:
    systems = {check.system for check in known}
    names = {check.name for check in known} | systems
    if unknown := sorted(set(only) - names):
        told = ", ".join(sorted(systems))
        raise click.UsageError(f"no check {', '.join(unknown)}. Systems: {told}; --list shows every check")
    return [check for check in known if not only or check.selected_by(only)]


async def _examine(place: Place, chosen: list[Check], limit_s: float, *, as_text: bool) -> list[tuple[Check, Findings]]:
    report = TextReport("seen from {host} as user {user}".format(**_seen_from(place)))
    examined = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(place.cluster)
        await stack.enter_async_context(place.globus)
        async for check, findings in examine(chosen, limit_s):
            examined.append((check, findings))
            if as_text:
                click.echo("\n".join(report.lines(check, findings)))
    if as_text:
        click.echo("\n".join(report.summary()))
    return examined


def _seen_from(place: Place) -> dict[str, Any]:
    """Where the command ran; the answers are true for this place alone."""
    return {"host": socket.gethostname(), "user": os.geteuid(), "config": str(place.config_file)}
