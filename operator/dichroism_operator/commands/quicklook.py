"""``dichroism quicklook``: the picture of one scan file, as the catalogue shows it."""

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
_PNG = b"\x89PNG\r\n\x1a\n"


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "-o", "--output", type=FILE, required=True, help="PNG to be written. An existing PNG is replaced, nothing else."
)
@click.option("--beamline", help="BL402 or BL631. Default: told from the columns of the file.")
@click.option("--sample", default="", help="Name of the sample, for the caption.")
def command(file: Path, output: Path, beamline: str | None, sample: str) -> None:
    """Draw the quick-look of a scan FILE.

    XMCD, XMLD, hysteresis or the plain spectrum, whatever the file carries. Where it carries no dichroism the picture
    says why. What could not be read of the file is told on standard error.
    """
    from dichroism_operator import bcs, quicklook
    from dichroism_operator.science.beamline import likely_beamline

    try:
        scan = bcs.read(file)
    except bcs.BcsError as error:
        raise click.ClickException(str(error)) from error
    for problem in scan.problems:
        click.echo(f"{file}: {problem}", err=True)
    if scan.form is bcs.Form.FITS:
        raise click.ClickException(f"{file} is an image; there is no quick-look of images")
    named = beamline or likely_beamline(scan) or ""
    analysis = quicklook.analyse(scan, named)
    png = quicklook.draw(analysis, quicklook.caption(scan, named, str(file), sample))
    _refuse_to_replace_data(output)
    try:
        output.write_bytes(png)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error}") from error
    for note in analysis.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(str(output))


def _refuse_to_replace_data(output: Path) -> None:
    """A slip of the hand must not write a picture over a scan: only a picture is replaced."""
    try:
        with output.open("rb") as existing:
            start = existing.read(len(_PNG))
    except OSError:
        return
    if start and start != _PNG:
        raise click.ClickException(f"{output} exists and is no PNG; it was not replaced. Name another file")
