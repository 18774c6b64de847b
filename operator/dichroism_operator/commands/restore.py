"""``dichroism restore``: bring files back from tape into a folder. How, is in the package ``restore``."""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from dichroism_crds.config import Config
from dichroism_crds.timestamps import format_time
from dichroism_operator import wording
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    namespace_option,
    output_option,
)
from dichroism_operator.restore.asked import AskedError, understand
from dichroism_operator.restore.choice import open_bundles
from dichroism_operator.restore.fetching import Fate, Outcome, fetch
from dichroism_operator.restore.found import Known, Source, Version, known
from dichroism_operator.restore.lookup import Lookup, look_up
from dichroism_operator.restore.target import Target, TargetError

SHOWN = 50
"""Troubles that are printed one by one."""


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files; made if need be."
)
@click.option("--list", "listing", is_flag=True, help="Show where on tape it is, replaced contents included; no more.")
@click.option("--beamline", help="Only of this beamline.")
@click.option("--sha256", help="Not the present content but the one whose digest begins so; see --list.")
@click.option(
    "--from",
    "chosen",
    type=click.Choice([source.value for source in Source]),
    multiple=True,
    help="Ask this source only; may be repeated. Default: all that answer.",
)
@click.option(
    "--manifests",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with manifests. Default: those of the mounted endpoints.",
)
@click.option(
    "--bundles",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with bundles that were fetched from tape by hand. Default: the mounted archive, else jobs.",
)
@output_option
@config_option
@namespace_option
def command(
    what: tuple[str, ...],
    folder: Path | None,
    listing: bool,
    beamline: str | None,
    sha256: str | None,
    chosen: tuple[str, ...],
    manifests: Path | None,
    bundles: Path | None,
    output: str,
    config_file: Path,
    namespace: str | None,
) -> None:
    """Bring files back from tape: WHAT is a file or folder, the name of a Scan, or a dataset's pid; "." is everything.

    Which bundle holds a file is asked of the Scans, of the catalogue and of the manifests; each is enough alone, so
    this works when the cluster is lost. Every file is compared with the sha256 on record before it gets its name.
    Nothing is ever replaced, so it can be run again after an interruption.

    Where no archive is mounted and the mover is sfapi, one job for each bundle brings the files back. That may take
    hours; stopped and run again, the command meets its jobs.

    Ends with 0 when every file is there, 1 when not, 2 on wrong usage, 3 when the configuration can't be used.
    """
    if (folder is None) != listing:
        raise click.UsageError("say --to FOLDER, or --list to look only")
    config = loaded(config_file)
    try:
        asked = [understand(word, config, beamline) for word in what]
    except AskedError as error:
        raise click.UsageError(str(error)) from error
    wanted = [Source(one) for one in chosen] or list(Source)
    found = asyncio.run(look_up(asked, config, namespace, wanted, manifests))
    for source, text in found.silent.items():
        click.echo(f"not asked: {source}: {text}", err=True)
    files = known(found.copies)
    if not files:
        raise click.ClickException(_nothing(what, found, wanted))
    if listing:
        click.echo(json.dumps(_documents(files), indent=2) if output == "json" else _table(files))
        return
    assert folder is not None
    sys.exit(_restore(_versions(files, sha256), config, bundles, folder, as_json=output == "json"))


def _nothing(what: Sequence[str], found: Lookup, wanted: Sequence[Source]) -> str:
    asked = [source for source in wanted if source not in found.silent]
    if not asked:
        return "no source could be asked, so it is not known what is on tape"
    return f"nothing on tape is known of {', '.join(what)} by: {', '.join(asked)}"


def _versions(files: Sequence[Known], sha256: str | None) -> list[Version]:
    """The version of each file that is to be fetched."""
    twice = [path for path, count in Counter(one.path for one in files).items() if count > 1]
    if twice:
        raise click.UsageError(f"{twice[0]} is a file of several beamlines: say which with --beamline")
    versions = [version for one in files if (version := one.version(sha256))]
    if not versions:
        raise click.UsageError(f"no content with a sha256 that begins with {sha256} is known; see --list")
    return versions


def _restore(versions: Sequence[Version], config: Config, bundles: Path | None, folder: Path, *, as_json: bool) -> int:
    total = sum(version.first.size for version in versions)
    beamlines = {version.first.beamline for version in versions}
    try:
        with (
            Target(folder) as target,
            click.progressbar(length=total, label=wording.files(len(versions)), file=sys.stderr) as bar,
            open_bundles(config, beamlines, bundles, partial(_say, bar.render_progress)) as opened,
        ):
            outcomes = fetch(versions, opened, target, bar.update)
    except TargetError as error:
        raise click.ClickException(
            f"{folder} can't be written: {error}. What was restored is whole; mend it and run the same again"
        ) from error
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped. What was restored is whole, and jobs at the tape site go on: run the same command again"
        ) from None
    troubles = [one for one in outcomes if one.fate in (Fate.OCCUPIED, Fate.FAILED)]
    if as_json:
        click.echo(json.dumps([_told(one) for one in outcomes], indent=2))
        return EXIT_UNEXPECTED if troubles else 0
    _complain(troubles)
    old = sum(one.version.superseded for one in outcomes)
    if old:
        click.echo(f"{wording.files(old)} with a content that a newer one replaced; see --list", err=True)
    counts = Counter(one.fate for one in outcomes)
    told = ", ".join(f"{counts[fate]} {fate}" for fate in Fate if counts[fate])
    click.echo(f"{folder}: {told}; {wording.size(total)} in all")
    return EXIT_UNEXPECTED if troubles else 0


def _say(show_bar: Callable[[], None], text: str) -> None:
    """A line above the bar."""
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    click.echo(wording.printable(text), err=True)
    if sys.stderr.isatty():
        show_bar()


def _complain(troubles: Sequence[Outcome]) -> None:
    """One line for each trouble; what has the same reason, such as a bundle that did not come, is told once."""
    same: dict[tuple[Fate, str], list[str]] = defaultdict(list)
    for one in troubles:
        same[one.fate, one.message].append(wording.printable(one.version.first.path))
    for (fate, message), paths in list(same.items())[:SHOWN]:
        named = paths[0] if len(paths) == 1 else f"{wording.files(len(paths))}, such as {paths[0]}"
        click.echo(f"{fate}: {named}: {wording.printable(message)}", err=True)
    if len(same) > SHOWN:
        click.echo(f"and {len(same) - SHOWN} more troubles; all of them with -o json", err=True)


def _told(outcome: Outcome) -> dict[str, object]:
    first = outcome.version.first
    return {
        "path": first.path,
        "beamline": first.beamline,
        "fate": outcome.fate,
        "message": outcome.message,
        "size": first.size,
        "sha256": first.sha256,
        "bundle": first.bundle,
        "superseded": outcome.version.superseded,
    }


def _table(files: Sequence[Known]) -> str:
    rows = [("BEAMLINE", "SIZE", "MODIFIED", "SHA256", "STATE", "KNOWN TO", "BUNDLE", "PATH")]
    for file in files:
        for number, version in enumerate(file.versions):
            first = version.first
            rows.append(
                (
                    file.beamline,
                    wording.size(first.size),
                    f"{version.modified_at:%Y-%m-%d %H:%M:%S}",
                    first.sha256[:12],
                    "superseded" if number or version.superseded else "present",
                    ", ".join(version.sources),
                    ", ".join(dict.fromkeys(copy.bundle for copy in version.copies)),
                    file.path,
                )
            )
    return wording.columns(rows)


def _documents(files: Sequence[Known]) -> list[dict[str, object]]:
    return [
        {
            "path": file.path,
            "beamline": file.beamline,
            "size": version.first.size,
            "sha256": version.first.sha256,
            "modifiedAt": format_time(version.modified_at),
            "superseded": bool(number) or version.superseded,
            "sources": list(version.sources),
            "bundles": list(dict.fromkeys(copy.bundle for copy in version.copies)),
        }
        for file in files
        for number, version in enumerate(file.versions)
    ]
