"""Makes metrics and an Event of the last audit of each beamline: the job that made it is gone.

The audit is read from the Lease that the job writes. A beamline that was never audited ages from our start.
"""

from datetime import datetime

from dichroism_crds.reasons import EventReason
from dichroism_crds.timestamps import now
from dichroism_operator.audit.findings import Kind, Place
from dichroism_operator.audit.result import AuditResult, DiskResult, lease_name
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.lanes.leased import last_result
from dichroism_operator.metrics import AUDIT_AGE, AUDIT_DISK_FILL, AUDIT_FINDINGS, AUDIT_NOT_LOOKED_AT, AUDIT_OLDEST

EVERY_S = 60.0


class AuditResults(Lane):
    """One lane for all beamlines."""

    def __init__(self, context: Context) -> None:
        super().__init__("audits", context)
        self._start = now()
        self._last: dict[str, AuditResult] = {}

    async def turn(self) -> float:
        """Read every Lease."""
        for beamline in self.context.config.beamlines:
            about, result = await last_result(self.context.api, lease_name(beamline), AuditResult.from_lease)
            if result and result.beamline == beamline and result != self._last.get(beamline):
                self._last[beamline] = result
                if result.findings:
                    message = f"the audit of {beamline} found: {result.summary}"
                    self.context.recorder.event(about, EventReason.AUDIT_FOUND, message)
            self._measure(beamline, self._last.get(beamline))
        return EVERY_S

    def _measure(self, beamline: str, result: AuditResult | None) -> None:
        since: datetime = result.ended if result else self._start
        AUDIT_AGE.labels(beamline).set(max(0.0, (now() - since).total_seconds()))
        if result is None:
            return
        for kind in Kind:
            AUDIT_FINDINGS.labels(beamline, kind).set(result.findings.get(kind, 0))
        for place in Place:
            AUDIT_NOT_LOOKED_AT.labels(beamline, place).set(result.unseen.get(place, 0))
        known = self.context.config.beamlines[beamline].produces
        for disk in result.disks:
            if disk.endpoint in known:
                _measure_disk(beamline, disk)


def _measure_disk(beamline: str, disk: DiskResult) -> None:
    oldest = max(0.0, (now() - disk.oldest).total_seconds()) if disk.oldest else 0.0
    AUDIT_OLDEST.labels(beamline, disk.endpoint).set(oldest)
    if disk.capacity and disk.free is not None:
        AUDIT_DISK_FILL.labels(beamline, disk.endpoint).set(1 - disk.free / disk.capacity)
