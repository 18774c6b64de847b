"""Options that the subcommands of ``dichroism watcher`` share, and what is read from them."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from dichroism_crds.config import Config
from dichroism_crds.config.loader import ConfigError, load

JOURNAL_ENV = "DICHROISM_WATCHER_JOURNAL"
JOURNAL_NAME = "watcher-journal.db"

config_option = click.option(
    "--config",
    "config_file",
    envvar="DICHROISM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration.",
)
beamline_option = click.option(
    "--beamline", "beamlines", multiple=True, help="This beamline only; repeatable. Default: all."
)
namespace_option = click.option(
    "--namespace",
    envvar="DICHROISM_NAMESPACE",
    help="Namespace of the Scans. Default: that of the pod or of the kubeconfig.",
)
journal_option = click.option(
    "--journal",
    envvar=JOURNAL_ENV,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The journal, on a local disk. Default: watcher-journal.db in the service's state directory, else in "
    "~/.local/state/dichroism.",
)


def loaded(config_file: Path | None) -> Config:
    """The configuration.

    Raises:
        click.ClickException: none was named, or it has errors.
    """
    if config_file is None:
        raise click.UsageError("Missing option '--config' (env var: 'DICHROISM_CONFIG').")
    try:
        return load(config_file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def chosen_beamlines(config: Config, beamlines: tuple[str, ...]) -> list[str]:
    """The named beamlines, or all.

    Raises:
        click.ClickException: the configuration has none of that name.
    """
    unknown = sorted(set(beamlines) - set(config.beamlines))
    if unknown:
        known = ", ".join(config.beamlines)
        raise click.ClickException(f"the configuration has no beamline {', '.join(unknown)}; it has {known}")
    return list(dict.fromkeys(beamlines or config.beamlines))


def journal_path(named: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the journal is: as named, in systemd's state directory, or in the user's."""
    if named is not None:
        return named
    if state := environment.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / JOURNAL_NAME
    home = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "dichroism" / JOURNAL_NAME
