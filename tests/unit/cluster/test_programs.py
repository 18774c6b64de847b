"""What a machine without the programs, or without Go, is told."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster import ClusterError, kubectl_path
from tests.cluster.programs import CONTROL_PLANE, HELM

PYTHON = sys.executable


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder of programs that is all of PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    return programs


def test_without_go_the_error_says_which_to_install(bare_machine: Path) -> None:
    with pytest.raises(ClusterError, match=r"no `go`.*Install Go 1\.26\.0 or newer"):
        kubectl_path()


def test_a_go_that_is_too_old_is_refused_before_the_build(bare_machine: Path) -> None:
    go = bare_machine / "go"
    go.write_text("#!/bin/sh\necho go1.21.3\n")
    go.chmod(0o755)
    with pytest.raises(ClusterError, match=r"go1\.21\.3.*needs Go 1\.26\.0"):
        kubectl_path()


def test_a_failed_build_is_shown_and_leaves_nothing_that_looks_built(bare_machine: Path, tmp_path: Path) -> None:
    go = bare_machine / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.99.0 && exit\necho "main.go:7: broken" >&2\nexit 1\n')
    go.chmod(0o755)
    with pytest.raises(ClusterError, match=r"main\.go:7: broken"):
        kubectl_path()
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock"]
    assert kept == ["dichroism", "programs"]


SLOW_GO = """#!{python}
import pathlib, sys, time
if sys.argv[1] == "env":
    sys.exit(print("go1.99.0"))
with pathlib.Path(__file__).with_name("builds").open("a") as builds:
    builds.write("x")
time.sleep(0.5)
pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).touch()
"""


def test_two_that_need_a_program_at_once_build_it_once(bare_machine: Path) -> None:
    go = bare_machine / "go"
    go.write_text(SLOW_GO.format(python=PYTHON))
    go.chmod(0o755)
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda _: kubectl_path(), range(2)))
    assert paths[0] == paths[1]
    assert paths[0].exists()
    assert (bare_machine / "builds").read_text() == "x"


def test_the_programs_carry_the_versions_that_are_pinned() -> None:
    assert "gitVersion=v1.36.2" in CONTROL_PLANE.link_flags
    assert "internal/version.version=v3.22.0" in HELM.link_flags


def test_the_command_line_says_what_to_do_when_no_cluster_is_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cluster", "env", "--state", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1
    assert "python -m tests.cluster up" in done.stderr
