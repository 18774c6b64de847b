"""``dichroism export`` and ``dichroism import``: the prune calendar in a file, to outlive a cluster.

Scans need no such file: the watcher makes them anew, and what was copied, catalogued and archived is recognised. The
calendar reaches half a year further than the Scans do.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import IO

import click
from pydantic import ValidationError

from dichroism_crds.client import AlreadyExists, Api, ApiError
from dichroism_crds.kinds import Metadata, Prune
from dichroism_operator import served
from dichroism_operator.commands.options import namespace_option


@click.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True))
@namespace_option
def export_command(file: IO[str], namespace: str | None) -> None:
    """Write every Prune with its status to FILE, one JSON object a line ('-' is standard output)."""
    count = asyncio.run(_export(file, namespace))
    click.echo(f"{count} Prunes written", err=True)


async def _export(file: IO[str], namespace: str | None) -> int:
    count = 0
    try:
        async with await Api.connect(namespace) as api:
            async for prune in _all(api):
                file.write(json.dumps(_portable(prune).to_wire(), ensure_ascii=False) + "\n")
                count += 1
    except ApiError as error:
        raise click.ClickException(f"the calendar can't be read, FILE is not complete: {error.message}") from error
    return count


def _all(api: Api) -> AsyncIterator[Prune]:
    return api.list(Prune, limit=20)


def _portable(prune: Prune) -> Prune:
    """The Prune without what only one cluster knows."""
    kept = prune.metadata
    return prune.model_copy(
        update={"metadata": Metadata(name=kept.name, labels=kept.labels, annotations=kept.annotations)}
    )


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@namespace_option
def import_command(file: IO[str], namespace: str | None) -> None:
    """Create the Prunes of FILE that are not there, with the status they had.

    A file that was deleted since the export is found to be gone. Nothing is deleted on the strength of an old status:
    every copy is proven at the moment of deletion. Prunes that exist are left as they are, so this can be repeated.
    """
    wanted = list(_read(file))
    made, there = asyncio.run(_import(wanted, namespace))
    click.echo(f"{made} Prunes created, {there} were there already and were left as they are")


def _read(file: IO[str]) -> Iterator[Prune]:
    """Every Prune of the file; nothing is created when one of them can't be read."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield _portable(Prune.parse(json.loads(line)))
            except (ValueError, ValidationError) as error:
                place = f"{file.name}:{number}"
                raise click.ClickException(
                    f"{place}: not a line of `dichroism export`, nothing was created: {error}"
                ) from error


async def _import(wanted: list[Prune], namespace: str | None) -> tuple[int, int]:
    made = there = 0
    try:
        async with await Api.connect(namespace) as api:
            if problem := await served.too_old(api):
                raise click.ClickException(f"nothing was created: {problem}")
            for prune in wanted:
                try:
                    created = await api.create(prune)
                except AlreadyExists:
                    # One without a phase may be left from an import that was cut before it wrote the status.
                    created = await api.get(Prune, prune.name)
                    if created.status.phase is not None or created.spec != prune.spec:
                        there += 1
                        continue
                await api.replace_status(created.model_copy(update={"status": prune.status}))
                made += 1
    except ApiError as error:
        raise click.ClickException(f"ended after {made} Prunes, run it again: {error.message}") from error
    return made, there
