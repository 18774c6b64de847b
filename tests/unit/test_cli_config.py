"""``dichroism config`` and ``dichroism crds`` as a person calls them: output and exit codes."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dichroism_cli.main import main

COMMITTED = Path(__file__).parents[2] / "config.yml"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(COMMITTED.read_text())
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_good_file_is_exit_code_0_and_its_warnings_go_to_stderr(config_file: Path) -> None:
    result = run("config", "check", config_file)
    assert result.exit_code == 0
    assert result.stdout == f"{config_file}: no errors (2 beamlines, 6 endpoints)\n"
    assert f"warning: {config_file}:" in result.stderr


def test_a_bad_file_is_exit_code_1_with_every_error_on_its_line(config_file: Path) -> None:
    config_file.write_text(
        config_file.read_text().replace("needs: [hpss631]", "needs: [hpss63]").replace("180d", "180")
    )
    result = run("config", "check", config_file)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert lines[-1] == f"{config_file}: 3 errors"
    assert all(line.startswith(f"{config_file}:") for line in lines)
    text = config_file.read_text().splitlines()
    for line in lines[:-1]:
        number = int(line.removeprefix(f"{config_file}:").partition(":")[0])
        assert "hpss63]" in text[number - 1] or "180," in text[number - 1]


def test_a_missing_file_is_exit_code_1_and_a_missing_argument_2(tmp_path: Path) -> None:
    result = run("config", "check", tmp_path / "none.yml")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr
    assert run("config", "check").exit_code == 2


def test_the_mounts_of_the_environment_are_checked(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICHROISM_MOUNT_DATA402", "relative")
    result = run("config", "check", config_file)
    assert result.exit_code == 1
    assert "environment variable DICHROISM_MOUNT_DATA402: 'relative' is relative" in result.stderr


def test_what_show_prints_is_a_document_that_means_the_same(config_file: Path, tmp_path: Path) -> None:
    shown = run("config", "show", config_file)
    assert shown.exit_code == 0
    copy = tmp_path / "shown.yml"
    copy.write_text(shown.stdout)
    assert run("config", "check", copy).exit_code == 0
    assert run("config", "show", copy).stdout == shown.stdout
    assert yaml.safe_load(shown.stdout)["beamlines"]["BL631"]["watch"]["interval"] == "10s"


def test_show_refuses_a_bad_file(config_file: Path) -> None:
    config_file.write_text("beamlines: {}")
    result = run("config", "show", config_file)
    assert result.exit_code == 1
    assert result.stderr == f"{config_file}:1: beamlines: must not be empty\n"


def test_the_schema_is_json() -> None:
    result = run("config", "schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "dichroism configuration"


def test_crds_prints_the_three_definitions() -> None:
    result = run("crds")
    assert result.exit_code == 0
    documents = [document for document in yaml.safe_load_all(result.stdout) if document]
    assert sorted(document["spec"]["names"]["kind"] for document in documents) == ["Prune", "Scan", "Transfer"]
    assert {document["kind"] for document in documents} == {"CustomResourceDefinition"}
