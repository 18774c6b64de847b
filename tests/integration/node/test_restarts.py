"""An operator that Kubernetes kills, for its memory or because it hangs, is started anew and goes on with its work."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.chart import OPERATOR
from tests.cluster import CommandError
from tests.integration.node.release import PATIENCE_S, Release, finished

pytestmark = pytest.mark.timeout(1200)

EAT_ALL_MEMORY = "held = []\nwhile True: held.append(bytearray(10**7))"


def test_work_goes_on_after_the_operator_was_killed_for_its_memory(release: Release) -> None:
    release.install_release()
    files = release.measure("BL402", 10)
    release.wait_for(release.transfers, "the first Transfer is there")
    # Of the processes in the container the kernel takes the one with the highest score: the operator, not the eater.
    Path(f"/proc/{release.process()}/oom_score_adj").write_text("1000")
    name = release.pod()["metadata"]["name"]
    with pytest.raises(CommandError, match="137"):
        release.cluster.kubectl("exec", name, "-n", release.namespace, "--", "python", "-c", EAT_ALL_MEMORY)
    release.wait_for(lambda: release.restarts() == 1, "the container is started anew", PATIENCE_S)
    assert release.last_end()["reason"] == "OOMKilled"
    finished(release, len(files))
    assert release.copies("nersc402", files) == files
    assert len(release.scicat.datasets()) == len(files)


def test_an_operator_that_hangs_is_restarted_by_its_liveness_probe(release: Release) -> None:
    release.install_release()
    patience = {"initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 2}
    container = {"name": "operator", "livenessProbe": patience}
    pod = {"spec": {"terminationGracePeriodSeconds": 2, "containers": [container]}}
    patch = json.dumps({"spec": {"template": pod}})
    release.cluster.kubectl("patch", f"deployment/{OPERATOR}", "-n", release.namespace, "-p", patch)
    release.cluster.kubectl("rollout", "status", f"deployment/{OPERATOR}", "-n", release.namespace, timeout=PATIENCE_S)
    files = release.measure("BL402", 10)
    release.wait_for(release.transfers, "the first Transfer is there")
    os.kill(release.process(), signal.SIGSTOP)
    release.wait_for(lambda: release.restarts() == 1, "the container is started anew", PATIENCE_S)
    assert "Liveness probe failed" in release.events(release.pod()["metadata"]["name"])["Unhealthy"]
    finished(release, len(files))
    assert release.copies("nersc402", files) == files
