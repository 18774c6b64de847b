"""From the Lease that a flight check leaves to the operator's metrics, Event and feed, each under its own rights."""

import uuid
from datetime import timedelta

import pytest

from dichroism_crds.client import Denied
from dichroism_crds.config import load
from dichroism_crds.heartbeat import LEASES
from dichroism_crds.names import OPERATOR_LEASE
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator.board import Board
from dichroism_operator.flight import record
from dichroism_operator.flight.result import FlightResult, Leg, Outcome, lease_name
from dichroism_operator.lanes.base import Context
from dichroism_operator.lanes.flights import FlightResults
from dichroism_operator.metrics import REGISTRY
from dichroism_operator.mirror.feed import Feed
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from tests.api import acting
from tests.chart import CHART, FLIGHT, OPERATOR, install
from tests.cluster import Cluster

CONFIG = CHART.parents[1] / "config.yml"
HOP = "data402-nersc402"


def check(reason: Reason | None = None, ago_s: float = 0.0) -> FlightResult:
    """A check of one hop that ended so long ago."""
    leg = Leg(name=HOP, outcome=Outcome.FAILED if reason else Outcome.PASSED, seconds=7, message="said", reason=reason)
    strange = Leg(name="whatever", outcome=Outcome.PASSED, seconds=1)
    ended = now() - timedelta(seconds=ago_s)
    return FlightResult(id=str(uuid.uuid4()), beamline="BL402", started=ended, ended=ended, legs=(leg, strange))


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"dichroism_flight_check_{name}", {"beamline": "BL402", **labels})


async def test_the_last_check_becomes_metrics_an_event_and_a_run(cluster: Cluster, namespace: str) -> None:
    install(cluster, namespace, CONFIG.read_text())
    config = load(CONFIG)
    async with acting(cluster, namespace, FLIGHT) as job, acting(cluster, namespace, OPERATOR) as api:
        recorder = Recorder(api, "test")
        feed = Feed(namespace, batches=True)
        feed.begin({})
        writer = StatusWriter(api, config, board := Board(), {}, lambda _: None)
        lane = FlightResults(Context(api, config, board, writer, recorder, {}, feed))

        await lane.turn()
        assert metric("failed") == 0
        assert (metric("age_seconds") or 0) < 60, "a beamline that was never checked ages from our start"

        await record.leave(job, check(Reason.DESTINATION_FULL, ago_s=3600))
        await lane.turn()
        assert metric("failed") == 1
        assert metric("leg_failed", leg=HOP, reason="DestinationFull") == 1
        assert metric("leg_seconds", leg=HOP) == 7
        assert metric("leg_seconds", leg="whatever") is None, "labels come from the configuration alone"
        assert (metric("age_seconds") or 0) >= 3600
        await recorder.drain()
        selector = f"--field-selector=involvedObject.name={lease_name('BL402')}"
        told = cluster.kubectl("get", "events", "-n", namespace, selector)
        assert "FlightCheckFailed" in told
        assert f"{HOP}: DestinationFull: said" in told

        await record.leave(job, check())
        for _ in range(2):
            await lane.turn()
        assert metric("failed") == 0
        assert metric("leg_failed", leg=HOP, reason="DestinationFull") is None
        assert len(feed.flights) == 2, "each check is one run"

        lease = api.builtin_path(*LEASES, lease_name("BL402"))
        broken = {"metadata": {"annotations": {"dichroism.als.lbl.gov/flight-check": "{"}}}
        await job.request("PATCH", lease, body=broken, content_type="application/merge-patch+json")
        await lane.turn()
        assert metric("failed") == 0, "what makes no sense changes nothing; the age tells of it in the end"

        path = job.builtin_path(*LEASES, OPERATOR_LEASE)
        with pytest.raises(Denied):
            await job.request("PATCH", path, body=broken, content_type="application/merge-patch+json")
