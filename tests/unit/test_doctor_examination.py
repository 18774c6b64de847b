"""Checks are run at once, bounded and apart from each other, and told in their order for people and programs."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dichroism_cli.main import main
from dichroism_operator.doctor.check import (
    Check,
    Finding,
    Findings,
    NotCheckedHereError,
    Severity,
    not_checked,
    ok,
    problem,
    warning,
)
from dichroism_operator.doctor.examination import examine
from dichroism_operator.doctor.report import TextReport, json_report
from dichroism_operator.doctor.shared import Shared
from dichroism_operator.threads import in_daemon_thread
from dichroism_operator.wording import printable


def check(
    name: str, *findings: Finding, after: asyncio.Event | None = None, then: asyncio.Event | None = None
) -> Check:
    """A check with these findings, which waits for one event and sets another."""

    async def run() -> Findings:
        if after:
            await after.wait()
        if then:
            then.set()
        return findings

    return Check(name, f"{name} works", run)


def raising(name: str, error: Exception) -> Check:
    async def run() -> Findings:
        raise error

    return Check(name, "nothing", run)


async def seen(*checks: Check, limit_s: float = 30) -> list[tuple[str, Findings]]:
    return [(one.name, findings) async for one, findings in examine(checks, limit_s)]


async def test_checks_run_at_the_same_time_and_are_told_in_their_order() -> None:
    second_began = asyncio.Event()
    first = check("a/first", ok("1"), after=second_began)
    told = await seen(first, check("a/second", ok("2"), then=second_began))
    assert [name for name, _ in told] == ["a/first", "a/second"]


async def test_a_check_that_fails_is_a_problem_and_takes_no_other_with_it() -> None:
    told = dict(await seen(raising("a/broken", KeyError("status")), check("a/fine", ok("works"))))
    (broken,) = told["a/broken"]
    assert broken.severity == Severity.PROBLEM
    assert "KeyError: 'status'" in broken.message
    assert told["a/fine"] == (ok("works"),)


async def test_what_needs_another_system_that_is_not_there_is_not_checked() -> None:
    told = dict(await seen(raising("a/b", NotCheckedHereError("needs X", "See x/y"))))
    assert told["a/b"] == [not_checked("needs X", "See x/y")]


async def test_a_call_that_never_returns_is_cut_off() -> None:
    release = threading.Event()

    async def run() -> Findings:
        await in_daemon_thread(release.wait)
        return []

    try:
        told = dict(await seen(Check("a/hangs", "nothing", run), check("a/fine", ok("works")), limit_s=0.05))
    finally:
        release.set()
    (hung,) = told["a/hangs"]
    assert hung.severity == Severity.PROBLEM
    assert "no answer within 0.05 s" in hung.message
    assert told["a/fine"] == (ok("works"),)


async def test_a_timeout_of_the_system_itself_is_not_taken_for_ours() -> None:
    (only,) = dict(await seen(raising("a/b", TimeoutError("the server's"))))["a/b"]
    assert "the check itself failed" in only.message


async def test_a_thread_hands_over_what_it_raises() -> None:
    def call() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await in_daemon_thread(call)


async def test_what_is_shared_is_made_once_and_survives_a_check_that_is_cut_off() -> None:
    made: list[int] = []
    go_on = asyncio.Event()

    async def make() -> int:
        made.append(1)
        await go_on.wait()
        return 42

    shared = Shared(make)
    impatient = asyncio.create_task(shared.get())
    patient = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    impatient.cancel()
    go_on.set()
    assert await patient == 42
    assert len(made) == 1


@pytest.mark.parametrize("make", [problem, warning])
def test_no_problem_leaves_a_person_alone_with_it(make: Callable[[str, str], Finding]) -> None:
    with pytest.raises(ValueError, match="without a remedy"):
        make("it is broken", "")


# how it is told


def test_the_text_has_a_heading_for_each_system_and_the_remedy_below_the_finding() -> None:
    report = TextReport("seen from here")
    lines = [
        *report.lines(check("k/api"), [ok("answers")]),
        *report.lines(check("k/lease"), [problem("nobody works", "start it"), warning("late", "wait")]),
        *report.lines(check("s/login"), [not_checked("no password", "set it")]),
        *report.summary(),
    ]
    assert lines == [
        "dichroism doctor, seen from here",
        "",
        "k",
        "  ok           api           answers",
        "  PROBLEM      lease         nobody works",
        "                             -> start it",
        "  WARNING      lease         late",
        "                             -> wait",
        "",
        "s",
        "  not checked  login         no password",
        "                             -> set it",
        "",
        "1 ok, 1 warning, 1 problem, 1 not checked here",
    ]


def test_long_lines_are_wrapped_and_what_is_to_be_copied_is_not() -> None:
    report = TextReport("x")
    word = "kubectl-" + "a" * 150
    remedy = "kubectl " + "patch " * 40
    *lines, last = report.lines(check("k/api"), [problem(f"one two {word} three " + "four " * 40, remedy)])[3:]
    assert word in " ".join(lines).split()
    assert all(len(line) <= 120 for line in lines if word not in line)
    assert last.endswith(f"-> {remedy}")


def test_names_of_files_can_not_steer_the_terminal() -> None:
    assert printable("trash/\x1b[31mred\nnew\x07 µs") == "trash/\\x1b[31mred\\nnew\\x07 µs"


def test_the_document_for_programs_has_every_finding_with_its_remedy() -> None:
    examined = [(check("k/api"), [ok("answers")]), (check("k/lease"), [problem("nobody", "start it")])]
    document = json.loads(json_report({"host": "h"}, examined))
    assert document["ok"] is False
    assert document["counts"] == {"ok": 1, "warning": 0, "problem": 1, "not_checked": 0}
    assert document["checks"][1] == {
        "name": "k/lease",
        "proves": "k/lease works",
        "findings": [{"severity": "problem", "message": "nobody", "remedy": "start it"}],
    }


# the command, where neither cluster nor configuration is needed


def test_a_configuration_that_does_not_load_is_told_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("beamlines: {}\n")
    done = CliRunner().invoke(main, ["doctor", "--config", str(file), "--only", "config"])
    assert done.exit_code == 1
    assert "PROBLEM      document" in done.output
    assert "config.yml:1: beamlines" in " ".join(done.output.split())
    assert "-> Correct it, then: dichroism config check" in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "kubernets"], "no check kubernets. Systems: config, endpoint"),
        (["--beamline", "BL9"], "Known: BL402"),
    ],
)
def test_a_name_that_there_is_not_is_wrong_usage(options: list[str], said: str) -> None:
    config = Path(__file__).parents[2] / "config.yml"
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), *options])
    assert done.exit_code == 2
    assert said in done.output


def test_the_list_of_checks_says_what_each_proves_and_looks_at_nothing() -> None:
    config = Path(__file__).parents[2] / "config.yml"
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--list", "--beamline", "BL402"])
    assert done.exit_code == 0
    assert "kubernetes/lease           an operator is at work" in done.output
    assert "endpoint/hpss402" in done.output
    assert "globus/nersc402" in done.output
    assert "631" not in done.output
