"""What a shell offers after TAB: names of Scans, Prunes, beamlines and endpoints, from the API and the configuration.

A person waits with a finger on the key: one page of one list is asked for, for two seconds at most, and nothing is
offered when that fails.
"""

import asyncio
import contextlib
import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from dichroism_crds.client import Api, ApiError
from dichroism_crds.kinds import Prune, Scan
from dichroism_operator.commands.at_hand import config_at_hand

WAIT_S = 2.0
LISTED = 500
"""Objects that are looked at: the first page of a list."""
OFFERED = 100

Offer = Callable[[click.Context, Api, str], Awaitable[list[CompletionItem]]]


def _answer(offer: Offer) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """The function that click calls; whatever goes wrong, a shell is not disturbed."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        async def ask() -> list[CompletionItem]:
            async with asyncio.timeout(WAIT_S), await Api.connect(ctx.params.get("namespace")) as api:
                return await offer(ctx, api, incomplete)

        try:
            # What a configuration lacks is told to whoever runs the command, not to whoever types it.
            with contextlib.redirect_stderr(io.StringIO()):
                return asyncio.run(ask())[:OFFERED]
        except (ApiError, TimeoutError, OSError, ValueError, SystemExit):
            return []

    return complete


async def _first_page(rows: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    async for row in rows:
        found.append(row)
        if len(found) >= LISTED:
            break
    return found


async def _scans(_ctx: click.Context, api: Api, incomplete: str) -> list[CompletionItem]:
    """Scans by their names; by their paths as soon as something else was typed."""
    rows = await _first_page(api.list_columns(Scan, limit=LISTED))
    named = [CompletionItem(row["Name"], help=row["Path"]) for row in rows if row["Name"].startswith(incomplete)]
    paths = [CompletionItem(row["Path"], help=row["Name"]) for row in rows if row["Path"].startswith(incomplete)]
    return named or paths


async def _scans_and_prunes(ctx: click.Context, api: Api, incomplete: str) -> list[CompletionItem]:
    rows = await _first_page(api.list_columns(Prune, limit=LISTED))
    prunes = [CompletionItem(row["Name"], help=row["Phase"]) for row in rows if row["Name"].startswith(incomplete)]
    return list(itertools.chain(prunes, await _scans(ctx, api, incomplete)))


async def _beamlines(ctx: click.Context, api: Api, incomplete: str) -> list[CompletionItem]:
    config = (await config_at_hand(api, ctx.params.get("config_file"))).config
    return [CompletionItem(name) for name in config.beamlines if name.startswith(incomplete)]


async def _endpoints(ctx: click.Context, api: Api, incomplete: str) -> list[CompletionItem]:
    config = (await config_at_hand(api, ctx.params.get("config_file"))).config
    return [CompletionItem(name) for name in config.endpoints if name.startswith(incomplete)]


scans = _answer(_scans)
scans_and_prunes = _answer(_scans_and_prunes)
beamlines = _answer(_beamlines)
endpoints = _answer(_endpoints)
