"""Makes metrics, an Event and a run in Prefect of the last flight check of each beamline: the job that made it is gone.

The check is read from the Lease that the job writes. A beamline that was never checked ages from our start.
"""

from datetime import datetime

from dichroism_crds.reasons import EventReason
from dichroism_crds.timestamps import now
from dichroism_operator.flight.result import FlightResult, lease_name, leg_names
from dichroism_operator.flight.shown import flight_run
from dichroism_operator.lanes.base import Context, Lane
from dichroism_operator.lanes.leased import last_result
from dichroism_operator.metrics import FLIGHT_AGE, FLIGHT_FAILED, FLIGHT_LEG_FAILED, FLIGHT_SECONDS
from dichroism_operator.recorder import About

EVERY_S = 30.0


class FlightResults(Lane):
    """One lane for all beamlines."""

    def __init__(self, context: Context) -> None:
        super().__init__("flights", context)
        self._start = now()
        self._last: dict[str, FlightResult] = {}

    async def turn(self) -> float:
        """Read every Lease."""
        for beamline in self.context.config.beamlines:
            about, result = await last_result(self.context.api, lease_name(beamline), FlightResult.from_lease)
            if result and result.beamline == beamline and result != self._last.get(beamline):
                self._tell(about, result)
                self._last[beamline] = result
        FLIGHT_LEG_FAILED.clear()
        for beamline in self.context.config.beamlines:
            self._measure(beamline, self._last.get(beamline))
        return EVERY_S

    def _tell(self, about: About, result: FlightResult) -> None:
        """A check that was not seen before."""
        if self.context.feed:
            self.context.feed.observe_flight(flight_run(result))
        if not result.passed:
            message = f"a file would not get through for {result.beamline}: {result.summary}"
            self.context.recorder.event(about, EventReason.FLIGHT_CHECK_FAILED, message)

    def _measure(self, beamline: str, result: FlightResult | None) -> None:
        since: datetime = result.ended if result else self._start
        FLIGHT_AGE.labels(beamline).set(max(0.0, (now() - since).total_seconds()))
        FLIGHT_FAILED.labels(beamline).set(bool(result and not result.passed))
        known = leg_names(self.context.config.beamlines[beamline])
        for leg in result.legs if result else ():
            if leg.name not in known:
                continue
            FLIGHT_SECONDS.labels(beamline, leg.name).set(leg.seconds)
            if leg.reason:
                FLIGHT_LEG_FAILED.labels(beamline, leg.name, leg.reason).set(1)
