"""Scans as they are when their files have gone part of the way before: very many of them, quickly made."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

from dichroism_crds.kinds import (
    SCAN_CONDITIONS,
    Checksum,
    Condition,
    ConditionStatus,
    Content,
    Copy,
    Dataset,
    Metadata,
    Scan,
    ScanPhase,
    ScanSpec,
    ScanStatus,
    Step,
)
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ORIGIN, Origin, scan_name
from dichroism_crds.reasons import Reason
from tests.api import acting
from tests.cluster import Cluster
from tests.site import BEAMLINES

AT_ONCE = 24
LIVE = f"{LABEL_ORIGIN}={Origin.LIVE}"
"""Selects the Scans of files that go their way now: those made here need not be read again and again."""


def finished_scan(namespace: str, beamline: str, number: int, moment: datetime) -> Scan:
    """A Scan of a file that went its whole way at ``moment``."""
    scan = _scan(namespace, beamline, number, moment)
    conditions = [_true(kind, moment) for kind in SCAN_CONDITIONS]
    status = scan.status.model_copy(update={"phase": ScanPhase.PRUNE_SCHEDULED, "conditions": conditions})
    return scan.model_copy(update={"status": status})


def scan_before_tape(namespace: str, beamline: str, number: int, moment: datetime) -> Scan:
    """A Scan of a file that waits for its bundle, the last step that takes long: no unfinished one is larger."""
    scan = _scan(namespace, beamline, number, moment)
    conditions = [_true(kind, moment) for kind in (Step.TRANSFERRED, Step.CATALOGUED)]
    conditions.append(
        Condition(
            type=Step.ARCHIVED,
            status=ConditionStatus.UNKNOWN,
            reason=Reason.AWAITING_BUNDLE,
            message="waits for its bundle to fill",
            last_transition_time=moment,
        )
    )
    checksum = Checksum(value=sha256(scan.spec.path.encode()).hexdigest())
    copies = [
        Copy(
            endpoint=f"{place}{BEAMLINES[beamline]}",
            path=scan.spec.path,
            size=scan.spec.size,
            checksum=checksum,
            verified_at=moment,
        )
        for place in ("data", "nersc")
    ]
    dataset = Dataset(pid=f"20.500.12345/{scan.name}", url=f"https://scicat.example.org/datasets/{scan.name}")
    status = scan.status.model_copy(
        update={"phase": ScanPhase.TRANSFERRED, "conditions": conditions, "copies": copies, "dataset": dataset}
    )
    return scan.model_copy(update={"status": status})


def _true(kind: str, moment: datetime) -> Condition:
    return Condition(type=kind, status=ConditionStatus.TRUE, reason="Completed", last_transition_time=moment)


def _scan(namespace: str, beamline: str, number: int, moment: datetime) -> Scan:
    path = f"2026/before/{number:06d}.txt"
    spec = ScanSpec(beamline=beamline, path=path, size=1000 + number, modified_at=moment)
    status = ScanStatus(
        observed_generation=1, content=Content(size=spec.size, modified_at=moment), message="from before"
    )
    name = scan_name(beamline, f"data{BEAMLINES[beamline]}", path)
    return Scan(
        metadata=Metadata(name=name, namespace=namespace, labels={LABEL_BEAMLINE: beamline}), spec=spec, status=status
    )


def create(cluster: Cluster, scans: Iterable[Scan]) -> list[Scan]:
    """Create Scans of one namespace with their status; returns them as the API server has them."""

    async def all_of(wanted: Sequence[Scan]) -> list[Scan]:
        slots = asyncio.Semaphore(AT_ONCE)
        async with acting(cluster, wanted[0].metadata.namespace or "") as api:

            async def one(scan: Scan) -> Scan:
                async with slots:
                    made = await api.create(scan)
                    return await api.replace_status(made.model_copy(update={"status": scan.status}))

            return list(await asyncio.gather(*map(one, wanted)))

    wanted = list(scans)
    return asyncio.run(all_of(wanted)) if wanted else []
