"""``kubectl dichroism``: the same command, offers after TAB in kubectl's form, and no shell is ever disturbed."""

import sys

import pytest
from click.testing import CliRunner

from dichroism_cli import plugin
from dichroism_cli.main import SUBCOMMANDS, LazyGroup, Subcommand, main
from dichroism_crds.kinds import Step


def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-dichroism", *words])
    plugin.complete()
    return capsys.readouterr().out.splitlines()


def test_subcommands_are_offered_with_their_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(monkeypatch, capsys, "wh") == [f"why\t{SUBCOMMANDS['why'].help}", ":4"]
    assert len(offered(monkeypatch, capsys, "")) == len(SUBCOMMANDS) + 1


def test_options_are_offered_and_files_are_left_to_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert any(line.startswith("--failed\t") for line in offered(monkeypatch, capsys, "retry", "--"))
    assert offered(monkeypatch, capsys, "config", "check", "conf") == [":0"]


@pytest.mark.parametrize("words", [("why", "bl402-"), ("hold", "data402-"), ("status", "--beamline", "")])
def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    assert offered(monkeypatch, capsys, *words) == [":4"]
    assert not capsys.readouterr().err


def test_a_subcommand_whose_packages_are_not_installed_offers_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(main, LazyGroup)
    monkeypatch.setitem(main.table, "retry", Subcommand("no_such_package.retry:command", "help", "operator"))
    assert offered(monkeypatch, capsys, "retry", "--f")[-1].startswith(":")
    assert not capsys.readouterr().err


def test_under_kubectl_the_help_names_kubectl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/kubectl-dichroism", "why", "--help"])
    with pytest.raises(SystemExit):
        plugin.run()
    assert capsys.readouterr().out.startswith("Usage: kubectl dichroism why")


@pytest.mark.parametrize("name", ["status", "why", "retry", "hold", "release"])
def test_the_commands_for_people_say_how_they_end_and_show_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"]).output
    assert "Ends with 0" in " ".join(shown.split())
    assert f"\n    dichroism {name}" in shown


def test_nobody_retries_everything_by_mistake() -> None:
    for arguments in ([], ["x", "--failed"], ["--failed", "--step", "Archived"]):
        assert CliRunner().invoke(main, ["retry", *arguments]).exit_code == 2


def test_a_step_is_named_on_the_command_line_as_everywhere_else() -> None:
    shown = CliRunner().invoke(main, ["retry", "--help"]).output
    assert f"[{'|'.join(Step)}]" in "".join(shown.split())
