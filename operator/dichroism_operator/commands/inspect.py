"""``dichroism inspect``: what a scan file says, as the catalogue would be told."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dichroism_operator.bcs import BcsFile

_COLUMNS = 200
_SWEEPS = 20
_HEADER_LINES = 40
_WIDTH = 110


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--beamline", help="BL402 or BL631. Default: told from the columns of the file.")
def command(file: Path, output: str, beamline: str | None) -> None:
    """Show header, columns, sweeps, catalogue metadata and problems of a scan FILE.

    Exit code: 0 also for a damaged file, whose problems are listed; 1 when nothing of it can be read.
    """
    from dichroism_operator import bcs
    from dichroism_operator.quicklook import analyse
    from dichroism_operator.science import techniques
    from dichroism_operator.science.beamline import likely_beamline
    from dichroism_operator.science.metadata import scientific_metadata

    try:
        scan = bcs.read(file)
    except bcs.BcsError as error:
        raise click.ClickException(str(error)) from error
    named = beamline or likely_beamline(scan) or ""
    analysis = analyse(scan, named)
    metadata = scientific_metadata(scan, named, str(file), analysis)
    metadata["quicklook"] = {key: item for key, item in analysis.numbers().items() if item not in (None, [])}
    terms = techniques(analysis)
    if output == "json":
        click.echo(json.dumps(_document(scan, metadata, terms), indent=2, default=str))
        return
    for line in _lines(scan, metadata, terms):
        click.echo(line)


def _document(scan: "BcsFile", metadata: dict[str, Any], terms: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "file": scan.name,
        "form": scan.form.value,
        "start": scan.start.isoformat() if scan.start else None,
        "end": scan.end.isoformat() if scan.end else None,
        "header": list(scan.header.lines) or dict(scan.header.document),
        "columns": [{"name": name, "unit": unit} for name, unit in scan.units.items()],
        "sweeps": [
            {
                "first_row": sweep.rows.start,
                "rows": len(sweep),
                "began": sweep.began.isoformat() if sweep.began else None,
            }
            for sweep in scan.sweeps
        ],
        "metadata": metadata,
        "techniques": terms,
        "problems": list(scan.problems),
    }


def _lines(scan: "BcsFile", metadata: dict[str, Any], terms: list[dict[str, str]]) -> Iterator[str]:
    yield f"{printable(scan.name or '')}: {scan.form.value}, {scan.header.kind.value}"
    yield f"began {_when(scan.start)}, ended {_when(scan.end)}"
    header = list(scan.header.lines) or [f"{name} = {value}" for name, value in scan.header.document.items()]
    yield from _section("Header", header[:_HEADER_LINES])
    names = [f"{name} ({unit})" if unit and "(" not in name else name for name, unit in scan.units.items()]
    yield from _section(f"Columns: {len(names)}", textwrap.wrap(", ".join(names[:_COLUMNS]), _WIDTH))
    sweeps = [
        f"{number:>4}  rows {sweep.rows.start} to {sweep.rows.stop - 1}  began {_when(sweep.began)}"
        for number, sweep in enumerate(scan.sweeps[:_SWEEPS], 1)
    ]
    yield from _section(f"Sweeps: {len(scan.sweeps)}, rows: {len(scan)}", sweeps)
    yield from _section("Metadata", _table({key: item for key, item in metadata.items() if key != "columns"}))
    yield from _section("Techniques", [f"{term['name']}  {term['pid']}" for term in terms] or ["none"])
    yield from _section("Problems", scan.problems or ["none"])


def _when(moment: datetime | None) -> str:
    """The beamline's own time, as people know it; UTC is in the JSON."""
    from dichroism_operator.bcs import ZONE

    return f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S %Z}" if moment else "at an unknown time"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {printable(line)}" for line in lines)


def _table(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, item in found.items():
        if isinstance(item, dict) and set(item) != {"value", "unit"}:
            yield f"{indent}{key}"
            yield from _table(item, indent + "  ")
        else:
            yield f"{indent}{key:<{36 - len(indent)}} {_words(item)}"


def _words(item: Any) -> str:
    if isinstance(item, dict):
        ends = item["value"] if isinstance(item["value"], list) else [item["value"]]
        return f"{' to '.join(map(str, ends))} {item['unit']}"
    if isinstance(item, list):
        return ", ".join(map(str, item))
    return str(item)


def printable(text: str) -> str:
    """Text of a file without the control characters that would steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)
