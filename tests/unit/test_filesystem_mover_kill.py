"""Killed at any system call and started again, or run twice at once: nothing half-made, nothing lost.

Run as a program it is one such mover: ``python test_filesystem_mover_kill.py FOLDER BUNDLE KILL_AT``.
"""

import functools
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, Progress
from dichroism_operator.movers.bundle import check_bundle, manifest_text
from dichroism_operator.movers.filesystem import FilesystemMover
from tests.unit.mover_contract import MOMENT, files_in, hop_in, prepared_endpoint, put, reasons, settled, sha256

pytestmark = pytest.mark.fault
REPOSITORY = Path(__file__).resolve().parents[2]
SUBMISSION = "3f0c6b1e-kill"
BUNDLE = "tapes/2026/BL402-x.tar"
NEW = {f"a/{number}/scan.txt": b"new content %d" % number * 3000 for number in range(4)}
OLD = {"a/1/scan.txt": b"OLD CONTENT 1" * 3000, "a/2/scan.txt": b"an older and shorter content"}
SEED, KILLS = 631, 40


def make_world(world: Path, bundle: str | None) -> None:
    prepared_endpoint("nersc402", world / "destination")
    prepared_endpoint("data402", world / "source")
    for path, content in NEW.items():
        put(world / "source", path, content)
    for path, content in OLD.items() if bundle is None else ():
        put(world / "destination", path, content)


def run_mover(world: Path, bundle: str | None) -> Progress:
    with FilesystemMover(leftover_age=timedelta(0)) as mover:
        hop = hop_in(world, mover)
        items = [Item(path, len(content), MOMENT, own_partial=True) for path, content in NEW.items()]
        mover.start(hop.task(*items, submission_id=SUBMISSION, bundle=bundle))
        return settled(mover, SUBMISSION)


def kill_before_system_call(number: int) -> None:
    """Kill this process when the mover's threads are about to make their ``number``-th call of the os module."""
    calls = itertools.count(1)

    def count(_frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__module__", None) in ("posix", "fcntl") and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)


def in_fork(work: Callable[[], object]) -> bool:
    """Do it in a forked process, which has no thread of another mover; whether it came to its end without a kill."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{error!r}", file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert status == 0, f"the mover ended with status {status}"
    return True


def run_and_kill(world: Path, bundle: str | None, kill_at: int) -> bool:
    """Run a mover until its ``kill_at``-th system call; whether it came to its end before."""

    def work() -> None:
        kill_before_system_call(kill_at)
        run_mover(world, bundle)

    return in_fork(work)


def require_nothing_lost(world: Path, bundle: str | None) -> None:
    """At whatever moment one looks: sources as they were, whole files only under final names, old content somewhere."""
    destination = world / "destination"
    for path, content in NEW.items():
        assert (world / "source" / path).read_bytes() == content
    kept = [file.read_bytes() for file in files_in(destination / ".dichroism/superseded")]
    for path, content in OLD.items() if bundle is None else ():
        assert content in kept or (destination / path).read_bytes() == content, path
    for file in destination.rglob("*"):
        path = str(file.relative_to(destination))
        if not file.is_file() or path.startswith(".dichroism/"):
            continue
        if path == bundle:
            with file.open("rb") as tar:
                assert {member.path for member in check_bundle(tar).members} == set(NEW)
        else:
            assert file.read_bytes() in (NEW[path], OLD.get(path)), path


def run_to_the_end(world: Path, bundle: str | None) -> None:
    require_complete(world, bundle, run_mover(world, bundle))


def require_complete(world: Path, bundle: str | None, progress: Progress) -> None:
    """After an undisturbed run."""
    found = reasons(progress)
    assert set(found) == set(NEW)
    assert set(found.values()) <= {Reason.COPIED, Reason.ALREADY_THERE}
    require_nothing_lost(world, bundle)
    destination = world / "destination"
    assert files_in(destination / ".dichroism/incoming") == []
    if bundle is None:
        assert all((destination / path).read_bytes() == content for path, content in NEW.items())
        return
    with (destination / bundle).open("rb") as tar:
        checked = check_bundle(tar)
    assert (progress.bundle_sha256, progress.bundle_size) == (checked.sha256, checked.size)
    assert progress.bundle_sha256 == sha256((destination / bundle).read_bytes())
    manifest = world / "source/.dichroism/manifests/BL402-x.tar.tsv"
    assert manifest.read_text() == manifest_text(checked.members)
    assert files_in(world / "source/.dichroism/incoming") == []


def kill_everywhere(base: Path, bundle: str | None) -> None:
    """Kill at a sample of all system calls, some of them twice, and go on after each."""
    chance = random.Random(SEED)
    end = next(number for number in itertools.count(64, 64) if _survives(base / f"count{number}", bundle, number))
    for number in sorted(chance.sample(range(1, end), min(KILLS, end - 1))):
        world = base / str(number)
        world.mkdir()
        make_world(world, bundle)
        print(f"kill at call {number}", file=sys.stderr)
        run_and_kill(world, bundle, number)
        require_nothing_lost(world, bundle)
        run_and_kill(world, bundle, chance.randrange(1, end))
        require_nothing_lost(world, bundle)
        in_fork(functools.partial(run_to_the_end, world, bundle))
        shutil.rmtree(world)
    print(f"killed at {min(KILLS, end - 1)} of {end} calls")


def _survives(world: Path, bundle: str | None, number: int) -> bool:
    world.mkdir()
    make_world(world, bundle)
    return run_and_kill(world, bundle, number)


def program(world: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.test_filesystem_mover_kill", str(world), *arguments],
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def outcome(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.fixture(params=["", BUNDLE], ids=["copies", "bundle"])
def bundle(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing_half_made(tmp_path: Path, bundle: str) -> None:
    assert f"killed at {KILLS} of " in outcome(program(tmp_path, "kills", bundle))


@pytest.mark.parametrize("again", range(2))
def test_three_processes_with_the_same_task_do_no_harm(tmp_path: Path, bundle: str, again: int) -> None:
    make_world(tmp_path, bundle or None)
    for process in [program(tmp_path, "once", bundle) for _ in range(3)]:
        outcome(process)
    require_nothing_lost(tmp_path, bundle or None)
    assert files_in(tmp_path / "destination/.dichroism/incoming") == []
    superseded = [file.read_bytes() for file in files_in(tmp_path / "destination/.dichroism/superseded")]
    if not bundle:
        assert sorted(superseded) == sorted(OLD.values())


def main(world: Path, what: str, bundle: str) -> None:
    if what == "kills":
        kill_everywhere(world, bundle or None)
    else:
        # Others may still have copies on their way when this one ends.
        assert set(reasons(run_mover(world, bundle or None)).values()) <= {Reason.COPIED, Reason.ALREADY_THERE}
        require_nothing_lost(world, bundle or None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
