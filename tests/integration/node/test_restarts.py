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

EAT_ALL_MEMORY = "import os\nheld = os.memfd_create('held')\nwhile True: os.write(held, bytes(10**7))"
"""Memory that counts for the container and for no process, so that the kernel looks for another one to end."""


def test_work_goes_on_after_the_operator_was_killed_for_its_memory(release: Release) -> None:
    release.install_release()
    files = release.measure("BL402", 10)
    release.wait_for(release.transfers, "the first Transfer is there")
    first, *others = release.processes()
    for number, score in [(first, 1000), *((other, 0) for other in others)]:
        Path(f"/proc/{number}/oom_score_adj").write_text(str(score))
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
    patience = {"initialDelaySeconds": 15, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3}
    container = {"name": "operator", "livenessProbe": patience}
    pod = {"spec": {"terminationGracePeriodSeconds": 2, "containers": [container]}}
    patch = json.dumps({"spec": {"template": pod}})
    release.cluster.kubectl("patch", f"deployment/{OPERATOR}", "-n", release.namespace, "-p", patch)
    release.cluster.kubectl("rollout", "status", f"deployment/{OPERATOR}", "-n", release.namespace, timeout=PATIENCE_S)
    files = release.measure("BL402", 10)
    release.wait_for(release.transfers, "the first Transfer is there")
    before = release.restarts()
    os.kill(release.processes()[0], signal.SIGSTOP)
    release.wait_for(lambda: release.restarts() > before, "the container is started anew", PATIENCE_S)
    assert "failed liveness probe" in release.events(release.pod()["metadata"]["name"])["Killing"]
    finished(release, len(files))
    assert release.copies("nersc402", files) == files
