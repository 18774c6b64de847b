"""Options, and what else several subcommands share, so that they read the same everywhere."""

import getpass
import logging
from pathlib import Path
from typing import NoReturn

import click

from dichroism_crds.config import Config, ConfigError, load

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="DICHROISM_CONFIG",
    default=Path("config.yml"),
    show_default=True,
    help="The configuration document.",
)
namespace_option = click.option(
    "--namespace", envvar="DICHROISM_NAMESPACE", help="Namespace to work in. Default: the pod's or context's."
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON for programs.",
)
log_format_option = click.option(
    "--log-format", type=click.Choice(["json", "text"]), help="Default: text on a terminal, json otherwise."
)

EXIT_UNEXPECTED = 1
EXIT_CONFIG = 3


def loaded(config_file: Path, log: logging.Logger | None = None) -> Config:
    """The configuration; one that can't be used ends the program, see :func:`refuse`."""
    try:
        return load(config_file)
    except ConfigError as error:
        refuse(str(error), log)


def refuse(problems: str, log: logging.Logger | None = None) -> NoReturn:
    """End the program because of its configuration; ``log`` is told where the program runs without a person."""
    if log is None:
        click.echo(problems, err=True)
    else:
        for line in problems.splitlines():
            log.error("the configuration cannot be used: %s", line)
    raise SystemExit(EXIT_CONFIG)


def user_name() -> str:
    """Who runs this, for messages to others."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
