"""``dichroism watcher backfill``: options, progress on standard error, and the exit code."""

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click

from dichroism_crds import timestamps
from dichroism_crds.client import Api, Denied
from dichroism_crds.config import Config
from dichroism_crds.config.quantities import parse_moment
from dichroism_crds.names import Origin
from dichroism_watcher.backfill import RATE, Backfill
from dichroism_watcher.journal_file import JournalError, JournalFile
from dichroism_watcher.options import (
    beamline_option,
    chosen_beamlines,
    config_option,
    journal_option,
    journal_path,
    loaded,
    namespace_option,
)
from dichroism_watcher.process import root_of
from dichroism_watcher.root import RootUnavailableError
from dichroism_watcher.scan_feed import RELIST_S, ScanFeed
from dichroism_watcher.throttle import Throttle

TELL_EVERY_S = 5.0
SHOWN = 20


class _Teller:
    """Shows progress now and then, on lines of their own, so that a log keeps them."""

    def __init__(self, works: Sequence[Backfill]) -> None:
        self._works = works
        self._next = 0.0

    def __call__(self, *, now: bool = False) -> None:
        if now or time.monotonic() >= self._next:
            self._next = time.monotonic() + TELL_EVERY_S
            for one in self._works:
                click.echo(f"{one.name}: {one.progress}", err=True)


async def _backfill(
    config: Config,
    names: Sequence[str],
    namespace: str | None,
    since: datetime,
    journal: JournalFile | None,
    rate: float,
    origin: Origin,
    count_only: bool,
) -> list[Backfill]:
    async with await Api.connect(namespace) as api:
        throttle = Throttle(1, rate)
        works = []
        for name in names:
            beamline = config.beamlines[name]
            root = root_of(config.endpoints[beamline.watch.root])
            works.append(Backfill(beamline, root, timestamps.to_ns(since), api, throttle, journal, origin))
        tell = _Teller(works)
        following = asyncio.ensure_future(ScanFeed(api, {one.name: one for one in works}, RELIST_S).run())
        try:
            for one in works:
                await one.run(tell, count_only=count_only)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            tell(now=True)
        return works


@click.command(name="backfill")
@config_option
@beamline_option
@namespace_option
@journal_option
@click.option("--since", required=True, help="Take files last modified from this day (midnight UTC) or time on.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Earlier flows carried these files: the Scans say so (origin recovered), and what exists is recognised.",
)
@click.option("--rate", type=click.FloatRange(0.01), default=RATE, show_default=True, help="Most Scans per second.")
@click.option("--dry-run", is_flag=True, help="Only count the files.")
@click.pass_context
def command(
    context: click.Context,
    config_file: Path | None,
    beamlines: tuple[str, ...],
    namespace: str | None,
    journal: Path | None,
    since: str,
    adopt: bool,
    rate: float,
    dry_run: bool,
) -> None:
    """Create Scans of files from before the beamline's `since`, behind everything that is live.

    It can be interrupted and repeated: what has a Scan or is safe is passed over. The watcher should be running, for it
    learns what became of the Scans.
    """
    given = context.parent.params if context.parent else {}
    config = loaded(config_file or given.get("config_file"))
    names = chosen_beamlines(config, beamlines or given.get("beamlines", ()))
    try:
        moment = parse_moment(since)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
    for name in names:
        if moment >= config.beamlines[name].watch.since:
            raise click.ClickException(
                f"{name} takes files from {config.beamlines[name].watch.since:%Y-%m-%d %H:%M} UTC on by itself: "
                "--since must be before"
            )
    opened = _journal(journal_path(journal or given.get("journal")))
    namespace = namespace or given.get("namespace")
    origin = Origin.RECOVERED if adopt else Origin.BACKFILL
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        works = asyncio.run(_backfill(config, names, namespace, moment, opened, rate, origin, dry_run))
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; the same command goes on from here") from None
    except (Denied, RootUnavailableError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        if opened is not None:
            opened.close()
    _show_refused(works)


def _journal(path: Path) -> JournalFile | None:
    if not path.exists():
        click.echo(f"There is no journal {path}, so it is not known what is safe already.", err=True)
        return None
    try:
        return JournalFile.open_beside_watcher(path)
    except JournalError as error:
        raise click.ClickException(str(error)) from error


def _show_refused(works: Sequence[Backfill]) -> None:
    refused = [(one.name, path, reason) for one in works for path, reason in one.progress.refused.items()]
    for name, path, reason in refused[:SHOWN]:
        click.echo(f"{name}: {path!r}: {reason}", err=True)
    if refused:
        raise click.ClickException(f"{len(refused)} files cannot have a Scan; the others are done")
