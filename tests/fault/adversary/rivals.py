"""Two pruners of one beamline: what the Lease is for. One goes on only while the other can't be at work.

The danger: one job proved that the copies on disk are there, and the other one takes them away before the first has
acted on it.
"""

import asyncio
import os
import signal
import subprocess

from dichroism_crds.kinds import Scan
from dichroism_operator.lease import DURATION_S, GROUP_VERSION
from dichroism_operator.prune.job import lease_name
from tests.fault.adversary.subjects import CFS, DATA
from tests.integration.prune.site import Ended, Site, ended


class Rivals:
    """``violations`` is empty when no file went while another process had the Lease."""

    def __init__(self, site: Site, files: int) -> None:
        self.site = site
        self.files = files
        self.violations: list[str] = []
        self.outcomes: dict[str, int] = {}
        self.scans: list[Scan] = []

    async def fight(self) -> None:
        """The living holder first, then the one that stood still."""
        self.site.configure(also_disk=True)
        self.scans = self.site.finished_scans(self.files)
        for number, endpoint in enumerate((DATA, CFS), start=1):
            await self.site.schedule(self.scans, number, endpoint=endpoint)
        await self._beside_a_living_one()
        if not self.violations:
            await self._after_a_standstill()

    async def _beside_a_living_one(self) -> None:
        """Somebody else holds the Lease: nothing may go."""
        spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 100 * DURATION_S}
        lease = {
            "apiVersion": GROUP_VERSION,
            "kind": "Lease",
            "metadata": {"name": lease_name("BL402")},
            "spec": spec,
        }
        await self.site.api.request("POST", self.site.api.builtin_path(GROUP_VERSION, "leases"), body=lease)
        await self._ended(self.site.start(), "beside a living one")
        self._look("while another process held the Lease")
        await self.site.forget_lease()

    async def _after_a_standstill(self) -> None:
        """A job is frozen between its proof and its first rename, and goes on when another one took the Lease."""
        self.site.environment = {"DICHROISM_STOP_AT": "copies-verified:1"}
        frozen = self.site.start()
        self.site.environment = {}
        try:
            await asyncio.to_thread(_wait_until_frozen, frozen)
            other = await self._ended(self.site.start(endpoint=CFS), "after a standstill")
            if (left := self._left_on_disk()) > 0:
                self.violations.append(f"the other job left {left} files although the Lease had run out: {other.log}")
        finally:
            frozen.send_signal(signal.SIGCONT)
        await self._ended(frozen, "the one that stood still")
        self._look("by a job that had lost the Lease while it stood still")

    async def _ended(self, job: "subprocess.Popen[str]", when: str) -> Ended:
        done = await asyncio.to_thread(ended, job)
        if "Traceback" in done.log:
            self.violations.append(f"{when}: a run ended in a traceback: {done.log[-2000:]}")
        return done

    def _look(self, when: str) -> None:
        here = self.site.in_place()
        gone = sorted(scan.spec.path for scan in self.scans if scan.spec.path not in here)
        self.outcomes[when] = len(gone)
        self.violations += [f"{path} was moved {when}" for path in gone]

    def _left_on_disk(self) -> int:
        return sum((self.site.roots[CFS] / scan.spec.path).exists() for scan in self.scans)


def _wait_until_frozen(process: "subprocess.Popen[str]") -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise RuntimeError(f"the job ended with {os.waitstatus_to_exitcode(status)} before it could be frozen")
