"""What the pod runner reads from a pod's object."""

from pathlib import Path

import pytest

from tests.cluster.pod_plan import Mounts, UnsupportedError, container, expand, field_value, restarts

MOUNTS = Mounts({"/etc/app": Path("/real/config"), "/data": Path("/real/data"), "/data/cold": Path("/real/etc/app")})


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/data", "/real/data"),
        ("--config=/etc/app/config.yml", "--config=/real/config/config.yml"),
        ("/data/a:/data/cold/b", "/real/data/a:/real/etc/app/b"),
        ("cat '/data/x y' >/data/z", "cat '/real/data/x y' >/real/data/z"),
        ("/data2 /data.old /data-x", "/data2 /data.old /data-x"),
        ("other/data ./data /mnt/data", "other/data ./data /mnt/data"),
        ("https://example.org/data/x", "https://example.org/data/x"),
    ],
)
def test_a_mount_path_is_replaced_only_where_it_begins_a_path(text: str, rewritten: str) -> None:
    assert MOUNTS.rewrite(text) == rewritten


def test_references_to_variables_are_expanded_as_kubernetes_does() -> None:
    assert expand("$(A)-$(B)-$$(A)-$A", {"A": "1"}) == "1-$(B)-$(A)-$A"


def test_fields_of_the_pod_reach_the_environment() -> None:
    pod = {"metadata": {"name": "n", "labels": {"x.org/y": "v"}}, "spec": {}}
    assert field_value(pod, "metadata.name") == "n"
    assert field_value(pod, "metadata.labels['x.org/y']") == "v"
    assert field_value(pod, "metadata.annotations['none']") == ""
    with pytest.raises(UnsupportedError, match=r"status\.qosClass"):
        field_value(pod, "status.qosClass")


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "a", "command": ["x"]}, {"name": "b", "command": ["x"]}]},
        {"containers": [{"name": "a", "command": ["x"]}], "initContainers": [{"name": "b"}]},
        {"containers": [{"name": "a", "args": ["x"]}]},
    ],
)
def test_a_pod_that_would_be_half_run_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError):
        container({"spec": spec})


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Never", 1, False), ("OnFailure", 1, True), ("OnFailure", 0, False), ("Always", 0, True)],
)
def test_the_restart_policy_decides_what_follows_an_end(policy: str, code: int, again: bool) -> None:
    assert restarts({"spec": {"restartPolicy": policy}}, code) is again
