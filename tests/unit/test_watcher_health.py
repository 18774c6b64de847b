"""Logs, metrics and options as people and machines meet them."""

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubernetes.aio.client import ApiClient, Configuration

from dichroism_crds.client import Api
from dichroism_crds.config import Beamline
from dichroism_watcher.command import command
from dichroism_watcher.health import metrics_text, unhealthy
from dichroism_watcher.logs import JsonLines, PlainLines
from dichroism_watcher.throttle import Throttle
from dichroism_watcher.watch import BeamlineWatch

EVIL = 'a\n{"level": "INFO"}\x1b[2J caf\udce9.txt'
SAMPLE_LINE = re.compile(r'dichroism_watcher_[a-z_]+\{beamline="BL402"\} -?[0-9.e+-]+')


def record() -> logging.LogRecord:
    made = logging.LogRecord("dichroism_watcher.watch", logging.INFO, __file__, 1, "accepted", None, None)
    made.beamline, made.path = "BL402", EVIL
    return made


async def watch(root: Path) -> BeamlineWatch:
    beamline = Beamline.model_validate(
        {
            "name": "BL402",
            "watch": {"root": "data402", "since": "2026-11-01", "interval": "1s"},
            "transfer": {"from": "data402", "to": "nersc402"},
        }
    )
    return BeamlineWatch(beamline, root, Api(ApiClient(Configuration()), "default"), Throttle())


def test_a_log_line_is_one_json_object_whatever_a_file_is_called() -> None:
    line = JsonLines().format(record())
    assert "\n" not in line
    assert line.isascii()
    read = json.loads(line)
    assert (read["message"], read["beamline"], read["path"], read["level"]) == ("accepted", "BL402", EVIL, "INFO")


def test_a_plain_line_is_one_line_whatever_a_file_is_called() -> None:
    line = PlainLines("%(levelname)s %(message)s").format(record())
    assert line.startswith('INFO accepted beamline="BL402" path="')
    assert line.isascii()
    assert line.isprintable()


async def test_metrics_are_in_the_text_form_and_labelled_by_beamline_only(tmp_path: Path) -> None:
    lines = metrics_text([await watch(tmp_path)]).splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE_LINE.fullmatch(line) for line in samples)
    assert 'dichroism_watcher_root_ok{beamline="BL402"} 1' in samples
    assert len(lines) == 3 * len(samples)


async def test_a_watch_without_a_look_at_the_disk_for_three_pauses_is_unhealthy(tmp_path: Path) -> None:
    watched = await watch(tmp_path)
    assert unhealthy([watched]) == {}
    watched.tally.last_look -= 4
    assert list(unhealthy([watched])) == ["BL402"]


def test_an_unknown_beamline_is_told_with_the_known_ones(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        "data: {root_path: /a, name: data}\ncfs: {root_path: /b, name: cfs}\nbeamlines:\n  BL402:\n"
        "    watch: {root: data, since: 2026-11-01}\n    transfer: {from: data, to: cfs}\n"
    )
    answer = CliRunner().invoke(command, ["--config", str(config), "--beamline", "BL999"])
    assert answer.exit_code == 1
    assert "BL999" in answer.output
    assert "BL402" in answer.output


def test_a_config_that_cannot_be_read_ends_with_its_errors_and_no_traceback(tmp_path: Path) -> None:
    answer = CliRunner().invoke(command, ["--config", str(tmp_path / "none.yml")])
    assert answer.exit_code == 1
    assert "none.yml" in answer.output


@pytest.mark.parametrize("option", ["--config", "--beamline", "--namespace", "--health-port", "--log-format"])
def test_the_help_names_every_option(option: str) -> None:
    assert option in CliRunner().invoke(command, ["--help"]).output
