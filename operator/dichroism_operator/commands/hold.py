"""``dichroism hold`` and ``dichroism release``: suspend Scans and Prunes with who and why, and list all that is held.

A hold that stands in the configuration is listed and never changed here: it is reviewed and rolled out like the rest.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dichroism_crds.client import Api, ApiError, NotFound
from dichroism_crds.config import Config, Hold
from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Prune, Scan
from dichroism_crds.timestamps import format_time, now
from dichroism_operator import holding, wording
from dichroism_operator.commands import completing
from dichroism_operator.commands.at_hand import AtHand, any_config_option, config_at_hand
from dichroism_operator.commands.named import scan_named
from dichroism_operator.commands.options import Day, examples, namespace_option, output_option, user_name
from dichroism_operator.holding import Note
from dichroism_operator.prune import stopswitch
from dichroism_operator.prune.decision import undo_asked

_PRUNE = re.compile(r"[a-z0-9][a-z0-9.-]*-\d{8}-\d{4,}")


@click.command(
    epilog=examples(
        'dichroism hold data402-20270521-0001 --reason "paper under review" --until 2027-12-31', "dichroism hold --list"
    )
)
@click.argument("what", nargs=-1, metavar="[SCAN|PATH|PRUNE]...", shell_complete=completing.scans_and_prunes)
@click.option("--reason", help="Why; shown to everybody who asks.")
@click.option("--by", default=user_name, show_default="who runs this", help="Who wants it.")
@click.option("--until", type=Day(), help="A reminder: a suspend never ends by itself.")
@click.option("--list", "listing", is_flag=True, help="List every hold in force, those of the configuration too.")
@output_option
@any_config_option
@namespace_option
def hold_command(
    what: tuple[str, ...],
    reason: str | None,
    by: str,
    until: datetime | None,
    listing: bool,
    output: str,
    config_file: Path | None,
    namespace: str | None,
) -> None:
    """Suspend Scans and Prunes: no further step starts, nothing of them is deleted.

    A Scan is collected some days after its end, and its suspend with it: to keep files for months, suspend their Prunes
    too or write a hold into the configuration, as the command shows.

    Ends with 0 when it is done, 1 when the API refuses, 2 on wrong usage, 3 when the configuration can't be used.
    """
    if listing:
        if what:
            raise click.UsageError("--list takes no names")
        rows = _run(lambda api, at_hand: _holds(api, at_hand), config_file, namespace)
        click.echo(json.dumps([asdict(row) for row in rows], indent=2) if output == "json" else _table(rows))
        return
    if not what or not reason:
        raise click.UsageError("say what to hold and --reason, or --list")
    note = Note(by, reason, until)
    _run(lambda api, at_hand: _suspend(api, at_hand.config, what, note), config_file, namespace)


@click.command(epilog=examples("dichroism release data402-20270521-0001"))
@click.argument(
    "what", nargs=-1, required=True, metavar="(SCAN|PATH|PRUNE)...", shell_complete=completing.scans_and_prunes
)
@any_config_option
@namespace_option
def release_command(what: tuple[str, ...], config_file: Path | None, namespace: str | None) -> None:
    """Take the suspend of Scans and Prunes back: they go on from where they are, and do nothing twice.

    What a hold of the configuration covers stays held, and the command says where that hold stands.

    Ends with 0 when it is done, 1 when the API refuses, 2 on wrong usage, 3 when the configuration can't be used.
    """
    _run(lambda api, at_hand: _release(api, at_hand, what), config_file, namespace)


def _run(work: Callable[[Api, AtHand], Any], config_file: Path | None, namespace: str | None) -> Any:
    async def connected() -> Any:
        async with await Api.connect(namespace) as api:
            return await work(api, await config_at_hand(api, config_file))

    try:
        return asyncio.run(connected())
    except ApiError as error:
        raise click.ClickException(f"the API refuses it, what was told as done is done: {error.message}") from error


async def _named(api: Api, text: str, config: Config) -> Scan | Prune:
    """A Prune by its name, else a Scan by name or path."""
    if _PRUNE.fullmatch(text):
        try:
            return await api.get(Prune, text)
        except NotFound as error:
            raise click.UsageError(f"there is no Prune {text}; those that are: kubectl get prunes") from error
    return await scan_named(api, text, config)


async def _suspend(api: Api, config: Config, what: Iterable[str], note: Note) -> None:
    for found in [await _named(api, text, config) for text in what]:
        await api.patch(type(found), found.name, holding.hold(note))
        click.echo(f"{found.kind} {found.name} is held. Take it back with: dichroism release {found.name}")
        if isinstance(found, Scan) and found.condition(SUCCEEDED).status == ConditionStatus.TRUE:
            click.echo(_for_longer(found, note), err=True)


def _for_longer(scan: Scan, note: Note) -> str:
    """What to write for a Scan that is at its end: its suspend is gone when it is collected."""
    wanted = {"beamline": scan.spec.beamline, "path": scan.spec.path, "by": note.by, "reason": note.reason}
    if note.until:
        wanted["until"] = format_time(note.until)
    prunes = " ".join(entry.prune for entry in scan.status.prune)
    return (
        f"This Scan is at its end. It is collected some days later, and its hold with it. To keep the file for longer, "
        f"write under holds in config.yml:\n  - {json.dumps(wanted, ensure_ascii=False)}"
        + (f"\nor hold all files of its Prunes: dichroism hold {prunes} --reason ..." if prunes else "")
    )


async def _release(api: Api, at_hand: AtHand, what: Iterable[str]) -> None:
    for found in [await _named(api, text, at_hand.config) for text in what]:
        if found.spec.suspend:
            await api.patch(type(found), found.name, holding.release())
            click.echo(f"{found.kind} {found.name} is released")
        else:
            click.echo(f"{found.kind} {found.name} was not suspended")
        for number in _covering(found, at_hand.config):
            hold = at_hand.config.holds[number]
            click.echo(
                f"  still held by {hold.by}: {hold.reason}. That stands at holds[{number}] of {at_hand.source}: "
                "take it out there and roll it out"
            )


def _covering(found: Scan | Prune, config: Config) -> list[int]:
    """Numbers of the configuration's holds that cover the file, or a file of the Prune, now."""
    if isinstance(found, Scan):
        files = [(found.spec.path, found.name, found.spec.proposal)]
    else:
        files = [(item.path, item.scan, item.proposal) for item in found.spec.items]
    return [
        number
        for number, hold in enumerate(config.holds)
        if any(
            hold.covers(beamline=found.spec.beamline, path=path, scan=scan, proposal=proposal, at=now())
            for path, scan, proposal in files
        )
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    """One hold in force; ``end`` says how it ends."""

    what: str
    by: str
    reason: str
    until: str
    end: str


async def _holds(api: Api, at_hand: AtHand) -> list[_Row]:
    rows = []
    if stopped := await stopswitch.why_stopped(api):
        rows.append(_Row("all pruning", "-", stopped, "-", "dichroism prune resume"))
    rows += [
        _Row(_selected(hold), hold.by, hold.reason, _day(hold.until), f"holds[{number}] of {at_hand.source}")
        for number, hold in enumerate(at_hand.config.holds)
        if hold.until is None or hold.until > now()
    ]
    async for row in api.list_columns(Prune):
        if row.get("Suspend"):
            rows.append(_of(await api.get(Prune, str(row["Name"]))))
    async for item in api.list_pages(api.path(Scan)):
        if (item.get("spec") or {}).get("suspend"):
            rows.append(_of(Scan.parse(item)))
    return rows


def _of(found: Scan | Prune) -> _Row:
    note = holding.note_of(found)
    assert note is not None
    path = f" ({found.spec.path})" if isinstance(found, Scan) else ""
    undo = "; an undo is asked for too" if isinstance(found, Prune) and undo_asked(found) else ""
    until = _day(note.until) + (" (past)" if note.until and note.until <= now() else "")
    return _Row(
        f"{found.kind} {found.name}{path}", note.by, note.reason + undo, until, f"dichroism release {found.name}"
    )


def _selected(hold: Hold) -> str:
    selectors = ("beamline", "proposal", "path", "scan")
    return "files with " + ", ".join(f"{key} {value}" for key in selectors if (value := getattr(hold, key)))


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "-"


def _table(rows: Iterable[_Row]) -> str:
    lines: list[tuple[str, ...]] = [("HELD", "BY", "UNTIL", "ENDS WITH", "WHY")]
    lines += [(row.what, row.by, row.until, row.end, row.reason) for row in rows]
    return wording.columns(lines) if len(lines) > 1 else "nothing is held"
