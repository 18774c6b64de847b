"""What waits for tape: ``dichroism due --archive``, and what ``dichroism archive now`` tells before it asks.

Seen with the operator's own eyes: the same board, the same rules, applied to what the API holds now.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline, BundleLimits, Config
from dichroism_crds.kinds import Scan, ScanPhase, Step, Transfer
from dichroism_crds.names import ANNOTATION_CLOSED, LABEL_BEAMLINE, LABEL_LANE, lane_name
from dichroism_crds.timestamps import format_time, now
from dichroism_operator import admission, archive_request, lifecycle, planning, wording
from dichroism_operator.board import Board
from dichroism_operator.filling import Filling, Request, filling
from dichroism_operator.transferstatus import UNFINISHED


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next bundle of one beamline, the word about it, and the bundles that are being made.

    ``backing_off`` counts files that failed and are left out until their time has come.
    """

    beamline: str
    destination: str
    bundle: BundleLimits
    state: Filling
    backing_off: int
    request: Request | None
    making: tuple[Transfer, ...]


def shown(config: Config, namespace: str | None, beamline: str | None, *, as_json: bool) -> str:
    """What waits for tape, as text; of one beamline where it is named."""
    chosen = [beamline] if beamline else [name for name, one in config.beamlines.items() if one.archive]
    for name in chosen:
        archived(config, name)

    async def read_all() -> list[Waiting]:
        async with await Api.connect(namespace) as api:
            return [await read(api, config, name) for name in chosen]

    try:
        rows = asyncio.run(read_all())
    except ApiError as error:
        raise click.ClickException(f"what waits for tape can't be read: {error.message}") from error
    return json.dumps([_document(row) for row in rows], indent=2) if as_json else table(rows)


def archived(config: Config, name: str) -> Beamline:
    """The beamline of that name.

    Raises:
        click.UsageError: there is none, or it has no tape.
    """
    beamline = config.beamlines.get(name)
    if beamline is None:
        raise click.UsageError(f"no beamline {name!r} in the configuration; known: {', '.join(config.beamlines)}")
    if beamline.archive is None:
        raise click.UsageError(f"beamline {name} has no archive section: nothing of it goes to tape")
    return beamline


async def read(api: Api, config: Config, name: str) -> Waiting:
    """What waits for tape at one beamline now.

    Raises:
        ApiError: it can't be read.
    """
    beamline = archived(config, name)
    archive = beamline.archive
    assert archive is not None
    lane = lane_name(name, archive.source, archive.destination)
    making = [one async for one in api.list(Transfer, field_selector=UNFINISHED, label_selector=f"{LABEL_LANE}={lane}")]
    board = await _board(api, config, beamline)
    taken = {item.scan for one in making for item in one.spec.items}
    cards = [card for card in board.waiting(name, Step.ARCHIVED) if card.name not in taken]
    free = list(planning.ready(cards, (), now()))
    try:
        request = await archive_request.read(api, name)
    except ValueError:
        request = None  # the operator ignores it and says so
    state = filling(free, archive.bundle, now(), request)
    return Waiting(name, archive.destination, archive.bundle, state, len(cards) - len(free), request, tuple(making))


async def _board(api: Api, config: Config, beamline: Beamline) -> Board:
    """The Scans of a beamline that are on disk and not on tape."""
    board, steps = Board(), lifecycle.configured_steps(beamline)
    listed = api.list(
        Scan,
        field_selector=f"status.phase={ScanPhase.TRANSFERRED}",
        label_selector=f"{LABEL_BEAMLINE}={beamline.name}",
    )
    async for scan in listed:
        if not admission.refusal(scan, config):
            board.put(scan, lifecycle.open_steps(scan, steps, config.attempts))
    return board


def table(rows: Collection[Waiting]) -> str:
    """Rows for people."""
    if not rows:
        return "no beamline has an archive section: nothing goes to tape"
    lines = [("BEAMLINE", "TO", "WAITING", "SIZE", "OLDEST", "CLOSES", "FULL")]
    lines += [
        (
            row.beamline,
            row.destination,
            wording.files(row.state.files) + (f" (+{row.backing_off} later)" if row.backing_off else ""),
            wording.size(row.state.bytes),
            f"{row.state.oldest:%Y-%m-%d %H:%M}" if row.state.oldest else "-",
            _closes(row),
            _full(row),
        )
        for row in rows
    ]
    text = wording.columns(lines)
    making = [one for row in rows for one in row.making]
    return text + (f"\n\nbeing made:\n{_making(making)}" if making else "")


def _closes(row: Waiting) -> str:
    if row.state.cause:
        return f"now ({row.state.cause})"
    return f"{row.state.closes_by:%Y-%m-%d %H:%M} at the latest" if row.state.closes_by else "-"


def _full(row: Waiting) -> str:
    limits = planning.tape_limits(row.bundle)
    return (
        f"{row.state.bytes * 100 // row.bundle.target} % of {wording.size(row.bundle.target)}, "
        f"{row.state.files} of {limits.items} files"
    )


def _making(transfers: Sequence[Transfer]) -> str:
    lines = [("TRANSFER", "PHASE", "FILES", "SIZE", "BUNDLE", "CLOSED BY")]
    lines += [
        (
            one.name,
            one.status.phase,
            str(one.spec.files),
            wording.size(one.spec.bytes),
            one.spec.bundle.path if one.spec.bundle else "-",
            one.metadata.annotations.get(ANNOTATION_CLOSED, "-"),
        )
        for one in transfers
    ]
    return wording.columns(lines)


def _document(row: Waiting) -> dict[str, object]:
    state = row.state
    return {
        "beamline": row.beamline,
        "endpoint": row.destination,
        "files": state.files,
        "bytes": state.bytes,
        "backingOff": row.backing_off,
        "oldest": format_time(state.oldest) if state.oldest else None,
        "closesBy": format_time(state.closes_by) if state.closes_by else None,
        "closesNow": state.cause,
        "limits": {
            "bytes": row.bundle.target,
            "files": planning.tape_limits(row.bundle).items,
            "seconds": row.bundle.max_age.total_seconds(),
        },
        "request": {"by": row.request.by, "at": format_time(row.request.at)} if row.request else None,
        "making": [
            {
                "transfer": one.name,
                "phase": one.status.phase,
                "files": one.spec.files,
                "bytes": one.spec.bytes,
                "bundle": one.spec.bundle.path if one.spec.bundle else None,
                "closed": one.metadata.annotations.get(ANNOTATION_CLOSED),
            }
            for one in row.making
        ],
    }
