"""``dichroism prune undo|shorten|rebind``: what people change about Prunes that are on the calendar already."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError, NotFound
from dichroism_crds.config import Config
from dichroism_crds.kinds import Prune, PrunePhase
from dichroism_crds.names import ANNOTATION_UNDO, LABEL_BEAMLINE, LABEL_ENDPOINT
from dichroism_operator import wording
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    namespace_option,
    user_name,
)
from dichroism_operator.movers.choice import build_movers, verifier_for
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.prune import replacement
from dichroism_operator.prune.gate import LeaseTakenError
from dichroism_operator.prune.replace import Plan, replace, unproven
from dichroism_operator.prune.replacement import NotReplaceableError, Replacement

SHOWN = 20
"""Files named when they can't be proven."""

Proof = Callable[[Replacement], Awaitable[bool]]

yes_option = click.option("--yes", is_flag=True, help="Do it. Without this only the effect is shown.")


@click.command()
@click.argument("prune")
@click.option("--reason", required=True, help="Why the files are wanted back; shown on the Prune.")
@namespace_option
def undo(prune: str, reason: str, namespace: str | None) -> None:
    """Take the files of PRUNE back from the trash, each to the path where it was, if nothing else is there now.

    This only asks for it, with an annotation. The next run of the endpoint's CronJob does it, also while pruning is
    stopped. Afterwards nothing of the Prune goes until the annotation is removed.
    """
    found = asyncio.run(_undo(prune, f"{user_name()}: {reason}", namespace))
    if found.status.phase == PrunePhase.PRUNED:
        needs = ", ".join(need.name for need in found.spec.needs)
        raise click.ClickException(f"the trash of {prune} was emptied: its files are only on {needs} now")
    endpoint = found.spec.endpoint.name
    click.echo(f"{wording.files(found.status.trashed)} of {prune} will be put back by the next run on {endpoint}.")
    click.echo("At once:")
    cronjob = f"$(kubectl get cronjob -o name -l {LABEL_ENDPOINT}={endpoint})"
    click.echo(f"  kubectl create job --from={cronjob} {prune}-undo")
    click.echo("Let pruning have them again:")
    click.echo(f"  kubectl annotate prune {prune} {ANNOTATION_UNDO}-")


async def _undo(name: str, text: str, namespace: str | None) -> Prune:
    try:
        async with await Api.connect(namespace) as api:
            return await api.patch(Prune, name, {"metadata": {"annotations": {ANNOTATION_UNDO: text[:1000]}}})
    except NotFound as error:
        raise click.ClickException(f"there is no Prune {name!r}; see: kubectl get prunes") from error
    except ApiError as error:
        raise click.ClickException(f"{name} could not be marked, nothing is put back: {error.message}") from error


@click.command()
@click.argument("endpoint")
@yes_option
@config_option
@namespace_option
def shorten(endpoint: str, yes: bool, config_file: Path, namespace: str | None) -> None:
    """Apply a shorter retention to files of ENDPOINT that are scheduled already.

    Shows which Prunes would be replaced and when their files would go. With --yes new Prunes take their place; they
    recorded the same copies. A longer retention needs no command: it counts at once.
    """
    config = _config(config_file, endpoint)
    rules = {name: one.prune[endpoint] for name, one in config.beamlines.items() if endpoint in one.prune}
    if not rules:
        raise click.UsageError(f"{config_file}: no beamline prunes {endpoint!r}")

    def plan(prune: Prune) -> Replacement | None:
        rule = rules.get(prune.spec.beamline)
        return replacement.shortened(prune, rule) if rule and prune.spec.endpoint.name == endpoint else None

    _finish(asyncio.run(_change(namespace, f"{LABEL_ENDPOINT}={endpoint}", plan, None, yes=yes)), yes=yes)


@click.command()
@click.argument("old")
@click.argument("new")
@yes_option
@config_option
@namespace_option
def rebind(old: str, new: str, yes: bool, config_file: Path, namespace: str | None) -> None:
    """Let Prunes that recorded the endpoint OLD mean NEW as the configuration describes it today.

    For a folder that was moved, or a collection with a new uuid: their files are kept with EndpointChanged until then.
    NEW may be the same name. Every file is looked at on NEW, and every needed copy is read and compared. A Prune with a
    file that is not proven stays as it is. Run this where the endpoints are mounted.
    """
    config = _config(config_file, new)
    beamlines = [name for name, one in config.beamlines.items() if new in one.produces]
    if not beamlines:
        raise click.UsageError(f"{config_file}: no beamline uses {new!r}")
    movers = build_movers(config)

    async def proven(wanted: Replacement) -> bool:
        troubles = await unproven(wanted, config, partial(verifier_for, config, movers))
        if troubles:
            counts = ", ".join(f"{count} {reason}" for reason, count in Counter(troubles.values()).most_common())
            click.echo(f"{wanted.old.name} stays as it is: {counts}")
            for path, reason in list(troubles.items())[:SHOWN]:
                click.echo(f"  {reason}  {path}")
        return not troubles

    def plan(prune: Prune) -> Replacement | None:
        return replacement.rebound(prune, old, new, config) if prune.spec.beamline in beamlines else None

    selector = f"{LABEL_BEAMLINE} in ({','.join(beamlines)})"
    _finish(asyncio.run(_change(namespace, selector, plan, proven, yes=yes)), yes=yes)


async def _change(
    namespace: str | None,
    selector: str,
    plan: Plan,
    proven: Proof | None,
    *,
    yes: bool,
) -> tuple[int, int]:
    """Show every replacement, and carry it out when told to; counts of what was (or would be) replaced, and was not."""
    done = left = 0
    try:
        async with await Api.connect(namespace) as api:
            prunes = [one async for one in api.list(Prune, label_selector=selector, limit=20)]
            for prune in sorted(prunes, key=lambda one: one.name):
                wanted = plan(prune) if prune.status.phase != PrunePhase.PRUNED else None
                if wanted is None:
                    continue
                try:
                    replacement.check_untouched(prune)
                    if proven and not await proven(wanted):
                        left += 1
                        continue
                    _show(wanted)
                    if yes:
                        made = await replace(api, prune.spec.beamline, prune.name, plan)
                        click.echo(f"{prune.name}: replaced by {', '.join(made) or 'nothing'}")
                    done += 1
                except (NotReplaceableError, LeaseTakenError, MoverUnavailable) as error:
                    click.echo(f"{prune.name} stays as it is: {error}")
                    left += 1
    except ApiError as error:
        raise click.ClickException(f"ended early, do it again: {error.message}") from error
    return done, left


def _show(wanted: Replacement) -> None:
    old = wanted.old.spec
    for spec in wanted.specs:
        names = ", ".join(dict.fromkeys(one.root_path for one in (spec.endpoint, *spec.needs)))
        click.echo(
            f"{wanted.old.name}: {wording.files(len(spec.items))}, {wording.size(spec.bytes)}: due "
            f"{spec.not_before:%Y-%m-%d %H:%M} instead of {old.not_before:%Y-%m-%d %H:%M}; {names}"
        )


def _finish(counts: tuple[int, int], *, yes: bool) -> None:
    done, left = counts
    click.echo(f"{done} Prunes {'replaced' if yes else 'would be replaced'}, {left} left as they are")
    if done and not yes:
        click.echo("Nothing was changed. Do it with --yes.")
    if left:
        sys.exit(EXIT_UNEXPECTED)


def _config(config_file: Path, endpoint: str) -> Config:
    config = loaded(config_file)
    if endpoint not in config.endpoints:
        raise click.UsageError(
            f"{config_file} has no endpoint {endpoint!r}. Known: {', '.join(sorted(config.endpoints))}"
        )
    return config
