"""``dichroism crds``: the CustomResourceDefinitions, generated from the models."""

import click


@click.command()
def command() -> None:
    """Print the CustomResourceDefinitions as YAML.

    Install them with: dichroism crds | kubectl apply --server-side -f -
    """
    from dichroism_crds.schema import crd_yaml

    click.echo(crd_yaml(), nl=False)
