"""The configuration for commands that people run anywhere: a file, or the one that the chart put into the cluster."""

from collections.abc import Sequence
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Checked, Config, check_file, check_text
from dichroism_operator.commands.options import EXIT_CONFIG

CONFIG_MAP, KEY = "dichroism-config", "config.yml"
"""What a release named dichroism of the chart makes; a release of another name needs --config."""

any_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="DICHROISM_CONFIG",
    help=f"The configuration document. Default: {KEY} here, else that of the cluster (ConfigMap {CONFIG_MAP}).",
)


async def config_at_hand(api: Api, named: Path | None) -> Config:
    """The configuration; one that is not there or has errors ends the program.

    Raises:
        SystemExit: with the exit code for a configuration that can't be used.
    """
    here = Path(KEY)
    if named or here.exists():
        return _usable(check_file(named or here))
    try:
        found = await api.request("GET", api.builtin_path("v1", "configmaps", CONFIG_MAP))
    except ApiError as error:
        text = f"no {KEY} here, and none in the cluster ({error.message}). Name one with --config"
        raise _refused([text]) from error
    return _usable(check_text(str((found.get("data") or {}).get(KEY, "")), f"ConfigMap {CONFIG_MAP}"))


def _usable(checked: Checked) -> Config:
    if checked.config is None:
        raise _refused(checked.errors)
    return checked.config


def _refused(lines: Sequence[str]) -> SystemExit:
    for line in lines:
        click.echo(line, err=True)
    return SystemExit(EXIT_CONFIG)
