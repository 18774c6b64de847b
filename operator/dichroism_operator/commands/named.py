"""The Scan that a person names on the command line: by its name, or by a path that fits one Scan alone."""

import click

from dichroism_crds.client import Api
from dichroism_crds.config import Config
from dichroism_crds.kinds import Scan
from dichroism_operator.story import finding
from dichroism_operator.story.finding import NotUnderstoodError

SHOWN = 5


async def scan_named(api: Api, text: str, config: Config) -> Scan:
    """The one Scan that is meant.

    Raises:
        click.UsageError: there is none, or there are several.
        ApiError: it can't be read.
    """
    try:
        found = await finding.scans(api, text, config, finding.candidates(text, config, None))
    except NotUnderstoodError as error:
        raise click.UsageError(str(error)) from error
    if not found:
        raise click.UsageError(f"there is no Scan {text}; what is known of the file says: dichroism why {text}")
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:SHOWN]) + (" and more" if len(found) > SHOWN else "")
        raise click.UsageError(f"{text} fits {len(found)} Scans ({names}): give the name of one")
    return found[0]
