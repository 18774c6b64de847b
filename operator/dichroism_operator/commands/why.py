"""``dichroism why``: the whole story of one file, and what to do next. How it is made, is in the package ``story``."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config
from dichroism_crds.kinds import Model, Scan
from dichroism_crds.timestamps import now
from dichroism_operator import wording
from dichroism_operator.commands import completing
from dichroism_operator.commands.at_hand import any_config_option, config_at_hand
from dichroism_operator.commands.options import EXIT_UNEXPECTED, examples, namespace_option, output_option
from dichroism_operator.story import finding, missing, reading, text
from dichroism_operator.story.finding import Candidate, NotUnderstoodError
from dichroism_operator.story.model import Missing, Story
from dichroism_operator.story.telling import tell


@click.command(
    epilog=examples("dichroism why TrajScan31914-1_0001.txt", "dichroism why bl402-gdt6wd4jpbm6ovtvtqlfrlc3fy -o json")
)
@click.argument("what", metavar="SCAN|PATH", shell_complete=completing.scans)
@click.option("--beamline", shell_complete=completing.beamlines, help="Only of this beamline.")
@output_option
@any_config_option
@namespace_option
def command(what: str, beamline: str | None, output: str, config_file: Path | None, namespace: str | None) -> None:
    """Tell the whole story of one file, and what to do next.

    SCAN|PATH is the name of a Scan, an absolute path on any endpoint, a path relative to the endpoint's root, or the
    end of one. When several files fit, they are listed. A file without a Scan is told of too.

    Ends with 0 when the story of a Scan was told or several files fit, 1 when there is no Scan or the API does not
    answer, 2 on wrong usage, 3 when the configuration can't be used.
    """
    try:
        told = asyncio.run(_tell(what, beamline, config_file, namespace))
    except NotUnderstoodError as error:
        raise click.UsageError(str(error)) from error
    except ApiError as error:
        raise click.ClickException(f"the story of {what} can't be read: {error.message}") from error
    if output == "json":
        documents = [one.wire() for one in told]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        click.echo(_shown(told))
    sys.exit(EXIT_UNEXPECTED if any(isinstance(one, Missing) for one in told) else 0)


class _Listed(Model):
    """One of several Scans that fit."""

    scan: str
    beamline: str
    path: str
    phase: str
    message: str


async def _tell(what: str, beamline: str | None, config_file: Path | None, namespace: str | None) -> Sequence[Model]:
    async with await Api.connect(namespace) as api:
        config = (await config_at_hand(api, config_file)).config
        files = finding.candidates(what, config, beamline)
        found = await finding.scans(api, what, config, files)
        if len(found) == 1:
            return [tell(await reading.read(api, found[0]), config, now())]
        if found:
            return [_listed(one) for one in found]
        return [await _missing(api, what, config, files, beamline)]


def _listed(scan: Scan) -> _Listed:
    status = scan.status
    return _Listed(
        scan=scan.name, beamline=scan.spec.beamline, path=scan.spec.path, phase=status.phase, message=status.message
    )


async def _missing(api: Api, what: str, config: Config, files: Sequence[Candidate], beamline: str | None) -> Missing:
    """The story of the candidate of which anything is known, else of the likeliest one."""
    chosen = [beamline] if beamline else list(config.beamlines)
    told = []
    likeliest: list[Candidate | None] = [*missing.first_known(files, config)]
    for file in likeliest or [None]:
        name, places = (file.scan(config), [file.beamline]) if file else (what, chosen)
        known = await reading.read_by_name(api, name, places, _progress)
        watcher = await missing.watching(api, file.beamline if file else chosen[0])
        told.append(missing.tell_missing(what, file, known, watcher, config, now()))
    return next((one for one in told if one.transfers or one.prunes), told[0])


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{text} ...", err=True)


def _shown(told: Sequence[Model]) -> str:
    first = told[0]
    if isinstance(first, Story):
        return text.shown(first, now())
    if isinstance(first, Missing):
        return text.shown_missing(first)
    rows = [("SCAN", "BEAMLINE", "PHASE", "PATH")]
    rows += [(one.scan, one.beamline, one.phase, one.path) for one in told if isinstance(one, _Listed)]
    table = wording.columns(rows)
    return f"{table}\n\n{wording.files(len(told))} fit; ask again with the name of one Scan"
