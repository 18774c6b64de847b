"""From the Lease that an audit leaves to the operator's metrics and Event, each under its own rights."""

from datetime import timedelta

import pytest

from dichroism_crds.client import Api, Denied
from dichroism_crds.config import load
from dichroism_crds.heartbeat import LEASES, leave
from dichroism_crds.names import OPERATOR_LEASE
from dichroism_crds.timestamps import now
from dichroism_operator.audit.findings import Kind, Place
from dichroism_operator.audit.result import ANNOTATION_RESULT, AuditResult, DiskResult, lease_name
from dichroism_operator.board import Board
from dichroism_operator.lanes.audits import AuditResults
from dichroism_operator.lanes.base import Context
from dichroism_operator.metrics import REGISTRY
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from tests.api import acting
from tests.chart import AUDIT, CHART, OPERATOR, install
from tests.cluster import Cluster

CONFIG = CHART.parents[1] / "config.yml"


def result(ago_s: float = 0.0, **findings: int) -> AuditResult:
    """An audit that ended so long ago; the tape could not be looked at."""
    ended = now() - timedelta(seconds=ago_s)
    disks = (
        DiskResult(endpoint="data402", files=9, bytes=90, oldest=ended - timedelta(days=3), capacity=100, free=25),
        DiskResult(endpoint="whatever", files=9, bytes=90),
    )
    told = {Kind(kind): count for kind, count in findings.items()}
    unseen = {Place.TAPE: 1}
    return AuditResult(beamline="BL402", started=ended, ended=ended, findings=told, unseen=unseen, disks=disks)


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"dichroism_audit_{name}", {"beamline": "BL402", **labels})


async def test_the_last_audit_becomes_metrics_and_an_event(cluster: Cluster, namespace: str) -> None:
    install(cluster, namespace, CONFIG.read_text())
    config, name = load(CONFIG), lease_name("BL402")
    async with acting(cluster, namespace, AUDIT) as job, acting(cluster, namespace, OPERATOR) as api:
        recorder = Recorder(api, "test")
        writer = StatusWriter(api, config, board := Board(), {}, lambda _: None)
        lane = AuditResults(Context(api, config, board, writer, recorder, {}, None))

        await lane.turn()
        assert metric("findings", kind="NotCopied") is None, "before the first audit nothing is known"
        assert (metric("age_seconds") or 0) < 60, "a beamline that was never audited ages from our start"

        await leave(job, name, result(ago_s=3600, NotCopied=3).to_lease("test"))
        await lane.turn()
        assert metric("findings", kind="NotCopied") == 3
        assert metric("findings", kind="CopyDiffers") == 0
        assert metric("not_looked_at", place="tape") == 1
        assert metric("disk_fill_ratio", endpoint="data402") == 0.75
        assert (metric("oldest_file_seconds", endpoint="data402") or 0) >= 3 * 86_400
        assert metric("oldest_file_seconds", endpoint="whatever") is None, "labels come from the configuration alone"
        assert (metric("age_seconds") or 0) >= 3600
        await recorder.drain()
        told = cluster.kubectl("get", "events", "-n", namespace, f"--field-selector=involvedObject.name={name}")
        assert "AuditFound" in told
        assert "3 NotCopied, tape was not looked at" in told

        await leave(job, name, result().to_lease("test"))
        await lane.turn()
        assert metric("findings", kind="NotCopied") == 0
        await write_nonsense(job, name)
        await lane.turn()
        assert metric("findings", kind="NotCopied") == 0, "what makes no sense is left alone"
        with pytest.raises(Denied):
            await job.request("GET", job.builtin_path(*LEASES, OPERATOR_LEASE))


async def write_nonsense(job: Api, name: str) -> None:
    body = {"metadata": {"annotations": {ANNOTATION_RESULT: '{"findings": {"NoSuchKind": 1}}'}}}
    await job.request("PATCH", job.builtin_path(*LEASES, name), body=body, content_type="application/merge-patch+json")
