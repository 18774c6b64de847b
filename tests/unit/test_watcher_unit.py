"""The systemd unit: systemd finds no fault with it, it starts what is there, and it gives little of the host away."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from dichroism_watcher.command import command
from dichroism_watcher.options import JOURNAL_NAME, journal_path

UNIT = Path(__file__).parents[2] / "watcher" / "systemd" / "dichroism-watcher.service"
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "run-the-watcher.md"
EXPOSURE = 25
"""Most that `systemd-analyze security` may find, of 100; it calls 20 and less OK, 50 medium."""


@pytest.fixture(scope="module")
def unit() -> dict[str, str]:
    """The [Service] section; of settings that stand there twice the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.fixture
def analysable(tmp_path: Path) -> Path:
    """The unit with a program and a user that are on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    text = UNIT.read_text().replace("/opt/dichroism/bin/dichroism", "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"^(User|Group)=dichroism$", r"\1=daemon", text, flags=re.MULTILINE))
    return copy


def analyse(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True)


def test_systemd_finds_no_fault_with_it(analysable: Path) -> None:
    done = analyse("verify", "--man=no", analysable)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_systemd_would_find_a_word_that_it_does_not_know(analysable: Path) -> None:
    analysable.write_text(analysable.read_text() + "\n[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in analyse("verify", "--man=no", analysable).stderr


def test_little_of_the_host_is_exposed_to_it(analysable: Path) -> None:
    done = analyse("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", analysable)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no units that are not loaded")
    assert done.returncode == 0, done.stdout


def test_it_is_started_with_a_command_that_is_there(unit: dict[str, str]) -> None:
    program, subcommand, *options = unit["ExecStart"].split()
    assert (Path(program).name, subcommand) == ("dichroism", "watcher")
    known = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
    assert {one for one in options if one.startswith("--")} <= known


def test_the_journal_is_in_the_one_folder_that_it_may_write(unit: dict[str, str]) -> None:
    assert (unit["ProtectSystem"], unit["StateDirectory"]) == ("strict", "dichroism")
    assert "ReadWritePaths" not in unit
    assert journal_path(None, {"STATE_DIRECTORY": "/var/lib/dichroism"}) == Path("/var/lib/dichroism") / JOURNAL_NAME


def test_it_is_started_again_whatever_ended_it_and_when_it_hangs(unit: dict[str, str]) -> None:
    assert (unit["Type"], unit["Restart"]) == ("notify", "always")
    assert int(unit["WatchdogSec"]) > 0
    assert "StartLimitIntervalSec=0" in UNIT.read_text()


def test_the_guide_installs_it_from_where_it_is(unit: dict[str, str]) -> None:
    guide = GUIDE.read_text()
    assert "watcher/systemd/dichroism-watcher.service /etc/systemd/system/" in guide
    assert unit["EnvironmentFile"] in guide
    assert unit["User"] in guide
