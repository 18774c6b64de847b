"""``kubectl dichroism``: the same command as a plugin of kubectl, and what kubectl asks for after TAB.

kubectl runs ``kubectl-dichroism`` for the one and ``kubectl_complete-dichroism`` for the other, when they are on the
PATH. The latter gets the words typed so far, the last of them unfinished, and prints one offer a line, then a number
that says what the shell does with them.
"""

import sys

import click
from click.shell_completion import ShellComplete

from dichroism_cli.main import main

NAME = "kubectl dichroism"
ONLY_THESE, FILES = 4, 0
"""kubectl's numbers: offer nothing else, or names of files."""


def run() -> None:
    """The command under kubectl's name."""
    main(prog_name=NAME)


def complete() -> None:
    """Offers for the words on the command line."""
    *words, incomplete = sys.argv[1:] or [""]
    offers = ShellComplete(main, {}, NAME, "").get_completions(words, incomplete)
    for one in offers:
        if one.type == "plain":
            click.echo(f"{one.value}\t{one.help}" if one.help else one.value)
    click.echo(f":{FILES if any(one.type != 'plain' for one in offers) else ONLY_THESE}")
