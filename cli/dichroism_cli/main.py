"""The command ``dichroism``: a table of subcommands, each imported only when it is called.

``dichroism --help`` must answer at once on a host that has only the watcher's few packages, so the one-line helps stand
in the table and no subcommand is imported for them. What a subcommand does is written where it lives.
"""

import importlib
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

OWN_PACKAGES = ("dichroism_cli", "dichroism_crds", "dichroism_operator", "dichroism_watcher")
_CALLED = "dichroism.subcommand"


class Subcommand(NamedTuple):
    """Where a subcommand is (``module:attribute``), its line in the help, and the extra that installs what it needs."""

    target: str
    help: str
    extra: str | None = None


SUBCOMMANDS = {
    "operator": Subcommand(
        "dichroism_operator.commands.operator:command",
        "Run the operator: move, catalogue, archive, schedule.",
        "operator",
    ),
    "watcher": Subcommand(
        "dichroism_watcher.command:command", "Run beside the data: create a Scan for each finished file.", "watcher"
    ),
    "prune": Subcommand(
        "dichroism_operator.commands.prune:command",
        "Delete files that are due, after verifying their copies.",
        "operator",
    ),
    "status": Subcommand(
        "dichroism_operator.commands.status:command",
        "Show the whole installation on one screen, what needs a person first.",
        "operator",
    ),
    "why": Subcommand(
        "dichroism_operator.commands.why:command",
        "Tell the whole story of one file, and what to do next.",
        "operator",
    ),
    "retry": Subcommand(
        "dichroism_operator.commands.retry:command",
        "Try again what failed, of one Scan or of many; with --dry-run only say what.",
        "operator",
    ),
    "hold": Subcommand(
        "dichroism_operator.commands.hold:hold_command",
        "Suspend Scans and Prunes with who and why, or list all holds.",
        "operator",
    ),
    "release": Subcommand("dichroism_operator.commands.hold:release_command", "Take such a suspend back.", "operator"),
    "due": Subcommand(
        "dichroism_operator.commands.due:command",
        "Show what will be deleted when, or with --archive what waits for tape.",
        "operator",
    ),
    "archive": Subcommand(
        "dichroism_operator.commands.archive:command", "Close a tape bundle early; look into bundles.", "operator"
    ),
    "restore": Subcommand(
        "dichroism_operator.commands.restore:command", "Bring files back from tape, checked, into a folder.", "operator"
    ),
    "endpoints": Subcommand(
        "dichroism_operator.commands.endpoints:command",
        "List the endpoints of this host, and prepare them once.",
        "operator",
    ),
    "doctor": Subcommand(
        "dichroism_operator.commands.doctor:command",
        "Check the installation from here; say what to do about each problem.",
        "operator",
    ),
    "audit": Subcommand(
        "dichroism_operator.commands.audit:command",
        "Compare source, disk, catalogue and tape; list what is missing.",
        "operator",
    ),
    "flight-check": Subcommand(
        "dichroism_operator.commands.flight_check:command",
        "Send a small file over every hop of a beamline, and clean up.",
        "operator",
    ),
    "export": Subcommand(
        "dichroism_operator.commands.calendar_file:export_command", "Write the prune calendar to a file.", "operator"
    ),
    "import": Subcommand(
        "dichroism_operator.commands.calendar_file:import_command", "Create the Prunes of such a file.", "operator"
    ),
    "inspect": Subcommand(
        "dichroism_operator.commands.inspect:command",
        "Show what a scan file says, as the catalogue is told.",
        "operator",
    ),
    "quicklook": Subcommand(
        "dichroism_operator.commands.quicklook:command", "Draw the quick-look of a scan file as PNG.", "operator"
    ),
    "prefect": Subcommand(
        "dichroism_operator.commands.prefect:command", "Prepare the mirror of run states in Prefect.", "operator"
    ),
    "config": Subcommand("dichroism_cli.config:command", "Check config.yml, show it, or print its JSON Schema."),
    "crds": Subcommand("dichroism_cli.crds:command", "Print the CustomResourceDefinitions as YAML."),
}


class MissingPackageError(click.ClickException):
    """A subcommand needs a package that this installation does not have."""

    def __init__(self, package: str, extra: str | None) -> None:
        wanted = f"dichroism[{extra}]" if extra else "dichroism"
        super().__init__(
            f"this subcommand needs the Python package {package!r}, which is not installed. "
            f"Install it with: pip install '{wanted}'"
        )


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called, and never for a list of subcommands."""

    def __init__(self, *args: Any, table: dict[str, Subcommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand of that name; None when there is none."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        ctx.meta[_CALLED] = entry
        module, _, attribute = entry.target.partition(":")
        try:
            loaded = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if ctx.resilient_parsing and (error.name or "").partition(".")[0] not in OWN_PACKAGES:
                return None  # a shell that completes is told nothing; whoever calls the subcommand is
            raise
        assert isinstance(loaded, click.Command)
        return loaded

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Subcommands from the table alone, then options: a shell must not wait for imports."""
        known = [CompletionItem(name, help=one.help) for name, one in self.table.items() if name.startswith(incomplete)]
        return [*known, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a package that is missing while it is imported or runs is told with its extra.

        A module of ours that is missing is a fault of ours and stays a traceback.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if not package or package in OWN_PACKAGES:
                raise
            raise MissingPackageError(package, ctx.meta[_CALLED].extra) from error


@click.group(cls=LazyGroup, table=SUBCOMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dichroism", prog_name="dichroism")
def main() -> None:
    """Move, verify, catalogue, archive and prune X-ray dichroism scans."""
