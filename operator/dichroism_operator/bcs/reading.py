"""Reading a file: which form, its header, its names; the rows only when they are asked for."""

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from dichroism_operator.bcs.detection import BYTES_NEEDED, Form, detect, is_column_line
from dichroism_operator.bcs.errors import BcsError
from dichroism_operator.bcs.fits import read_fits_header
from dichroism_operator.bcs.header import Header, ScanKind, parse_date, parse_header, text_of
from dichroism_operator.bcs.limits import Limits, Stopwatch
from dichroism_operator.bcs.lines import Lines
from dichroism_operator.bcs.scanfile import BcsFile
from dichroism_operator.bcs.table import Table, unique_names

Source = str | os.PathLike[str] | bytes | BinaryIO
_KINDS = {
    "single motor flying scan": ScanKind.FLYING,
    "single motor scan": ScanKind.MOTOR,
    "from file scan": ScanKind.TRAJECTORY,
    "trajectory scan": ScanKind.TRAJECTORY,
    "time scan": ScanKind.TIME,
}


def read(source: Source, limits: Limits | None = None) -> BcsFile:
    """Read a scan file.

    Args:
        source: A path, the bytes themselves, or a file opened as binary. Of a path the rows are read when they are
            first asked for; a file object is read to its end at once and stays open.
        limits: How much is read at most.

    Raises:
        BcsError: This is no scan file, or it cannot be opened.
    """
    bounds = limits or Limits()
    if isinstance(source, bytes | bytearray):
        return _read(io.BytesIO(source), bounds, None, None)
    if not isinstance(source, str | os.PathLike):
        return _read(source, bounds, _name_of(source), None)
    path = Path(source)

    def opened() -> BinaryIO:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
                raise BcsError("this is no regular file", str(path))
            return path.open("rb")
        except (OSError, ValueError) as error:
            raise BcsError(f"the file cannot be opened: {error}", str(path)) from error

    with opened() as stream:
        return _read(stream, bounds, str(path), opened)


def _name_of(stream: BinaryIO) -> str | None:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else None


def _read(stream: BinaryIO, limits: Limits, name: str | None, again: Callable[[], BinaryIO] | None) -> BcsFile:
    """Read header and names; the rows now, or later when the file can be opened ``again``."""
    watch = Stopwatch(limits.seconds)
    lines = Lines(stream, limits)
    try:
        form, header, names, problems = _read_head(lines, limits)
    except BcsError as error:
        raise BcsError(error.reason, name) from error
    table = Table(names)
    if names and again is None:
        table.load(lines, limits, watch)

    def load() -> Table:
        if names and again is not None:
            _load_again(table, again, limits)
        return table

    return BcsFile(form, header, load, names=names, name=name, problems=tuple(problems))


def _load_again(table: Table, again: Callable[[], BinaryIO], limits: Limits) -> None:
    """Read the rows of a file whose header was read before; trouble now is a problem and no error."""
    try:
        with again() as stream:
            lines = Lines(stream, limits)
            _, _, names, _ = _read_head(lines, limits)
            if names != table.names:
                table.problems.append("the file was replaced by another while it was read; its rows were not read")
                return
            table.load(lines, limits, Stopwatch(limits.seconds))
    except BcsError as error:
        table.problems.append(f"the rows could not be read: {error.reason}")


def _read_head(lines: Lines, limits: Limits) -> tuple[Form, Header, tuple[str, ...], list[str]]:
    first = lines.peek(BYTES_NEEDED)
    if lines.broken:
        raise BcsError(lines.broken)
    if not first:
        raise BcsError("the file is empty")
    form = detect(first)
    if form is None:
        raise BcsError("this is no scan file: it has neither a header nor a line of column names as BCS writes them")
    if form is Form.FITS:
        return form, read_fits_header(lines), (), []
    if form is Form.HEADER_DATA:
        return form, *_head_with_json(lines, limits)
    return form, *_head_of_text(lines, limits)


def _head_of_text(lines: Lines, limits: Limits) -> tuple[Header, tuple[str, ...], list[str]]:
    before: list[str] = []
    for _ in range(limits.header_lines):
        line = lines.line()
        if line is None:
            return _without_table(before, "the file ends before the line of column names, so it has no rows")
        if is_column_line(line):
            names, problems = _names(line, limits)
            return parse_header(before), names, problems
        before.append(text_of(line).removeprefix("\ufeff"))
    return _without_table(before, f"no line of column names in the first {limits.header_lines} lines")


def _without_table(before: list[str], problem: str) -> tuple[Header, tuple[str, ...], list[str]]:
    return parse_header(before), (), [problem]


def _head_with_json(lines: Lines, limits: Limits) -> tuple[Header, tuple[str, ...], list[str]]:
    lines.line()
    before: list[str] = []
    while len(before) < limits.header_lines:
        line = lines.line()
        if line is None:
            return Header(lines=tuple(before)), (), ["the file ends before the line DATA, so it has no rows"]
        if line.strip() == b"DATA":
            break
        before.append(text_of(line))
    else:
        return Header(), (), [f"no line DATA in the first {limits.header_lines} lines"]
    header, problems = _json_header(before)
    columns = lines.line()
    if columns is None:
        return header, (), [*problems, "the file ends before the line of column names, so it has no rows"]
    names, more = _names(columns, limits)
    return header, names, problems + more


def _json_header(before: list[str]) -> tuple[Header, list[str]]:
    try:
        document: Any = json.loads("\n".join(before))
    except (ValueError, RecursionError) as error:
        return Header(lines=tuple(before)), [f"the header is no JSON: {error}"]
    if not isinstance(document, dict):
        return Header(lines=tuple(before)), ["the header is no JSON object"]
    kind = str(document.get("Scan Type", ""))
    settings = document.get(kind)
    motor = settings.get("X Motor") if isinstance(settings, dict) else None
    day = document.get("Date")
    return Header(
        kind=_KINDS.get(kind.lower().strip(), ScanKind.OTHER),
        date=parse_date(day) if isinstance(day, str) else None,
        motor=motor if isinstance(motor, str) else None,
        document=document,
        lines=tuple(before),
    ), []


def _names(line: bytes, limits: Limits) -> tuple[tuple[str, ...], list[str]]:
    given = [name.strip() for name in text_of(line).rstrip("\t").split("\t")]
    if len(given) > limits.columns:
        return (), [f"the table has {len(given)} columns, more than {limits.columns}; its rows were not read"]
    return unique_names(given), []
