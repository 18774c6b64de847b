"""The configuration for commands that people run anywhere: the one that the chart put into the cluster, or a file.

These commands tell what the operator does, so what it works by counts before a file that happens to lie here.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Checked, Config, check_file, check_text
from dichroism_operator.commands.options import refuse

CONFIG_MAP, KEY = "dichroism-config", "config.yml"
"""What a release named dichroism of the chart makes; a release of another name needs --config."""

any_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="DICHROISM_CONFIG",
    help=f"The configuration document. Default: that of the cluster (ConfigMap {CONFIG_MAP}), else {KEY} here.",
)


@dataclass(frozen=True, slots=True)
class AtHand:
    """The configuration, and where it stands, for people."""

    config: Config
    source: str


async def config_at_hand(api: Api, named: Path | None) -> AtHand:
    """The configuration; one that is not there or has errors ends the program.

    Raises:
        SystemExit: with the exit code for a configuration that can't be used.
    """
    if named:
        return _usable(check_file(named), str(named))
    try:
        return await config_of_cluster(api)
    except ApiError as error:
        if Path(KEY).exists():
            return _usable(check_file(Path(KEY)), KEY)
        text = f"no ConfigMap {CONFIG_MAP} can be read ({error.message}) and no {KEY} is here. Name one with --config"
        refuse(text)


async def config_of_cluster(api: Api) -> AtHand:
    """What the operator of the namespace works by.

    Raises:
        ApiError: there is none, or it can't be read.
    """
    found = await api.request("GET", api.builtin_path("v1", "configmaps", CONFIG_MAP))
    source = f"ConfigMap {CONFIG_MAP}"
    return _usable(check_text(str((found.get("data") or {}).get(KEY, "")), source), source)


def _usable(checked: Checked, source: str) -> AtHand:
    if checked.config is None:
        refuse("\n".join(checked.errors))
    return AtHand(checked.config, source)
