"""One pod, from its binding to its end: prepare, start the process, report, stop, remove.

As a kubelet does it, except that the container is a local process in a process group of its own. Its standard output
and error go to a file. What it leaves behind in other process groups is killed with it, as in a container.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster import processes
from tests.cluster.cluster import kubeconfig_text
from tests.cluster.pod_api import CallError, PodApi, insist
from tests.cluster.pod_plan import (
    SERVICE_ACCOUNT_PATH,
    Json,
    Mounts,
    UnsupportedError,
    container,
    expand,
    pod_path,
    restarts,
)
from tests.cluster.pod_volumes import NotThereYetError, PodVolumes
from tests.cluster.state import MARK, State

POD_MARK = "DICHROISM_TEST_POD"
"""Environment variable that a pod's processes carry; its value is the pod's uid."""
RUNNER_MARK = "DICHROISM_TEST_PODS_OF"
"""Environment variable that the processes of all pods carry; its value is the cluster's id."""

_LOG = logging.getLogger("podrunner")
_MESSAGE_BYTES = 2048
_LONGEST_PAUSE = 300


@dataclass(frozen=True)
class Runner:
    """What all pods share.

    Attributes:
        api: the API.
        state: the cluster's folder.
        cluster_id: value of the cluster's mark.
        node: name of the Node object.
    """

    api: PodApi
    state: State
    cluster_id: str
    node: str


@dataclass(frozen=True)
class Program:
    """What is to be run: arguments, whole environment, working folder, and the file of its last words."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    termination_log: Path


@dataclass(frozen=True)
class Ending:
    """How a process ended: exit code (128 + signal when killed), reason and message of the container's state."""

    code: int
    reason: str
    message: str = ""
    pod_reason: str | None = None


class PodLife:
    """One pod while the runner cares for it."""

    def __init__(self, runner: Runner, pod: Json) -> None:
        self._runner = runner
        self._pod = pod
        self._uid: str = pod["metadata"]["uid"]
        self._folder = runner.state.folder / "pods" / self._uid
        self._log = runner.state.pod_log(pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._begun = _now()
        self._restarts = 0
        self._grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        self._leave = asyncio.Event()
        self._gone = False

    def ask_to_leave(self, grace: int) -> None:
        """The pod is being deleted: stop it, wait ``grace`` seconds at most, and remove the object."""
        self._grace = grace
        self._leave.set()

    def vanish(self) -> None:
        """The object is gone already: stop at once."""
        self._gone, self._grace = True, 0
        self._leave.set()

    async def live(self) -> None:
        """Do all of it. Ends when the process has ended and that is known to the API, or the object is gone."""
        try:
            if await self._bind():
                await self._conclude(await self._run())
        except CallError as error:
            if error.status not in (404, 409):
                raise
            _LOG.info("pod %s is gone: %s", self._uid, error)
        finally:
            await asyncio.to_thread(processes.stop_marked, POD_MARK, self._uid, seconds=0)
        if self._leave.is_set() and not self._gone:
            await remove(self._runner.api, self._pod)

    async def _bind(self) -> bool:
        """Assign the pod to the node; False when it went elsewhere or away."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": self._pod["metadata"]["name"], "uid": self._uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._runner.node},
        }
        try:
            await insist(lambda: self._runner.api.create(f"{pod_path(self._pod)}/binding", binding))
        except CallError as error:
            if error.status != 409:
                raise
            # Refused because it is bound: perhaps by a call of ours whose answer was lost.
            now = await insist(lambda: self._runner.api.get(pod_path(self._pod)))
            bound: bool = now["metadata"]["uid"] == self._uid and now["spec"].get("nodeName") == self._runner.node
            return bound
        return True

    async def _run(self) -> Ending:
        """Prepare and run the container, again when its restart policy says so."""
        try:
            while True:
                program = await self._prepared()
                if program is None:
                    return Ending(137, "Killed", "deleted before it started")
                ending = await self._run_once(program)
                if self._leave.is_set() or ending.pod_reason or not restarts(self._pod, ending.code):
                    return ending
                pause = min(2**self._restarts, _LONGEST_PAUSE)
                self._restarts += 1
                await self._waiting("CrashLoopBackOff", f"exit code {ending.code}; starting again in {pause} s")
                await self._left(pause)
        except UnsupportedError as error:
            return Ending(128, "Unsupported", str(error), "Unsupported")

    async def _prepared(self) -> Program | None:
        """What to run, once everything it needs is there; None when the pod is deleted before."""
        shown = ""
        while not self._leave.is_set():
            try:
                return await self._prepare()
            except NotThereYetError as error:
                if str(error) != shown:
                    shown = str(error)
                    await self._waiting("CreateContainerConfigError", shown)
            await self._left(0.3)
        return None

    async def _prepare(self) -> Program:
        spec = container(self._pod)
        volumes = PodVolumes(self._runner.api, self._pod, self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        mounts = await volumes.mounts()
        variables = await volumes.environment(mounts)
        argv = [mounts.rewrite(expand(text, variables)) for text in [*spec["command"], *spec.get("args", [])]]
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        working = spec.get("workingDir")
        base = {
            # So that `python` and the project's command are those of this environment; the image is not looked at.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "HOSTNAME": self._pod["metadata"]["name"],
            "LANG": "C.UTF-8",
            **self._kubeconfig(mounts),
        }
        marks = {MARK: self._runner.cluster_id, RUNNER_MARK: self._runner.cluster_id, POD_MARK: self._uid}
        cwd = Path(mounts.rewrite(working)) if working else home
        return Program(argv, {**base, **variables, **marks}, cwd, volumes.termination_log)

    def _kubeconfig(self, mounts: Mounts) -> dict[str, str]:
        """KUBECONFIG with the pod's own token, in the place of the fixed folder that a client in a pod looks into."""
        folder = mounts.folders.get(SERVICE_ACCOUNT_PATH)
        if folder is None:
            return {}
        path = self._folder / "kubeconfig"
        server = {"server": self._runner.api.server, "certificate-authority": str(folder / "ca.crt")}
        user = {"tokenFile": str(folder / "token")}
        path.write_text(kubeconfig_text(server, user, self._pod["metadata"]["namespace"]))
        return {"KUBECONFIG": str(path)}

    async def _run_once(self, program: Program) -> Ending:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        before = self._log.stat().st_size if self._log.exists() else 0
        program.termination_log.write_text("")
        started = _now()
        try:
            with self._log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *program.argv,
                    env=program.env,
                    cwd=program.cwd,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            return Ending(127, "StartError", f"{program.argv[0]} could not be started: {error}")
        try:
            await self._report("Running", {"running": {"startedAt": started}}, ready=True)
            late = await self._ended_or_left(process)
        finally:
            await self._kill(process)
        code = process.returncode or 0
        code = 128 - code if code < 0 else code
        if late:
            return Ending(code, "Error", "it ran longer than activeDeadlineSeconds", "DeadlineExceeded")
        message = program.termination_log.read_text(errors="replace") or (self._last_words(before) if code else "")
        return Ending(code, "Error" if code else "Completed", message[-_MESSAGE_BYTES:])

    async def _ended_or_left(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until it ended or has to; True when its time was up."""
        deadline = self._pod["spec"].get("activeDeadlineSeconds")
        waiting = {asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._leave.wait())}
        try:
            done, _ = await asyncio.wait(waiting, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return not done

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        """End the process group: politely, then hard. Also what a process that ended has left in its group."""
        with contextlib.suppress(TimeoutError):
            if process.returncode is None and self._grace > 0:
                _signal_group(process.pid, signal.SIGTERM)
                await asyncio.wait_for(process.wait(), self._grace)
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        await asyncio.to_thread(processes.stop_marked, POD_MARK, self._uid, seconds=0)

    def _last_words(self, before: int) -> str:
        with self._log.open("rb") as log:
            log.seek(max(before, self._log.stat().st_size - _MESSAGE_BYTES))
            return log.read().decode(errors="replace")

    async def _left(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leave.wait(), seconds)

    async def _waiting(self, reason: str, message: str) -> None:
        phase = "Running" if self._restarts else "Pending"
        await self._report(phase, {"waiting": {"reason": reason, "message": message}})

    async def _conclude(self, ending: Ending) -> None:
        state = {
            "exitCode": ending.code,
            "reason": ending.reason,
            "message": ending.message,
            "startedAt": self._begun,
            "finishedAt": _now(),
        }
        phase = "Failed" if ending.code or ending.pod_reason else "Succeeded"
        why = {"reason": ending.pod_reason, "message": ending.message} if ending.pod_reason else {}
        await self._report(phase, {"terminated": state}, why=why)

    async def _report(self, phase: str, state: Json, *, ready: bool = False, why: Json | None = None) -> None:
        status = pod_status(self._pod, phase, state, self._begun, self._restarts, ready=ready)
        body = {"metadata": {"uid": self._uid}, "status": {**status, **(why or {})}}
        await insist(lambda: self._runner.api.merge(f"{pod_path(self._pod)}/status", body))


def pod_status(pod: Json, phase: str, state: Json, begun: str, restart_count: int = 0, *, ready: bool = False) -> Json:
    """The status of a pod in a phase, with its container in a state, as a kubelet writes it."""
    only = pod["spec"]["containers"][0]
    conditions = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    return {
        "phase": phase,
        "startTime": begun,
        "conditions": [
            {"type": kind, "status": str(met), "lastTransitionTime": _now()} for kind, met in conditions.items()
        ],
        "containerStatuses": [
            {
                "name": only["name"],
                "image": only.get("image", ""),
                "imageID": "",
                "ready": ready,
                "started": ready,
                "restartCount": restart_count,
                "state": state,
            }
        ],
    }


async def remove(api: PodApi, pod: Json) -> None:
    """Remove the object of a pod whose process has ended; nothing happens when it is gone."""
    body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
    try:
        await insist(lambda: api.delete(pod_path(pod), body))
    except CallError as error:
        if error.status not in (404, 409):
            raise


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
