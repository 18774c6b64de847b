"""``dichroism endpoints``: what a person does once for each folder before files are moved to or from it."""

from pathlib import Path

import click

from dichroism_crds.config import Config, Endpoint
from dichroism_operator.commands.options import config_option, loaded
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.mount import Mount


@click.group()
@config_option
@click.pass_context
def command(context: click.Context, config_file: Path) -> None:
    """Look at the endpoints as this host sees them, and prepare them once."""
    context.obj = loaded(config_file)


@command.command("list")
@click.pass_obj
def list_endpoints(config: Config) -> None:
    """Show every endpoint and whether its folder is there and prepared."""
    click.echo(f"{'ENDPOINT':<14} {'MOUNT':<44} STATE")
    for endpoint in config.endpoints.values():
        click.echo(f"{endpoint.name:<14} {endpoint.mount or '-'!s:<44} {_state(endpoint)}")


@command.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def prepare(config: Config, names: tuple[str, ...]) -> None:
    """Make the folder .dichroism at the root of the named endpoints.

    It proves from then on that the right file system is mounted: an empty mount point would read as if every file had
    been deleted. So look first that the folder holds what you expect.
    """
    for name in names:
        endpoint = config.endpoints.get(name)
        if endpoint is None:
            raise click.BadParameter(f"no endpoint {name!r}; known: {', '.join(config.endpoints)}")
        try:
            Mount.prepare(endpoint)
        except MoverUnavailable as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{name}: {endpoint.mount}/.dichroism is there")


def _state(endpoint: Endpoint) -> str:
    if endpoint.mount is None:
        return "not mounted here"
    try:
        Mount(endpoint).close()
    except MoverUnavailable as error:
        return str(error)
    return "ready"
