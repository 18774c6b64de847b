"""TAB against a real API server: a shell is not disturbed by what is wanting."""

import sys
from pathlib import Path

import pytest

from dichroism_cli import plugin
from tests.cluster import Cluster


@pytest.mark.parametrize("words", [("due", "--beamline", ""), ("status", "--beamline", "")])
def test_without_a_configuration_nothing_is_offered_and_nothing_is_said(
    words: tuple[str, ...],
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("DICHROISM_NAMESPACE", namespace)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-dichroism", *words])
    plugin.complete()
    said = capsys.readouterr()
    assert said.out.splitlines() == [":4"]
    assert not said.err
