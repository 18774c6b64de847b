"""What a machine that cannot run a real node is told, and that a node's programs fit the control plane's."""

import os
from pathlib import Path

import pytest

from tests.cluster import ProviderUnavailableError, chosen_provider
from tests.cluster.programs import CONTROL_PLANE, KUBELET


def test_who_is_not_root_is_told_so_and_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ProviderUnavailableError, match=r"only root may; use CLUSTER=controlplane"):
        chosen_provider("node")


def test_packages_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProviderUnavailableError, match=r"packages: .*buildah containerd .*debootstrap .*runc"):
        chosen_provider("node")


@pytest.mark.parametrize("module", ["k8s.io/kubernetes", "k8s.io/component-base"])
def test_kubelet_and_control_plane_are_of_one_version(module: str) -> None:
    assert KUBELET.version_of(module) == CONTROL_PLANE.version_of(module)
