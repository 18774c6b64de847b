"""``dichroism config``: what a person does with ``config.yml`` before the operator sees it."""

import json
import sys
from pathlib import Path

import click

FILE = click.Path(path_type=Path)
"""Not checked by click: a missing file is an error of the document (exit code 1), not of the usage (2)."""


@click.group()
def command() -> None:
    """Check config.yml, show it, or print its JSON Schema."""


@command.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Report every error in FILE with line and key.

    Warnings do not count as errors. Mounts are taken from DICHROISM_MOUNT_<NAME> where set. Exit code: 0 without
    errors, 1 with errors.
    """
    from dichroism_crds.config import check_file

    checked = check_file(file)
    for line in checked.warnings:
        click.echo(f"warning: {line}", err=True)
    for line in checked.errors:
        click.echo(line, err=True)
    if checked.config is None:
        count = len(checked.errors)
        click.echo(f"{file}: {count} error{'s' if count > 1 else ''}", err=True)
        sys.exit(1)
    config = checked.config
    click.echo(f"{file}: no errors ({len(config.beamlines)} beamlines, {len(config.endpoints)} endpoints)")


@command.command()
def schema() -> None:
    """Print the JSON Schema of config.yml, for editors.

    A schema cannot compare one key with another, so only `dichroism config check` finds everything.
    """
    from dichroism_crds.config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@command.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Print FILE as it is understood: with every default, and with the mounts of this machine."""
    import yaml

    from dichroism_crds.config import ConfigError, load

    try:
        config = load(file)
    except ConfigError as error:
        for line in error.errors:
            click.echo(line, err=True)
        sys.exit(1)
    document = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    click.echo(yaml.safe_dump({**document.pop("endpoints"), **document}, sort_keys=False, allow_unicode=True), nl=False)
