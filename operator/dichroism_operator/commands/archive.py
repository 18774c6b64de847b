"""``dichroism archive``: close a tape bundle early, and get a manifest back out of a bundle."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.timestamps import format_time
from dichroism_operator import archive_request, wording
from dichroism_operator.commands import completing, waiting
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    namespace_option,
    user_name,
)
from dichroism_operator.filling import Request
from dichroism_operator.movers import bundle


@click.group()
def command() -> None:
    """Close a tape bundle early, and look into bundles."""


@command.command("now")
@click.option("--beamline", required=True, shell_complete=completing.beamlines, help="Whose bundle is to be closed.")
@click.option("--by", default=user_name, show_default="who runs this", help="Who asks; shown on the Transfer.")
@config_option
@namespace_option
def archive_now(beamline: str, by: str, config_file: Path, namespace: str | None) -> None:
    """Ask the operator to pack what waits for tape now, however little it is.

    What comes after this moment waits for the next bundle as usual. Asking twice does no harm. Tape is made for large
    bundles: use it before a shutdown or a move, not every day.
    """
    config = loaded(config_file)
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


@command.command("rebuild-manifest")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the present folder",
    help="Folder for the manifests; made if need be.",
)
def rebuild_manifest(bundles: tuple[Path, ...], folder: Path) -> None:
    """Write the manifest of each of BUNDLES (tar files, or folders of them) as a file, as it lay on disk.

    Each bundle is read from end to end, and every member is compared with the manifest in front of it. Nothing is
    replaced. Ends with 1 when a bundle is damaged or another manifest stands there.
    """
    files = [file for path in bundles for file in (sorted(path.rglob("*.tar")) if path.is_dir() else [path])]
    if not files:
        raise click.UsageError("no bundle, that is no file *.tar, is in the named folders")
    folder.mkdir(parents=True, exist_ok=True)
    troubles = 0
    with click.progressbar(
        length=sum(file.stat().st_size for file in files), label=f"{len(files)} bundles", file=sys.stderr
    ) as bar:
        told = [_rebuilt(file, folder, bar.update) for file in files]
    for trouble, text in told:
        troubles += trouble
        click.echo(text, err=trouble)
    sys.exit(EXIT_UNEXPECTED if troubles else 0)


def _rebuilt(file: Path, folder: Path, progress: Callable[[int], None]) -> tuple[bool, str]:
    """Write one manifest; whether there was trouble, and what happened."""
    try:
        with file.open("rb", buffering=0) as tar:
            checked = bundle.check_bundle(tar, progress=progress)
    except (bundle.BundleDamagedError, OSError) as error:
        return True, f"{file}: {error}. No manifest was written"
    text = bundle.manifest_text(checked.members)
    out = folder / f"{file.name}.tsv"
    if out.exists():
        if out.read_text(encoding="utf-8") == text:
            return False, f"{out}: there already, {wording.files(len(checked.members))}"
        return True, f"{out} says something else than its bundle and was not touched: compare them"
    part = out.with_name(f".{out.name}.part")
    part.write_text(text, encoding="utf-8")
    part.rename(out)
    return False, f"{out}: {wording.files(len(checked.members))}, bundle sha256 {checked.sha256}"
