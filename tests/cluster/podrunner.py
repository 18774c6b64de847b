"""Runs pods as local processes, in the place of a scheduler and a kubelet: ``python -m tests.cluster.podrunner``.

It makes a Node object, binds every Pending pod to it, and runs the command of its container with environment, volumes
and service account token; the real controllers do everything else. The image, security context, resources, probes and
network policies are not looked at. Pods with several containers are reported as failed, not half run.

Output goes to ``logs/pods/<namespace>/<pod>.log`` in the state folder: `kubectl logs` asks a kubelet and does not work.
The modules ``pod_plan`` (what a pod asks for, and how mount paths are replaced), ``pod_volumes``, ``pod_life`` and
``pod_api`` hold the parts; this one finds the pods and starts and stops their lives.
"""

import argparse
import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster import processes
from tests.cluster.pod_api import CallError, Json, PodApi, insist
from tests.cluster.pod_life import RUNNER_MARK, PodLife, Runner, pod_status, remove
from tests.cluster.pod_plan import pod_path
from tests.cluster.state import State

_LOG = logging.getLogger("podrunner")
_PODS = "/api/v1/pods"
_ENDED = ("Succeeded", "Failed")
_PAUSE_SECONDS = 0.3


class PodRunner:
    """Starts a life for each new pod, and tells those whose pods are deleted."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lives: dict[str, PodLife] = {}
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take over the node, then follow the pods for ever."""
        await self._fail_forgotten()
        await self._make_node()
        while True:
            try:
                await self._follow()
            except Exception as error:
                _LOG.info("listing the pods again: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self) -> None:
        listed = await self._runner.api.get(_PODS)
        for pod in listed["items"]:
            self._look_at(pod)
        present = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid in self._lives.keys() - present:
            self._lives[uid].vanish()
        async for kind, pod in self._runner.api.watch(_PODS, listed["metadata"]["resourceVersion"]):
            if kind == "DELETED" and pod["metadata"]["uid"] in self._lives:
                self._lives[pod["metadata"]["uid"]].vanish()
            elif kind in ("ADDED", "MODIFIED"):
                self._look_at(pod)

    def _look_at(self, pod: Json) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        uid, node, leaving = metadata["uid"], spec.get("nodeName"), "deletionTimestamp" in metadata
        if uid in self._lives:
            if leaving:
                self._lives[uid].ask_to_leave(metadata.get("deletionGracePeriodSeconds", 0))
        elif leaving and node == self._runner.node:
            self._spawn(remove(self._runner.api, pod))
        elif not leaving and not node and uid not in self._seen and pod["status"].get("phase") == "Pending":
            self._seen.add(uid)
            self._lives[uid] = PodLife(self._runner, pod)
            self._spawn(self._live(uid, pod))

    async def _live(self, uid: str, pod: Json) -> None:
        try:
            await self._lives[uid].live()
        except Exception:
            # A mistake in the runner must show in the pod, not as a pod that stays Pending for ever.
            _LOG.exception("pod %s could not be run", pod["metadata"]["name"])
            await self._fail(pod, "RunnerError", f"the pod runner failed; see its log in {self._runner.state.logs}")
        finally:
            del self._lives[uid]

    async def _fail_forgotten(self) -> None:
        """Kill and report the pods of a runner before us: their processes are not our children."""
        await asyncio.to_thread(processes.stop_marked, RUNNER_MARK, self._runner.cluster_id, seconds=0)
        listed = await insist(lambda: self._runner.api.get(_PODS, fieldSelector=f"spec.nodeName={self._runner.node}"))
        for pod in listed["items"]:
            if pod["status"].get("phase") not in _ENDED:
                await self._fail(pod, "RunnerRestarted", "the pod runner was restarted, which killed the process")
            if "deletionTimestamp" in pod["metadata"]:
                await remove(self._runner.api, pod)

    async def _fail(self, pod: Json, reason: str, message: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        begun = pod["status"].get("startTime", now)
        state = {"exitCode": 137, "reason": reason, "message": message, "startedAt": begun, "finishedAt": now}
        status = pod_status(pod, "Failed", {"terminated": state}, begun)
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {**status, "reason": reason, "message": message}}
        try:
            await insist(lambda: self._runner.api.merge(f"{pod_path(pod)}/status", body))
        except CallError as error:
            _LOG.info("pod %s could not be reported as failed: %s", pod["metadata"]["name"], error)

    async def _make_node(self) -> None:
        name = self._runner.node
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        try:
            await insist(lambda: self._runner.api.create("/api/v1/nodes", node))
        except CallError as error:
            if error.status != 409:
                raise
        room = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
        ready = {"type": "Ready", "status": "True", "reason": "PodRunner", "message": "pods run as local processes"}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        await insist(lambda: self._runner.api.merge(f"/api/v1/nodes/{name}/status", {"status": status}))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _main(folder: Path, node: str) -> None:
    state = State(folder)
    record = state.read()
    if record is None:
        raise SystemExit(f"no cluster in {folder}; `python -m tests.cluster up` starts one, and this with it")
    api = await PodApi.connect(str(state.kubeconfig))
    try:
        await PodRunner(Runner(api, state, record.cluster_id, node)).run()
    finally:
        await api.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder of the cluster")
    parser.add_argument("--node", required=True, help="name of the Node object to make")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_main(arguments.state, arguments.node))
