"""Options, and what else several subcommands share, so that they read the same everywhere."""

import getpass
import logging
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from dichroism_crds.config import Config, ConfigError, load
from dichroism_crds.config.quantities import parse_end

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
    "-n", "--namespace", envvar="DICHROISM_NAMESPACE", help="Namespace to work in. Default: the pod's or context's."
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
EXIT_ATTENTION = 4
EXIT_CODES = {
    0: "It did what it says; whatever it only tells of may still be bad news.",
    EXIT_UNEXPECTED: "It could not do all of it, or found what it looks for: a problem, a damaged bundle, no Scan. "
    "The last lines say what.",
    2: "It was called in a wrong way: an unknown option, a name that does not exist. Nothing was done.",
    EXIT_CONFIG: "The configuration or the served CRDs can't be used. Nothing was done.",
    EXIT_ATTENTION: "All was told, and something needs a person (`dichroism status`).",
}
"""The exit codes of all subcommands; the help of each says what its own 1 means."""


def examples(*lines: str) -> str:
    """The end of a help text: command lines to start from, each on a line of its own however narrow the terminal."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


class Day(click.ParamType[datetime]):
    """A day or a moment, as the end of a hold is written."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment; anything else is a wrong usage."""
        try:
            return parse_end(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
