"""The command line imports what a subcommand needs, and nothing for a help text."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dichroism_cli.main import SUBCOMMANDS, LazyGroup, Subcommand, main

HEAVY = ("kopf", "kubernetes", "pyscicat", "pydantic", "aiohttp", "requests", "yaml", "prometheus_client")
PROBE = """
import sys
from dichroism_cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("IMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(*arguments: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after the command."""
    run = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.rpartition("IMPORTED ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("config", "--help"), ("crds", "--help")])
def test_a_help_text_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert "dichroism_cli" in imported
    assert imported.isdisjoint({*HEAVY, "dichroism_crds", "dichroism_operator", "dichroism_watcher"})


def test_the_config_check_runs_without_the_extras() -> None:
    imported = imported_by("config", "schema")
    assert "pydantic" in imported
    assert imported.isdisjoint({"kopf", "kubernetes", "pyscicat", "aiohttp", "requests", "prometheus_client"})


def test_the_watcher_does_not_import_the_operator() -> None:
    imported = imported_by("watcher", "--help")
    assert "dichroism_watcher" in imported
    assert imported.isdisjoint({"kopf", "pyscicat", "prometheus_client", "dichroism_operator"})


def test_the_help_lists_every_subcommand_with_its_line() -> None:
    output = CliRunner().invoke(main, ["--help"], terminal_width=120).output
    for name, entry in SUBCOMMANDS.items():
        assert f"  {name}" in output
        assert entry.help in output


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_line_of_the_table_names_a_command(name: str) -> None:
    module = SUBCOMMANDS[name].target.partition(":")[0]
    assert importlib.util.find_spec(module) is not None
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_an_unknown_subcommand_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["confg"])
    assert result.exit_code == 2
    assert "No such command 'confg'" in result.output


@pytest.fixture
def lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    """A group whose subcommands need packages that do not exist, at import and while they run."""
    (tmp_path / "needs_at_import.py").write_text("import package_that_is_absent.part\n")
    (tmp_path / "needs_in_run.py").write_text(
        "import click\n@click.command()\ndef command():\n    import package_that_is_absent\n"
    )
    (tmp_path / "broken_inside.py").write_text("import dichroism_operator.no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    table = {
        "at-import": Subcommand("needs_at_import:command", "x", "operator"),
        "in-run": Subcommand("needs_in_run:command", "x", "watcher"),
        "plain": Subcommand("needs_in_run:command", "x"),
        "ours": Subcommand("broken_inside:command", "x", "operator"),
    }
    return LazyGroup("dichroism", table=table)


@pytest.mark.parametrize(
    ("name", "install"),
    [("at-import", "dichroism[operator]"), ("in-run", "dichroism[watcher]"), ("plain", "dichroism")],
)
def test_a_missing_package_is_told_with_what_to_install(lazy: LazyGroup, name: str, install: str) -> None:
    result = CliRunner().invoke(lazy, [name])
    assert result.exit_code == 1
    assert result.output == (
        "Error: this subcommand needs the Python package 'package_that_is_absent', which is not installed. "
        f"Install it with: pip install '{install}'\n"
    )


def test_a_missing_module_of_ours_is_not_blamed_on_the_installation(lazy: LazyGroup) -> None:
    result = CliRunner().invoke(lazy, ["ours"])
    assert isinstance(result.exception, ModuleNotFoundError)
    assert not isinstance(result.exception, click.ClickException)
