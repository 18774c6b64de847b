"""Logs, metrics and options as people and machines meet them."""

import json
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubernetes.aio.client import ApiClient, Configuration

from dichroism_crds.client import Api
from dichroism_crds.config import check_text
from dichroism_crds.names import PRIVATE_DIR
from dichroism_watcher.command import command
from dichroism_watcher.health import metrics_text, status
from dichroism_watcher.journal import Journal
from dichroism_watcher.logs import JsonLines, PlainLines
from dichroism_watcher.process import WatcherProcess
from dichroism_watcher.throttle import Throttle

EVIL = 'a\n{"level": "INFO"}\x1b[2J caf\udce9.txt'
SAMPLE_LINE = re.compile(r'dichroism_watcher_[a-z_]+(\{beamline="BL402"\})? -?[0-9.e+-]+')


def record() -> logging.LogRecord:
    made = logging.LogRecord("dichroism_watcher.watch", logging.INFO, __file__, 1, "accepted", None, None)
    made.beamline, made.path = "BL402", EVIL
    return made


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[WatcherProcess]:
    """A watcher that was made and does not run."""
    (tmp_path / "data" / PRIVATE_DIR).mkdir(parents=True)
    checked = check_text(
        f"""
        data402: {{root_path: /a, mount: {tmp_path / "data"}}}
        nersc402: {{root_path: /b}}
        beamlines:
          BL402:
            watch: {{root: data402, since: 2026-11-01, interval: 1s}}
            transfer: {{from: data402, to: nersc402}}
        """,
        "config.yml",
        {},
    )
    assert checked.config is not None
    journal = Journal.open(tmp_path / "journal.db")
    api = Api(ApiClient(Configuration()), "default")
    yield WatcherProcess.make(checked.config, ["BL402"], api, journal, Throttle(), 600)
    journal.close()


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


async def test_metrics_are_in_the_text_form_and_labelled_by_beamline_only(process: WatcherProcess) -> None:
    lines = metrics_text(process).splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE_LINE.fullmatch(line) for line in samples)
    assert 'dichroism_watcher_root_ok{beamline="BL402"} 1' in samples
    assert "dichroism_watcher_journal_ok 1" in samples
    assert len(lines) == 3 * len(samples)


async def test_a_watch_is_ready_only_after_a_whole_pass_and_a_list_of_the_scans(process: WatcherProcess) -> None:
    passes = process.watches["BL402"].passes
    assert "first pass" in process.not_ready()["BL402"]
    await passes._whole_pass()
    passes._passed(time.monotonic(), whole=True)
    assert "the Scans are not known yet" in process.not_ready()["BL402"]
    process.feed.listed.set()
    assert process.not_ready() == {}


async def test_a_watch_without_a_look_at_the_disk_for_three_pauses_is_not_ready(process: WatcherProcess) -> None:
    process.feed.listed.set()
    process.watches["BL402"].passes.tally.completed_at = time.monotonic()
    assert process.not_ready() == {}
    process.watches["BL402"].passes.tally.last_look -= 4
    assert "no look at the disk" in process.not_ready()["BL402"]


async def test_a_missing_root_is_no_reason_for_a_restart_and_a_hanging_one_is(process: WatcherProcess) -> None:
    tally = process.watches["BL402"].passes.tally
    tally.root_problem = "not mounted"
    tally.last_look -= 3600
    assert process.hung() == []
    tally.last_try -= 3600
    assert process.hung() == ["BL402"]


async def test_the_status_names_files_and_reasons(process: WatcherProcess) -> None:
    watch = process.watches["BL402"]
    (watch.passes.root.path / EVIL).write_text("1234")
    await watch.passes._whole_pass()
    shown = json.loads(json.dumps(status(process)))["beamlines"]["BL402"]
    assert shown["counts"]["quarantined"] == 1
    assert shown["quarantined"][0]["path"] == EVIL
    assert "control characters" in shown["quarantined"][0]["reason"]


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


@pytest.mark.parametrize(
    "option", ["--config", "--beamline", "--namespace", "--journal", "--health-port", "--log-format"]
)
def test_the_help_names_every_option(option: str) -> None:
    assert option in CliRunner().invoke(command, ["--help"]).output
