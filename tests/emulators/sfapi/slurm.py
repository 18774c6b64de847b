"""A stand-in for the batch system: jobs are folders, each run by a process of its own that outlives the service.

Also the programs behind it: ``python -m tests.emulators.sfapi.slurm run JOB`` runs one job, ``... squeue ...`` is what
a job calls to see whether another one has ended.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.emulators.sfapi import faults

ROOT = Path(__file__).resolve().parents[3]
BEGIN_S = 10.0


class Slurm:
    """All jobs of one service."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.jobs = state / "jobs"
        self.jobs.mkdir(exist_ok=True)

    @property
    def held(self) -> bool:
        """Whether the queue starts nothing: jobs stay PENDING."""
        return (self._state / "hold").exists()

    def submit(self, script: str) -> str:
        """Take a job; its id. It starts at once unless the queue is held."""
        job_id = str(max([100_000, *(int(path.name) for path in self.jobs.iterdir())]) + 1)
        text = Path(script).read_text()
        options = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", text, re.MULTILINE))
        folder = self.jobs / job_id
        folder.mkdir()
        document = {"id": job_id, "name": options.get("job-name", Path(script).name), "script": script}
        document["output"] = options.get("output", "/dev/null").replace("%j", job_id)
        (folder / "job.json").write_text(json.dumps({**document, "submitted": time.time()}))
        self.begin_waiting()
        return job_id

    def begin_waiting(self) -> None:
        """Start what waits."""
        if self.held:
            return
        for folder in sorted(self.jobs.iterdir()):
            if (folder / "job.json").exists() and self.state(folder.name) == "PENDING":
                (folder / "begun").touch()
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.emulators.sfapi.slurm", "run", str(self._state), str(folder)],
                    cwd=ROOT,
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                (folder / "pid").write_text(str(process.pid))

    def state(self, job_id: str) -> str:
        """As sacct would say it; a job whose processes are gone without a word had its node fail."""
        folder = self.jobs / job_id
        said = folder / "says.json"
        if said.exists():
            return str(json.loads(said.read_text()))
        if not (folder / "begun").exists():
            return "PENDING"
        pid = folder / "pid"
        if not pid.exists():  # Its process is being made, or the service was killed while it made it.
            return "RUNNING" if time.time() - (folder / "begun").stat().st_mtime < BEGIN_S else "NODE_FAIL"
        return "RUNNING" if _is_alive(int(pid.read_text() or 0)) else "NODE_FAIL"

    def cancel(self, job_id: str, state: str = "CANCELLED by 1001") -> None:
        """End a job that has not ended."""
        folder = self.jobs / job_id
        if self.state(job_id) in ("PENDING", "RUNNING"):
            (folder / "says.json").write_text(json.dumps(state))
            pid = folder / "pid"
            if pid.exists():
                with_children(int(pid.read_text()))

    def lose_all(self) -> None:
        """Every node fails."""
        for one in self.rows():
            self.cancel(one["id"], "NODE_FAIL")

    def rows(self) -> list[dict[str, Any]]:
        """All jobs, oldest first, with their states."""
        found = [json.loads((path / "job.json").read_text()) for path in sorted(self.jobs.iterdir())]
        return [{**one, "state": self.state(one["id"])} for one in found]


def with_children(pid: int) -> None:
    """Kill a job's process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # Of an earlier process of this service.
        os.waitpid(pid, os.WNOHANG)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _run(state: Path, folder: Path) -> None:
    """One job, in a session of its own."""
    job = json.loads((folder / "job.json").read_text())
    fault = faults.take(state / "faults", "end-job", name=job["name"])
    point = fault.get("point", "") if fault else ""
    if fault and not point:
        (folder / "says.json").write_text(json.dumps(fault.get("state", "NODE_FAIL")))
        return
    environment = {
        **os.environ,
        "PATH": f"{state / 'bin'}:{os.environ['PATH']}",
        "SLURM_JOB_ID": job["id"],
        "SFAPI_EMULATOR_JOB": str(folder),
        "SFAPI_EMULATOR_STATE": str(state),
        "DICHROISM_KILL_AT": point,
    }
    with Path(job["output"]).open("ab") as log:
        done = subprocess.run(["bash", job["script"]], env=environment, stdout=log, stderr=log, check=False)
    killed = fault is not None and done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    end = "COMPLETED" if done.returncode == 0 else fault.get("state", "NODE_FAIL") if killed and fault else "FAILED"
    if not (folder / "says.json").exists():
        (folder / "says.json").write_text(json.dumps(end))


def _squeue(state: Path, arguments: list[str]) -> int:
    """``squeue --noheader --jobs ID --format %T``."""
    job_id = arguments[arguments.index("--jobs") + 1]
    if not (state / "jobs" / job_id).exists():
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    said = Slurm(state).state(job_id)
    if said in ("PENDING", "RUNNING"):
        print(said)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "run":
        _run(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(_squeue(Path(os.environ["SFAPI_EMULATOR_STATE"]), sys.argv[2:]))
